import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from training.causes import figures
from training.data import DataError

TRUTH = np.array([0] * 30 + [1] * 12 + [2] * 10)
SOURCES = [f"home{number // 2}" for number in range(len(TRUTH))]


def test_no_household_is_on_both_sides() -> None:
    """Each clip is judged once, and its household is never learnt from then."""
    judged = []
    for fold in figures.folds(TRUTH, SOURCES, seed=1):
        assert not {SOURCES[clip] for clip in fold.train} & {SOURCES[clip] for clip in fold.test}
        judged += list(fold.test)
    assert sorted(judged) == list(range(len(TRUTH)))


def test_every_fold_leaves_all_causes_to_learn_from() -> None:
    """Where households have several causes, divisions that take a cause away whole are not used; none left is said."""
    truth = np.array([0, 1, 0, 1, 0, 0, 0, 0])
    sources = ["a", "a", "b", "b", "c", "d", "e", "f"]
    for seed in range(20):
        for fold in figures.folds(truth, sources, seed, count=2):
            assert set(truth[fold.train]) == {0, 1}
    with pytest.raises(DataError, match="households cannot be divided into 2 folds"):
        figures.folds(np.array([0, 1, 1, 0]), ["a", "a", "a", "b"], 0, count=2)


def test_folds_follow_from_the_seed() -> None:
    """The same seed cuts the same folds, another one others."""

    def tests(seed: int) -> list[list[int]]:
        return [list(fold.test) for fold in figures.folds(TRUTH, SOURCES, seed)]

    assert tests(1) == tests(1)
    assert tests(1) != tests(2)


def test_always_the_commonest_looks_accurate_and_is_chance() -> None:
    """One answer for all has the accuracy of its share, and the unweighted recall of guessing."""
    told = np.zeros_like(TRUTH)
    found = figures.with_intervals(TRUTH, told, SOURCES)
    assert found["accuracy"].value == round(30 / 52, 4)
    assert found["uar"].value == round(1 / 3, 4)
    assert found["macro_f1"].value == round(2 * 30 / (52 + 30) / 3, 4)


def test_intervals_hold_their_figure() -> None:
    """Each figure lies in its interval, which has a width where households differ."""
    told = np.where(np.random.default_rng(0).random(len(TRUTH)) < 0.6, TRUTH, 0)
    for estimate in figures.with_intervals(TRUTH, told, SOURCES).values():
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < estimate.value < estimate.high


def test_the_figures_are_those_of_scikit_learn() -> None:
    """Accuracy, UAR and macro-F1 over the causes in the truth, also where others are told or some never are."""
    rng = np.random.default_rng(1)
    for truth in (rng.integers(0, 6, 40), rng.integers(2, 4, 5), np.array([3])):
        told = rng.integers(0, 6, len(truth))
        how = {"labels": np.unique(truth), "average": "macro", "zero_division": 0}
        assert figures.accuracy(truth, told) == pytest.approx(accuracy_score(truth, told))
        assert figures.uar(truth, told) == pytest.approx(recall_score(truth, told, **how))
        assert figures.macro_f1(truth, told) == pytest.approx(f1_score(truth, told, **how))
