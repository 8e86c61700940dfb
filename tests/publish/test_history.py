import os
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from publish.make import T0, event, held

from monitor.errors import StoreError
from monitor.publish import Store
from monitor.publish.history import (
    CHECK_S,
    FORGET_AGAIN_S,
    FORGET_EVERY_S,
    REOPEN_S,
    UNREADABLE,
    WHOLE_EACH,
    History,
)
from monitor.publish.minutes import Minute
from monitor.publish.settings import Key
from monitor.publish.store import FORGOTTEN_AT_ONCE
from monitor.publish.tonight import Night
from monitor.records import Applied, Event

CONFIGURED: dict[Key, str] = {("nursery", "enabled"): "ON", ("nursery", "sensitivity"): "normal"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    """A history that works."""
    opened = History(Store(path), failing=False, keep_days=90)
    yield opened
    opened.close(1e9)


def opened(path: Path) -> Store:
    """Open it as the service does while it runs."""
    store = Store(path)
    store.configure(CONFIGURED)
    return store


def events_in(path: Path) -> list[str]:
    """Return the ids of the events in the file, as they were written."""
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT event_id FROM events ORDER BY rowid")]


def taken_up(history: History, now_s: float = 100.0, now_at: float = T0 + 10) -> list[Event]:
    """Return all that an earlier run left."""
    found: list[Event] = []
    while page := history.take_up(max_age_s=600, now_s=now_s, now_at=now_at):
        found += page
    return found


def test_what_could_not_be_written_is_written_later(history: History, path: Path) -> None:
    """While the file is locked writes wait, in order; with the lock gone nothing is missing and `failing` is over."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with structlog.testing.capture_logs() as logs:
            for number in range(50):
                history.append(event(number=number), 100.0)
            history.delivered("e0-cry_started", T0, 100.0)
        assert history.failing
        assert [line["event"] for line in logs] == ["history_failed"], "a burst is one failure"
        other.execute("ROLLBACK")
    history.tick(101.0, T0 + 10)
    assert not history.failing
    history.close(102.0)
    again = Store(path)
    assert [e.event_id for e in again.undelivered(max_age_s=600, now_at=T0 + 10)] == [
        f"e{n}-cry_started" for n in range(1, 50)
    ]
    again.close()


def test_the_last_try_is_for_all_that_waits(path: Path) -> None:
    """A service that ends while the file is free again leaves nothing unwritten."""
    history = History(Store(path), failing=False, keep_days=90)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(1_000):
            history.append(event(number=number), 100.0)
        other.execute("ROLLBACK")
    history.close(100.5)
    assert len(events_in(path)) == 1_000


def test_a_failure_that_lasts_is_said_each_hundredth_time(path: Path) -> None:
    """The first failure is a warning, then each 100th with the count; what waits is bounded, what is lost counted."""
    store = Store(path)
    store._db.change("PRAGMA query_only = ON")  # noqa: SLF001 - the quickest way to fail
    history = History(store, failing=False, keep_days=90)
    with structlog.testing.capture_logs() as logs:
        for second in range(1_101):
            history.append(event(number=second), 100.0 + second)
    assert [line["failures"] for line in logs if line["event"] == "history_failed"] == [*range(1, 1_102, 100)]
    assert history.lost == 101
    history.close(1e9)


def test_a_disk_that_cannot_be_read_is_a_failure_that_passes(path: Path) -> None:
    """An I/O error at the look at the file ends no thread: `failing`, and the next write takes it back."""
    store = Store(path)
    history = History(store, failing=False, keep_days=90)
    history.tick(100.0, T0)
    looked_at = store._db._file  # noqa: SLF001 - what the disk gives EIO for
    assert looked_at is not None
    broken = os.open("/proc/self/mem", os.O_RDONLY)  # address 0 cannot be read
    os.dup2(broken, looked_at)
    os.close(broken)
    with structlog.testing.capture_logs() as logs:
        history.tick(100.0 + CHECK_S, T0)
        assert history.failing
        history.append(event(), 101.0 + CHECK_S)
    assert not history.failing
    assert [line["event"] for line in logs] == ["history_failed", "history_works_again"]
    os.close(looked_at)
    history.close(1e9)  # of a file that is closed already


REFUSED = {
    "a trigger": Applied("nursery", "snooze", "refused"),
    "a number": Applied("nursery", "snooze", "None", 2**70),
    "a word": Applied("nursery", "snooze", "\ud800"),
}


@pytest.mark.parametrize("write", REFUSED.values(), ids=REFUSED)
def test_a_write_that_is_never_taken_holds_up_no_other(history: History, path: Path, write: Applied) -> None:
    """It is left out, said once and counted; the history does not fail, and what comes after is written."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TRIGGER refused BEFORE INSERT ON settings WHEN new.value = 'refused'"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with structlog.testing.capture_logs() as logs:
        history.keep_setting(write, 100.0)
        history.append(event(), 101.0)
    assert [line["event"] for line in logs] == ["history_write_refused"]
    assert (history.failing, history.lost) == (False, 1)
    assert events_in(path) == ["e1-cry_started"]


def minutes_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        (found,) = db.execute("SELECT count(*) FROM minutes").fetchone()
        return int(found)


def test_a_year_is_forgotten_part_by_part(history: History, path: Path) -> None:
    """A turn forgets so much that no alert waits for it; the next part goes a second later, until all is gone."""
    history.keep_minutes(
        [Minute(room, 60 * n, 60.0, None, None, "cry-1", "normal") for n in range(400) for room in ("nursery", "attic")]
        + [Minute("nursery", int(T0), 60.0, None, None, "cry-1", "normal")],
        100.0,
    )
    left = []
    for second in range(6):
        history.tick(100.0 + second, T0)
        history.tick(100.5 + second, T0)
        left.append(minutes_in(path))
    assert left == [800 - FORGOTTEN_AT_ONCE * n + 1 for n in range(1, 4)] + [1, 1, 1]
    counts = history.counts()
    assert counts is not None
    assert [one.heard_s for one in counts] == [400 * 60.0, 401 * 60.0]
    history.keep_minutes([Minute("nursery", 60, 60.0, None, None, "cry-1", "normal")], 110.0)
    history.tick(100.0 + FORGET_EVERY_S, T0)
    assert minutes_in(path) == 2, "a day after the last part"
    history.tick(106.0 + FORGET_EVERY_S, T0)
    assert minutes_in(path) == 1


def test_without_room_for_a_longer_log_all_is_forgotten(history: History, path: Path) -> None:
    """On a full disk SQLite's log begins anew for what is to be forgotten, and what happens meanwhile is written."""
    history.keep_minutes([Minute("nursery", 60 * n, 60.0, None, None, "cry-1", "normal") for n in range(3_000)], 100.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))  # of each file; the log would take 1 MB
    failed = 0
    try:
        for second in range(120):
            history.append(event(number=second), 100.0 + second)
            history.tick(100.0 + second, T0)
            failed += history.failing
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (failed > 0, minutes_in(path)) == (True, 0)
    history.tick(300.0, T0)
    assert (history.failing, len(events_in(path))) == (False, 120)


