import keras
import numpy as np
import pytest

from training.layers import LogMel
from training.params import MelParams


def reference(waveform: np.ndarray, params: MelParams) -> np.ndarray:
    """The textbook way, in float64: Hann window, FFT, power, triangles on the mel scale (HTK book, eq. 5.13), log."""
    frame, hop = params.frame_samples, params.hop_samples
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(frame) + 0.5) / frame)
    hertz = np.fft.rfftfreq(params.fft_size, 1 / params.sample_rate_hz)
    lowest, highest = (2595 * np.log10(1 + f / 700) for f in (params.low_hz, params.high_hz))
    edges = np.linspace(lowest, highest, params.bands + 2)
    mels = 2595 * np.log10(1 + hertz / 700)
    out = []
    for start in range(0, len(waveform) - frame + 1, hop):
        power = np.abs(np.fft.rfft(waveform[start : start + frame] * window, params.fft_size)) ** 2
        triangles = [np.interp(mels, edges[b : b + 3], [0, 1, 0]) for b in range(params.bands)]
        out.append(np.log(np.array(triangles) @ power + params.floor_power))
    return np.array(out)


def test_is_the_textbook_log_mel() -> None:
    """The folded transform gives, band by band, what a Fourier transform and mel triangles give."""
    waveform = np.random.default_rng(0).normal(0, 0.1, (2, 4800)).astype(np.float32)
    picture = np.asarray(LogMel()(waveform))
    expected = [reference(row.astype(np.float64), MelParams()) for row in waveform]
    np.testing.assert_allclose(picture, expected, atol=2e-3)


def test_silence_is_the_floor() -> None:
    """Digital silence is the logarithm of the floor, not minus infinity."""
    np.testing.assert_allclose(np.asarray(LogMel()(np.zeros((1, 1600), np.float32))), np.log(1e-6), rtol=1e-6)


def test_a_loud_neighbour_changes_nothing() -> None:
    """A quiet sound's picture is the same alone and beside a loud one in the batch."""
    rng = np.random.default_rng(1)
    quiet, loud = (rng.normal(0, level, (1, 3200)).astype(np.float32) for level in (1e-3, 0.5))
    layer = LogMel()
    together = np.asarray(layer(np.concatenate([quiet, loud])))
    np.testing.assert_allclose(together[:1], np.asarray(layer(quiet)), atol=1e-5)


def test_config_rebuilds_the_layer() -> None:
    """What get_config says makes the same layer again."""
    layer = LogMel(MelParams(bands=32), name="picture")
    again = LogMel.from_config(layer.get_config())
    assert (again.params, again.name) == (layer.params, "picture")


def test_declared_shape_is_the_shape() -> None:
    """The shape that the layer promises is the one that it gives."""
    layer = LogMel()
    assert layer.compute_output_shape((3, 24000)) == (3, 148, 64)
    assert layer(keras.Input((24000,))).shape == (None, 148, 64)


@pytest.mark.parametrize("shape", [(1, 24001), (1, 160), (1, 10, 160)])
def test_refuses_what_it_cannot_frame(shape: tuple[int, ...]) -> None:
    """A window that is not whole hops, or shorter than a frame, is refused with what was expected."""
    with pytest.raises(ValueError, match="expected an input of"):
        LogMel()(np.zeros(shape, np.float32))


def test_refuses_a_frame_longer_than_its_transform() -> None:
    """A frame must fit its transform."""
    with pytest.raises(ValueError, match="fft_size"):
        LogMel(MelParams(fft_size=256))
