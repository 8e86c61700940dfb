import io
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from publish.make import T0, alert, event, held, rehearsed
from rich.console import Console

from monitor.config import Loaded, load_config
from monitor.errors import StoreError
from monitor.publish import Store, past_episodes
from monitor.publish.database import open_to_read
from monitor.publish.schema import MIGRATIONS
from monitor.verbs.history import history, parse_since

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEYS = ["episode_id", "room", "started_at", "ended_at", "ended_by", "duration_s", "peak", "mean", "reason", "model"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history of two episodes an hour apart, closed."""
    path = tmp_path / "state" / "history.db"
    store = Store(path)
    for number, offset_s in ((1, 0.0), (2, 3_600.0)):
        for kind in ("cry_started", "cry_ended"):
            at = T0 + offset_s + (6 if kind == "cry_started" else 30)
            store.append(event(kind, number, started_at=T0 + offset_s, at=at))
    store.close()
    return path


def loaded(path: Path) -> Loaded:
    return load_config(None, [f"history.path={path}"])


def told(path: Path, capsys: pytest.CaptureFixture[str], since: datetime | None = None) -> list[dict[str, Any]]:
    """What `history` prints where no terminal is."""
    assert history(loaded(path), jsonl=False, since=since) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_an_episode_is_a_json_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no terminal is, each episode is one JSON object with these keys, oldest first."""
    first, second = told(path, capsys)
    assert list(first) == KEYS
    assert first == {
        "episode_id": "e1",
        "room": "nursery",
        "started_at": "2026-09-21T14:13:20.250Z",
        "ended_at": "2026-09-21T14:13:50.250Z",
        "ended_by": "quiet",
        "duration_s": 5.5,
        "peak": 0.97,
        "mean": 0.88,
        "reason": "unsure",
        "model": "cry-1",
    }
    assert second["episode_id"] == "e2"


def test_a_terminal_gets_a_table(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal gets a table with the times of this machine's clock, and JSON lines only with --jsonl."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120, color_system=None)
    assert history(loaded(path), jsonl=False, since=None, console=console) == 0
    heading, first, _ = output.getvalue().splitlines()
    assert heading.split()[:3] == ["started", "room", "ended"]
    here = datetime.fromtimestamp(T0, UTC).astimezone()
    assert first.split()[:3] == [f"{here:%Y-%m-%d}", f"{here:%H:%M:%S}", "nursery"]
    assert capsys.readouterr().out == ""
    assert history(loaded(path), jsonl=True, since=None, console=console) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_alerts_stand_among_the_episodes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sent and held back, by their time; the cause of one that was held is what held it; a test is of no episode."""
    store = Store(path)
    for said in (alert(), rehearsed(at=T0 + 5_000)):
        store.append(said)
    store.append_held(held())
    store.close()
    lines = told(path, capsys)
    assert [(line.get("event_type"), line["episode_id"], line.get("cause")) for line in lines] == [
        (None, "e1", None),
        ("alert", "e1", "first"),
        ("alert_held", "e1", "snooze"),
        (None, "e2", None),
        ("alert", None, "test"),
    ]
    assert lines[2] == {
        "event_type": "alert_held",
        "due": "repeat",
        "episode_id": "e1",
        "room": "nursery",
        "at": "2026-09-21T14:14:00.250Z",
        "cause": "snooze",
        "crying_s": 38.0,
    }
    assert lines[4]["crying_s"] is None
    since = datetime.fromtimestamp(T0 + 4_000, UTC)
    assert [line["event_type"] for line in told(path, capsys, since)] == ["alert"]
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120, color_system=None)
    assert history(loaded(path), jsonl=False, since=None, console=console) == 0
    assert "alert_held: snooze" in output.getvalue().splitlines()[3]


def test_an_open_episode_has_no_end(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An episode that runs is shown, its end null, while the service that writes it has the file open."""
    store = Store(path)
    store.append(event("cry_started", 3, started_at=T0 + 7_200, at=T0 + 7_206))
    assert [(e["episode_id"], e["ended_at"], e["ended_by"]) for e in told(path, capsys)][2] == ("e3", None, None)
    store.close()


def test_since_leaves_out_what_ended_before(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`since` keeps an episode that lasted into it, and leaves out one that ended before."""
    for offset_s, ids in ((29, ["e1", "e2"]), (31, ["e2"]), (4_000, [])):
        since = datetime.fromtimestamp(T0 + offset_s, UTC)
        assert [episode["episode_id"] for episode in told(path, capsys, since)] == ids


def test_no_history_yet_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file, or with one that a service has just begun, it says that there is none; nothing is made."""
    for name in ("absent/history.db", "empty.db"):
        (tmp_path / "empty.db").touch()
        assert history(loaded(tmp_path / name), jsonl=True, since=None) == 0
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "no history yet" in captured.err
    assert [file.name for file in tmp_path.iterdir()] == ["empty.db"]


def test_reading_changes_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not one byte beside the history changes when it is read, nor does a file of SQLite's stay behind."""
    before = contents(path.parent)
    assert len(told(path, capsys)) == 2
    assert contents(path.parent) == before


def test_a_running_writer_is_not_disturbed(path: Path) -> None:
    """Reading waits for no writer, and a writer waits for no reader."""
    store = Store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(past_episodes(path) or []) == 2
        other.execute("ROLLBACK")
    store.append(event("cry_started", 3))
    assert len(past_episodes(path) or []) == 3
    store.close()


def test_a_service_that_died_is_read_too(path: Path, tmp_path: Path) -> None:
    """What stands in the write-ahead log of a process that was killed is read as well."""
    store = Store(path)
    store.append(event("cry_started", 3))
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("history.db", "history.db-wal"):
        (copy / name).write_bytes((path.parent / name).read_bytes())
    store.close()
    assert len(past_episodes(copy / "history.db") or []) == 3


@pytest.mark.parametrize("damage", ["not a database", "malformed"])
def test_a_damaged_history_is_one_line(path: Path, damage: str) -> None:
    """A damaged file is one clear line that says what becomes of it, and it is left as it is."""
    content = bytearray(path.read_bytes())
    content[:16] = b"?" * 16 if damage == "not a database" else content[:16]
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"history\.db: is damaged: .*sets a damaged file aside"):
        history(loaded(path), jsonl=True, since=None)
    assert contents(path.parent) == {"history.db": bytes(content)}


@pytest.mark.parametrize(("version", "fix"), [(99, "install that release again"), (1, "start the service once")])
def test_a_history_of_another_release_is_one_line(path: Path, version: int, fix: str) -> None:
    """A file of a newer or an older release is refused with what to do."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    later = (*MIGRATIONS, ("SELECT 1",)) if version == 1 else MIGRATIONS
    with pytest.raises(StoreError, match=fix):
        open_to_read(path, later)


def test_the_command_line(repository: Path, path: Path, tmp_path: Path) -> None:
    """`history --jsonl` prints the lines and ends with 0, a damaged file with 1 and one line, a bad time with 2."""

    def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "monitor", "history", "--set", f"history.path={path}", *arguments]
        return subprocess.run(
            command, cwd=repository, env=os.environ, capture_output=True, text=True, timeout=60, check=False
        )

    good = run(path, "--jsonl", "--since", "2026-09-21T15:00:00Z")
    assert (good.returncode, good.stderr) == (0, "")
    assert [json.loads(line)["episode_id"] for line in good.stdout.splitlines()] == ["e2"]
    (tmp_path / "bad.db").write_bytes(b"no database" * 1_000)
    bad = run(tmp_path / "bad.db")
    assert (bad.returncode, bad.stdout, len(bad.stderr.splitlines())) == (1, "", 1)
    assert bad.stderr.startswith("cry-monitor: ")
    assert run(path, "--since", "yesterday").returncode == 2


# --since


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("12h", NOON - timedelta(hours=12)),
        ("7d", NOON - timedelta(days=7)),
        ("90m", NOON - timedelta(minutes=90)),
        ("2026-11-24T22:00:00Z", datetime(2026, 11, 24, 22, tzinfo=UTC)),
        ("2026-11-24t22:00:00.25z", datetime(2026, 11, 24, 22, microsecond=250_000, tzinfo=UTC)),
        ("2026-11-24T22:00:00+02:00", datetime(2026, 11, 24, 20, tzinfo=UTC)),
        ("2026-11-24", datetime(2026, 11, 24).astimezone(UTC)),
        ("2026-11-24 22:00", datetime(2026, 11, 24, 22).astimezone(UTC)),
    ],
)
def test_since_takes_days_times_and_ages(text: str, instant: datetime) -> None:
    """A day is its midnight here, a time is RFC 3339, an age counts back from now."""
    assert parse_since(text, NOON) == instant


@pytest.mark.parametrize(
    "text",
    ["", "12", "h", "-3h", "1.5h", "12 h", "yesterday", "2026-02-31", "20261124", "2026-W48-2", "0001-01-01x", "٣h"],
)
def test_since_refuses_what_it_does_not_know(text: str) -> None:
    """Whatever else is a ValueError that shows all three forms."""
    with pytest.raises(ValueError, match=r"2026-11-24\).*22:00:00Z\).*12h"):
        parse_since(text, NOON)
