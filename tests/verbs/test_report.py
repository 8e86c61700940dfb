import io
import json
import stat
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread
from publish.make import alert, event, held, rehearsed
from rich.console import Console

from monitor.config import Loaded, load_config
from monitor.errors import PictureError, StoreError
from monitor.publish import Minute, Store
from monitor.verbs.report import report
from monitor.verbs.timeline import gaps

KEYS = [
    *("night", "room", "episodes", "crying_minutes", "longest_s", "settle_s", "alerts", "alerts_held"),
    *("heard_h", "figures"),
]
NIGHT = date(2026, 11, 24)


def here(text: str) -> float:
    """Return the instant of this machine's clock."""
    return datetime.fromisoformat(text).timestamp()


EVENING = here("2026-11-24T20:00:00")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A night with three cries, two of which ended in quiet, in one of two rooms; heard for ten hours but one."""
    path = tmp_path / "state" / "history.db"
    store = Store(path)
    cries = [(1, 0.0, 60.0, "quiet"), (2, 3_600.0, 240.0, "quiet"), (3, 7_200.0, 1_000.0, "source_lost")]
    for number, after_s, duration_s, ended_by in cries:
        at = EVENING + after_s
        said = {"started_at": at, "duration_s": duration_s, "lead_s": 6.0, "ended_by": ended_by}
        store.append(event("cry_started", number, at=at + 6, **said))
        store.append(event("cry_ended", number, at=at + duration_s, **said))
        store.append(alert(number, at=at + 30, sensitivity="normal"))
    store.append(rehearsed(at=EVENING + 10, sensitivity="normal"))
    store.append_held(held(episode_id="e3", at=EVENING + 7_400))
    store.append_held(held(episode_id="e0", at=EVENING - 9 * 3_600))  # of the night before
    store.write_feedback("nursery", "e1", "not_a_cry", EVENING + 70)
    store.write_minutes([minute(n) for n in range(600) if not 300 <= n < 360])
    store.close()
    return path


def minute(number: int, **changes: object) -> Minute:
    made = {"room": "nursery", "level_dbfs": -40.0, "score": 0.1, "model": "cry-1", "sensitivity": "normal"}
    return Minute(**(made | {"at": int(EVENING) + 60 * number, "heard_s": 60.0} | changes))  # type: ignore[arg-type]


def loaded(path: Path) -> Loaded:
    return load_config(
        None, [f"history.path={path}", "rooms.nursery.source=microphone", "rooms.attic.source=microphone"]
    )


def told(path: Path, capsys: pytest.CaptureFixture[str], night: date | None = None) -> list[dict[str, Any]]:
    """What `report` prints where no terminal is."""
    assert report(loaded(path), night=night, png=None, jsonl=False) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_room_is_a_json_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each configured room is one object with these keys; what came before a cry was sure is of it."""
    nursery, attic = told(path, capsys)
    assert (list(nursery), list(attic)) == (KEYS, KEYS)
    figures = nursery.pop("figures")
    assert nursery == {
        "night": "2026-11-24",
        "room": "nursery",
        "episodes": 3,
        "crying_minutes": 21.97,
        "longest_s": 1_006.0,
        "settle_s": 156.0,
        "alerts": 3,
        "alerts_held": 1,
        "heard_h": 9.0,
    }
    by = figures.pop("by")
    assert figures == {
        "heard_h": 9.0,
        "alerts": 3,
        "answered": 1,
        "unanswered": 2,
        "not_a_cry": 1,
        "per_night": 0.89,
        "per_night_low": 0.022,
        "per_night_high": 5.0,
    }
    assert by == [{"model": "cry-1", "sensitivity": "normal", **figures}]
    assert (attic["episodes"], attic["settle_s"], attic["figures"]["per_night_high"]) == (0, None, None)


def test_a_room_that_is_configured_no_more_is_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it heard that night is told after the configured rooms."""
    store = Store(path)
    store.write_minutes([minute(0, room="cellar")])
    store.close()
    assert [line["room"] for line in told(path, capsys)] == ["nursery", "attic", "cellar"]


@pytest.mark.parametrize(
    ("latest", "night"),
    [
        (None, "2026-11-24"),
        ("2026-11-25T11:00:00", "2026-11-24"),
        ("2026-11-25T17:00:00", "2026-11-24"),  # the afternoon: the last night is meant
        ("2026-11-25T18:30:00", "2026-11-25"),
    ],
)
def test_the_latest_night_is_told(
    path: Path, capsys: pytest.CaptureFixture[str], latest: str | None, night: str
) -> None:
    """That is the last until the evening, and from 18:00 on the one that has begun."""
    if latest is not None:
        store = Store(path)
        store.write_minutes([minute(0, at=int(here(latest)))])
        store.close()
    assert {line["night"] for line in told(path, capsys)} == {night}


def test_a_night_runs_from_noon_to_noon(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cry that crosses noon is of the night in which it began; a night without anything is told as such."""
    store = Store(path)
    at = here("2026-11-24T11:59:00")
    store.append(event("cry_ended", 9, started_at=at, at=at + 300, duration_s=280.0))
    store.close()
    assert [line["episodes"] for line in told(path, capsys, date(2026, 11, 23))] == [1, 0]
    assert [line["alerts_held"] for line in told(path, capsys, date(2026, 11, 23))] == [1, 0]
    assert [line["episodes"] for line in told(path, capsys, NIGHT)] == [3, 0]
    assert [line["episodes"] for line in told(path, capsys, date(2026, 11, 22))] == [0, 0]


