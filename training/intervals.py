"""How sure a figure is: what is measured on a sample carries the 95 % interval of what it would be elsewhere.

Clips of one household are alike, so what is drawn again and again (the bootstrap) is households, never clips.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, chi2

Clips = npt.NDArray[np.int64]  # numbers of clips
Hits = npt.NDArray[np.bool_]

DRAWS = 400
SEED = 6
TAIL = 0.025


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval; no interval where there is but one source to draw from."""

    value: float
    low: float | None
    high: float | None

    def rounded(self, digits: int) -> "Estimate":
        """Return the figure with so many digits behind the point."""
        low, high = (None if end is None else round(end, digits) for end in (self.low, self.high))
        return Estimate(round(self.value, digits), low, high)


def draws(sources: Sequence[str], count: int = DRAWS, seed: int = SEED) -> list[Clips]:
    """Return `count` samples of clip numbers, each of as many sources as there are, drawn with replacement.

    None of a single source: drawn again, it is itself.
    """
    names, of_clip = np.unique(np.asarray(sources), return_inverse=True)
    if len(names) == 1:
        return []
    members = [np.flatnonzero(of_clip == number) for number in range(len(names))]
    rng = np.random.default_rng(seed)
    return [np.concatenate([members[i] for i in rng.integers(len(names), size=len(names))]) for _ in range(count)]


def bootstrap(figure: Callable[[Clips], float], clips: int, samples: Sequence[Clips]) -> Estimate:
    """Return `figure` of all `clips`, and where 95 % of the samples put it."""
    return estimate(figure(np.arange(clips)), np.array([figure(sample) for sample in samples]))


def estimate(value: float, drawn: npt.NDArray[np.float64]) -> Estimate:
    """Return a figure with the interval that holds 95 % of what was drawn; what is no number is left out."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(value, None, None).rounded(4)
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL])
    return Estimate(value, float(low), float(high)).rounded(4)


def share(hits: Hits, sources: Sequence[str]) -> Estimate:
    """Return the share of clips that are hits.

    Where all clips agree the bootstrap would be sure of it; then the interval is the binomial one of the sources.
    """
    count, value = len(set(sources)), float(hits.mean())
    if count == 1:
        return Estimate(round(value, 4), None, None)
    if value in (0.0, 1.0):
        return binomial(round(value) * count, count)
    return bootstrap(lambda clips: float(hits[clips].mean()), len(hits), draws(sources))


def binomial(count: int, of: int) -> Estimate:
    """Return the share `count` of `of`, with the exact interval of Clopper and Pearson."""
    low = float(beta.ppf(TAIL, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - TAIL, count + 1, of - count)) if count < of else 1.0
    return Estimate(count / of, low, high).rounded(4)


def per_hour(count: int, hours: float) -> Estimate:
    """Return how often an hour something happens that was seen `count` times: the exact interval of a Poisson mean."""
    low = float(chi2.ppf(TAIL, 2 * count) / 2) if count else 0.0
    high = float(chi2.ppf(1 - TAIL, 2 * count + 2) / 2)
    return Estimate(count / hours, low / hours, high / hours).rounded(2)
