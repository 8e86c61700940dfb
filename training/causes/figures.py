"""How well causes are told: accuracy, UAR, macro-F1, folds that keep households apart, intervals over households.

The figures are scikit-learn's, counted in a hundredth of its time: an interval asks for each 400 times.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from training import intervals
from training.data import DataError
from training.intervals import Clips, Estimate

FOLDS = 5
TRIES, AGAIN = 20, 1000  # where a division leaves a category out, others are tried, of seeds this far apart

Causes = npt.NDArray[np.int64]  # numbers of categories
Probabilities = npt.NDArray[np.float64]  # [clips, categories], rows sum to 1
Figure = Callable[[Causes, Causes, Causes], float]  # of truth, what was told, and the causes that count


class Fold(NamedTuple):
    """Numbers of the clips to learn from and of those to judge by."""

    train: Clips
    test: Clips


def accuracy(truth: Causes, told: Causes, _causes: Causes | None = None) -> float:
    """Return the share of clips that got the right cause, whatever the causes."""
    return float(np.mean(truth == told))


def uar(truth: Causes, told: Causes, causes: Causes | None = None) -> float:
    """Return the unweighted average recall (balanced accuracy); chance is 1 / causes.

    Over `causes`, of which one that no clip has counts as never told; None: over those in `truth`.
    """
    there, _, right = _counts(truth, told, causes)
    return float(np.mean(right / np.maximum(there, 1)))


def macro_f1(truth: Causes, told: Causes, causes: Causes | None = None) -> float:
    """Return the F1 score averaged over `causes`, as `uar` takes them."""
    there, named, right = _counts(truth, told, causes)
    return float(np.mean(2 * right / np.maximum(there + named, 1)))


def _counts(truth: Causes, told: Causes, causes: Causes | None) -> tuple[Causes, Causes, Causes]:
    """Return of each cause how many clips have it, how many are told to, how many of these rightly."""
    causes = np.unique(truth) if causes is None else causes
    size = int(max(truth.max(), told.max(), causes.max())) + 1
    there, named, right = (np.bincount(of, minlength=size) for of in (truth, told, truth[truth == told]))
    return there[causes], named[causes], right[causes]


FIGURES: dict[str, Figure] = {"accuracy": accuracy, "uar": uar, "macro_f1": macro_f1}


def with_intervals(truth: Causes, told: Causes, sources: Sequence[str]) -> dict[str, Estimate]:
    """Return the three figures, each with its 95 % interval: households are drawn again and again, never clips.

    The causes are always those in `truth`: one that a draw has lost counts as never told there.
    """
    samples, causes = intervals.draws(sources), np.unique(truth)

    def of(figure: Figure) -> Callable[[Clips], float]:
        return lambda clips: figure(truth[clips], told[clips], causes)

    return {name: intervals.bootstrap(of(figure), len(truth), samples) for name, figure in FIGURES.items()}


def folds(truth: Causes, sources: Sequence[str], seed: int, count: int = FOLDS) -> list[Fold]:
    """Return folds that share no household, each with about the same causes, and all of them to learn from.

    Raises:
        DataError: households cannot be divided so.
    """
    causes = np.unique(truth)
    for again in range(TRIES):
        splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed + AGAIN * again)
        cut = [Fold(*sides) for sides in splitter.split(np.zeros(len(truth)), truth, groups=list(sources))]
        if all(np.array_equal(np.unique(truth[fold.train]), causes) for fold in cut):
            return cut
    raise DataError(
        f"households cannot be divided into {count} folds that each leave every category to learn from: add clips of"
        " other households to the rarest category"
    )
