"""How much of a room was heard since its last `Level`, and what was loudest and most like a cry in it."""

from collections.abc import Sequence

from monitor.records import SAMPLE_RATE_HZ, Level, Score, Segment, Sensitivity

CLOSED_AT_MOST_S = 1.5
"""A closed gate's segments hold no samples and come each second or so: more time between two was not heard."""


class Heard:
    """One room's; one thread uses it, nothing in it blocks."""

    def __init__(self) -> None:
        self._end_sample = 0
        self._heard_s = 0.0
        self._top_dbfs = float("-inf")
        self._top_score: float | None = None

    def add(self, segment: Segment, scores: Sequence[Score]) -> None:
        """Count what came since the segment before; time that no samples stand for is not in it."""
        passed_s = (segment.end_sample - self._end_sample) / SAMPLE_RATE_HZ
        self._heard_s += min(passed_s, max(len(segment.samples) / SAMPLE_RATE_HZ, CLOSED_AT_MOST_S))
        self._end_sample = segment.end_sample
        self._top_dbfs = max(self._top_dbfs, segment.level_dbfs)
        for score in scores:
            self._top_score = score.score if self._top_score is None else max(self._top_score, score.score)

    def skip_to(self, end_sample: int) -> None:
        """Take note that the source was lost there."""
        self._end_sample = end_sample

    def level(self, segment: Segment, newest: float | None, model: str, sensitivity: Sensitivity) -> Level:
        """Return the room's telemetry, and count anew from here."""
        level = Level(
            room=segment.room,
            dbfs=segment.level_dbfs,
            gate=segment.gate,
            score=newest,
            at=segment.at,
            heard_s=self._heard_s,
            top_dbfs=self._top_dbfs,
            top_score=self._top_score,
            model=model,
            sensitivity=sensitivity,
        )
        self._heard_s, self._top_dbfs, self._top_score = 0.0, float("-inf"), None
        return level
