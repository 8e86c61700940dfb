"""What the service writes down: episodes, events and settings."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import structlog

from monitor.publish.database import open_to_write
from monitor.publish.interrupted import OpenEpisode
from monitor.publish.schema import MIGRATIONS
from monitor.publish.settings import Key, settle
from monitor.records import Event, SettingName

log = structlog.get_logger()

UNDELIVERED_AT_MOST: Final = 1_000
"""What an outbox holds."""

_DAY_S: Final = 86_400.0


class Store:
    """The history file. Every sqlite3 error leaves as `StoreError`; a call blocks up to 0.2 s for another's lock.

    Opened in the main thread before any other starts; afterwards the publish thread alone uses it.
    """

    def __init__(
        self,
        path: Path,
        *,
        migrations: Sequence[Sequence[str]] = MIGRATIONS,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Open the file, make it where there is none, and bring an older one up to date.

        Args:
            path: The file; the folder is made too. `:memory:` keeps nothing (a demonstration).
            migrations: The schema's history, oldest first.
            wall: UTC seconds; dates the name of a damaged file that is set aside.

        Raises:
            StoreError: It cannot be opened, or a newer release has written it; it is left as it is.
        """
        self.path = path
        self._configured: dict[Key, str] = {}
        self._db = open_to_write(path, migrations, wall)

    def append(self, event: Event) -> None:
        """Write down an event, and what it says of its episode. The same `event_id` again changes nothing."""
        with self._db.transaction():
            record = json.dumps(asdict(event))
            row = (event.event_id, event.episode_id, event.room, event.event_type, event.at, record)
            self._db.change(
                "INSERT OR IGNORE INTO events (event_id, episode_id, room, event_type, at, record)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            ended = event.event_type == "cry_ended"
            self._db.change(
                """INSERT INTO episodes (episode_id, room, model, started_at, started_s, last_at, ended_at, ended_by,
                                         peak, mean, duration_s, level_dbfs, reason, reasons)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (episode_id) DO UPDATE SET
                    last_at = max(last_at, excluded.last_at), ended_at = excluded.ended_at,
                    ended_by = excluded.ended_by, peak = excluded.peak, mean = excluded.mean,
                    duration_s = excluded.duration_s, level_dbfs = excluded.level_dbfs,
                    reason = excluded.reason, reasons = excluded.reasons
                WHERE episodes.ended_at IS NULL""",
                (
                    *(event.episode_id, event.room, event.model, event.started_at, event.started_s, event.at),
                    *((event.at, event.ended_by) if ended else (None, None)),
                    *(event.peak, event.mean, event.duration_s, event.level_dbfs),
                    *(event.reason, json.dumps(event.reasons)),
                ),
            )

    def touch(self, episode_id: str, last_at: float) -> None:
        """Note that a running episode was heard of at `last_at` (UTC seconds)."""
        with self._db.transaction():
            self._db.change(
                "UPDATE episodes SET last_at = max(last_at, ?) WHERE episode_id = ? AND ended_at IS NULL",
                (last_at, episode_id),
            )

    def judge(self, episode_id: str, reason: str, reasons: Mapping[str, float]) -> None:
        """Note why a running episode's child probably cries."""
        with self._db.transaction():
            self._db.change(
                "UPDATE episodes SET reason = ?, reasons = ? WHERE episode_id = ? AND ended_at IS NULL",
                (reason, json.dumps(dict(reasons)), episode_id),
            )

    def open_episodes(self) -> list[OpenEpisode]:
        """Return the episodes without an end, oldest first."""
        rows = self._db.rows("SELECT * FROM episodes WHERE ended_at IS NULL ORDER BY started_at")
        return [OpenEpisode.of(row) for row in rows]

    def undelivered(self, *, max_age_s: float, now_at: float) -> list[Event]:
        """Return the events that no broker has acknowledged, oldest first, at most 1 000.

        Older ones than `max_age_s` are marked expired first and never returned again. An event of the future (the clock
        was set back) counts as new.
        """
        oldest_at = now_at - max_age_s
        with self._db.transaction():
            waiting = "delivered_at IS NULL AND expired = 0"
            expired = self._db.change(f"UPDATE events SET expired = 1 WHERE {waiting} AND at < ?", (oldest_at,))  # noqa: S608 - our own words
            rows = self._db.rows(
                f"SELECT record FROM events WHERE {waiting} ORDER BY at DESC, rowid DESC LIMIT ?",  # noqa: S608 - the same
                (UNDELIVERED_AT_MOST,),
            )
        if expired:
            log.warning("events_kept_in_history_only", events=expired, older_than_s=max_age_s)
        return [Event(**json.loads(row["record"])) for row in reversed(rows)]

    def mark_delivered(self, event_id: str, at: float) -> None:
        """Note that the broker has acknowledged the event, at `at` (UTC seconds)."""
        with self._db.transaction():
            self._db.change("UPDATE events SET delivered_at = ? WHERE event_id = ?", (at, event_id))

    def mark_expired(self, event_id: str) -> None:
        """Note that the event came too late to be sent at all."""
        with self._db.transaction():
            self._db.change("UPDATE events SET expired = 1 WHERE event_id = ?", (event_id,))

    def settle(self, configured: Mapping[Key, str]) -> dict[Key, str]:
        """Return the settings to start with, by the rule of `settings.settle`, and keep what follows from it."""
        self._configured = dict(configured)
        rows = self._db.rows("SELECT room, setting, value, overrode FROM settings")
        settled, dropped = settle(configured, {(r["room"], r["setting"]): (r["value"], r["overrode"]) for r in rows})
        for key in dropped:
            self.write_setting(*key, configured[key])
        return settled

    def write_setting(self, room: str, setting: SettingName, value: str) -> None:
        """Keep a setting made over MQTT, with the configured value that it overrides; one that overrides none goes."""
        config_value = self._configured.get((room, setting))
        with self._db.transaction():
            if value == config_value:
                self._db.change("DELETE FROM settings WHERE room = ? AND setting = ?", (room, setting))
            else:
                row = (room, setting, value, config_value or "")
                self._db.change(
                    "INSERT OR REPLACE INTO settings (room, setting, value, overrode) VALUES (?, ?, ?, ?)", row
                )

    def forget_older_than(self, keep_days: float, now_at: float) -> int:
        """Delete episodes and events older than `keep_days`; return how many episodes went. An open one stays."""
        oldest_at = now_at - keep_days * _DAY_S
        with self._db.transaction():
            self._db.change("DELETE FROM events WHERE at < ?", (oldest_at,))
            return self._db.change("DELETE FROM episodes WHERE ended_at < ?", (oldest_at,))

    def close(self) -> None:
        """Close the file; again is no error. Never raises: there is nothing left that could be done."""
        self._db.close()
