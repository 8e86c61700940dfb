import numpy as np
import pytest
import synth

from monitor.capture.gate import FRAME_SAMPLES, VoiceGate
from monitor.records import Samples


def opened_at_s(gate: VoiceGate, pcm: Samples) -> list[float]:
    """The seconds at which the gate was open, frame by frame."""
    frames = pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, 1, FRAME_SAMPLES)
    seconds = []
    for i, frame in enumerate(frames):
        gate.step(frame)
        if gate.is_open:
            seconds.append(i * 0.03)
    return seconds


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("level_dbfs", [-20.0, -35.0, -45.0])
def test_a_cry_opens_it_within_a_second(mode: int, level_dbfs: float) -> None:
    """A cry over a quiet room opens the gate within a second of its onset, in every mode that is allowed."""
    pcm = synth.over(synth.noise(15, -65), (10, synth.cry(5, level_dbfs)))
    seconds = [s for s in opened_at_s(VoiceGate(mode), pcm) if s >= 10]
    assert seconds[0] < 11
    assert seconds[-1] > 14.9


def test_a_quiet_room_keeps_it_closed() -> None:
    """A quiet room, once known, does not wake the model."""
    seconds = opened_at_s(VoiceGate(1), synth.noise(60, -60))
    assert [s for s in seconds if s > 5] == []


def test_it_closes_two_seconds_after_the_sound() -> None:
    """The gate stays open for 2 s after the last frame that it heard, no more than half a second longer."""
    pcm = synth.over(synth.noise(23, -65), (10, synth.cry(3, -25)))
    last = opened_at_s(VoiceGate(1), pcm)[-1]
    assert 14.5 < last < 16.5


def test_the_level_path_opens_it_without_a_voice() -> None:
    """A sound 10 dB over the floor opens the gate whatever the voice detector thinks of it: a low hum is no voice."""
    pcm = synth.over(synth.noise(12, -65), (10, synth.hum(2, -40)))
    assert [s for s in opened_at_s(VoiceGate(2), pcm) if s >= 10]


def test_a_minute_of_crying_does_not_become_the_floor() -> None:
    """The floor rises slowly: after a minute of crying the gate is open still, and quiet is known as quiet again."""
    gate = VoiceGate(1)
    opened_at_s(gate, synth.over(synth.noise(65, -65), (5, synth.cry(60, -25))))
    assert gate.is_open
    assert gate.noise_floor_dbfs < -50


def test_a_constant_offset_is_no_sound() -> None:
    """A converter's DC offset counts as silence."""
    gate = VoiceGate(1)
    opened_at_s(gate, np.full(32_000, 3_000, np.int16))
    assert gate.level_dbfs == -100
    assert not gate.is_open


@pytest.mark.parametrize("level_dbfs", [-50.0, -20.0, -6.0])
def test_the_level_is_in_dbfs(level_dbfs: float) -> None:
    """The level is the RMS of the last second, full scale square wave = 0."""
    gate = VoiceGate(1)
    opened_at_s(gate, synth.noise(2, level_dbfs) if level_dbfs < -10 else synth.hum(2, level_dbfs))
    assert gate.level_dbfs == pytest.approx(level_dbfs, abs=0.5)
