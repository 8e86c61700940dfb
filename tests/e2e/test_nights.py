"""The labelled nights, through the command line as a user calls it. They are no part of the project: see the README."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"
NIGHTS = ["night/night", "extra/night/night_low_snr"]

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
