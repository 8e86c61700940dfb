import numpy as np
import pytest

from monitor.records import Samples
from training import data, golden, robustness
from training.augment import active_level_dbfs
from training.data import Clip, Waveform

LABELS = ("cry", "music", "music", "speech", "speech")
CLIPS = [Clip(str(i), "made", str(i), label, may_train=True, licence="") for i, label in enumerate(LABELS)]
WAVE: Waveform = golden.waveforms(48001)[0]
# Each other clip is one constant, so that one sees whose it is.
SOUNDS: list[Samples] = [data.to_int16(WAVE), *(np.full(9000, 1000 * i, np.int16) for i in range(1, 5))]
CONDITIONS = robustness.conditions(CLIPS, SOUNDS)


def change(kind: str, amount: float) -> robustness.Change:
    return next(c.change for c in CONDITIONS if (c.kind, c.amount) == (kind, amount))


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: f"{c.kind} {c.amount}")
def test_every_change_keeps_the_length_and_can_be_repeated(condition: robustness.Condition) -> None:
    """A clip has as many samples after a change as before, and the same ones each time."""
    made = condition.change(WAVE, 0)
    assert made.shape == WAVE.shape
    assert np.isfinite(made).all()
    assert np.array_equal(made, condition.change(WAVE, 0))


@pytest.mark.parametrize("kind", ["white-noise machine", "fan", "music", "speech"])
def test_the_noise_is_as_soft_as_it_says(kind: str) -> None:
    """What is added lies so many dB under the clip, active parts compared."""
    for snr_db in robustness.SNRS_DB:
        added = change(kind, snr_db)(WAVE, 0) - WAVE
        assert active_level_dbfs(WAVE) - active_level_dbfs(added) == pytest.approx(snr_db, abs=0.3)


def test_the_machine_is_as_loud_as_it_says() -> None:
    """The machine stays at -35 dBFS, and the clip is set over it."""
    quiet = change("machine at -35 dBFS", 10)(WAVE * np.float32(0.01), 0)
    assert active_level_dbfs(quiet) == pytest.approx(-25, abs=0.5)


def test_nothing_is_mixed_with_its_own_source() -> None:
    """Music under music is another source's."""
    added = change("music", 0)(WAVE, 1) - WAVE
    own = active_level_dbfs(data.to_float(SOUNDS[1]))
    assert np.ptp(added) == pytest.approx(0, abs=1e-6)
    made = robustness._borrowed("music", CLIPS, SOUNDS)  # noqa: SLF001 - which sound is drawn shows nowhere else
    assert active_level_dbfs(made(WAVE, 1)) == pytest.approx(own + 20 * np.log10(2), abs=0.1)


def test_an_edge_and_a_level() -> None:
    """A low-pass takes what lies over its edge; a level takes what it says."""
    power = np.abs(np.fft.rfft(change("low-pass", 3800)(WAVE, 0))) ** 2
    assert power[len(power) // 2 :].sum() < 1e-6 * power.sum()
    soft = change("level", -20)(WAVE, 0)
    assert active_level_dbfs(WAVE) - active_level_dbfs(soft) == pytest.approx(20)


def test_a_loud_mix_is_made_softer_not_clipped() -> None:
    """What would clip is scaled down."""
    loud = robustness._changed(lambda wave, _: wave * 10, SOUNDS[0], 0)  # noqa: SLF001 - one rule of all conditions
    assert np.abs(loud).max() == pytest.approx(0.99 * 32768, abs=2)
