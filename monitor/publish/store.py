"""What the service writes down: episodes, events, alerts, settings, and what people tell of a child."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pydantic
import structlog

from monitor.publish import counts
from monitor.publish import rows as read
from monitor.publish.database import BUSY_S, open_to_write
from monitor.publish.figures import Count
from monitor.publish.interrupted import OpenEpisode
from monitor.publish.minutes import Minute
from monitor.publish.schema import MIGRATIONS
from monitor.publish.settings import Key, settle
from monitor.publish.tonight import Cry, Night
from monitor.records import AlertHeld, Applied, Event

log = structlog.get_logger()

UNDELIVERED_AT_MOST: Final = 500
"""So many are taken up at once: an outbox holds twice as many."""

FORGOTTEN_AT_ONCE: Final = 250
"""So many rows of a table are forgotten in one go, a few more where several rooms share a minute."""

_DAY_S: Final = 86_400.0

_CRY = pydantic.TypeAdapter(Cry)


class Store:
    """The history file. Every sqlite3 error leaves as `StoreError`; a call blocks up to 0.2 s for another's lock.

    Opened in the main thread before any other starts, or by the publish thread, which alone uses it afterwards.
    """

    def __init__(
        self,
        path: Path,
        *,
        migrations: Sequence[Sequence[str]] = MIGRATIONS,
        wall: Callable[[], float] = time.time,
        wait_s: float = BUSY_S,
    ) -> None:
        """Open the file, make it where there is none, and bring an older one up to date.

        Args:
            path: The file; the folder is made too. `:memory:` keeps nothing (a demonstration).
            migrations: The schema's history, oldest first.
            wall: UTC seconds; dates the name of a damaged file that is set aside.
            wait_s: How long the opening waits for another's lock.

        Raises:
            StoreError: It cannot be opened, or a newer release has written it; it is left as it is.
        """
        self.path = path
        self._configured: dict[Key, str] = {}
        self._db = open_to_write(path, migrations, wall, wait_s=wait_s)

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
            match event.event_type:
                case "cry_started" | "cry_ongoing" | "cry_ended":
                    self._write_episode(event)
                case "alert":
                    crying_s = None if event.episode_id is None else event.duration_s
                    self._write_alert(event.event_id, event, event.cause or "first", None, crying_s)
                case "acknowledged" | "drill_passed" | "drill_failed":
                    pass

    def append_held(self, held: AlertHeld) -> None:
        """Write down an alert that was due and is not sent. The same one again changes nothing."""
        alert_id = f"{held.episode_id}-{held.cause}-held-{held.at:.3f}"
        with self._db.transaction():
            self._write_alert(alert_id, held, held.due, held.cause, held.crying_s)

    def _write_alert(
        self, alert_id: str, of: Event | AlertHeld, cause: str, held_by: str | None, crying_s: float | None
    ) -> None:
        sensitivity = of.sensitivity if isinstance(of, Event) else None
        self._db.change(
            "INSERT OR IGNORE INTO alerts (alert_id, episode_id, room, at, cause, held_by, crying_s, sensitivity)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (alert_id, of.episode_id, of.room, of.at, cause, held_by, crying_s, sensitivity),
        )

    def _write_episode(self, event: Event) -> None:
        ended = event.event_type == "cry_ended"
        self._db.change(
            """INSERT INTO episodes (episode_id, room, model, started_at, started_s, last_at, ended_at, ended_by,
                                     peak, mean, duration_s, level_dbfs, reason, reasons, lead_s)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
                *(event.reason, json.dumps(event.reasons), event.lead_s),
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

    def continue_episode(self, event: Event) -> None:
        """Write down a running episode, as `event` tells it, in a file that does not know it; no event is added."""
        with self._db.transaction():
            self._write_episode(event)

    def open_episodes(self) -> list[OpenEpisode]:
        """Return the episodes without an end, oldest first."""
        rows = self._db.rows("SELECT * FROM episodes WHERE ended_at IS NULL ORDER BY started_at")
        return read.each(OpenEpisode.of, rows)

    def undelivered(self, *, max_age_s: float, now_at: float, after: str | None = None) -> list[Event]:
        """Return the next 500 events that no broker has acknowledged, as they were written: a clock may be set.

        Older ones than `max_age_s` are marked expired first and never returned again. An event of the future (the clock
        was set back) counts as new.

        Args:
            max_age_s: How old an event may be, in seconds.
            now_at: UTC seconds.
            after: The id of the last event that was returned before.
        """
        oldest_at = now_at - max_age_s
        with self._db.transaction():
            waiting = "delivered_at IS NULL AND expired = 0"
            expired = self._db.change(f"UPDATE events SET expired = 1 WHERE {waiting} AND at < ?", (oldest_at,))  # noqa: S608 - our own words
            last = [row["rowid"] for row in self._db.rows("SELECT rowid FROM events WHERE event_id = ?", (after,))]
            found: list[Event] = []
            while not found and (
                rows := self._db.rows(
                    f"SELECT rowid, record FROM events WHERE {waiting} AND rowid > ? ORDER BY rowid LIMIT ?",  # noqa: S608 - the same
                    (last[-1] if last else 0, UNDELIVERED_AT_MOST),
                )
            ):
                found = read.each(read.event, rows)  # where none can be read, the next ones are looked at
                last = [row["rowid"] for row in rows]
        if expired:
            log.warning("events_kept_in_history_only", events=expired, older_than_s=max_age_s)
        return found

    def mark_delivered(self, event_id: str, at: float) -> None:
        """Note that the broker has acknowledged the event, at `at` (UTC seconds)."""
        with self._db.transaction():
            self._db.change("UPDATE events SET delivered_at = ? WHERE event_id = ?", (at, event_id))

    def mark_expired(self, event_id: str) -> None:
        """Note that the event came too late to be sent at all; one that was delivered before stays so."""
        with self._db.transaction():
            self._db.change("UPDATE events SET expired = 1 WHERE event_id = ? AND delivered_at IS NULL", (event_id,))

    def settle(self, configured: Mapping[Key, str]) -> dict[Key, str]:
        """Return the settings to start with, by the rule of `settings.settle`, and keep what follows from it."""
        self._configured = dict(configured)
        rows = self._db.rows("SELECT room, setting, value, overrode FROM settings")
        settled, dropped = settle(configured, dict(read.each(read.setting, rows)))
        for key in dropped:
            self.write_setting(Applied(*key, configured[key]))
        return settled

    def configure(self, configured: Mapping[Key, str]) -> None:
        """Take the configuration's settings without asking the file: it was opened while the service runs."""
        self._configured = dict(configured)

    def kept_settings(self) -> dict[Key, Applied]:
        """Return the settings made over MQTT that the file holds of the configured rooms."""
        rows = self._db.rows("SELECT room, setting, value, until_at, asked_s FROM settings")
        found = [Applied(**row) for row in rows]
        return {(one.room, one.setting): one for one in found if (one.room, one.setting) in self._configured}

    def keep_only(self, running: Mapping[Key, Applied]) -> None:
        """Keep these settings of the configured rooms, and no other. Logged where the file said otherwise."""
        for key, stored in self.kept_settings().items():
            now = running.get(key, Applied(*key, self._configured[key]))
            if stored.value != now.value:
                log.info("setting_dropped", room=key[0], setting=key[1], stored=stored.value, runs=now.value)
            self.write_setting(now)
        for applied in running.values():
            self.write_setting(applied)

    def until(self) -> dict[Key, tuple[float, float]]:
        """Return of the settings that end by themselves when, UTC, perhaps in the past, and the seconds asked for."""
        rows = self._db.rows("SELECT room, setting, until_at, asked_s FROM settings WHERE until_at IS NOT NULL")
        return {key: until for key, until in read.each(read.until, rows) if key in self._configured}

    def write_setting(self, applied: Applied) -> None:
        """Keep a setting made over MQTT, with the configured value that it overrides; one that overrides none goes."""
        room, setting, value = applied.room, applied.setting, applied.value
        config_value = self._configured.get((room, setting))
        with self._db.transaction():
            if value == config_value and applied.until_at is None:
                self._db.change("DELETE FROM settings WHERE room = ? AND setting = ?", (room, setting))
            else:
                row = (room, setting, value, config_value or "", applied.until_at, applied.asked_s)
                self._db.change(
                    "INSERT OR REPLACE INTO settings (room, setting, value, overrode, until_at, asked_s)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    row,
                )

    def write_care(self, room: str, kind: str, at: float) -> None:
        """Keep that a child was fed, slept or was changed at `at`. The same again changes nothing."""
        with self._db.transaction():
            self._db.change("INSERT OR IGNORE INTO care (room, kind, at) VALUES (?, ?, ?)", (room, kind, at))

    def last_care(self) -> dict[tuple[str, str], float]:
        """Return when each kind was last done in each room, UTC seconds."""
        rows = self._db.rows("SELECT room, kind, max(at) AS at FROM care GROUP BY room, kind")
        return dict(read.each(read.care, rows))

    def write_feedback(self, room: str, episode_id: str, value: str, at: float) -> None:
        """Keep what a person says that a cry was; the last word on an episode stands."""
        with self._db.transaction():
            self._db.change("INSERT INTO feedback VALUES (?, ?, ?, ?)", (episode_id, room, value, at))

    def last_feedback(self) -> dict[str, str]:
        """Return the last answer to the latest episode of each room; one to an older episode is none."""
        rows = self._db.rows(
            """SELECT room, value, max(rowid) FROM feedback AS given WHERE episode_id =
                (SELECT episode_id FROM episodes WHERE episodes.room = given.room ORDER BY started_at DESC LIMIT 1)
            GROUP BY room"""
        )
        return dict(read.each(read.answer, rows))

    def find_episode(self, room: str, episode_id: str | None) -> str | None:
        """Return this id where it is an episode of the room, of None the room's latest; None where there is none."""
        rows = self._db.rows(
            "SELECT episode_id FROM episodes WHERE room = ? AND (? IS NULL OR episode_id = ?)"
            " ORDER BY started_at DESC LIMIT 1",
            (room, episode_id, episode_id),
        )
        found: object = rows[0]["episode_id"] if rows else None
        return found if isinstance(found, str) else None

    def night(self, since_at: float) -> Night:
        """Return the episodes that began at `since_at` (UTC seconds) or later, and how many alerts were sent since."""
        cries = self._db.rows(
            "SELECT room, episode_id, started_at, coalesce(duration_s, 0.0) AS duration_s FROM episodes"
            " WHERE started_at >= ? ORDER BY started_at",
            (since_at,),
        )
        alerts = self._db.rows(
            "SELECT room, count(*) AS alerts FROM alerts"
            " WHERE at >= ? AND held_by IS NULL AND cause != 'test' GROUP BY room",
            (since_at,),
        )
        return Night(
            tuple(read.each(_CRY.validate_python, cries)), tuple((row["room"], row["alerts"]) for row in alerts)
        )

    def write_minutes(self, minutes: Sequence[Minute]) -> None:
        """Keep what was heard."""
        counts.write_minutes(self._db, minutes)

    def counts(self) -> list[Count]:
        """Return what was counted since installation; some milliseconds."""
        return counts.counts(self._db)

    def forget_older_than(self, keep_days: float, now_at: float) -> bool:
        """Delete some of what is older than `keep_days`; return whether there may be more. An open episode stays.

        Of each table 250 rows go or so: on a slow card that takes less than 0.1 s, and an alert may wait for it. Alerts
        and answers go after their episode; their sums are kept.
        """
        oldest_at = now_at - keep_days * _DAY_S
        with self._db.transaction():
            gone = [
                counts.forget_minutes(self._db, oldest_at, FORGOTTEN_AT_ONCE),
                counts.forget_episodes(self._db, oldest_at, FORGOTTEN_AT_ONCE),
            ]
            without_episode = "AND NOT EXISTS (SELECT 1 FROM episodes WHERE episodes.episode_id = old.episode_id)"
            tables = {"events": "", "care": "", "alerts": without_episode, "feedback": without_episode}
            for table, also in tables.items():
                old = f"SELECT rowid FROM {table} AS old WHERE at < ? {also} LIMIT ?"  # noqa: S608 - our own words
                values = (oldest_at, FORGOTTEN_AT_ONCE)
                gone.append(self._db.change(f"DELETE FROM {table} WHERE rowid IN ({old})", values))  # noqa: S608 - the same
        return max(gone) >= FORGOTTEN_AT_ONCE

    def make_room(self) -> None:
        """Put what is in SQLite's log into the file, so that the log begins anew: on a full disk it cannot grow."""
        self._db.rows("PRAGMA wal_checkpoint(PASSIVE)")  # waits for nobody

    def check(self, *, whole: bool) -> None:
        """See that the file is the one that was opened, by its head or as a whole; blocks 0.1 s at most."""
        self._db.check(whole=whole)

    def close(self) -> None:
        """Close the file; again is no error. Never raises: there is nothing left that could be done."""
        self._db.close()
