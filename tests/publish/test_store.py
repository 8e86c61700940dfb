import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
import structlog
from publish.make import T0, alert, drilled, event, held, rehearsed

from monitor.errors import StoreError
from monitor.publish import MEMORY, Store
from monitor.publish.interrupted import interrupted
from monitor.publish.schema import MIGRATIONS
from monitor.publish.settings import Key
from monitor.publish.store import UNDELIVERED_AT_MOST
from monitor.publish.tonight import Cry, Night
from monitor.records import Applied

DAY_S = 86_400.0

SNOOZE: Key = ("nursery", "snooze")
ENABLED: Key = ("nursery", "enabled")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is to be."""
    return tmp_path / "state" / "history.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """A new history."""
    opened = Store(path)
    yield opened
    opened.close()


def undelivered(store: Store, now_at: float = T0 + 10) -> list[str]:
    """Return the ids of the events that no broker has."""
    return [e.event_id for e in store.undelivered(max_age_s=600, now_at=now_at)]


def test_an_event_comes_back_as_it_was(store: Store) -> None:
    """What is read back equals what was written, minus infinity and reasons included."""
    written = event(level_dbfs=float("-inf"), reason="hungry", reasons={"hungry": 0.7, "tired": 0.3})
    store.append(written)
    assert store.undelivered(max_age_s=600, now_at=T0 + 10) == [written]


def test_events_come_back_in_order_once(store: Store) -> None:
    """The same `event_id` again changes nothing; the oldest comes first."""
    for type_ in ("cry_started", "cry_ongoing", "cry_ended"):
        store.append(event(type_))
        store.append(event(type_))
    assert undelivered(store) == ["e1-cry_started", "e1-cry_ongoing", "e1-cry_ended"]


def test_a_delivered_event_is_not_sent_again(store: Store) -> None:
    """What the broker has acknowledged is gone from those that wait."""
    store.append(event("cry_started"))
    store.append(event("cry_ended"))
    store.mark_delivered("e1-cry_started", T0 + 7)
    assert undelivered(store) == ["e1-cry_ended"]


def test_what_is_too_old_is_kept_in_history_only(store: Store) -> None:
    """An event past the limit is never returned again, also after the clock is set back; that is logged."""
    store.append(event())
    with structlog.testing.capture_logs() as logs:
        assert undelivered(store, T0 + 6 + 601) == []
    assert [line["event"] for line in logs] == ["events_kept_in_history_only"]
    assert undelivered(store) == []
    store.append(event("cry_ended"))
    store.mark_expired("e1-cry_ended")
    assert undelivered(store) == []


def test_what_was_delivered_does_not_expire(store: Store, path: Path) -> None:
    """An alert that is said again and comes too late then was told all the same."""
    store.append(alert())
    store.mark_delivered("e1-alert", T0 + 7)
    store.mark_expired("e1-alert")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT delivered_at, expired FROM events").fetchall() == [(T0 + 7, 0)]


def test_a_page_that_cannot_be_read_holds_up_no_other(store: Store, path: Path) -> None:
    """What comes after so many damaged rows as are taken up at once is found."""
    for number in range(UNDELIVERED_AT_MOST + 2):
        store.append(event(number=number))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE events SET record = '{' WHERE rowid <= ?", (UNDELIVERED_AT_MOST,))
    assert undelivered(store) == [f"e{UNDELIVERED_AT_MOST + n}-cry_started" for n in range(2)]
    assert store.undelivered(max_age_s=600, now_at=T0, after=f"e{UNDELIVERED_AT_MOST + 1}-cry_started") == []


def test_an_event_of_the_future_waits_like_a_new_one(store: Store) -> None:
    """The clock was set back: what seems to come is not lost."""
    store.append(event())
    assert undelivered(store, T0 - DAY_S) == ["e1-cry_started"]


def test_an_episode_without_an_end_is_found_at_the_next_start(store: Store, path: Path) -> None:
    """It is closed when it was last heard of, by an event with the same id however often it is tried."""
    store.append(event("cry_started"))
    store.append(event("cry_started", 2))
    store.append(event("cry_ended", 2))
    store.touch("e1", T0 + 50)
    store.touch("e1", T0 + 40)
    store.close()
    again = Store(path)
    (episode,) = again.open_episodes()
    end = interrupted(episode)
    assert (end.event_type, end.ended_by, end.episode_id, end.room) == ("cry_ended", "interrupted", "e1", "nursery")
    assert (end.at, end.started_at, end.duration_s, end.at_s) == (T0 + 50, T0, 50, 62)
    assert (end.confidence, end.peak, end.model) == (0.97, 0.97, "cry-1")
    again.append(end)
    again.append(interrupted(episode))
    assert again.open_episodes() == []
    assert undelivered(again, T0 + 60).count("e1-interrupted") == 1
    again.close()


def test_a_clock_that_is_set_makes_no_cry_longer(store: Store) -> None:
    """An episode that the service died in lasts as long as it was told, and two minutes at most beyond that."""
    store.append(event("cry_started"))
    store.touch("e1", T0 + 3_600)
    (episode,) = store.open_episodes()
    assert interrupted(episode).duration_s == 5.5 + 120
    store.append(event("cry_started", 2, at=T0 - 3_600, started_at=T0))
    assert interrupted(store.open_episodes()[1]).duration_s == 5.5


def test_a_judged_cause_is_that_of_the_end(store: Store) -> None:
    """An episode that the service died in ends with the cause that was judged; one that has ended keeps its own."""
    store.append(event("cry_started"))
    store.append(event("cry_ended", 2, reason="hungry", reasons={"hungry": 1.0}))
    for episode_id in ("e1", "e2"):
        store.judge(episode_id, "unsure", {"hungry": 0.4, "tired": 0.6})
    (episode,) = store.open_episodes()
    assert (interrupted(episode).reason, interrupted(episode).reasons) == ("unsure", {"hungry": 0.4, "tired": 0.6})


def test_a_late_word_does_not_open_an_ended_episode(store: Store) -> None:
    """An episode that has ended stays so."""
    store.append(event("cry_started"))
    store.append(event("cry_ended"))
    store.append(event("cry_ongoing"))
    assert store.open_episodes() == []


def test_settings_follow_the_rule_over_a_restart(store: Store, path: Path) -> None:
    """A setting stands until the configuration is edited; then it is gone for good."""
    key, enabled = ("nursery", "sensitivity"), ("nursery", "enabled")
    store.settle({key: "normal", enabled: "ON"})  # type: ignore[dict-item]
    store.write_setting(Applied("nursery", "sensitivity", "high"))
    store.write_setting(Applied("nursery", "enabled", "OFF"))
    store.write_setting(Applied("nursery", "enabled", "ON"))
    store.close()
    for configured, expected in (("normal", "high"), ("low", "low"), ("normal", "normal")):
        again = Store(path)
        with structlog.testing.capture_logs() as logs:
            settled = again.settle({key: configured, enabled: "ON"})  # type: ignore[dict-item]
        assert settled == {key: expected, enabled: "ON"}
        again.close()
    assert logs == []


def test_the_past_is_forgotten(store: Store) -> None:
    """Episodes, alerts and what people told go after `keep_days`; an episode that still runs stays."""
    store.append(event("cry_started"))
    store.append(event("cry_ended"))
    store.append(event("cry_started", 2))
    later = {"at": T0 + 2 * DAY_S, "started_at": T0 + 2 * DAY_S}
    store.append(event("cry_started", 3, **later))
    store.append(event("cry_ended", 3, **later))
    store.append(alert())
    store.append_held(held())
    store.append(alert(3, at=T0 + 2 * DAY_S))
    store.write_care("nursery", "fed", T0)
    store.write_feedback("nursery", "e1", "hungry", T0)
    assert not store.forget_older_than(1, T0 + 2.5 * DAY_S)
    assert store.night(T0).alerts == (("nursery", 1),)
    assert store.last_care() == {}
    assert undelivered(store, T0 + 2 * DAY_S) == ["e3-cry_started", "e3-cry_ended", "e3-alert"]
    assert [episode.episode_id for episode in store.open_episodes()] == ["e2"]


def test_a_setting_is_kept_with_its_end(store: Store, path: Path) -> None:
    """A setting's end, and how long was asked for, survive a restart, and go where the configuration wins."""
    configured = {SNOOZE: "None", ENABLED: "ON"}
    store.settle(configured)
    assert store.until() == {}
    store.write_setting(Applied("nursery", "snooze", "2026-09-21T15:00:00.000Z", T0 + 2_800, 3_600))
    store.write_setting(Applied("nursery", "enabled", "OFF", T0 + 43_200, 43_200))
    store.write_setting(Applied("attic", "enabled", "OFF", T0 + 43_200, 43_200))
    store.close()
    again = Store(path)
    assert again.settle(configured) == {SNOOZE: "2026-09-21T15:00:00.000Z", ENABLED: "OFF"}
    assert again.until() == {SNOOZE: (T0 + 2_800, 3_600), ENABLED: (T0 + 43_200, 43_200)}
    again.write_setting(Applied("nursery", "snooze", "None"))
    again.settle({SNOOZE: "None", ENABLED: "OFF"})
    assert again.until() == {}
    again.close()


