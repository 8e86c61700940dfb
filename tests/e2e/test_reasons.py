"""Why it probably cries, end to end: what a model says reaches the broker, and a useless one costs no cry."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import synth
import toy_reason
from e2e.heard import STATE, cries, payloads, wait_for, wait_for_event, wait_for_text
from e2e.service import Service, cry_monitor, room
from mqtt_broker import Mosquitto, Received, Recorder

from monitor.detect import Reasons, load_reason_model

HEALTH = "cry/home/health"
ALWAYS_NAMED = {"CRY_REASON__MIN_CONFIDENCE": "0"}


@pytest.mark.broker
def test_a_cause_reaches_the_broker(broker: Mosquitto, recorder: Recorder, tmp_path: Path, late_crying: Path) -> None:
    """The toy's likeliest category is one `cry_ongoing` more; `state` and the end carry it, and all eight odds."""
    rooms = {"nursery": room(late_crying)}
    with Service(tmp_path, port=broker.port, rooms=rooms, environ=ALWAYS_NAMED) as service:
        wait_for_text(recorder, "cry/home/status", "online")
        ended = wait_for_event(recorder, "cry_ended")
        wait_for(recorder, lambda all_: payloads(all_, STATE)[-1]["problem"] == "source_ended", "the recording's end")
        service.stop()
    started, ongoing, _ = cries(recorder.received)
    assert (started["event_type"], started["reason"], started["reasons"]) == ("cry_started", "unsure", {})
    assert ongoing["event_type"] == "cry_ongoing"
    judged = [state for state in payloads(recorder.received, STATE) if state["reasons"]]
    assert judged
    for told in (ongoing, ended, *judged):
        assert told["reason"] in toy_reason.CATEGORIES
        assert list(told["reasons"]) == list(toy_reason.CATEGORIES)
        assert sum(round(share * 1_000) for share in told["reasons"].values()) == 1_000
        assert told["reasons"][told["reason"]] == max(told["reasons"].values())
    assert {state["problem"] for state in judged} == {"ok"}


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "model.tflite").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / "model.tflite").write_bytes(data)


DAMAGES = pytest.mark.parametrize("damage", [shutil.rmtree, flip_a_byte], ids=["absent", "corrupt"])


@pytest.fixture
def damaged(toy_reason_folder: Path, tmp_path: Path, damage: Callable[[Path], None]) -> Path:
    """A reason model's folder that cannot be used."""
    folder = tmp_path / "reason"
    shutil.copytree(toy_reason_folder, folder)
    damage(folder)
    return folder


@pytest.mark.broker
@DAMAGES
def test_a_damaged_reason_model_costs_no_cry(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, crying: Path, damaged: Path
) -> None:
    """One WARNING with the fix, `problem: reason_model` in `state` and `health`; the cry is told, `unsure`, {}."""

    def problem(received: list[Received], topic: str) -> object:
        said = payloads(received, topic)
        return said[-1]["problem"] if said else None

    rooms = {"nursery": room(crying, loop=True)}
    with Service(tmp_path, port=broker.port, rooms=rooms, environ={"CRY_REASON__PATH": str(damaged)}) as service:
        wait_for_event(recorder, "cry_ended")
        wait_for(recorder, lambda all_: {problem(all_, t) for t in (STATE, HEALTH)} == {"reason_model"}, "the problem")
        service.stop()
        warnings = [line for line in service.lines if line["level"] != "info"]
    assert [(line["event"], line["level"]) for line in warnings] == [("reason_model_off", "warning")]
    assert str(damaged) in warnings[0]["err"]
    assert "reason.path" in warnings[0]["err"]
    events = cries(recorder.received)
    assert [event["event_type"] for event in events[:2]] == ["cry_started", "cry_ended"]
    assert all((event["reason"], event["reasons"]) == ("unsure", {}) for event in events)


