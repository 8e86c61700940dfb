"""Recordings as people have them: odd, damaged, or none at all."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from e2e.service import cry_monitor

from monitor.records import SAMPLE_RATE_HZ


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def bad(tmp_path: Path, crying: Path) -> list[tuple[Path, str]]:
    """One file of each kind of bad, and what is to be said of it."""
    sound, rate_hz = soundfile.read(crying, dtype="float32")
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "whole.wav", sound, rate_hz, subtype="PCM_16")
    whole = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.wav").write_text("Dear diary, the baby cried.\n")
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "header.wav", sound[:0], rate_hz)
    sound[len(sound) // 2] = np.nan
    soundfile.write(tmp_path / "nan.wav", sound, rate_hz, subtype="FLOAT")
    faults = {
        "empty": "is empty",
        "cut": "is truncated",
        "text": "is no recording",
        "absent": "no such file",
        "folder": "is no recording",
        "header": "holds no samples",
        "nan": "no numbers",
    }
    return [(tmp_path / f"{name}.wav", fault) for name, fault in faults.items()]


@pytest.mark.parametrize("verb", ["replay", "score"])
def test_a_bad_file_is_one_line_and_stops_no_other(verb: str, bad: list[tuple[Path, str]], crying: Path) -> None:
    """Each bad file is one line that names it and its fault; the others are done; exit 1, no traceback."""
    names = [path for path, _ in bad]
    half = len(names) // 2
    result = cry_monitor(verb, "--jsonl", *names[:half], crying, *names[half:])
    assert result.returncode == 1
    for line, (path, fault) in zip(result.stderr.splitlines(), bad, strict=True):
        assert line.startswith(f"{path}: ")
        assert fault in line
    done = {line["file"] for line in lines(result.stdout)}
    assert str(crying) in done
    if verb == "score":
        assert done == {str(crying)}


@pytest.mark.parametrize("cut", [0.5, 0.99])
def test_a_truncated_flac_is_refused(tmp_path: Path, crying: Path, cut: float) -> None:
    """Compressed or not, a file that breaks off is exit 1 and is named."""
    path = tmp_path / "cut.flac"
    path.write_bytes(crying.read_bytes()[: round(crying.stat().st_size * cut)])
    for verb in ("replay", "score"):
        result = cry_monitor(verb, path)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"{path}: ")


def test_odd_recordings_work(tmp_path: Path, crying: Path) -> None:
    """Stereo at 44.1 kHz, 8 bits, 24 bits, floats, Ogg: the same cry in each; floats hold the very same samples."""
    sound, rate_hz = soundfile.read(crying, dtype="float32")
    stereo = soxr.resample(np.stack([sound, sound], axis=1), rate_hz, 44_100)
    files = {
        tmp_path / "stereo.wav": (stereo, 44_100, "PCM_16"),
        tmp_path / "eight bits.wav": (sound, rate_hz, "PCM_U8"),
        tmp_path / "float.wav": (sound, rate_hz, "FLOAT"),
        tmp_path / "24.flac": (sound, rate_hz, "PCM_24"),
        tmp_path / "Zoë\n.ogg": (sound, rate_hz, "VORBIS"),
    }
    for path, (samples, rate, subtype) in files.items():
        soundfile.write(path, samples, rate, subtype=subtype)
    shutil.copy(crying, tmp_path / "plain.flac")
    result = cry_monitor("replay", "--jsonl", tmp_path / "plain.flac", *files)
    assert (result.returncode, result.stderr) == (0, "")
    events = lines(result.stdout)
    for path in [tmp_path / "plain.flac", *files]:
        assert [e["event_type"] for e in events if e["file"] == str(path)] == ["cry_started", "cry_ended"], path
    plain = [{**event, "file": "", "episode_id": ""} for event in events if event["file"].endswith("plain.flac")]
    assert [{**event, "file": "", "episode_id": ""} for event in events if event["file"].endswith("float.wav")] == plain


def test_what_is_shorter_than_a_window_is_scored(tmp_path: Path, crying: Path) -> None:
    """A single sample or half a second: one window, zeros in front; `replay` says nothing of it and ends with 0."""
    sound, rate_hz = soundfile.read(crying, dtype="int16")
    short, sample = tmp_path / "short.wav", tmp_path / "sample.wav"
    soundfile.write(short, sound[5 * rate_hz : 5 * rate_hz + rate_hz // 2], rate_hz)
    soundfile.write(sample, sound[:1], rate_hz)
    scored = cry_monitor("score", "--jsonl", short, sample)
    assert (scored.returncode, scored.stderr) == (0, "")
    first, second = lines(scored.stdout)
    assert (first["duration_s"], len(first["windows"])) == (0.5, 1)
    assert len(second["windows"]) == 1
    assert all(0 <= line["cry"] <= 1 for line in (first, second))
    replayed = cry_monitor("replay", "--jsonl", short, sample)
    assert (replayed.returncode, replayed.stdout, replayed.stderr) == (0, "", "")


def test_score_lists_every_window(crying: Path) -> None:
    """`cry` is the highest of the windows, whose ends are a hop apart and inside the file."""
    (line,) = lines(cry_monitor("score", "--jsonl", crying).stdout)
    ends = [at_s for at_s, _ in line["windows"]]
    hops = np.diff(ends)
    assert line["cry"] == max(score for _, score in line["windows"])
    assert np.ptp(hops) < 0.002
    assert line["duration_s"] - hops[0] < ends[-1] <= line["duration_s"]
    assert line["windows"][0][0] * SAMPLE_RATE_HZ == 24_000
