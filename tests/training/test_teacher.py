import numpy as np
import pytest

from training import teacher
from training.params import TargetParams

GRID = teacher.GRID_SAMPLES


def target(scores: list[float], start: int) -> float:
    return teacher.target(np.array(scores, np.float32), start, 24000, TargetParams())


def test_the_best_window_of_a_labelled_cry_is_a_cry() -> None:
    """However timid the teacher, the window where it heard most is a cry, and one where it heard nothing is not."""
    scores = [0.0] * 20 + [0.1] + [0.0] * 20
    assert target(scores, 20 * GRID - 12000) == pytest.approx(0.95)
    assert target(scores, 0) < 0.01


def test_a_sure_teacher_is_believed() -> None:
    """A score near one stays near one, and a middling one is sharpened upwards."""
    assert target([0.99] * 20, 0) > 0.99
    assert target([1.0] + [0.5] * 20, 10 * GRID) == pytest.approx(1 / (1 + np.exp(-1.5)))


@pytest.mark.parametrize("start", [-50000, -8000, 0, 8000, 100000])
def test_windows_may_hang_over_the_ends(start: int) -> None:
    """A window that begins before the clip or ends after it has a target too."""
    assert 0 <= target([0.2, 0.9, 0.1], start) <= 1


def test_voices_that_are_heard_are_worth_learning() -> None:
    """Of the teacher's classes those of people and animals are learnt one by one, all laughs, no cry, and no music."""
    heard = np.zeros((200, teacher.CLASSES), np.float16)
    heard[:, [0, 20, 76, 132]] = 0.9  # speech, a baby's cry, a cat, music
    assert teacher.worth_learning([heard]).tolist() == [0, 13, 14, 15, 16, 17, 76]


def test_odds_tell_small_scores_apart() -> None:
    """Odds have one scale whatever the class, differ where scores are all but 0, and stay finite at 0 and 1."""
    scores = np.exp(np.random.default_rng(0).uniform(-9, -2, (500, teacher.CLASSES))).astype(np.float16)
    scores[:, 1] = 0
    scores[:2, 2] = 0, 1
    found = teacher.Odds([scores])(scores)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.delete(found.std(axis=0), 1), 1, atol=0.01)
    assert np.abs(found[:, 1]).max() < 1e-4  # never heard: nothing to fit
    order = np.argsort(scores[:, 0])
    assert (np.diff(found[order, 0]) >= 0).all()
    assert found[order[100], 0] - found[order[0], 0] > 0.3  # both scores under 0.001
