"""How well causes are told: accuracy, UAR, macro-F1, folds that keep households apart, intervals over households.

The figures are scikit-learn's, counted in a hundredth of its time: an interval asks for each 400 times.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from training import intervals
from training.intervals import Clips, Estimate

FOLDS = 5

Causes = npt.NDArray[np.int64]  # numbers of categories
Probabilities = npt.NDArray[np.float64]  # [clips, categories], rows sum to 1


class Fold(NamedTuple):
    """Numbers of the clips to learn from and of those to judge by."""

    train: Clips
    test: Clips


def accuracy(truth: Causes, told: Causes) -> float:
    """Return the share of clips that got the right cause."""
    return float(np.mean(truth == told))


def uar(truth: Causes, told: Causes) -> float:
    """Return the unweighted average recall (balanced accuracy) over the causes in `truth`; chance is 1 / causes."""
    there, _, right = _counts(truth, told)
    return float(np.mean(right / there))


def macro_f1(truth: Causes, told: Causes) -> float:
    """Return the F1 score averaged over the causes in `truth`."""
    there, named, right = _counts(truth, told)
    return float(np.mean(2 * right / (there + named)))


def _counts(truth: Causes, told: Causes) -> tuple[Causes, Causes, Causes]:
    """Return of each cause in `truth` how many clips have it, how many are told to, how many of these rightly."""
    size = int(max(truth.max(), told.max())) + 1
    there, named, right = (np.bincount(causes, minlength=size) for causes in (truth, told, truth[truth == told]))
    return there[there > 0], named[there > 0], right[there > 0]


FIGURES = {"accuracy": accuracy, "uar": uar, "macro_f1": macro_f1}


def with_intervals(truth: Causes, told: Causes, sources: Sequence[str]) -> dict[str, Estimate]:
    """Return the three figures, each with its 95 % interval: households are drawn again and again, never clips."""
    samples = intervals.draws(sources)
    return {
        name: intervals.bootstrap(_of(figure, truth, told), len(truth), samples) for name, figure in FIGURES.items()
    }


def _of(figure: Callable[[Causes, Causes], float], truth: Causes, told: Causes) -> Callable[[Clips], float]:
    return lambda clips: figure(truth[clips], told[clips])


def folds(truth: Causes, sources: Sequence[str], seed: int, count: int = FOLDS) -> Iterator[Fold]:
    """Yield folds that share no household, each with about the same causes."""
    splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    for train, test in splitter.split(np.zeros(len(truth)), truth, groups=list(sources)):
        yield Fold(train, test)