def test_forgetting_that_fails_holds_up_no_write(history: History, path: Path) -> None:
    """It is a failure that is told, and tried again in 10 s; what happens meanwhile is written."""
    history.keep_minutes([Minute("nursery", 60, 60.0, None, None, "cry-1", "normal")], 100.0)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TRIGGER full BEFORE DELETE ON minutes BEGIN INSERT INTO absent VALUES (1); END")
        with structlog.testing.capture_logs() as logs:
            history.tick(100.0, T0)
        assert [line["event"] for line in logs] == ["history_failed"]
        history.append(event(), 101.0)
        assert (history.failing, events_in(path)) == (False, ["e1-cry_started"])
        db.execute("DROP TRIGGER full")
    history.tick(99.0 + FORGET_AGAIN_S, T0)
    assert minutes_in(path) == 1
    history.tick(100.0 + FORGET_AGAIN_S, T0)
    assert minutes_in(path) == 0


def test_without_a_store_nothing_is_written_and_nothing_fails() -> None:
    """A history that could not be opened stays a problem; every call is harmless."""
    history = History(None, failing=True, keep_days=90)
    history.append(event(), 1.0)
    history.keep_setting(Applied("nursery", "enabled", "ON"), 1.0)
    history.touch("e1", T0, 1.0)
    history.held(held(), 1.0)
    history.keep_care("nursery", "fed", T0, 1.0)
    history.keep_feedback("nursery", "e1", "hungry", T0, 1.0)
    assert history.find_episode("nursery", None) == UNREADABLE
    assert history.notes() == ({}, {})
    assert history.night(T0) == Night()
    history.tick(2.0, T0)
    assert taken_up(history, 2.0) == []
    assert history.failing
    history.close(3.0)


