"""Questions to the history, asked beside a running service: nothing here writes, and nothing of it is kept open."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.publish.counts import counts
from monitor.publish.database import open_to_read
from monitor.publish.figures import Count
from monitor.publish.minutes import Minute


@dataclass(frozen=True, slots=True)
class PastEpisode:
    """An episode as the history has it.

    Attributes:
        started_at: UTC seconds.
        ended_at: UTC seconds; None while it runs, or where the service died in it and was not started again.
        ended_by: See `records.EndedBy`; None as `ended_at`.
        duration_s: How long the child cried, hang-over excluded; of an open episode, as far as it was written down.
        lead_s: Seconds before `started_at` at which it first sounded like crying; 0 where an older release wrote it.
    """

    episode_id: str
    room: str
    started_at: float
    ended_at: float | None
    ended_by: str | None
    duration_s: float
    peak: float
    mean: float
    reason: str
    model: str
    lead_s: float = 0.0


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
    at: float
    cause: str
    held_by: str | None
    crying_s: float | None


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
                  coalesce(peak, 0.0) AS peak, coalesce(mean, 0.0) AS mean, reason, model,
                  coalesce(lead_s, 0.0) AS lead_s
        FROM episodes WHERE ended_at IS NULL OR ended_at >= ? ORDER BY started_at, episode_id""",
        (_oldest(since_at),),
    )
    return None if rows is None else [PastEpisode(**row) for row in rows]


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
    return None if rows is None else [PastAlert(**row) for row in rows]


def past_minutes(path: Path, *, since_at: float, until_at: float) -> list[Minute] | None:
    """Return what was heard in the minutes from `since_at` up to `until_at` (UTC seconds); otherwise as above."""
    rows = _ask(
        path,
        "SELECT room, at, heard_s, level_dbfs, score, model, sensitivity FROM minutes WHERE at >= ? AND at < ?"
        " ORDER BY at, room",
        (since_at, until_at),
    )
    return None if rows is None else [Minute(**row) for row in rows]


def past_counts(path: Path) -> list[Count] | None:
    """Return what each room counted since installation, by model and sensitivity; otherwise as above."""
    database = open_to_read(path)
    if database is None:
        return None
    try:
        return counts(database)
    finally:
        database.close()


def latest_at(path: Path, *, quiet_s: float) -> float | None:
    """Return when the latest cry began, an alert was due, or `quiet_s` before a room was last heard (UTC seconds).

    Returns:
        None where there is nothing yet.

    Raises:
        StoreError: It cannot be read.
    """
    rows = _ask(
        path,
        "SELECT max(at) AS at FROM (SELECT max(started_at) AS at FROM episodes UNION ALL SELECT max(at) FROM alerts"
        " UNION ALL SELECT max(at) - ? FROM minutes)",
        (quiet_s,),
    )
    return None if rows is None else rows[0]["at"]


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
