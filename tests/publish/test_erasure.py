import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from publish.make import T0, alert, event, held

from monitor.errors import StoreError
from monitor.publish import AlertLog, Erasure, Store
from monitor.publish.database import open_alone
from monitor.publish.schema import MIGRATIONS, NO_RECORDS, RECORDS
from monitor.records import Applied

MARKER = "zq7marker"
"""The room, and a part of every word that is told of it: it must stand nowhere afterwards."""

ROOMS = (MARKER, "attic")
LONG = {f"{MARKER}-{number}": 0.001 for number in range(1_000)}
"""Odds that fill several pages of a row."""

DAY_S = 86_400.0


def fill(store: Store, cries: int) -> None:
    """Let so many cries be heard in two rooms, a minute apart, each told of in every table; the last one runs on."""
    for number in range(cries):
        for room in ROOMS:
            word = MARKER if room == MARKER else "other"
            name = f"{word}-{number}"
            at = T0 + 60 * number
            odds = LONG if room == MARKER else {"other": 1.0}
            said: dict[str, Any] = {"room": room, "episode_id": name, "reason": word, "model": word, "started_at": at}
            store.append(event("cry_started", event_id=f"{name}-started", at=at, **said))
            store.judge(name, word, odds)
            store.append(alert(event_id=f"{name}-alert", at=at + 1, **said))
            store.append(event("acknowledged", event_id=f"{name}-ack", at=at + 2, by=f"{word} Anna", **said))
            store.append_held(held(room=room, episode_id=name, at=at + 3))
            store.write_care(room, word, at + 4)
            store.write_feedback(room, name, word, at + 5)
            if number < cries - 1:
                store.append(event("cry_ended", event_id=f"{name}-ended", at=at + 6, reasons=odds, **said))


def fill_the_rest(store: Store) -> None:
    """Write a row of each room into every table of records that is empty still, whatever its columns are."""
    database = store._db  # noqa: SLF001 - no part of the service writes like this
    for table in RECORDS:
        if not database.rows(f"SELECT room FROM {table} LIMIT 1"):  # noqa: S608 - our own words
            columns = database.rows(f"PRAGMA table_info({table})")
            for room in ROOMS:
                values = [room if column["type"] == "TEXT" else T0 + DAY_S for column in columns]
                database.change(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", values)  # noqa: S608


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / "state" / "history.db"


@pytest.fixture
def alerts(tmp_path: Path) -> Path:
    """Where the alert log is, beside the history."""
    return tmp_path / "state" / "alerts.jsonl"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """A new history."""
    opened = Store(path)
    yield opened
    opened.close()


def erasure(
    path: Path,
    *,
    alerts: Path | None = None,
    before_at: float | None = None,
    configured: bool = True,
    room: str = MARKER,
) -> Erasure:
    return Erasure(room, history=path, alerts=alerts, before_at=before_at, configured=configured)


def erase(told: Erasure) -> dict[str, int]:
    """Erase all on this machine, and return how many rows went."""
    rows = told.erase_rows()
    told.rewrite()
    told.remove_copies()
    told.drop_lines()
    return rows


def files_with_marker(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if MARKER.encode() in file.read_bytes())


def rows_of(path: Path, room: str) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as db:
        count = "SELECT count(*) FROM {} WHERE room = ?"
        rows = {table: db.execute(count.format(table), (room,)).fetchone()[0] for table in RECORDS}
    return {table: count for table, count in rows.items() if count}


def test_every_table_is_erased_or_kept_for_a_reason(store: Store, path: Path) -> None:
    """A table of the schema is a record, with the column that dates it, or it is named as none, and why."""
    store.close()
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in tables}
    assert {*RECORDS, *NO_RECORDS} == set(tables)
    assert not set(RECORDS) & set(NO_RECORDS)
    for table, at in RECORDS.items():
        assert {"room", at} <= {*columns[table], "0", "NULL"}
    assert all("room" in columns[table] and reason for table, reason in NO_RECORDS.items())


