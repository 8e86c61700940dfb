"""What becomes of a cry that this service died in: nothing stays ON for ever."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pydantic

from monitor.publish.rows import At, Room, Seconds, Share
from monitor.records import Event

UNTOLD_AT_MOST_S: Final = 120.0
"""An episode's `duration_s` is told each 60 s of sound: what the wall clock makes of it beyond that is a clock that was
set."""


@dataclass(frozen=True, slots=True)
class OpenEpisode:
    """An episode whose end nobody wrote down: the service died in it."""

    episode_id: str
    room: Room
    model: str
    started_at: At
    started_s: Seconds
    last_at: At
    peak: Share
    mean: Share
    duration_s: Seconds
    level_dbfs: float
    reason: str
    reasons: dict[str, float]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "OpenEpisode":
        """Return what a row of the history says; what it does not say is 0, and -inf dBFS."""
        return _OPEN.validate_python(
            {
                **row,
                "peak": row["peak"] or 0.0,
                "mean": row["mean"] or 0.0,
                "duration_s": row["duration_s"] or 0.0,
                "level_dbfs": float("-inf") if row["level_dbfs"] is None else row["level_dbfs"],
                "reasons": json.loads(row["reasons"]),
            }
        )


_OPEN = pydantic.TypeAdapter(OpenEpisode)


def interrupted(episode: OpenEpisode) -> Event:
    """Return the `cry_ended` of an episode that this service died in: it ends when it was last heard of."""
    lasted_s = min(max(0.0, episode.last_at - episode.started_at), episode.duration_s + UNTOLD_AT_MOST_S)
    return Event(
        event_type="cry_ended",
        event_id=f"{episode.episode_id}-interrupted",  # the same again after another crash: still one event
        episode_id=episode.episode_id,
        room=episode.room,
        at=episode.last_at,
        at_s=episode.started_s + lasted_s,
        started_at=episode.started_at,
        started_s=episode.started_s,
        duration_s=max(episode.duration_s, lasted_s),
        confidence=episode.peak,
        peak=episode.peak,
        mean=episode.mean,
        level_dbfs=episode.level_dbfs,
        model=episode.model,
        ended_by="interrupted",
        reason=episode.reason,
        reasons=episode.reasons,
    )