def test_a_terminal_gets_a_table_and_sentences(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The night as a table, below it the figures in words, and what nobody answered."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=200, color_system=None, highlight=False)
    assert report(loaded(path), night=NIGHT, png=None, jsonl=False, console=console) == 0
    text = output.getvalue()
    assert "The night of 2026-11-24, from noon to noon" in text
    row = next(line for line in text.splitlines() if line.startswith("nursery "))
    assert row.split() == ["nursery", "3", "21:58", "16:46", "2:36", "3", "1", "9.0", "h"]
    assert (
        "nursery: 1 false alarm reported in 9.0 h heard: 0.89 a night, 95 % interval 0.022 to 5; "
        "2 of 3 alerts were not answered, and may have been false" in text
    )
    assert "attic: nothing heard yet" in text
    assert capsys.readouterr().out == ""
    assert report(loaded(path), night=NIGHT, png=None, jsonl=True, console=console) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_models_and_sensitivities_are_told_apart(path: Path) -> None:
    """Where there are several each has a line of its own."""
    store = Store(path)
    store.write_minutes([minute(n, sensitivity="high", model="cry-2") for n in range(700, 700 + 60 * 212)])
    store.close()
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=200, color_system=None, highlight=False)
    report(loaded(path), night=NIGHT, png=None, jsonl=False, console=console)
    assert (
        "  cry-2, high: 0 false alarms reported in 212 h heard: under 0.12 a night (95 %); no alert"
        in output.getvalue()
    )


def test_without_a_history_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing yet is no fault: exit code 0, nothing on standard output, one line for the person."""
    assert report(loaded(tmp_path / "none.db"), night=None, png=None, jsonl=True) == 0
    captured = capsys.readouterr()
    assert (captured.out, "no history yet" in captured.err) == ("", True)


def test_a_history_that_cannot_be_read_is_a_store_error(tmp_path: Path) -> None:
    """Damaged is not empty."""
    (tmp_path / "bad.db").write_bytes(b"nothing of SQLite's" * 100)
    with pytest.raises(StoreError, match="damaged"):
        report(loaded(tmp_path / "bad.db"), night=None, png=None, jsonl=True)


def test_it_changes_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Read beside a service or alone, the folder is byte for byte what it was."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    told(path, capsys)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_night_is_drawn(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1 200 pixels wide, one pair of panels a room, and the words are told all the same."""
    png = tmp_path / "night.png"
    assert report(loaded(path), night=NIGHT, png=png, jsonl=True) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    height, width, _ = imread(png).shape
    assert (width, height) == (1_200, 840)
    assert png.stat().st_size < 150_000
    assert stat.S_IMODE(png.stat().st_mode) == 0o600, "it shows when a child cried"


def test_a_picture_that_cannot_be_is_told(path: Path, tmp_path: Path) -> None:
    """A night without anything, and a folder that is not there: named, with the fix."""
    with pytest.raises(PictureError, match="nothing was heard"):
        report(loaded(path), night=date(2026, 1, 1), png=tmp_path / "night.png", jsonl=True)
    with pytest.raises(PictureError, match="cannot be written"):
        report(loaded(path), night=NIGHT, png=tmp_path / "no" / "night.png", jsonl=True)


def test_without_matplotlib_it_says_what_to_install(path: Path, repository: Path, tmp_path: Path) -> None:
    """The words come, and one line says which extra draws; no traceback."""
    code = "import sys; sys.modules['matplotlib'] = None; from monitor.cli import main; main()"
    command = [sys.executable, "-c", code, "report", "--png", str(tmp_path / "n.png"), "--set", f"history.path={path}"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "pip install 'cry-monitor[report]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout.splitlines()[0])["episodes"] == 3


def test_deaf_time_is_found() -> None:
    """Minutes that are missing, or of which less than half was heard; a night that is heard has no gap."""
    at = int(EVENING)
    minutes = [minute(n, heard_s=60.0 if n != 5 else 20.0) for n in range(10) if n not in (2, 3)]
    assert gaps(minutes, at, at + 600) == [(at + 120, at + 240), (at + 300, at + 360)]
    assert gaps(minutes, at - 600, at + 1_200) == [
        (at - 600, at),
        (at + 120, at + 240),
        (at + 300, at + 360),
        (at + 600, at + 1_200),
    ]
    assert gaps([minute(n) for n in range(10)], at, at + 600) == []
    assert gaps([], at, at + 600) == [(at, at + 600)]