def test_an_alert_does_not_touch_its_episode(store: Store) -> None:
    """An alert and an answer to it are events, and leave the episode as its own events tell it; a test has none."""
    store.append(event("cry_started"))
    (before,) = store.open_episodes()
    for said in (alert(mean=0.1), event("acknowledged", by="Anna", mean=0.2), alert(9), rehearsed(), drilled()):
        store.append(said)
    assert store.open_episodes() == [before]
    waiting = store.undelivered(max_age_s=600, now_at=T0 + 40)
    assert {(e.event_type, e.episode_id, e.cause, e.by, e.test) for e in waiting} == {
        ("cry_started", "e1", None, None, False),
        ("alert", "e1", "first", None, False),
        ("acknowledged", "e1", None, "Anna", False),
        ("alert", "e9", "first", None, False),
        ("alert", None, "test", None, True),
        ("drill_passed", None, None, None, True),
    }
    assert waiting[-1] == drilled()


def test_the_night_is_counted_from_the_history(store: Store) -> None:
    """Episodes that began since noon, and the alerts that were sent: no test, and none that was held."""
    store.append(event("cry_started", 1, started_at=T0 - 100))
    store.append(event("cry_started", 2, duration_s=1.0))
    store.append(event("cry_ended", 2, duration_s=61.0))
    store.append(event("cry_started", 3, started_at=T0 + 500, room="attic"))
    for said in (alert(2), alert(2), rehearsed(), drilled(), alert(1, at=T0 - 50)):
        store.append(said)
    store.append_held(held())
    assert store.night(T0 - 10) == Night(
        (Cry("nursery", "e2", T0, 61.0), Cry("attic", "e3", T0 + 500, 5.5)), (("nursery", 1),)
    )