KILLED = """
import os, signal, sys
from pathlib import Path
from publish.make import T0
from publish.test_erasure import fill, fill_the_rest
from monitor.publish import Store
store = Store(Path(sys.argv[1]))
store._db.change("PRAGMA secure_delete = OFF")  # as SQLite is built on some systems, on others not
fill(store, int(sys.argv[2]))
store.forget_older_than(1, T0 + 86_400 + 60)  # what went before leaves traces, too
fill_the_rest(store)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("cries", [3, 300])
def test_no_byte_of_a_room_stays(path: Path, alerts: Path, cries: int, repository: Path) -> None:
    """After a service that was killed: nothing in file, log or copy, of rows that went before neither; others stay."""
    environ = {**os.environ, "PYTHONPATH": f"{repository}:{repository / 'tests'}"}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, path, str(cries)], env=environ, stderr=subprocess.PIPE, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for name in ("history.db.v1", "history.db.damaged-20261124T120000Z"):
        path.with_name(name).write_bytes(path.read_bytes())
        path.with_name(f"{name}-wal").write_bytes(path.with_name("history.db-wal").read_bytes())
        path.with_name(f"{name}-shm").touch()
    log = AlertLog(alerts)
    for room in ROOMS:
        log.write(alert(room=room))
    log.close()
    files = {file.name for file in path.parent.iterdir()}
    assert {"history.db-wal", "history.db-shm"} <= files
    assert {"history.db-wal", "alerts.jsonl"} <= set(files_with_marker(path.parent))
    told = erasure(path, alerts=alerts)
    found = told.look()
    others = rows_of(path, "attic")
    erased = erase(told)
    assert found.rows == others
    assert erased.items() <= found.rows.items()
    assert not rows_of(path, MARKER)
    assert (found.lines, len(found.copies)) == (1, 6)
    assert files_with_marker(path.parent) == []
    assert {file.name for file in path.parent.iterdir()} == {"history.db", "alerts.jsonl"}
    assert rows_of(path, "attic") == others
    assert '"attic"' in alerts.read_text()
    again = Store(path)
    assert [episode.room for episode in again.open_episodes()] == ["attic"]
    again.close()
    assert not erasure(path, alerts=alerts).look()


def test_deleted_rows_are_overwritten(store: Store, path: Path) -> None:
    """No byte of a row stays when it is deleted, should the disk be too full to write the file anew."""
    store._db.change("PRAGMA secure_delete = ON")  # noqa: SLF001 - what was updated before is `rewrite`'s to take away
    fill(store, 100)
    store.close()
    assert erasure(path).erase_rows()["episodes"] == 100
    assert files_with_marker(path.parent) == []


def test_a_running_service_is_in_the_way(store: Store, path: Path) -> None:
    """While somebody has the history open nothing is erased, with what to do; nor does it disturb the service."""
    fill(store, 2)
    told = erasure(path)
    for step in (told.look, told.erase_rows, told.rewrite):
        with pytest.raises(StoreError, match=r"history\.db: is in use.*systemctl stop cry-monitor"):
            step()
    before = store.night(T0 - DAY_S)
    store.append(event("cry_started", 9))
    assert len(store.night(T0 - DAY_S).cries) == len(before.cries) + 1
    store.close()
    assert told.look().rows["episodes"] == 2


def test_nobody_gets_in_meanwhile(store: Store, path: Path) -> None:
    """A service that starts while something is erased has no history, and changes nothing of it."""
    store.close()
    alone = open_alone(path)
    assert alone is not None
    assert alone.rows("SELECT * FROM episodes") == []
    with pytest.raises(StoreError, match="locked"):
        Store(path)
    alone.close()
    Store(path).close()


def test_before_a_day_what_was_over_goes(store: Store, path: Path) -> None:
    """Of each table what was before; an episode that began before and ended after stays, and one that is not over."""
    fill(store, 4)
    store.append(event("cry_ended", event_id="late", room=MARKER, episode_id=f"{MARKER}-1", at=T0 + 500))
    store.append(event("cry_started", event_id="open", room=MARKER, episode_id=f"{MARKER}-9", at=T0 - 500))
    store.close()
    told = erasure(path, before_at=T0 + 120)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE episodes SET ended_at = ? WHERE episode_id = ?", (T0 + 500, f"{MARKER}-1"))
        db.commit()
    assert told.look().rows == {"episodes": 1, "events": 9, "alerts": 4, "care": 2, "feedback": 2}
    erase(told)
    with closing(sqlite3.connect(path)) as db:
        left = [name for (name,) in db.execute("SELECT episode_id FROM episodes WHERE room = ? ORDER BY 1", (MARKER,))]
        (oldest,) = db.execute("SELECT min(at) FROM events WHERE room = ?", (MARKER,)).fetchone()
    assert left == [f"{MARKER}-{number}" for number in (1, 2, 3, 9)]
    assert oldest == T0 + 120
    assert rows_of(path, "attic")["events"] == 15


def test_what_is_of_a_cry_goes_with_it(store: Store, path: Path) -> None:
    """An answer that was given after the day goes with the cry that was over before it, another room's stays."""
    for room in ROOMS:
        store.append(event("cry_started", 1, room=room, episode_id=room, event_id=f"{room}-1", at=T0))
        store.append(event("cry_ended", 1, room=room, episode_id=room, event_id=f"{room}-2", at=T0 + 60))
        store.write_feedback(room, room, "hungry", T0 + DAY_S)
    store.close()
    told = erasure(path, before_at=T0 + 120)
    found = told.look().rows
    assert erase(told) == found == {"episodes": 1, "events": 2, "feedback": 1}
    assert "feedback" in rows_of(path, "attic")


