"""Questions to the history, asked beside a running service: nothing here writes, and nothing of it is kept open."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydantic

from monitor.publish.counts import counts
from monitor.publish.database import Database, open_to_read
from monitor.publish.figures import Count
from monitor.publish.minutes import Minute
from monitor.publish.rows import At, Seconds, Share, each


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
    started_at: At
    ended_at: At | None
    ended_by: str | None
    duration_s: Seconds
    peak: Share
    mean: Share
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
    at: At
    cause: str
    held_by: str | None
    crying_s: Seconds | None


_EPISODE = pydantic.TypeAdapter(PastEpisode)
_ALERT = pydantic.TypeAdapter(PastAlert)
_MINUTE = pydantic.TypeAdapter(Minute)


class Past:
    """The history, open to be asked. To open it checks all of it: a second with 50 MB, so ask everything of one.

    A call blocks for the file, up to 5 s for another's lock, and raises `StoreError` where it cannot be read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def episodes(self, *, since_at: float | None = None) -> list[PastEpisode]:
        """Return the episodes that ended at `since_at` (UTC seconds) or later, or not yet, oldest first."""
        rows = self._database.rows(
            """SELECT episode_id, room, started_at, ended_at, ended_by, coalesce(duration_s, 0.0) AS duration_s,
                      coalesce(peak, 0.0) AS peak, coalesce(mean, 0.0) AS mean, reason, model,
                      coalesce(lead_s, 0.0) AS lead_s
            FROM episodes WHERE ended_at IS NULL OR ended_at >= ? ORDER BY started_at, episode_id""",
            (_oldest(since_at),),
        )
        return each(_EPISODE.validate_python, rows)

    def alerts(self, *, since_at: float | None = None) -> list[PastAlert]:
        """Return the alerts since, sent and held back, oldest first."""
        rows = self._database.rows(
            "SELECT room, episode_id, at, cause, held_by, crying_s FROM alerts WHERE at >= ? ORDER BY at, alert_id",
            (_oldest(since_at),),
        )
        return each(_ALERT.validate_python, rows)

    def minutes(self, *, since_at: float, until_at: float) -> list[Minute]:
        """Return what was heard in the minutes from `since_at` up to `until_at` (UTC seconds), oldest first."""
        rows = self._database.rows(
            "SELECT room, at, heard_s, level_dbfs, score, model, sensitivity FROM minutes WHERE at >= ? AND at < ?"
            " ORDER BY at, room",
            (since_at, until_at),
        )
        return each(_MINUTE.validate_python, rows)

    def counts(self) -> list[Count]:
        """Return what each room counted since installation, by model and sensitivity."""
        return counts(self._database)

    def latest_at(self, *, quiet_s: float) -> float | None:
        """Return when the latest cry began, an alert was due, or `quiet_s` before a room was last heard (UTC seconds).

        None where there is nothing yet.
        """
        (row,) = self._database.rows(
            "SELECT max(at) AS at FROM (SELECT max(started_at) AS at FROM episodes UNION ALL SELECT max(at) FROM alerts"
            " UNION ALL SELECT max(at) - ? FROM minutes)",
            (quiet_s,),
        )
        latest: float | None = row["at"]
        return latest


@contextlib.contextmanager
def open_past(path: Path) -> Iterator[Past | None]:
    """Open the history beside a running service; None where there is none yet.

    Raises:
        StoreError: It cannot be read: damaged, of another release, or another user's.
    """
    database = open_to_read(path)
    if database is None:
        yield None
        return
    try:
        yield Past(database)
    finally:
        database.close()


def past_episodes(path: Path, *, since_at: float | None = None) -> list[PastEpisode] | None:
    """Return the episodes in the history, oldest first.

    Args:
        path: The history file.
        since_at: Leave out those that ended before this (UTC seconds).

    Returns:
        None where there is no history yet.

    Raises:
        StoreError: It cannot be read.
    """
    with open_past(path) as past:
        return None if past is None else past.episodes(since_at=since_at)


def past_alerts(path: Path, *, since_at: float | None = None) -> list[PastAlert] | None:
    """Return the alerts in the history, sent and held back, oldest first; otherwise as `past_episodes`.

    Args:
        path: The history file.
        since_at: Leave out those from before this (UTC seconds).
    """
    with open_past(path) as past:
        return None if past is None else past.alerts(since_at=since_at)


def _oldest(since_at: float | None) -> float:
    return float("-inf") if since_at is None else since_at
