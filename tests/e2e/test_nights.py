"""The labelled nights, through the command line as a user calls it. They are no part of the project: see the README."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.service import Service, cry_monitor, room
from mqtt_broker import free_port

from monitor.publish import past_alerts, past_episodes

SHARED = Path(__file__).parents[3] / "shared"
NIGHTS = ["night/night", "extra/night/night_low_snr"]

NIGHT_AT_MOST_S = 200.0
"""Twenty minutes of sound as fast as they go: 10 s, and longer where the machine is busy."""

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="../shared (the labelled nights and their scorer) is not here: a clone has none"
)


@needs_shared
@pytest.mark.parametrize("night", NIGHTS, ids=["night", "low-snr"])
def test_a_labelled_night_is_heard(repository: Path, tmp_path: Path, night: str) -> None:
    """All eight cries are found, at most one episode is false, and half of the cries are told within 6 s."""
    recording = SHARED / "data" / f"{night}.flac"
    command = [sys.executable, "-m", "monitor", "replay", str(recording), "--jsonl"]
    with (tmp_path / "events.jsonl").open("w") as events:
        subprocess.run(command, cwd=repository, stdout=events, timeout=300, check=True)
    scorer = SHARED / "tools" / "night_score.py"
    truth = recording.with_suffix(".csv")
    scored = subprocess.run(
        [sys.executable, str(scorer), str(tmp_path / "events.jsonl"), str(truth)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    figures = json.loads(scored.stdout)
    assert figures["found"] == figures["cries"] == 8
    assert figures["false_episodes"] <= 1
    assert figures["median_latency_s"] <= 6


def reported(service: Service) -> dict[str, object]:
    """Let a recording be heard as fast as it goes, with no broker; return what `report` says of its night."""
    with service:
        service.wait_for_line("source_ended", deadline_s=NIGHT_AT_MOST_S)
        service.stop()
    done = cry_monitor("report", "--jsonl", "--config", service.config)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    told: dict[str, object] = json.loads(line)
    return told


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("night", NIGHTS, ids=["night", "low-snr"])
def test_the_report_of_a_labelled_night_agrees_with_its_labels(tmp_path: Path, night: str) -> None:
    """Episodes and minutes of crying are those of the rows labelled cry, within 10 %; all of the night was heard."""
    recording = SHARED / "data" / f"{night}.flac"
    with recording.with_suffix(".csv").open(newline="") as lines:
        cries = [float(r["offset_s"]) - float(r["onset_s"]) for r in csv.DictReader(lines) if r["label"] == "cry"]
    rooms = {"nursery": room(recording, speed=0.0)}
    told = reported(Service(tmp_path, port=free_port(), rooms=rooms))
    assert told["episodes"] == pytest.approx(len(cries), rel=0.1)
    assert told["crying_minutes"] == pytest.approx(sum(cries) / 60, rel=0.1)
    assert told["heard_h"] == pytest.approx(0.33, abs=0.011)


def test_the_report_says_what_the_history_holds(tmp_path: Path, crying: Path) -> None:
    """The shipped recording, 10 s of crying in 37 s: one cry of about that length, its alert, and what was heard."""
    rooms = {"nursery": room(crying, speed=0.0)}
    told = reported(Service(tmp_path, port=free_port(), rooms=rooms))
    (cry,), alerts = past_episodes(tmp_path / "home.db") or [], past_alerts(tmp_path / "home.db") or []
    assert (told["episodes"], told["alerts"], told["alerts_held"]) == (1, len(alerts), 0)
    assert told["longest_s"] == told["settle_s"] == pytest.approx(cry.lead_s + cry.duration_s, abs=0.1)
    assert told["longest_s"] == pytest.approx(10, abs=2.5)
    assert told["heard_h"] == 0.01