def test_a_history_that_is_locked_at_the_start_is_taken_up_later(path: Path) -> None:
    """What an earlier run left is found when the lock is gone; what has been written since is not taken for it."""
    before = Store(path)
    before.append(event())
    before.close()
    history = History(Store(path), failing=False, keep_days=90)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        history.tick(100.0, T0 + 10)
        assert taken_up(history) == []
        history.append(event(number=2), 100.1)
        assert history.failing
        other.execute("ROLLBACK")
    history.tick(102.0, T0 + 12)
    assert [e.event_id for e in taken_up(history, 102.0)] == ["e1-cry_started", "e1-interrupted"]
    assert [e.event_id for e in taken_up(history, 103.0)] == []
    history.close(104.0)
    assert events_in(path) == ["e1-cry_started", "e1-interrupted", "e2-cry_started"]


def test_all_that_an_earlier_run_left_is_taken_up(path: Path) -> None:
    """1 200 events are more than an outbox holds: they come in turns, in their order, each once."""
    before = Store(path)
    for number in range(1_200):
        before.append(event("cry_ended", number, at=T0 - number % 7))  # whatever a clock said
    before.close()
    history = History(Store(path), failing=False, keep_days=90)
    history.tick(100.0, T0)
    assert len(history.take_up(max_age_s=600, now_s=100.0, now_at=T0)) == 500
    history.append(event(number=5_000), 100.0)
    rest = taken_up(history)
    assert [e.episode_id for e in rest] == [f"e{number}" for number in range(500, 1_200)]
    history.close(101.0)


def test_a_history_that_could_not_be_opened_is_tried_again(path: Path) -> None:
    """Each 10 s; then all that waited is in it, and what runs wins over the settings that it holds."""
    before = opened(path)
    before.append(event("cry_started", 9))
    before.write_setting(Applied("nursery", "enabled", "OFF", T0 + 1e6, 1e6))
    before.write_setting(Applied("nursery", "sensitivity", "low"))
    before.close()
    there = False

    def reopen() -> Store:
        if not there:
            raise StoreError(str(path), "is away")
        return opened(path)

    with structlog.testing.capture_logs() as logs:
        history = History(None, failing=True, keep_days=90, reopen=reopen)
        history.tick(100.0, T0)
        history.append(event(), 101.0)
        history.keep_setting(Applied("nursery", "sensitivity", "high"), 101.0)
        there = True
        history.tick(100.0 + REOPEN_S / 2, T0)
        assert history.failing
        history.tick(100.0 + REOPEN_S, T0)
        assert not history.failing
    told = [(line["event"], line.get("setting")) for line in logs]
    assert told == [("setting_dropped", "enabled"), ("setting_dropped", "sensitivity"), ("history_works_again", None)]
    assert [e.event_id for e in taken_up(history, 111.0)] == ["e9-cry_started", "e9-interrupted"]
    history.close(112.0)
    again = Store(path)
    assert again.settle(CONFIGURED) == CONFIGURED | {("nursery", "sensitivity"): "high"}
    assert [episode.episode_id for episode in again.open_episodes()] == ["e1"]
    again.close()