def test_what_people_tell_is_kept(store: Store) -> None:
    """Care with its latest time; the answer to the latest cry and no older one; the same again changes nothing."""
    for at in (T0, T0 + 60, T0 + 60, T0 + 30):
        store.write_care("nursery", "fed", at)
    assert store.last_care() == {("nursery", "fed"): T0 + 60}
    store.append(event("cry_ended"))
    store.write_feedback("nursery", "e1", "tired", T0 + 50)
    store.write_feedback("nursery", "e1", "hungry", T0 + 60)
    assert store.last_feedback() == {"nursery": "hungry"}
    store.append(event("cry_started", 2, started_at=T0 + 100))
    assert store.last_feedback() == {}
    store.write_feedback("nursery", "e1", "tired", T0 + 200)
    assert store.last_feedback() == {}
    store.write_feedback("nursery", "e2", "hungry", T0 + 150)
    assert store.last_feedback() == {"nursery": "hungry"}
    store.write_feedback("nursery", "e2", "tired", T0 - 3_600)  # the clock was set back: the last word, all the same
    assert store.last_feedback() == {"nursery": "tired"}


def test_an_episode_is_found_in_its_room(store: Store) -> None:
    """By its id, or the latest one; another room's is not found."""
    store.append(event("cry_ended", 1))
    store.append(event("cry_started", 2, started_at=T0 + 100))
    assert store.find_episode("nursery", None) == "e2"
    assert store.find_episode("nursery", "e1") == "e1"
    assert store.find_episode("nursery", "e9") is None
    assert store.find_episode("attic", "e1") is None
    assert store.find_episode("attic", None) is None


def test_a_file_of_the_first_release_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its events, settings and episodes are all there, and a test's alert fits in."""
    path = tmp_path / "history.db"
    old = Store(path, migrations=MIGRATIONS[:1])
    old.close()
    record = json.dumps(
        {k: v for k, v in asdict(event()).items() if k not in ("cause", "by", "test", "snr_db", "delay_s")}
    )
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO events (event_id, episode_id, room, event_type, at, record) VALUES (?, ?, ?, ?, ?, ?)",
            ("e1-cry_started", "e1", "nursery", "cry_started", T0 + 6, record),
        )
        db.execute("INSERT INTO settings VALUES ('nursery', 'enabled', 'OFF', 'ON')")
    store = Store(path)
    store.append(rehearsed())
    assert store.undelivered(max_age_s=600, now_at=T0 + 40) == [event(), rehearsed()]
    assert store.settle({ENABLED: "ON"}) == {ENABLED: "OFF"}
    assert store.until() == {}
    store.close()


