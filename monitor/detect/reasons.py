"""Why it probably cries: what a reason model says of some seconds becomes odds, and a word where they are worth one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray

from monitor.config import ReasonConfig
from monitor.detect.model import ReasonModel, Runtime, load_reason_model, models_folder
from monitor.detect.stream import to_waveforms
from monitor.errors import InferenceError, ModelError
from monitor.records import UNSURE, Samples

log = structlog.get_logger()

Shares = NDArray[np.float64]

STEPS = 1_000
"""A probability is said to three decimals."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The cause of a cry.

    Attributes:
        reason: A category, or `unsure`.
        reasons: Each category's probability to three decimals, in the manifest's order, their sum 1; {}: not judged.
    """

    reason: str = UNSURE
    reasons: dict[str, float] = field(default_factory=dict)


class Reasons:
    """Judges a cry's cause. One thread uses it.

    Args:
        model: Says how likely each category is.
        min_confidence: 0..1, over the manifest's: below it a cause is `unsure`; 0 always names the likeliest.
    """

    def __init__(self, model: ReasonModel, min_confidence: float | None = None) -> None:
        self._model = model
        self._min_confidence = model.manifest.min_confidence if min_confidence is None else min_confidence

    @property
    def window_samples(self) -> int:
        """What the model hears at once."""
        return self._model.manifest.window_samples

    @property
    def categories(self) -> tuple[str, ...]:
        """The causes that it can name."""
        return self._model.manifest.categories

    @property
    def label(self) -> str:
        """The model's name and version, and what runs it."""
        return f"{self._model.manifest.label} on {self._model.runtime}"

    def judge(self, samples: Samples) -> Judgement:
        """Say why it probably cries; blocks for the inference.

        Args:
            samples: int16[n], any n; the newest window of them counts, zero-padded in front where they are fewer.

        Raises:
            InferenceError: The model failed, or its answer is no likelihood.
        """
        manifest, window = self._model.manifest, self.window_samples
        padded = np.concatenate([np.zeros(window, np.int16), samples])[-window:]
        likelihood = self._model.function(to_waveforms([padded]))[manifest.name][0].astype(np.float64)
        if not (np.isfinite(likelihood).all() and (likelihood >= 0).all() and likelihood.any()):
            raise InferenceError(manifest.name, "its answer is no likelihood")
        odds = posterior(likelihood, manifest.weight)
        # By the likelihood, which at weight 0 still has an order.
        best = int(likelihood.argmax())
        sure = self._min_confidence is not None and odds[best] >= self._min_confidence
        reasons = dict(zip(manifest.categories, to_steps(odds, likelihood), strict=True))
        return Judgement(manifest.categories[best] if sure else UNSURE, reasons)


def posterior(likelihood: Shares, weight: float) -> Shares:
    """Return how probable each category is, float64[..., n], the sum of each row 1, in the order of the likelihoods.

    The prior is uniform: a corpus's shares say who uploaded, not why babies cry. The weight (0..1) tempers the
    likelihood to what it was worth in households that the model never heard: 0 leaves the prior, 1 takes its word.

    Args:
        likelihood: float64[..., n], not negative, no row all zero.
        weight: 0..1.
    """
    tempered: Shares = (likelihood / likelihood.max(axis=-1, keepdims=True)) ** weight
    shares: Shares = tempered / tempered.sum(axis=-1, keepdims=True)
    return shares


def to_steps(shares: Shares, order: Shares) -> Sequence[float]:
    """Return `shares` (the sum 1) to three decimals that sum to 1 as they are written: by the largest remainder.

    Args:
        shares: float64[n].
        order: float64[n]; of equal remainders, the larger here is rounded up first.
    """
    exact = shares * STEPS
    steps = np.floor(exact)
    first = np.lexsort((-order, steps - exact))
    steps[first[: round(STEPS - steps.sum())]] += 1
    return [int(step) / STEPS for step in steps]


def load_reasons(config: ReasonConfig, runtime: Runtime) -> Reasons:
    """Load the configured reason model, or the one that is shipped; blocks as `load_reason_model`.

    Raises:
        ModelError: It cannot be used.
    """
    return Reasons(load_reason_model(config.path or models_folder() / "reason", runtime), config.min_confidence)


def reasons_or_none(config: ReasonConfig, runtime: Runtime) -> Reasons | None:
    """Load the reason model; where it cannot be used, warn: every cause is `unsure`, and cries are told without."""
    try:
        return load_reasons(config, runtime)
    except ModelError as error:
        log.warning("reason_model_off", err=str(error))
        return None