@pytest.mark.parametrize(
    ("configured", "before_at", "kept"), [(True, None, True), (False, None, False), (False, T0 + DAY_S, True)]
)
def test_settings_go_with_a_room_that_is_no_more(
    store: Store, path: Path, *, configured: bool, before_at: float | None, kept: bool
) -> None:
    """They are no record of a child, and stay while the room is configured; of one that is not, its name goes, too."""
    store.write_setting(Applied(MARKER, "enabled", "OFF"))
    store.close()
    told = erasure(path, configured=configured, before_at=before_at)
    assert told.look().rows == ({} if kept else {"settings": 1})
    erase(told)
    assert files_with_marker(path.parent) == (["history.db"] if kept else [])


def test_a_copy_without_the_room_stays(store: Store, path: Path) -> None:
    """A copy that mentions the room goes with all that lies beside it, at any --before; any other file stays."""
    store.close()
    for name, content in (
        ("history.db.v1", b"attic"),
        ("history.db.v1-shm", b""),
        ("history.db.v2", b"x" * ((1 << 20) - 4) + MARKER.encode()),
        ("history.db.damaged-20261124T120000Z", b"garbage"),
        ("history.db.damaged-20261124T120000Z-wal", MARKER.encode()),
        ("history.db.mine", MARKER.encode()),
        ("other.db.v1", MARKER.encode()),
    ):
        path.with_name(name).write_bytes(content)
    for before_at in (T0 - 999 * DAY_S, None):
        gone = [file.name for file in erasure(path, before_at=before_at).remove_copies()]
        expected = [
            "history.db.damaged-20261124T120000Z",
            "history.db.damaged-20261124T120000Z-wal",
            "history.db.v2",
        ]
        assert sorted(gone) == (expected if before_at else [])
    assert path.with_name("history.db.v1-shm").exists()
    assert files_with_marker(path.parent) == ["history.db.mine", "other.db.v1"]


def test_without_a_history_there_is_nothing(tmp_path: Path) -> None:
    """No file, an empty one, or a folder that is not there: nothing is found, and nothing is made."""
    (tmp_path / "empty.db").touch()
    for name in ("absent/history.db", "empty.db", "absent.db"):
        told = erasure(tmp_path / name, alerts=tmp_path / "absent" / "alerts.jsonl")
        assert not told.look()
        assert erase(told) == {}
    assert [file.name for file in tmp_path.iterdir()] == ["empty.db"]


