"""What each room heard, minute by minute: gathered here, written down once a minute. No thread, no clock, no I/O."""

import math
from dataclasses import dataclass
from typing import Final

from monitor.records import Level

MINUTE_S: Final = 60

KEPT_AT_MOST: Final = 10_000
"""Minutes that wait while the history cannot be written: a week of one room, 2 MB."""


@dataclass(frozen=True, slots=True)
class Minute:
    """A room's minute.

    Attributes:
        at: When it began, UTC seconds.
        heard_s: Seconds really heard in it.
        level_dbfs: The highest level of a second; None: digital silence.
        score: The highest score of a window; None: none was scored.
    """

    room: str
    at: int
    heard_s: float
    level_dbfs: float | None
    score: float | None
    model: str
    sensitivity: str


@dataclass(slots=True)
class _Sum:
    heard_s: float = 0.0
    dbfs: float = float("-inf")
    score: float = float("-inf")


class Minutes:
    """Adds up `Level` records. Used by the publish thread alone."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int, str, str], _Sum] = {}

    def add(self, level: Level) -> None:
        """Count what was heard since the record before; what lies before the full minute is the minute before's."""
        if level.heard_s <= 0:
            return
        minute = math.floor(level.at / MINUTE_S) * MINUTE_S
        before_s = min(level.heard_s, max(0.0, minute - (level.at - level.heard_s)))
        if before_s:
            self._of(level, minute - MINUTE_S).heard_s += before_s
        now = self._of(level, minute)
        now.heard_s += level.heard_s - before_s
        now.dbfs = max(now.dbfs, level.top_dbfs)
        if level.top_score is not None:
            now.score = max(now.score, level.top_score)

    def take(self) -> list[Minute]:
        """Return what was heard since the last time, oldest first, and begin anew."""
        taken = [
            Minute(room, at, round(made.heard_s, 2), _known(made.dbfs, 1), _known(made.score, 3), model, sensitivity)
            for (room, at, model, sensitivity), made in self._sums.items()
        ]
        self._sums.clear()
        return taken

    def __len__(self) -> int:
        return len(self._sums)

    def _of(self, level: Level, minute: int) -> _Sum:
        found = self._sums.setdefault((level.room, minute, level.model, level.sensitivity), _Sum())
        if len(self._sums) > KEPT_AT_MOST:
            del self._sums[next(iter(self._sums))]
        return found


def _known(value: float, digits: int) -> float | None:
    return round(value, digits) if math.isfinite(value) else None
