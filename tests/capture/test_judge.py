"""What a room's samples must be to count as a room's sound."""

import numpy as np
import pytest
import synth
from hypothesis import given
from hypothesis import strategies as st

from monitor.capture import Judge
from monitor.records import Problem, Samples


def problems(*sounds: Samples, muted_after_s: float = 45, block: int = 3_840) -> list[Problem]:
    """Return what the judge says after each block."""
    judge = Judge(muted_after_s)
    pcm = np.concatenate(sounds)
    said = []
    for start in range(0, len(pcm), block):
        judge.hear(pcm[start : start + block])
        said.append(judge.problem)
    return said


def first_s(said: list[Problem], problem: Problem, block: int = 3_840) -> float:
    """Return after how many seconds a problem was named."""
    return (said.index(problem) + 1) * block / 16_000


def constant(seconds: float, value: int) -> Samples:
    """Return what a dead converter gives."""
    return np.full(round(seconds * 16_000), value, np.int16)


def square(seconds: float, value: int = 32_767) -> Samples:
    """Return what a gain far too high makes of everything."""
    return np.where(synth.hum(seconds) > 0, value, -value).astype(np.int16)


@pytest.mark.parametrize(
    "sound",
    [synth.noise(120, -60), synth.noise(120, -20), synth.cry(120, -15), synth.hum(120)],
    ids=["quiet room", "noise machine", "crying", "hum"],
)
def test_a_rooms_sound_is_no_problem(sound: Samples) -> None:
    """A quiet room, a loud one and a crying baby are what a microphone is for."""
    assert set(problems(sound)) == {"ok"}


@pytest.mark.parametrize(
    ("sound", "problem"),
    [
        (synth.silence(60), "muted"),
        (constant(60, -128), "flat"),
        (constant(60, 32_767), "flat"),
        (square(60), "clipped"),
        (synth.noise(60, -82), "too_quiet"),
    ],
    ids=["zeros", "constant", "constant at full scale", "clipping", "too quiet"],
)
def test_each_fault_has_its_name_within_60_s(sound: Samples, problem: Problem) -> None:
    """Zeros are `muted`, one value is `flat`, full scale is `clipped`, below -75 dBFS is `too_quiet`: within 60 s."""
    said = problems(synth.noise(10, -50), sound)
    assert said[-1] == problem
    assert first_s(said, problem) <= 10 + 60


def test_muted_only_after_its_time() -> None:
    """A room is `muted` after `muted_after_s` of zeros and not sooner; the first other sample ends it."""
    said = problems(synth.silence(30), synth.noise(1, -60), muted_after_s=20)
    assert first_s(said, "muted") == pytest.approx(20, abs=0.5)
    assert said[-1] == "ok"


def test_a_noise_gate_may_give_zeros() -> None:
    """With `muted_after_s` = 0 zeros are no fault, however long; a constant still is."""
    assert set(problems(synth.silence(300), synth.noise(2, -50), muted_after_s=0)) == {"ok"}
    assert problems(constant(60, 7), muted_after_s=0)[-1] == "flat"


def test_a_slammed_door_does_not_clip() -> None:
    """A single loud instant at full scale is no `clipped`."""
    assert set(problems(synth.noise(20, -50), square(0.02), synth.noise(20, -50))) == {"ok"}


def test_clipping_is_forgotten() -> None:
    """Half a minute after the last clipped sample the problem is over."""
    said = problems(square(20), synth.noise(32, -40))
    assert said[0] == "ok"
    assert first_s(said, "clipped") <= 2
    assert said[-1] == "ok"


@given(st.lists(st.sampled_from([constant(20, 0), constant(20, 5), synth.noise(20, -60), square(5)]), max_size=8))
def test_the_cut_into_blocks_does_not_matter(sounds: list[Samples]) -> None:
    """However a stream is cut into blocks, the judge says the same of it."""
    pcm = np.concatenate([constant(1, 3), *sounds])
    at_once, in_blocks = Judge(), Judge()
    at_once.hear(pcm)
    for start in range(0, len(pcm), 3_333):
        in_blocks.hear(pcm[start : start + 3_333])
    assert at_once.problem == in_blocks.problem
