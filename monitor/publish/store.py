"""The history: episodes, events and settings in one SQLite file. The only importer of sqlite3.

Write-ahead log with `synchronous=NORMAL`: what is written survives the death of this process, and a power cut damages
nothing, at the price of the last writes. A full sync for each event would stall alerts on a slow card.
"""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from monitor.errors import StoreError
from monitor.publish.interrupted import OpenEpisode
from monitor.publish.schema import MIGRATIONS
from monitor.publish.settings import Key, settle
from monitor.records import Event, SettingName

log = structlog.get_logger()

BUSY_S: Final = 0.2
"""How long a write waits for another process's lock: an alert waits for it too."""

UNDELIVERED_AT_MOST: Final = 1_000
"""What an outbox holds."""

MEMORY: Final = ":memory:"
"""The path of a history that is kept nowhere."""

_DAY_S: Final = 86_400.0


class Store:
    """The history file. Every sqlite3 error leaves as `StoreError`; a call blocks up to 0.2 s for another's lock.

    Opened in the main thread before any other starts (hence `check_same_thread=False`); afterwards the publish thread
    alone uses it.
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
        self._wall = wall
        with self._errors():
            try:
                self._db = self._open(migrations)
            except sqlite3.DatabaseError as error:
                # `not a database` and `malformed` are DatabaseError itself; a lock or a full disk is a subclass.
                if type(error) is not sqlite3.DatabaseError:
                    raise
                self._set_aside(str(error))
                self._db = self._open(migrations)

    def append(self, event: Event) -> None:
        """Write down an event, and what it says of its episode. The same `event_id` again changes nothing."""
        with self._transaction() as db:
            record = json.dumps(asdict(event))
            row = (event.event_id, event.episode_id, event.room, event.event_type, event.at, record)
            db.execute(
                "INSERT OR IGNORE INTO events (event_id, episode_id, room, event_type, at, record)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            ended = event.event_type == "cry_ended"
            db.execute(
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
        with self._transaction() as db:
            db.execute(
                "UPDATE episodes SET last_at = max(last_at, ?) WHERE episode_id = ? AND ended_at IS NULL",
                (last_at, episode_id),
            )

    def open_episodes(self) -> list[OpenEpisode]:
        """Return the episodes without an end, oldest first."""
        with self._errors():
            rows = self._db.execute("SELECT * FROM episodes WHERE ended_at IS NULL ORDER BY started_at").fetchall()
        return [OpenEpisode.of(dict(row)) for row in rows]

    def undelivered(self, *, max_age_s: float, now_at: float) -> list[Event]:
        """Return the events that no broker has acknowledged, oldest first, at most 1 000.

        Older ones than `max_age_s` are marked expired first and never returned again. An event of the future (the clock
        was set back) counts as new.
        """
        oldest_at = now_at - max_age_s
        with self._transaction() as db:
            waiting = "delivered_at IS NULL AND expired = 0"
            expired = db.execute(f"UPDATE events SET expired = 1 WHERE {waiting} AND at < ?", (oldest_at,)).rowcount  # noqa: S608 - our own words
            rows = db.execute(
                f"SELECT record FROM events WHERE {waiting} ORDER BY at DESC, rowid DESC LIMIT ?",  # noqa: S608 - the same
                (UNDELIVERED_AT_MOST,),
            ).fetchall()
        if expired:
            log.warning("events_kept_in_history_only", events=expired, older_than_s=max_age_s)
        return [Event(**json.loads(row["record"])) for row in reversed(rows)]

    def mark_delivered(self, event_id: str, at: float) -> None:
        """Note that the broker has acknowledged the event, at `at` (UTC seconds)."""
        with self._transaction() as db:
            db.execute("UPDATE events SET delivered_at = ? WHERE event_id = ?", (at, event_id))

    def mark_expired(self, event_id: str) -> None:
        """Note that the event came too late to be sent at all."""
        with self._transaction() as db:
            db.execute("UPDATE events SET expired = 1 WHERE event_id = ?", (event_id,))

    def settle(self, configured: Mapping[Key, str]) -> dict[Key, str]:
        """Return the settings to start with, by the rule of `settings.settle`, and keep what follows from it."""
        self._configured = dict(configured)
        with self._errors():
            rows = self._db.execute("SELECT room, setting, value, overrode FROM settings").fetchall()
        settled, dropped = settle(configured, {(r["room"], r["setting"]): (r["value"], r["overrode"]) for r in rows})
        for key in dropped:
            self.write_setting(*key, configured[key])
        return settled

    def write_setting(self, room: str, setting: SettingName, value: str) -> None:
        """Keep a setting made over MQTT, with the configured value that it overrides; one that overrides none goes."""
        config_value = self._configured.get((room, setting))
        with self._transaction() as db:
            if value == config_value:
                db.execute("DELETE FROM settings WHERE room = ? AND setting = ?", (room, setting))
            else:
                row = (room, setting, value, config_value or "")
                db.execute("INSERT OR REPLACE INTO settings (room, setting, value, overrode) VALUES (?, ?, ?, ?)", row)

    def forget_older_than(self, keep_days: float, now_at: float) -> int:
        """Delete episodes and events older than `keep_days`; return how many episodes went. An open one stays."""
        oldest_at = now_at - keep_days * _DAY_S
        with self._transaction() as db:
            db.execute("DELETE FROM events WHERE at < ?", (oldest_at,))
            return db.execute("DELETE FROM episodes WHERE ended_at < ?", (oldest_at,)).rowcount

    def close(self) -> None:
        """Close the file; again is no error. Never raises: there is nothing left that could be done."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def _open(self, migrations: Sequence[Sequence[str]]) -> sqlite3.Connection:
        if str(self.path) != MEMORY:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(self.path)
        db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            db.row_factory = sqlite3.Row
            self._prepare(db, migrations)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(migrations):
            fix = "install that release again, or set history.path to another file"
            fault = f"is of version {version}, written by a newer release; this one reads up to {len(migrations)}"
            raise StoreError(str(self.path), fault, fix)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        if version < len(migrations):
            self._migrate(db, version, migrations)

    def _migrate(self, db: sqlite3.Connection, version: int, migrations: Sequence[Sequence[str]]) -> None:
        """Bring the file up to date in one transaction, an older one after a copy of it is made beside."""
        copy = self.path.with_name(f"{self.path.name}.v{version}")
        if version:
            _make_private(copy)
            with contextlib.closing(sqlite3.connect(copy)) as target:
                db.backup(target)
        db.execute("BEGIN IMMEDIATE")
        try:
            for statements in migrations[version:]:
                for statement in statements:
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(migrations)}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        if version:
            log.info("history_migrated", path=str(self.path), copy=str(copy), of=version, to=len(migrations))

    def _set_aside(self, fault: str) -> None:
        stamp = datetime.fromtimestamp(self._wall(), UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        self.path.rename(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        log.warning("history_set_aside", path=str(self.path), aside=str(aside), err=fault, then="a new one is begun")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            fix = "see that the folder can be written and the disk is not full; alerts still go out"
            raise StoreError(str(self.path), f"the history cannot be used: {error}", fix) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise


def _make_private(path: Path) -> None:
    """Make an empty file that its owner alone may read, where there is none: it tells when a child cried."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
