"""`replay`: long recordings, and the same answers from either runtime."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import synth
from e2e.service import REPOSITORY, cry_monitor

from monitor.records import SAMPLE_RATE_HZ

# Its own small process between us and the measured one: at its start a child counts what its parent held.
PEAK = """
import os, sys
pid = os.posix_spawn(sys.executable, [sys.executable, "-m", "monitor", "replay", "--jsonl", *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss / 1024, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def write_noise(path: Path, minutes: int) -> None:
    """Write a quiet room with a 2 s burst of noise every 10 s, block by block."""
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1, "PCM_16") as file:
        for minute in range(minutes):
            quiet = synth.noise(60.0, seed=minute)
            bursts = [(float(at_s), synth.noise(2.0, -20.0, seed=at_s)) for at_s in range(0, 60, 10)]
            file.write(synth.over(quiet, *bursts))


def peak_mb(path: Path) -> float:
    """Return the most memory that `replay` of this file held, in MB."""
    result = subprocess.run(
        [sys.executable, "-S", "-c", PEAK, path],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return float(result.stderr)


@pytest.mark.slow
def test_a_long_recording_is_never_loaded_whole(tmp_path: Path) -> None:
    """Half an hour takes no more memory than a minute does."""
    minute, half_an_hour = tmp_path / "1.flac", tmp_path / "30.flac"
    write_noise(minute, 1)
    write_noise(half_an_hour, 30)
    assert abs(peak_mb(half_an_hour) - peak_mb(minute)) < 15


def jsonl(verb: str, path: Path, runtime: str) -> list[dict[str, Any]]:
    """Return what a command says of a file with this runtime."""
    result = cry_monitor(verb, "--jsonl", path, "--set", f"model.runtime={runtime}")
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.slow
def test_both_runtimes_hear_the_same(crying: Path) -> None:
    """TensorFlow gives the same events as LiteRT, and every window's score within 1e-4."""
    lite, full = (jsonl("replay", crying, runtime) for runtime in ("litert", "tensorflow"))
    for event in (*lite, *full):
        event["confidence"] = pytest.approx(event["confidence"], abs=2e-4)
    assert lite == full
    (lite_scores,), (full_scores,) = (jsonl("score", crying, runtime) for runtime in ("litert", "tensorflow"))
    windows = [np.array(scores["windows"]) for scores in (lite_scores, full_scores)]
    assert np.array_equal(windows[0][:, 0], windows[1][:, 0])
    assert np.abs(windows[0][:, 1] - windows[1][:, 1]).max() < 1e-4


def test_a_replay_alerts_nobody(crying: Path) -> None:
    """A replay tells of cries and of nothing else, whatever the room's `alert` table says."""
    result = cry_monitor("replay", "--jsonl", crying, "--set", "rooms.nursery.alert.repeat_after_s=10")
    told = {json.loads(line)["event_type"] for line in result.stdout.splitlines()}
    assert {"cry_started", "cry_ended"} <= told <= {"cry_started", "cry_ongoing", "cry_ended"}


def test_a_replay_is_repeatable(crying: Path) -> None:
    """The same file gives the same lines, twice in one run but for the episode's number, and in the next run."""
    first, second = (cry_monitor("replay", "--jsonl", crying, crying).stdout for _ in range(2))
    assert first == second
    events = [json.loads(line) for line in first.splitlines()]
    assert [{**e, "episode_id": ""} for e in events[:2]] == [{**e, "episode_id": ""} for e in events[2:]]
    assert [event["event_type"] for event in events] == ["cry_started", "cry_ended"] * 2
    assert events[0]["file"] == str(crying)