def test_only_its_owner_may_read_it(store: Store, path: Path) -> None:
    """The history tells when a child cried: mode 0600, its write-ahead log too."""
    store.append(event())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_it_makes_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    """Whatever the umask: files 0600, the copy of an older one too, folders that it makes 0700."""
    path = tmp_path / "deep" / "state" / "history.db"
    before = os.umask(umask)
    try:
        Store(path).close()
        store = Store(path, migrations=(*MIGRATIONS, ("ALTER TABLE episodes ADD COLUMN note TEXT",)))
        store.append(event())
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("*")}
        store.close()
    finally:
        os.umask(before)
    files = {"history.db", "history.db-wal", "history.db-shm", f"history.db.v{len(MIGRATIONS)}"}
    assert modes == {"deep": 0o700, "state": 0o700, **dict.fromkeys(files, 0o600)}


def test_a_file_that_others_may_read_is_tightened(store: Store, path: Path, tmp_path: Path) -> None:
    """With what SQLite left beside it, said once; a folder that was there stays as it is."""
    store.append(event())
    copy = tmp_path / "copy" / "history.db"
    copy.parent.mkdir(mode=0o755)
    for end in ("", "-wal"):
        side = copy.with_name(copy.name + end)
        side.write_bytes(path.with_name(path.name + end).read_bytes())
        side.chmod(0o644)
    with structlog.testing.capture_logs() as logs:
        again = Store(copy)
    assert undelivered(again) == ["e1-cry_started"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in copy.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o755
    again.close()
    told = [(line["event"], line["log_level"], Path(line["path"]).name, line["mode"]) for line in logs]
    assert told == [("file_made_private", "info", name, "0644") for name in ("history.db", "history.db-wal")]
    with structlog.testing.capture_logs() as logs:
        Store(copy).close()
    assert logs == []


def test_an_older_file_is_copied_and_migrated(store: Store, path: Path) -> None:
    """A file of an earlier release is copied beside it, then brought up to date with all that it holds."""
    store.append(event())
    store.close()
    newer = (*MIGRATIONS, ("ALTER TABLE episodes ADD COLUMN note TEXT", "UPDATE episodes SET note = 'old'"))
    migrated = Store(path, migrations=newer)
    assert undelivered(migrated) == ["e1-cry_started"]
    migrated.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT note FROM episodes").fetchall() == [("old",)]
        assert db.execute("PRAGMA user_version").fetchone() == (len(newer),)
    copy = path.with_name(f"history.db.v{len(MIGRATIONS)}")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert db.execute("SELECT count(*) FROM events").fetchone() == (1,)


@pytest.mark.parametrize("stands_there", ["garbage", "a folder", "a small disk"])
def test_a_copy_that_cannot_be_made_costs_no_history(
    store: Store, path: Path, stands_there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage of that name gives way; where it cannot, or the disk is full, the history is left as it is, whole."""
    store.append(event())
    store.close()
    copy = path.with_name(f"history.db.v{len(MIGRATIONS)}")
    newer = (*MIGRATIONS, ("ALTER TABLE episodes ADD COLUMN note TEXT",))
    if stands_there == "garbage":
        copy.write_bytes(b"?" * 9_999)
        copy.with_name(f"{copy.name}-journal").write_bytes(b"?")
        migrated = Store(path, migrations=newer)
        with closing(sqlite3.connect(copy)) as db:
            assert db.execute("SELECT count(*) FROM events").fetchone() == (1,)
    else:
        if stands_there == "a folder":
            copy.mkdir()
        else:
            monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1_000))  # noqa: SLF001
        with pytest.raises(StoreError, match=r"history\.db\.v\d"):
            Store(path, migrations=newer)
        assert not copy.is_file()
        migrated = Store(path)
    assert undelivered(migrated) == ["e1-cry_started"]
    migrated.close()
    assert not list(path.parent.glob("*.damaged-*"))


def test_a_migration_that_fails_changes_nothing(store: Store, path: Path) -> None:
    """All of a migration happens or nothing of it."""
    store.append(event())
    store.close()
    with pytest.raises(StoreError, match="no such table"):
        Store(path, migrations=(*MIGRATIONS, ("ALTER TABLE episodes ADD COLUMN note TEXT", "UPDATE absent SET a = 1")))
    again = Store(path)
    assert undelivered(again) == ["e1-cry_started"]
    again.close()


def test_a_newer_file_is_left_untouched(store: Store, path: Path) -> None:
    """A file that a newer release has written is refused, with what to do, and not one byte of it changes."""
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"version 99.*install that release"):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["not a database", "malformed"])
def test_a_damaged_file_is_set_aside(store: Store, path: Path, damage: str) -> None:
    """It gets a dated name, a new one is begun, and that is said once."""
    store.append(event())
    store.close()
    content = bytearray(path.read_bytes())
    content[:16] = b"?" * 16 if damage == "not a database" else content[:16]
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with structlog.testing.capture_logs() as logs:
        new = Store(path, wall=lambda: T0)
    assert [line["event"] for line in logs] == ["history_set_aside"]
    assert path.with_name("history.db.damaged-20260921T141320Z").read_bytes() == content
    new.append(event())
    assert undelivered(new) == ["e1-cry_started"]
    new.close()


def test_a_file_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    """The error names the file and what to do; a folder that is none stands for all that cannot be written."""
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match=r"history\.db: .*see that the folder can be written"):
        Store(tmp_path / "state" / "history.db")


def test_a_lock_costs_a_fifth_of_a_second(store: Store, path: Path) -> None:
    """Another process that holds the file makes a `StoreError`, not a wait; afterwards it works again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.append(event())
        other.execute("ROLLBACK")
    store.append(event())
    assert undelivered(store) == ["e1-cry_started"]


def test_a_closed_store_says_so() -> None:
    """Closing twice is no error; using it afterwards is a `StoreError`, as any fault of it."""
    store = Store(Path(MEMORY))
    store.append(event())
    store.close()
    store.close()
    with pytest.raises(StoreError):
        store.append(event())
    assert not Path(MEMORY).exists()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET record = '{'",
        "UPDATE events SET record = 'null'",
        """UPDATE events SET record = json_set(record, '$.at', 1e300)""",
        """UPDATE events SET record = json_set(record, '$.room', 'a/#')""",
        """UPDATE events SET record = json_set(record, '$.event_type', 'cry_paused')""",
    ],
)
def test_an_event_that_cannot_be_read_holds_up_no_other(store: Store, path: Path, damage: str) -> None:
    """A row that is damaged is left out, with one warning; what was written after it is sent."""
    store.append(event())
    store.append(event("cry_ended"))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"{damage} WHERE event_type = 'cry_started'")
    with structlog.testing.capture_logs() as logs:
        assert undelivered(store) == ["e1-cry_ended"]
    assert [(line["event"], line["rows"]) for line in logs] == [("history_rows_unreadable", 1)]


