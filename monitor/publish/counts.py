"""What the history counts for this home's own figures, and how that outlives what is forgotten. Plain SQL."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from typing import Final

import pydantic

from monitor.publish.database import Database
from monitor.publish.figures import Count
from monitor.publish.minutes import Minute
from monitor.publish.rows import each
from monitor.records import NOT_A_CRY

_COUNT = pydantic.TypeAdapter(Count)

Key = tuple[str, str, str]
"""Room, model, sensitivity."""

_ADD_MINUTE: Final = """INSERT INTO minutes (room, at, heard_s, level_dbfs, score, model, sensitivity)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    heard_s = heard_s + excluded.heard_s,
    level_dbfs = max(coalesce(level_dbfs, excluded.level_dbfs), coalesce(excluded.level_dbfs, level_dbfs)),
    score = max(coalesce(score, excluded.score), coalesce(excluded.score, score))"""

_HEARD: Final = """SELECT room, model, sensitivity, sum(heard_s) AS heard_s FROM minutes
WHERE at <= ? GROUP BY room, model, sensitivity"""

# Of several rows the one with the least `at`, and the newest `rowid`, gives the other columns: so says SQLite.
_ALERTED: Final = """SELECT episodes.room, model, sensitivity, count(*) AS alerts, count(value) AS answered,
    coalesce(sum(value = ?), 0) AS not_a_cry
FROM episodes
JOIN (SELECT episode_id, sensitivity, min(at) FROM alerts
    WHERE held_by IS NULL AND sensitivity IS NOT NULL GROUP BY episode_id) USING (episode_id)
LEFT JOIN (SELECT episode_id, value, max(rowid) FROM feedback GROUP BY episode_id) USING (episode_id)
WHERE ? OR ended_at <= ? GROUP BY 1, 2, 3"""

_ADD_TOTAL: Final = """INSERT INTO totals (room, model, sensitivity, heard_s, alerts, answered, not_a_cry)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    heard_s = heard_s + excluded.heard_s, alerts = alerts + excluded.alerts,
    answered = answered + excluded.answered, not_a_cry = not_a_cry + excluded.not_a_cry"""


def write_minutes(database: Database, minutes: Iterable[Minute]) -> None:
    """Add what was heard; of a minute that is there already, the sum and the highest values stand."""
    with database.transaction():
        for minute in minutes:
            database.change(_ADD_MINUTE, astuple(minute))


def counts(database: Database) -> list[Count]:
    """Return all that was counted since installation; some milliseconds."""
    alerted = database.rows(_ALERTED, (NOT_A_CRY, True, 0.0))
    rows = [*database.rows("SELECT * FROM heard"), *database.rows("SELECT * FROM totals"), *alerted]
    found: dict[Key, Count] = {}
    for one in each(_COUNT.validate_python, rows):
        key = (one.room, one.model, one.sensitivity)
        found[key] = found[key] + one if key in found else one
    return [found[key] for key in sorted(found)]


def forget_minutes(database: Database, oldest_at: float, at_once: int) -> int:
    """Add the first of the minutes before `oldest_at` to the totals, and delete them; return how many.

    Call it in a transaction. `at_once` go, and those of other rooms that began with the last of them.
    """
    last_at = _last(database, "minutes", "at", oldest_at, at_once)
    if last_at is None:
        return 0
    for row in database.rows(_HEARD, (last_at,)):
        database.change(_ADD_TOTAL, (*_key(row), row["heard_s"], 0, 0, 0))
    return database.change("DELETE FROM minutes WHERE at <= ?", (last_at,))


def forget_episodes(database: Database, oldest_at: float, at_once: int) -> int:
    """Do the same with episodes. One is counted when it goes: its alerts and answers must stay as long as it does."""
    last_at = _last(database, "episodes", "ended_at", oldest_at, at_once)
    if last_at is None:
        return 0
    for row in database.rows(_ALERTED, (NOT_A_CRY, False, last_at)):
        database.change(_ADD_TOTAL, (*_key(row), 0.0, row["alerts"], row["answered"], row["not_a_cry"]))
    return database.change("DELETE FROM episodes WHERE ended_at <= ?", (last_at,))


def _last(database: Database, table: str, dated: str, oldest_at: float, at_once: int) -> float | None:
    first = f"SELECT {dated} AS at FROM {table} WHERE {dated} < ? ORDER BY 1 LIMIT ?"  # noqa: S608 - our own words
    (row,) = database.rows(f"SELECT max(at) AS at FROM ({first})", (oldest_at, at_once))  # noqa: S608 - the same
    last_at: float | None = row["at"]
    return last_at


def _key(row: Mapping[str, str]) -> Key:
    return row["room"], row["model"], row["sensitivity"]
