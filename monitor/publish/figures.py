"""How often an alarm was false in this home, and how sure that is. No thread, no clock, no I/O.

A false alarm is an alert that somebody answered with `not_a_cry`. Reported ones alone can be counted, so what nobody
answered is told beside them. A night is 8 h that were really heard.
"""

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

from monitor.publish.rows import Many, Seconds

NIGHT_H: Final = 8.0

TAIL: Final = 0.025
"""Above and below the 95 % interval."""

NONE_SEEN: Final = 0.05
"""Where none was seen there is nothing below: all of the 5 % lie above."""

LEAST_S: Final = 0.01
"""So much is heard, or nothing was: what is written down is rounded to it."""

EXACT_UP_TO: Final = 100
"""The exact interval of more takes so long that an alert could wait for it."""

_HALVINGS: Final = 60


@dataclass(frozen=True, slots=True)
class Count:
    """What a room counted with one model at one sensitivity, since installation.

    The bounds hold where one is read from a file.

    Attributes:
        heard_s: Seconds really heard.
        alerts: Cries with an alert that was sent; its repeats and tests are not in it.
        answered: Of these, those that somebody answered with `feedback`.
        not_a_cry: Of these, those whose last answer is `not_a_cry`.
    """

    room: str
    model: str
    sensitivity: str
    heard_s: Seconds = 0.0
    alerts: Many = 0
    answered: Many = 0
    not_a_cry: Many = 0

    def __add__(self, other: "Count") -> "Count":
        """Return both counts as one, of this one's room, model and sensitivity."""
        return replace(
            self,
            heard_s=self.heard_s + other.heard_s,
            alerts=self.alerts + other.alerts,
            answered=self.answered + other.answered,
            not_a_cry=self.not_a_cry + other.not_a_cry,
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """What several counts come to, and what follows from them; each `per_night` is None where nothing was heard."""

    heard_s: float = 0.0
    alerts: int = 0
    answered: int = 0
    not_a_cry: int = 0

    @classmethod
    def of(cls, counts: Iterable[Count]) -> "Figures":
        """Return the sums."""
        sums = [(one.heard_s, one.alerts, one.answered, one.not_a_cry) for one in counts]
        if not sums:
            return cls()
        heard_s, alerts, answered, not_a_cry = map(sum, zip(*sums, strict=True))
        return cls(float(heard_s), int(alerts), int(answered), int(not_a_cry))

    @property
    def heard_h(self) -> float:
        """Hours really heard."""
        return self.heard_s / 3_600

    @property
    def unanswered(self) -> int:
        """Alerts of which nobody said what they were: each may have been false."""
        return self.alerts - self.answered

    @property
    def per_night(self) -> float | None:
        """False alarms reported, a night."""
        return self._a_night(self.not_a_cry, round)

    @property
    def per_night_low(self) -> float | None:
        """Where the 95 % interval begins, rounded down to two digits."""
        return self._a_night(poisson_interval(self.not_a_cry)[0], math.floor)

    @property
    def per_night_high(self) -> float | None:
        """Where the 95 % interval ends, rounded up to two digits."""
        return self._a_night(poisson_interval(self.not_a_cry)[1], math.ceil)

    def as_json(self) -> dict[str, float | int | None]:
        """Return what the topic `figures` and `report` say, key by key."""
        return {
            "heard_h": round(self.heard_h, 2),
            "alerts": self.alerts,
            "answered": self.answered,
            "unanswered": self.unanswered,
            "not_a_cry": self.not_a_cry,
            "per_night": self.per_night,
            "per_night_low": self.per_night_low,
            "per_night_high": self.per_night_high,
        }

    def _a_night(self, seen: float, direction: Callable[[float], int]) -> float | None:
        return two_digits(seen / self.heard_h * NIGHT_H, direction) if self.heard_s >= LEAST_S else None


@functools.lru_cache(maxsize=64)
def poisson_interval(seen: int) -> tuple[float, float]:
    """Return between which means `seen` events are to be expected: the exact 95 % interval (Garwood).

    Of 0 the lower end is 0, and the upper the exact one-sided 95 % bound, 2.996. Of 20 it takes 1 ms; beyond 100 it is
    the approximation of Wilson and Hilferty (1931), within 3e-5 of the exact one there.
    """
    if not seen:
        return 0.0, _mean_where(0, NONE_SEEN)
    if seen > EXACT_UP_TO:
        return _near(seen, TAIL), _near(seen + 1, 1 - TAIL)
    return _mean_where(seen - 1, 1 - TAIL), _mean_where(seen, TAIL)


def two_digits(value: float, direction: Callable[[float], int]) -> float:
    """Round to two digits that count; `direction`: `math.floor`, `math.ceil` or to the nearest."""
    if not value:
        return 0.0
    places = 1 - math.floor(math.log10(value))
    return round(direction(round(value * 10.0**places, 6)) / 10.0**places, max(0, places))


def _at_most(seen: int, mean: float) -> float:
    """Return how likely a Poisson count of this mean is `seen` at most."""
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(seen + 1))


def _near(seen: int, probability: float) -> float:
    """Return half of the chi-squared value, of 2 * `seen` degrees of freedom, below which it is so likely to lie."""
    z = NormalDist().inv_cdf(probability)
    return float(seen * (1 - 1 / (9 * seen) + z / (3 * math.sqrt(seen))) ** 3)


def _mean_where(seen: int, probability: float) -> float:
    """Return the mean at which a count is `seen` at most with this probability; the likelier, the smaller the mean."""
    low, high = 0.0, seen + 10 * math.sqrt(seen + 1) + 10
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(seen, middle) > probability else (low, middle)
    return high
