import keras
import numpy as np
import pytest

from training.layers import LogMel, mel_weights
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


def folded_once(waveform: np.ndarray, params: MelParams) -> np.ndarray:
    """The transform as it was before it was folded further: about the frame's middle alone, in float32."""
    frame, hop = params.frame_samples, params.hop_samples
    weights = mel_weights(params)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, frame, axis=1)[:, ::hop]
    offset = np.arange(frame // 2) - (frame - 1) / 2
    window = np.cos(np.pi * offset / frame) ** 2
    angle = 2 * np.pi * np.outer(offset, np.arange(len(weights))) / params.fft_size
    first, mirrored = frames[..., : frame // 2], frames[..., : frame // 2 - 1 : -1]
    real = (first + mirrored) @ (window[:, None] * np.cos(angle)).astype(np.float32)
    imaginary = (first - mirrored) @ (window[:, None] * np.sin(angle)).astype(np.float32)
    return np.asarray(np.log((real**2 + imaginary**2) @ weights + np.float32(params.floor_power)))


@pytest.mark.parametrize("params", [MelParams(), MelParams(frame_s=0.032), MelParams(frame_s=0.04, fft_size=1024)])
def test_folding_further_changes_nothing(params: MelParams) -> None:
    """Folded by even and odd bins it gives what folding about the middle alone gives, to float32's rounding."""
    rng = np.random.default_rng(3)
    waveform = (rng.normal(0, 1, (8, 4800)) * 10 ** rng.uniform(-4, -0.7, (8, 1))).astype(np.float32)
    np.testing.assert_allclose(np.asarray(LogMel(params)(waveform)), folded_once(waveform, params), rtol=0, atol=2e-5)


def test_a_chunk_gives_the_frames_that_a_window_gives() -> None:
    """48 frames of 7920 samples are those of the same samples inside a longer sound."""
    waveform = np.random.default_rng(4).normal(0, 0.1, (1, 24000)).astype(np.float32)
    chunk = np.asarray(LogMel()(waveform[:, 16000:23920]))
    assert chunk.shape == (1, 48, 64)
    np.testing.assert_allclose(chunk, np.asarray(LogMel()(waveform))[:, 100:], rtol=0, atol=1e-5)


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


def test_rounded_constants_give_nearly_the_same() -> None:
    """Constants that float16 holds change the picture of noise by little, and silence stays silence."""
    waveform = np.random.default_rng(5).normal(0, 0.1, (1, 4800)).astype(np.float32)
    exact, rounded = (np.asarray(LogMel(float16=float16)(waveform)) for float16 in (False, True))
    assert 0 < np.abs(exact - rounded).max() < 0.02
    np.testing.assert_allclose(np.asarray(LogMel(float16=True)(0 * waveform)), np.log(np.float16(1e-6)), rtol=1e-3)


def test_config_rebuilds_the_layer() -> None:
    """What get_config says makes the same layer again."""
    layer = LogMel(MelParams(bands=32), float16=True, name="picture")
    again = LogMel.from_config(layer.get_config())
    assert (again.params, again.float16, again.name) == (layer.params, True, "picture")


def test_declared_shape_is_the_shape() -> None:
    """The shape that the layer promises is the one that it gives."""
    layer = LogMel()
    assert layer.compute_output_shape((3, 24000)) == (3, 148, 64)
    assert layer(keras.Input((24000,))).shape == (None, 148, 64)


@pytest.mark.parametrize("samples", [400, 559, 560, 24000, 24079])
def test_hears_every_whole_frame(samples: int) -> None:
    """Whatever the length: as many frames as lie in it, and what is left over changes none of them."""
    waveform = np.random.default_rng(6).normal(0, 0.1, (2, samples)).astype(np.float32)
    picture = np.asarray(LogMel()(waveform))
    assert picture.shape == (2, 1 + (samples - 400) // 160, 64)
    np.testing.assert_allclose(
        picture[:, -1:], np.asarray(LogMel()(waveform[:, (samples - 400) // 160 * 160 :])[:, :1]), atol=1e-5
    )


@pytest.mark.parametrize("shape", [(1, 399), (1, 10, 160)])
def test_refuses_what_it_cannot_frame(shape: tuple[int, ...]) -> None:
    """A window that is shorter than a frame, or no sound, is refused with what was expected."""
    with pytest.raises(ValueError, match="expected an input of"):
        LogMel()(np.zeros(shape, np.float32))


@pytest.mark.parametrize("fft_size", [256, 1024, 404])
def test_refuses_a_frame_that_does_not_suit_its_transform(fft_size: int) -> None:
    """A frame must fit its transform and fill over half of it, and the transform must let itself be folded."""
    with pytest.raises(ValueError, match="fft_size"):
        LogMel(MelParams(fft_size=fft_size))
