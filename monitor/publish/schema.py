"""The history file's tables, release by release. Plain SQL: `store` runs it."""

from collections.abc import Mapping, Sequence
from typing import Final

MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        """CREATE TABLE episodes (
            episode_id TEXT PRIMARY KEY, room TEXT NOT NULL, model TEXT NOT NULL,
            started_at REAL NOT NULL, started_s REAL NOT NULL, last_at REAL NOT NULL,
            ended_at REAL, ended_by TEXT,
            peak REAL, mean REAL, duration_s REAL, level_dbfs REAL,
            reason TEXT NOT NULL, reasons TEXT NOT NULL, clip_path TEXT
        )""",
        "CREATE INDEX episodes_by_time ON episodes (started_at)",
        "CREATE INDEX episodes_open ON episodes (episode_id) WHERE ended_at IS NULL",
        """CREATE TABLE events (
            event_id TEXT PRIMARY KEY, episode_id TEXT NOT NULL, room TEXT NOT NULL, event_type TEXT NOT NULL,
            at REAL NOT NULL, record TEXT NOT NULL, delivered_at REAL, expired INTEGER NOT NULL DEFAULT 0
        )""",
        "CREATE INDEX events_by_time ON events (at)",
        "CREATE INDEX events_undelivered ON events (at) WHERE delivered_at IS NULL AND expired = 0",
        """CREATE TABLE settings (
            room TEXT NOT NULL, setting TEXT NOT NULL, value TEXT NOT NULL, overrode TEXT NOT NULL,
            PRIMARY KEY (room, setting)
        )""",
    ),
    (
        # A test alert is of no episode, and SQLite takes a NOT NULL back only with the whole table.
        """CREATE TABLE events_2 (
            event_id TEXT PRIMARY KEY, episode_id TEXT, room TEXT NOT NULL, event_type TEXT NOT NULL,
            at REAL NOT NULL, record TEXT NOT NULL, delivered_at REAL, expired INTEGER NOT NULL DEFAULT 0
        )""",
        """INSERT INTO events_2 (rowid, event_id, episode_id, room, event_type, at, record, delivered_at, expired)
        SELECT rowid, event_id, episode_id, room, event_type, at, record, delivered_at, expired FROM events""",
        "DROP TABLE events",
        "ALTER TABLE events_2 RENAME TO events",
        "CREATE INDEX events_by_time ON events (at)",
        "CREATE INDEX events_undelivered ON events (at) WHERE delivered_at IS NULL AND expired = 0",
        "ALTER TABLE settings ADD COLUMN until_at REAL",
        "ALTER TABLE settings ADD COLUMN asked_s REAL",
        # held_by: what held it; NULL: it was sent.
        """CREATE TABLE alerts (
            alert_id TEXT PRIMARY KEY, episode_id TEXT, room TEXT NOT NULL, at REAL NOT NULL,
            cause TEXT NOT NULL, held_by TEXT, crying_s REAL
        )""",
        "CREATE INDEX alerts_by_time ON alerts (at)",
        """CREATE TABLE care (
            room TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (room, kind, at)
        )""",
        """CREATE TABLE feedback (
            episode_id TEXT NOT NULL, room TEXT NOT NULL, value TEXT NOT NULL, at REAL NOT NULL
        )""",
        "CREATE INDEX feedback_by_time ON feedback (at)",
        "CREATE INDEX episodes_of_a_room ON episodes (room, started_at)",
    ),
    (
        # NULL: of an older release, which did not count what it heard; such an alert is in no figure.
        "ALTER TABLE alerts ADD COLUMN sensitivity TEXT",
        "ALTER TABLE episodes ADD COLUMN lead_s REAL",
        # at: UTC seconds of the minute's begin. One row a minute, but for one in which somebody changed something.
        # The key's columns stand first: else SQLite 3.40 (Debian 12) calls a sound table damaged.
        """CREATE TABLE minutes (
            at INTEGER NOT NULL, room TEXT NOT NULL, model TEXT NOT NULL, sensitivity TEXT NOT NULL,
            heard_s REAL NOT NULL, level_dbfs REAL, score REAL, PRIMARY KEY (at, room, model, sensitivity)
        ) WITHOUT ROWID""",
        # The sums of `minutes`, whoever writes or erases there: to add up 90 days takes 0.2 s for each room.
        """CREATE TABLE heard (
            room TEXT NOT NULL, model TEXT NOT NULL, sensitivity TEXT NOT NULL, heard_s REAL NOT NULL,
            PRIMARY KEY (room, model, sensitivity)
        ) WITHOUT ROWID""",
        """CREATE TRIGGER minutes_added AFTER INSERT ON minutes BEGIN
            INSERT INTO heard VALUES (new.room, new.model, new.sensitivity, new.heard_s)
            ON CONFLICT (room, model, sensitivity) DO UPDATE SET heard_s = heard_s + excluded.heard_s;
        END""",
        """CREATE TRIGGER minutes_changed AFTER UPDATE OF heard_s ON minutes BEGIN
            UPDATE heard SET heard_s = heard_s + new.heard_s - old.heard_s
            WHERE room = new.room AND model = new.model AND sensitivity = new.sensitivity;
        END""",
        """CREATE TRIGGER minutes_erased AFTER DELETE ON minutes BEGIN
            UPDATE heard SET heard_s = heard_s - old.heard_s
            WHERE room = old.room AND model = old.model AND sensitivity = old.sensitivity;
            DELETE FROM heard WHERE heard_s < 0.005
            AND room = old.room AND model = old.model AND sensitivity = old.sensitivity;
        END""",
        # What was forgotten, as sums: the other tables hold the rest.
        """CREATE TABLE totals (
            room TEXT NOT NULL, model TEXT NOT NULL, sensitivity TEXT NOT NULL,
            heard_s REAL NOT NULL DEFAULT 0, alerts INTEGER NOT NULL DEFAULT 0,
            answered INTEGER NOT NULL DEFAULT 0, not_a_cry INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (room, model, sensitivity)
        ) WITHOUT ROWID""",
    ),
)
"""`MIGRATIONS[n]` brings a file of version n to n + 1. A released one is never edited, only followed by another."""

RECORDS: Final[Mapping[str, str]] = {
    "episodes": "ended_at",
    "events": "at",
    "alerts": "at",
    "care": "at",
    "feedback": "at",
    "minutes": "at",
    "heard": "NULL",  # follows the minutes, by triggers
    "totals": "0",
}
"""Every table that tells of a child, with what dates a row: a column (UTC seconds; NULL: it is not over yet), or where
there is none `0`: rows are older than any other, or `NULL`: none can be told to be old."""

NO_RECORDS: Final[Mapping[str, str]] = {
    "settings": "how a room is to be watched, for as long as it is configured",
}
"""Every other table, and why it is none."""
