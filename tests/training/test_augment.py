from collections.abc import Callable

import numpy as np
import pytest

from training import augment, teacher
from training.augment import Augmenter
from training.params import AugmentParams

Made = Callable[..., Augmenter]


def test_a_step_has_its_batch(made: Made) -> None:
    """The same step gives the same batch (a resumed run goes on as it would have), another step another one."""
    first, again = made(), made()
    np.testing.assert_array_equal(first.batch(3).waveforms, again.batch(3).waveforms)
    assert not np.array_equal(first.batch(3).waveforms, first.batch(4).waveforms)


def test_batches_are_sound(made: Made) -> None:
    """Whatever happens to a sound, it stays a window of 16-bit sound, and its target from 0 to 1."""
    waveforms, targets, weights, heard, odds = made(64).batch(0)
    assert waveforms.shape == (64, 24000)
    assert waveforms.dtype == targets.dtype == np.float32
    assert np.isfinite(waveforms).all()
    assert waveforms.min() >= -1
    assert waveforms.max() < 1
    assert targets.shape == (64, 1)
    assert weights.shape == (64,)
    assert heard.shape == (64, teacher.LAUGHS)
    assert odds.shape == (64, teacher.CLASSES)


def test_only_cries_have_targets(made: Made) -> None:
    """A clip of any other label is no cry, whatever is done to it."""
    assert made(cry_share=0.0).batch(0).targets.max() == 0
    assert made(cry_share=1.0).batch(0).targets.min() > 0.9


def test_level_counts_the_loud_part() -> None:
    """A pause does not make a clip quieter than it is."""
    sound = np.concatenate([np.zeros(16000), np.full(16000, 0.1)]).astype(np.float32)
    assert augment.active_level_dbfs(sound) == pytest.approx(-20, abs=0.1)


def test_low_pass_ends_at_its_edge() -> None:
    """A low-passed sound keeps what is under the edge and nothing a twentieth above it."""
    gain = augment.low_pass(np.array([100.0, 3000.0, 3150.0, 8000.0], np.float32), 3000.0)
    np.testing.assert_allclose(gain, [1, 1, 0, 0], atol=1e-6)


def test_noise_falls_as_told() -> None:
    """Pink noise loses 3 dB an octave."""
    power = np.abs(np.fft.rfft(augment.coloured_noise(np.random.default_rng(0), 160000, -3.0))) ** 2
    octave = [power[int(f * 10) : int(2 * f * 10)].mean() for f in (500, 1000)]
    assert 10 * np.log10(octave[1] / octave[0]) == pytest.approx(-3, abs=0.3)


def test_a_band_goes_missing() -> None:
    """A mask takes 10 to 40 dB of one band and nothing elsewhere."""
    rng, hertz = np.random.default_rng(0), np.linspace(0, 8000, 12001, dtype=np.float32)
    for _ in range(20):
        gains = augment.missing_band(rng, hertz, AugmentParams())
        low = np.flatnonzero(gains < 1)
        assert np.array_equal(low, np.arange(low[0], low[-1] + 1))
        assert 0.0099 < gains[low].min() == gains[low].max() < 0.3163
