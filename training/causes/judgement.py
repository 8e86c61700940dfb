"""How far a model's answers may be believed, measured on clips whose households it did not learn from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training import intervals
from training.causes.figures import Causes, Probabilities
from training.intervals import Clips, Estimate

WEIGHTS = np.linspace(0.0, 1.0, 101)
CONFIDENCES = np.linspace(0.0, 1.0, 101)
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


def tempered(likelihood: Probabilities, weight: float) -> Probabilities:
    """Return likelihood ** weight, rows made to sum to 1: Bayes' rule with a flat prior, as the service does it."""
    odds = weight * np.log(np.maximum(likelihood, TINY))
    powers = np.exp(odds - odds.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def balanced_log_likelihood(probabilities: Probabilities, truth: Causes) -> float:
    """Return the mean log-probability of the truth, every category counting alike however many clips it has."""
    told = np.log(np.maximum(probabilities[np.arange(len(truth)), truth], TINY))
    return float(np.mean([told[truth == category].mean() for category in np.unique(truth)]))


def weight_of(likelihood: Probabilities, truth: Causes) -> float:
    """Return the weight, in hundredths, by which tempered answers were least surprised by the truth."""
    return float(max(WEIGHTS, key=lambda weight: balanced_log_likelihood(tempered(likelihood, weight), truth)))


def coverage(probabilities: Probabilities, truth: Causes, sources: Sequence[str]) -> list[Coverage]:
    """Return what each confidence that some clips reach leaves, from the lowest up; one row for equal sets of clips."""
    confidence, told = probabilities.max(axis=1), probabilities.argmax(axis=1)
    samples = intervals.draws(sources)
    rows: list[Coverage] = []
    for least in CONFIDENCES:
        reached = confidence >= least
        count = int(reached.sum())
        if not count or (rows and rows[-1].clips == count):
            continue
        right = told == truth

        def balanced(clips: Clips, right: Causes = right, reached: Causes = reached) -> float:
            there = clips[reached[clips]]
            categories = range(probabilities.shape[1])
            return float(
                np.mean([right[of].mean() if len(of := there[truth[there] == c]) else 0.0 for c in categories])
            )

        def accuracy(clips: Clips, right: Causes = right, reached: Causes = reached) -> float:
            there = clips[reached[clips]]
            return float(right[there].mean()) if len(there) else float("nan")

        rows.append(
            Coverage(
                confidence=round(float(least), 2),
                clips=count,
                coverage=round(count / len(truth), 4),
                balanced=intervals.bootstrap(balanced, len(truth), samples),
                accuracy=intervals.bootstrap(accuracy, len(truth), samples),
            )
        )
    return rows


def min_confidence(rows: Sequence[Coverage], categories: int) -> float | None:
    """Return the lowest confidence from which on a cause may be named; None where none may.

    There, and at every higher one that enough clips reach, the lower end of the balanced accuracy's interval must be
    above chance.
    """
    named = None
    for row in reversed([row for row in rows if row.clips >= LEAST_CLIPS]):
        if row.balanced.low is None or row.balanced.low <= 1 / categories:
            break
        named = row.confidence
    return named


def belief(likelihood: Probabilities, truth: Causes, sources: Sequence[str]) -> tuple[Belief, list[Coverage]]:
    """Return how far answers may be believed that were given out of fold, and the table behind it.

    Args:
        likelihood: float64[clips, categories], of each clip by a model that did not learn from its household.
        truth: int64[clips].
        sources: The household of each clip.
    """
    weight = weight_of(likelihood, truth)
    rows = coverage(tempered(likelihood, weight), truth, sources)
    return Belief(weight, min_confidence(rows, likelihood.shape[1])), rows
