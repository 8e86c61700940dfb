import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from publish.make import alert, event, held, rehearsed

from monitor.publish import AlertLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the lines go."""
    return tmp_path / "alerts.jsonl"


@pytest.fixture
def alert_log(path: Path) -> Iterator[AlertLog]:
    """A log that has not written yet."""
    opened = AlertLog(path)
    yield opened
    opened.close()


def lines(path: Path) -> list[dict[str, object]]:
    """Return what is written."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_alert_is_a_line(alert_log: AlertLog, path: Path) -> None:
    """Sent, held back or a test: one JSON object each, with these keys, for its owner's eyes alone."""
    for record in (alert(), held(), rehearsed()):
        alert_log.write(record)
    golden = Path(__file__).parent / "golden" / "alerts.jsonl"
    assert lines(path) == lines(golden)
    assert path.read_text() == golden.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_was_moved_is_begun_anew(alert_log: AlertLog, path: Path) -> None:
    """After a rotation the next line goes into a new file at the same path; a removed one likewise."""
    alert_log.write(alert(1))
    path.rename(path.with_suffix(".1"))
    alert_log.write(alert(2))
    assert [line["episode_id"] for line in lines(path)] == ["e2"]
    path.unlink()
    alert_log.write(alert(3))
    assert [line["episode_id"] for line in lines(path)] == ["e3"]
    assert [line["episode_id"] for line in lines(path.with_suffix(".1"))] == ["e1"]


def test_a_file_that_was_emptied_goes_on(alert_log: AlertLog, path: Path) -> None:
    """A rotation that copies and empties leaves no hole."""
    alert_log.write(alert(1))
    os.truncate(path, 0)
    alert_log.write(alert(2))
    assert [line["episode_id"] for line in lines(path)] == ["e2"]


def test_a_missing_folder_is_a_warning(tmp_path: Path) -> None:
    """The first time and each 100th, with how many are lost; when it is there, the lines come."""
    alert_log = AlertLog(tmp_path / "absent" / "alerts.jsonl")
    with structlog.testing.capture_logs() as logs:
        for number in range(102):
            alert_log.write(alert(number))
        (tmp_path / "absent").mkdir()
        alert_log.write(alert(4))
        alert_log.write(alert(5))
    assert [(line["event"], line["log_level"], line["lost"]) for line in logs] == [
        ("alert_log_failed", "warning", 1),
        ("alert_log_failed", "warning", 101),
        ("alert_log_works_again", "info", 102),
    ]
    assert len(lines(alert_log.path)) == 2
    alert_log.close()
    alert_log.close()


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """What does not fit whole is taken back, and the next line that fits is whole."""
    program = """
import resource, signal, sys
from pathlib import Path
from publish.make import alert
from monitor.publish import AlertLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))  # room for one line and a half
log = AlertLog(Path(sys.argv[1]))
for number in range(3):
    log.write(alert(number))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.write(alert(9))
"""
    root = Path(__file__).parents[2]
    path = tmp_path / "alerts.jsonl"
    told = subprocess.run(
        [sys.executable, "-c", program, path],
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.count("alert_log_failed") == 1
    assert [line["episode_id"] for line in lines(path)] == ["e0", "e9"]


def test_a_pipe_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    """Opening it would wait for a reader; it is a failure like any other."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with structlog.testing.capture_logs() as logs:
        AlertLog(path).write(event("alert", cause="first"))
    assert [line["event"] for line in logs] == ["alert_log_failed"]