def test_an_open_episode_that_cannot_be_read_ends_no_start(store: Store, path: Path) -> None:
    """Its time is no time, its causes are no JSON: it is left out, and the other is closed."""
    for number in (1, 2, 3):
        store.append(event(number=number))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE episodes SET last_at = 'yesterday' WHERE episode_id = 'e1'")
        other.execute("UPDATE episodes SET reasons = '{' WHERE episode_id = 'e2'")
    assert [episode.episode_id for episode in store.open_episodes()] == ["e3"]


def test_a_setting_that_nobody_could_have_made_is_not_taken_up(store: Store, path: Path) -> None:
    """A damaged value, or an end that is no time, leaves the configured value; the service starts."""
    configured = {("nursery", "sensitivity"): "normal", ("nursery", "alert_after"): "0", SNOOZE: "None"}
    store.settle(configured)  # type: ignore[arg-type]
    store.write_setting(Applied("nursery", "sensitivity", "high"))
    store.write_setting(Applied("nursery", "alert_after", "30"))
    store.write_setting(Applied("nursery", "snooze", "2026-09-21T14:30:00.000Z", T0 + 1_000, 1_000.0))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE settings SET value = 'x' || value, until_at = 'soon'")
    assert store.settle(configured) == configured  # type: ignore[arg-type]
    assert store.until() == {}


def test_a_note_that_nobody_could_have_made_is_not_said(store: Store, path: Path) -> None:
    """A kind of care or a time that does not exist would be a topic that no broker takes, and end the thread."""
    for kind in ("fed", "slept", "changed"):
        store.write_care("nursery", kind, T0)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE care SET kind = '#' WHERE kind = 'fed'")
        other.execute("UPDATE care SET at = 9e999 WHERE kind = 'slept'")
    assert store.last_care() == {("nursery", "changed"): T0}


def test_a_file_whose_schema_is_no_text_is_set_aside(path: Path) -> None:
    """A byte that is no UTF-8 in a table's name is damage like any other."""
    Store(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    content = path.read_bytes()
    path.write_bytes(
        content.replace(b"TABLE episodes", b"TABLE \x80pisodes", 1).replace(
            b"episodesepisodes", b"\x80pisodes\x80pisodes", 1
        )
    )
    with structlog.testing.capture_logs() as logs:
        Store(path).close()
    assert "history_set_aside" in [line["event"] for line in logs]
