"""How far a model's answers may be believed, measured on clips whose households it did not learn from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from monitor.detect.reasons import posterior
from training import intervals
from training.causes.figures import Causes, Probabilities
from training.intervals import Clips, Estimate, Hits

WEIGHTS = np.linspace(0.0, 1.0, 101)
SHARES = np.linspace(1.0, 0.1, 10)  # of the clips, those with the most confident answers
LEAST_CLIPS = 10  # under so many clips an interval over households says little
TINY = 1e-9


class Belief(NamedTuple):
    """What a manifest says of its model's answers.

    Attributes:
        weight: The exponent of the likelihood, 0 (never believed) to 1 (as it stands).
        min_confidence: A cause is named where the tempered answer reaches it; None: nowhere.
    """

    weight: float
    min_confidence: float | None


class Coverage(NamedTuple):
    """What becomes of the clips when only those that reach a confidence get a cause.

    Attributes:
        confidence: The least one.
        clips: How many reach it.
        coverage: Their share.
        balanced: The balanced accuracy among them; a category without such a clip counts as never told.
        accuracy: The share of right answers among them.
    """

    confidence: float
    clips: int
    coverage: float
    balanced: Estimate
    accuracy: Estimate


def balanced_log_likelihood(probabilities: Probabilities, truth: Causes) -> float:
    """Return the mean log-probability of the truth, every category counting alike however many clips it has."""
    told = np.log(np.maximum(probabilities[np.arange(len(truth)), truth], TINY))
    return float(np.mean([told[truth == category].mean() for category in np.unique(truth)]))


def weight_of(likelihood: Probabilities, truth: Causes) -> float:
    """Return the weight, in hundredths, by which tempered answers were least surprised by the truth."""
    return float(max(WEIGHTS, key=lambda weight: balanced_log_likelihood(posterior(likelihood, weight), truth)))


def coverage(likelihood: Probabilities, weight: float, truth: Causes, sources: Sequence[str]) -> list[Coverage]:
    """Return what is told of all clips, and of fewer and fewer: those whose tempered answer is the most confident."""
    confidence, right = posterior(likelihood, weight).max(axis=1), likelihood.argmax(axis=1) == truth
    samples = intervals.draws(sources)
    rows: list[Coverage] = []
    for share in SHARES:
        # Rounded down: the clip at the edge still reaches what is written in a manifest.
        least = np.floor(1e4 * np.quantile(confidence, 1 - share)) / 1e4
        reached = confidence >= least
        if rows and rows[-1].clips == reached.sum():
            continue
        there = Reached(reached, right, truth, likelihood.shape[1])
        rows.append(
            Coverage(
                confidence=float(least),
                clips=int(reached.sum()),
                coverage=round(float(reached.mean()), 4),
                balanced=intervals.bootstrap(there.balanced, len(truth), samples),
                accuracy=intervals.bootstrap(there.accuracy, len(truth), samples),
            )
        )
    return rows


class Reached(NamedTuple):
    """Which clips get a cause, and which get the right one; all bool[clips] but the truth."""

    reached: Hits
    right: Hits
    truth: Causes
    categories: int

    def balanced(self, clips: Clips) -> float:
        """Return the balanced accuracy of those among `clips`; a category without one counts as never told."""
        there = clips[self.reached[clips]]
        of_each = (there[self.truth[there] == category] for category in range(self.categories))
        return float(np.mean([self.right[of].mean() if len(of) else 0.0 for of in of_each]))

    def accuracy(self, clips: Clips) -> float:
        """Return the share of right answers among those of `clips`."""
        there = clips[self.reached[clips]]
        return float(self.right[there].mean()) if len(there) else float("nan")


def min_confidence(rows: Sequence[Coverage], categories: int) -> float | None:
    """Return the lowest confidence from which on a cause may be named; None where there is none.

    Of the answers that reach it, the lower end of the balanced accuracy's interval must be above chance.
    """
    chance = round(1 / categories, 4)  # as an interval's ends are: one answer for all is just chance
    for row in rows:
        if row.clips >= LEAST_CLIPS and row.balanced.low is not None and row.balanced.low > chance:
            return row.confidence
    return None


def belief(likelihood: Probabilities, truth: Causes, sources: Sequence[str]) -> tuple[Belief, list[Coverage]]:
    """Return how far answers may be believed that were given out of fold, and the table behind it.

    Args:
        likelihood: float64[clips, categories], of each clip by a model that did not learn from its household.
        truth: int64[clips].
        sources: The household of each clip.
    """
    weight = weight_of(likelihood, truth)
    rows = coverage(likelihood, weight, truth, sources)
    return Belief(weight, min_confidence(rows, likelihood.shape[1])), rows
