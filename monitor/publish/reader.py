"""Questions to the history, asked beside a running service: nothing here writes, and nothing of it is kept open."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from monitor.publish.database import open_to_read
from monitor.publish.rows import At, Seconds, Share, each


@dataclass(frozen=True, slots=True)
class PastEpisode:
    """An episode as the history has it.

    Attributes:
        started_at: UTC seconds.
        ended_at: UTC seconds; None while it runs, or where the service died in it and was not started again.
        ended_by: See `records.EndedBy`; None as `ended_at`.
        duration_s: How long the child cried, hang-over excluded; of an open episode, as far as it was written down.
    """

    episode_id: str
    room: str
    started_at: At
    ended_at: At | None
    ended_by: str | None
    duration_s: Seconds
    peak: Share
    mean: Share
    reason: str
    model: str


@dataclass(frozen=True, slots=True)
class PastAlert:
    """An alert as the history has it.

    Attributes:
        episode_id: None: it was a test, outside a cry.
        at: UTC seconds.
        cause: Why it was due.
        held_by: What held it; None: it was sent.
        crying_s: Seconds of crying by then; None: it was a test.
    """

    room: str
    episode_id: str | None
    at: At
    cause: str
    held_by: str | None
    crying_s: Seconds | None


_EPISODE = pydantic.TypeAdapter(PastEpisode)
_ALERT = pydantic.TypeAdapter(PastAlert)


def past_episodes(path: Path, *, since_at: float | None = None) -> list[PastEpisode] | None:
    """Return the episodes in the history, oldest first; blocks for the file, up to 5 s for another's lock.

    Args:
        path: The history file.
        since_at: Leave out those that ended before this (UTC seconds).

    Returns:
        None where there is no history yet.

    Raises:
        StoreError: It cannot be read: damaged, of another release, or another user's.
    """
    rows = _ask(
        path,
        """SELECT episode_id, room, started_at, ended_at, ended_by, coalesce(duration_s, 0.0) AS duration_s,
                  coalesce(peak, 0.0) AS peak, coalesce(mean, 0.0) AS mean, reason, model
        FROM episodes WHERE ended_at IS NULL OR ended_at >= ? ORDER BY started_at, episode_id""",
        (_oldest(since_at),),
    )
    return None if rows is None else each(_EPISODE.validate_python, rows)


def past_alerts(path: Path, *, since_at: float | None = None) -> list[PastAlert] | None:
    """Return the alerts in the history, sent and held back, oldest first; otherwise as `past_episodes`.

    Args:
        path: The history file.
        since_at: Leave out those from before this (UTC seconds).
    """
    rows = _ask(
        path,
        "SELECT room, episode_id, at, cause, held_by, crying_s FROM alerts WHERE at >= ? ORDER BY at, alert_id",
        (_oldest(since_at),),
    )
    return None if rows is None else each(_ALERT.validate_python, rows)


def _oldest(since_at: float | None) -> float:
    return float("-inf") if since_at is None else since_at


def _ask(path: Path, question: str, values: Sequence[object]) -> list[dict[str, Any]] | None:
    database = open_to_read(path)
    if database is None:
        return None
    try:
        return database.rows(question, values)
    finally:
        database.close()