@pytest.mark.parametrize(("version", "fix"), [(99, "install that release again"), (1, "start the service once")])
def test_a_history_of_another_release_is_left_alone(store: Store, path: Path, version: int, fix: str) -> None:
    """A newer or an older file is refused with what to do, and a damaged one; nothing of it changes."""
    fill(store, 1)
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("PRAGMA journal_mode = DELETE")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=fix):
        erasure(path).erase_rows()
    assert path.read_bytes() == before
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreError, match=r"is damaged: .*sets a damaged file aside"):
        erasure(path).look()
    assert len(MIGRATIONS) not in (version, 0)


# The alert log


def test_the_alert_log_loses_the_lines_of_the_room(tmp_path: Path, alerts: Path) -> None:
    """And no other line, ours or not, byte for byte; owner and mode stay, a link stays one, nothing lies beside it."""
    alerts.parent.mkdir()
    log = AlertLog(alerts)
    for number, room in enumerate([*ROOMS, MARKER]):
        log.write(alert(room=room, at=T0 + number))
        log.write(held(room=room, at=T0 + number))
    log.close()
    ours = alerts.read_bytes().splitlines(keepends=True)
    foreign = [
        b"# a note\n",
        b"[1]\n5\n" + b"[" * 100_000 + b"\n",
        b'{"room": "zq7marker", "event": "login", "ts": "2026"}\n',
        b"\xff\n",
        b'{"room": "zq7marker", "event": "alert", "ts": ',
    ]
    alerts.write_bytes(b"".join([*ours, *foreign]))
    alerts.chmod(0o640)
    link = tmp_path / "alerts"
    link.symlink_to(alerts)
    assert erasure(tmp_path / "none.db", alerts=link, before_at=T0 + 2).drop_lines() == 2
    assert alerts.read_bytes() == b"".join([*ours[2:], *foreign])
    assert erasure(tmp_path / "none.db", alerts=link).look().lines == 2
    assert erasure(tmp_path / "none.db", alerts=link).drop_lines() == 2
    assert alerts.read_bytes() == b"".join([*ours[2:4], *foreign])
    assert (link.is_symlink(), stat.S_IMODE(alerts.stat().st_mode)) == (True, 0o640)
    assert [file.name for file in alerts.parent.iterdir()] == ["alerts.jsonl"]


def test_an_alert_log_that_cannot_be_written_anew_stays(tmp_path: Path, alerts: Path) -> None:
    """One line that names it and what to do; the old file is whole, and nothing lies beside it. A pipe is no file."""
    alerts.parent.mkdir()
    log = AlertLog(alerts)
    log.write(alert(room=MARKER))
    log.close()
    before = alerts.read_bytes()
    program = """
import resource, signal, sys
from pathlib import Path
from publish.test_erasure import erasure
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
erasure(Path("none.db"), alerts=Path(sys.argv[1])).drop_lines()
"""
    alerts.write_bytes(before + b"another line\n")
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}"}
    told = subprocess.run(
        [sys.executable, "-c", program, alerts], env=environ, capture_output=True, text=True, check=False
    )
    assert "StoreError" in told.stderr
    assert "alerts.jsonl: cannot be erased: [Errno 27] File too large (see that the disk" in told.stderr
    assert alerts.read_bytes() == before + b"another line\n"
    assert [file.name for file in alerts.parent.iterdir()] == ["alerts.jsonl"]
    os.mkfifo(tmp_path / "pipe")
    assert not erasure(tmp_path / "none.db", alerts=tmp_path / "pipe").look()


def test_rotated_logs_are_named(alerts: Path, tmp_path: Path) -> None:
    """What looks like an older part of the alert log is its owner's: it is named, and nothing else is."""
    alerts.parent.mkdir()
    rotated = [
        "alerts-20261124.jsonl",
        "alerts.1.jsonl.gz",
        "alerts.jsonl-20261124",
        "alerts.jsonl.1",
        "alerts.jsonl.2.gz",
    ]
    for name in (*rotated, "alerts.jsonl", "alerts.md", "history.db"):
        (alerts.parent / name).touch()
    assert [file.name for file in erasure(tmp_path / "none.db", alerts=alerts).not_touched()] == rotated
    assert erasure(tmp_path / "none.db").not_touched() == []
