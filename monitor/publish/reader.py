"""Questions to the history, asked beside a running service: nothing here writes, and nothing of it is kept open."""

from dataclasses import dataclass
from pathlib import Path

from monitor.publish.database import open_to_read


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
    started_at: float
    ended_at: float | None
    ended_by: str | None
    duration_s: float
    peak: float
    mean: float
    reason: str
    model: str


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
    database = open_to_read(path)
    if database is None:
        return None
    try:
        rows = database.rows(
            """SELECT episode_id, room, started_at, ended_at, ended_by, coalesce(duration_s, 0.0) AS duration_s,
                      coalesce(peak, 0.0) AS peak, coalesce(mean, 0.0) AS mean, reason, model
            FROM episodes WHERE ended_at IS NULL OR ended_at >= ? ORDER BY started_at, episode_id""",
            (float("-inf") if since_at is None else since_at,),
        )
    finally:
        database.close()
    return [PastEpisode(**row) for row in rows]