@DAMAGES
@pytest.mark.parametrize("verb", ["replay", "score"])
def test_a_damaged_reason_model_is_one_warning(crying: Path, damaged: Path, verb: str) -> None:
    """`replay` and `score` do their work with one line on standard error, and end with 0; causes are `unsure`, {}."""
    result = cry_monitor(verb, "--jsonl", crying, crying, "--set", f"reason.path={damaged}")
    assert result.returncode == 0
    (line,) = result.stderr.splitlines()
    assert str(damaged) in line
    told = [json.loads(text) for text in result.stdout.splitlines()]
    assert len(told) == (4 if verb == "replay" else 2)
    assert all((one["reason"], one["reasons"]) == ("unsure", {}) for one in told)


def jsonl(verb: str, path: Path, *settings: str) -> list[dict[str, Any]]:
    result = cry_monitor(verb, "--jsonl", path, *(part for setting in settings for part in ("--set", setting)))
    assert (result.returncode, result.stderr) == (0, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_replay_prints_the_cause(crying: Path) -> None:
    """With `min_confidence` 0 a `replay` has one event more, which names the cause as the end does; people see it."""
    started, ongoing, ended = jsonl("replay", crying, "reason.min_confidence=0")
    assert (started["reason"], started["reasons"]) == ("unsure", {})
    assert ongoing["event_type"] == "cry_ongoing"
    assert ongoing["reason"] == ended["reason"] == max(ended["reasons"], key=ended["reasons"].get)
    assert [event["reason"] for event in jsonl("replay", crying)] == ["unsure"] * 2
    human = cry_monitor("replay", crying, "--set", "reason.min_confidence=0").stdout.splitlines()
    assert [f"  {ended['reason']} 0." in line for line in human] == [False, True, True]


def test_score_judges_the_8_s_at_the_highest_window(tmp_path: Path, toy_reason_folder: Path) -> None:
    """`score` says of a recording what the model says of the 8 s that end with its highest window."""
    pcm = synth.over(synth.noise(60, -70), (13, synth.cry(6, -20)), (45, synth.noise(5, -1)))
    path = tmp_path / "night.wav"
    soundfile.write(path, pcm, 16_000)
    (scored,) = jsonl("score", path, "reason.min_confidence=0")
    at_s = max(scored["windows"], key=lambda window: window[1])[0]
    assert 13 < at_s < 21
    end = round(at_s * 16_000)
    expected = Reasons(load_reason_model(toy_reason_folder), 0).judge(pcm[end - 128_000 : end])
    assert (scored["reason"], scored["reasons"]) == (expected.reason, expected.reasons)
    human = cry_monitor("score", path, "--set", "reason.min_confidence=0").stdout
    assert human.rstrip().endswith(f"{expected.reason} {expected.reasons[expected.reason]:.2f}")


def test_score_pads_what_is_shorter_in_front(tmp_path: Path, toy_reason_folder: Path) -> None:
    """Half a second and five are judged with zeros before them, as 8 s that end with the likeliest window."""
    judge = Reasons(load_reason_model(toy_reason_folder), 0).judge
    for seconds in (0.5, 5.0):
        path = tmp_path / f"{seconds}.wav"
        pcm = synth.cry(seconds, -10)
        soundfile.write(path, pcm, 16_000)
        (scored,) = jsonl("score", path, "reason.min_confidence=0")
        at_s = max(scored["windows"], key=lambda window: window[1])[0]
        heard = pcm[: round(at_s * 16_000)]
        padded = np.concatenate([np.zeros(128_000 - len(heard), np.int16), heard])
        assert scored["reasons"] == judge(padded).reasons


def test_what_ships_cannot_tell(crying: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no setting at all a cry is judged by the shipped model: `unsure`, and odds that sum to 1."""
    monkeypatch.delenv("CRY_REASON__PATH")
    _, ended = jsonl("replay", crying)
    (scored,) = jsonl("score", crying)
    for told in (ended, scored):
        assert told["reason"] == "unsure"
        assert len(told["reasons"]) == 6
        assert sum(round(share * 1_000) for share in told["reasons"].values()) == 1_000
