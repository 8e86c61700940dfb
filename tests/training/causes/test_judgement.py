import numpy as np
import pytest

from monitor.detect.reasons import posterior
from training.causes import judgement
from training.causes.judgement import Coverage
from training.intervals import Estimate

RNG = np.random.default_rng(3)
TRUTH = np.repeat(np.arange(4), (60, 20, 20, 20))
SOURCES = [f"home{number}" for number in range(len(TRUTH))]


def answers(skill: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return skill * np.eye(4)[TRUTH] + (1 - skill) * RNG.dirichlet(np.ones(4), len(TRUTH))


def test_answers_that_know_are_believed_and_named() -> None:
    """Where the likeliest cause is mostly right, it counts in full and a cause is named."""
    belief, rows = judgement.belief(answers(0.6), TRUTH, SOURCES)
    assert belief.weight == 1.0
    assert belief.min_confidence == rows[0].confidence
    assert [row.clips for row in rows] == sorted((row.clips for row in rows), reverse=True)


def test_guesses_are_not_believed_and_not_named() -> None:
    """Answers that know nothing of the truth weigh little, and no confidence names a cause."""
    belief, _ = judgement.belief(answers(0.0), TRUTH, SOURCES)
    assert belief.weight < 0.3
    assert belief.min_confidence is None


@pytest.mark.parametrize("sure", [0.25, 0.97])
def test_one_answer_for_all_is_never_named(sure: float) -> None:
    """Always the same cause has exactly the balanced accuracy of guessing: no interval around it is above that."""
    constant = np.full((len(TRUTH), 4), (1 - sure) / 3)
    constant[:, 0] = sure
    assert judgement.belief(constant, TRUTH, SOURCES)[0].min_confidence is None


def test_tempering_flattens_and_keeps_the_order() -> None:
    """At weight 1 answers stand, at 0 they are flat, between they keep their order; rows sum to 1, zeros included."""
    said = np.array([[0.7, 0.2, 0.1, 0.0]])
    assert posterior(said, 1.0) == pytest.approx(said, abs=1e-6)
    assert posterior(said, 0.0) == pytest.approx(np.full((1, 4), 0.25))
    half = posterior(said, 0.5)[0]
    assert list(np.argsort(-half)) == [0, 1, 2, 3]
    assert half.sum() == pytest.approx(1.0)


def row(confidence: float, clips: int, low: float) -> Coverage:
    there = Estimate(low + 0.1, low, low + 0.2)
    return Coverage(confidence, clips, clips / 100, there, there)


def test_a_cause_is_named_from_the_lowest_confidence_that_beats_guessing() -> None:
    """Where the interval's lower end is above chance, not at it, and enough clips reach the confidence."""
    assert judgement.min_confidence([row(0.1, 100, 0.2), row(0.2, 80, 0.25), row(0.3, 60, 0.3)], 4) == 0.3
    assert judgement.min_confidence([row(0.1, 100, 0.26), row(0.2, 80, 0.2)], 4) == 0.1
    assert judgement.min_confidence([row(0.1, 100, 0.2), row(0.4, 5, 0.9)], 4) is None