def in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.touch(0o600)
    other.write_bytes(os.urandom(9_999))
    other.rename(path)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def without_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    ("fault", "aside"),
    [(in_place, 1), (replaced, 1), (Path.unlink, 0), (emptied, 0), (without_its_folder, 0)],
)
def test_a_history_that_is_damaged_in_use_is_begun_anew(
    tmp_path: Path, fault: Callable[[Path], None], aside: int
) -> None:
    """It is noticed within 10 s and said once; the new file has the settings, the running cry, what nobody got yet."""
    path = tmp_path / "state" / "history.db"
    before = Store(path)
    for number in range(100, 400):
        before.append(event("cry_ended", number))
    before.close()
    store = Store(path)
    store.settle(CONFIGURED)
    history = History(store, failing=False, keep_days=90, reopen=lambda: opened(path))
    history.tick(100.0, T0 + 7)
    history.keep_setting(Applied("nursery", "sensitivity", "high"), 100.0)
    history.keep_setting(Applied("nursery", "enabled", "OFF", T0 + 999.0, 1_000.0), 100.0)
    for said in (event("cry_started"), event("cry_ongoing", duration_s=60.0)):
        history.append(said, 100.0)
        history.delivered(said.event_id, T0 + 7, 100.1)
    history.append(event("acknowledged", by="Anna"), 100.2)
    with structlog.testing.capture_logs() as logs:
        fault(path)
        history.tick(100.0 + CHECK_S, T0 + 17)
        history.tick(100.5 + CHECK_S, T0 + 18)
        history.append(event("alert"), 101.0 + CHECK_S)
    assert not history.failing
    assert [line["event"] for line in logs] == [
        *("history_failed", *["history_set_aside"] * aside, "history_works_again"),
    ]
    assert len([file for file in path.parent.glob("*.damaged-*") if file.suffix[-4:] not in ("-wal", "-shm")]) == aside
    history.close(112.0)
    assert events_in(path) == ["e1-acknowledged", "e1-alert"]
    again = Store(path)
    assert again.settle(CONFIGURED) == {("nursery", "enabled"): "OFF", ("nursery", "sensitivity"): "high"}
    assert again.until() == {("nursery", "enabled"): (T0 + 999.0, 1_000.0)}
    (episode,) = again.open_episodes()
    assert (episode.episode_id, episode.duration_s) == ("e1", 60.0)
    again.close()


def test_a_log_that_is_removed_costs_nothing(path: Path) -> None:
    """What was written into a log that somebody deleted in use is in the file when that is opened anew."""
    history = History(Store(path), failing=False, keep_days=90, reopen=lambda: opened(path))
    history.append(event(), 100.0)
    Path(f"{path}-wal").unlink()
    with structlog.testing.capture_logs() as logs:
        history.tick(100.0 + CHECK_S, T0)
    history.append(event("cry_ended"), 100.1 + CHECK_S)
    assert [line["event"] for line in logs] == ["history_failed"]
    history.tick(100.5 + CHECK_S, T0)
    history.append(event(number=2), 101.0 + CHECK_S)
    assert not history.failing
    assert events_in(path) == ["e1-cry_started", "e1-cry_ended", "e2-cry_started"]
    assert taken_up(history, 112.0) == []
    history.close(1e9)


def test_damage_in_the_middle_is_found_in_time(path: Path) -> None:
    """What the head of the file does not show is found when the whole of it is looked at: within five minutes."""
    before = Store(path)
    for number in range(300):
        before.append(event("cry_ended", number))
    before.close()
    history = History(Store(path), failing=False, keep_days=90, reopen=lambda: opened(path))
    history.tick(100.0, T0)
    with path.open("r+b") as file:
        file.seek(20 * 4_096)
        file.write(os.urandom(20 * 4_096))
    with structlog.testing.capture_logs() as logs:
        for look in range(1, WHOLE_EACH):
            history.tick(100.0 + look * CHECK_S, T0)
        assert [line["event"] for line in logs] == ["history_failed"]
        history.tick(101.0 + WHOLE_EACH * CHECK_S, T0)
    assert [line["event"] for line in logs[1:]] == ["history_set_aside", "history_works_again"]
    history.close(1e9)


def test_a_whole_history_is_left_alone(history: History, path: Path) -> None:
    """To look at it changes nothing and says nothing, with another reader beside us too."""
    with structlog.testing.capture_logs() as logs, closing(sqlite3.connect(path)) as reader:
        for second in range(0, 100, int(CHECK_S)):
            history.append(event(number=second), 100.0 + second)
            history.tick(100.0 + second, T0)
            reader.execute("SELECT count(*) FROM events").fetchall()
    assert logs == []
    assert len(events_in(path)) == 100 / CHECK_S
