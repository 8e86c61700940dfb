"""The log-mel picture as a layer, so that the model takes raw samples and no second spectrogram code can drift."""

import dataclasses
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from training.params import MelParams

Array = npt.NDArray[np.float32]

FOLDS = 2
"""How often `LogMel` folds a half-frame; a third time was measured to gain nothing."""


def hertz_to_mel(hertz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return mels: 2595 log10(1 + f / 700), O'Shaughnessy 1987, the scale of HTK and of `tf.signal`."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hertz, np.float64) / 700.0))


def mel_weights(params: MelParams) -> Array:
    """Return float32[bins, bands]: triangles that are straight on the mel scale, not normalised.

    Bins are those of the `fft_size` transform, 0 to half the sample rate; a neighbour's centre is where a band ends.
    """
    bins_hz = np.arange(params.fft_size // 2 + 1) * params.sample_rate_hz / params.fft_size
    lowest, highest = hertz_to_mel([params.low_hz, params.high_hz])
    edges = np.linspace(lowest, highest, params.bands + 2)
    mels = hertz_to_mel(bins_hz)[:, None]
    rise = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rise, fall)), np.float32)


def hann(params: MelParams) -> Array:
    """Return the window of a frame, float32[frame_samples], symmetric about the frame's middle."""
    offset = np.arange(params.frame_samples) - (params.frame_samples - 1) / 2
    return np.asarray(np.cos(np.pi * offset / params.frame_samples) ** 2, np.float32)


class Bins(NamedTuple):
    """Some bins of the transform, and the matrices that give them from a folded half-frame."""

    numbers: npt.NDArray[np.int64]
    cosines: Array  # [samples of the folded half-frame, bins]
    sines: Array


def folded_fourier(params: MelParams) -> list[Bins]:
    """Return the Fourier matrices for `LogMel`: after each folding the bins that are odd by then, last what is left.

    Row k belongs to the offset k + 1/2 from the frame's middle. Only bins that some mel band uses are there.
    """
    used = np.flatnonzero(mel_weights(params).any(axis=1))
    groups, length, factor = [], params.fft_size // 2, 1
    for _ in range(FOLDS):
        length //= 2
        groups.append((used[used % (2 * factor) == factor], length))
        factor *= 2
    groups.append((used[used % factor == 0], length))
    return [
        Bins(numbers, np.asarray(np.cos(angle), np.float32), np.asarray(np.sin(angle), np.float32))
        for numbers, length in groups
        for angle in [2.0 * np.pi * np.outer(np.arange(length) + 0.5, numbers) / params.fft_size]
    ]


@keras.saving.register_keras_serializable(package="cry_monitor")
class LogMel(keras.layers.Layer):  # type: ignore[misc]
    """float32[n, samples] in [-1, 1) to float32[n, frames, bands]: log(mel power + floor).

    Each example by itself: nothing here looks across the batch. (A maximum over the batch, as some log-mel layers
    take it, let a loud neighbour change a quiet clip by up to 27 dB.) No weights are trained. Only operations that
    LiteRT has built in: framing is two or three shifted views of the hops side by side; and all products are of plain
    matrices: for others the converter adds shapes that LiteRT learns only as it runs, and with those it was wrong (a
    score by up to 0.9) at the second batch of a size. Samples after the last whole frame are not heard.

    The transform is a matrix product, folded until little is left to multiply. Power does not depend on phase, so
    phase counts from the middle of the frame; offsets o from there are half-integers. The windowed frame is the sum
    of an even part, of which only cosines are needed, and an odd part, of which only sines are. Then, for a transform
    of size N, cos(2 pi (N/2 - o) b / N) = (-1)^b cos(2 pi o b / N), and with the other sign for sines: folded about
    N/4, even bins need the sum (sines: the difference) of the two samples, odd bins the other. The even bins are a
    transform of size N/2, to be folded again.

    Measured on one core, 148 frames: RFFT2D 0.69 ms, plain matrix 0.58 ms, folded about the middle alone 0.36 ms,
    twice more 0.25 ms, with 47 600 numbers in its matrices instead of 99 200.

    Args:
        params: The picture.
        float16: Round all constants to values that float16 holds, as a model that is stored so needs it.

    Raises:
        ValueError: sizes that do not fit each other, or an input that is not [n, samples] of at least a frame.
    """

    def __init__(self, params: MelParams | None = None, *, float16: bool = False, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.params = params or MelParams()
        self.float16 = float16
        if self.params.frame_samples % 2:
            raise ValueError(
                f"expected a frame of an even number of samples, received {self.params.frame_samples}: change frame_s"
            )
        if not self.params.fft_size // 2 < self.params.frame_samples <= self.params.fft_size:
            raise ValueError(
                f"expected a frame of {self.params.frame_samples} samples in a transform of less than twice as many, "
                f"received fft_size {self.params.fft_size}: change fft_size or frame_s"
            )
        if self.params.fft_size % 2 ** (FOLDS + 1):
            raise ValueError(
                f"expected fft_size a multiple of {2 ** (FOLDS + 1)}, received {self.params.fft_size}: change fft_size"
            )

    def frames(self, samples: int) -> int:
        """Return how many whole frames lie in `samples`."""
        return 1 + (samples - self.params.frame_samples) // self.params.hop_samples

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the constant matrices for inputs of `input_shape`."""
        frame = self.params.frame_samples
        if len(input_shape) != 2 or not input_shape[1] or input_shape[1] < frame:
            raise ValueError(
                f"expected an input of [n, samples], at least the {frame} samples of a frame, received {input_shape}: "
                "lengthen the window"
            )
        stored = float16_values if self.float16 else np.asarray
        self.samples = input_shape[1]
        self.window = stored(hann(self.params))
        self.floor = stored(np.array(self.params.floor_power, np.float32))
        groups = folded_fourier(self.params)
        self.matrices = [(stored(group.cosines), stored(group.sines)) for group in groups]
        # Rows in the order in which `call` comes by the bins.
        self.weights_of_bins = stored(mel_weights(self.params)[np.concatenate([group.numbers for group in groups])])
        super().build(input_shape)

    def call(self, waveform: keras.KerasTensor) -> keras.KerasTensor:
        """Return float32[n, frames, bands] of float32[n, samples]."""
        count, middle = self.frames(self.samples), self.params.frame_samples // 2
        frames = self._framed(waveform, count) * self.window  # [n * frames, frame_samples]
        before = keras.ops.flip(frames[:, :middle], axis=-1)
        cosine_part, sine_part = frames[:, middle:] + before, frames[:, middle:] - before  # by offset, outwards
        powers, length = [], self.params.fft_size // 2
        for cosines, sines in self.matrices[:-1]:
            length //= 2
            cosine_part, odd_cosine_part = _folded(cosine_part, length)
            odd_sine_part, sine_part = _folded(sine_part, length)
            powers.append(_power(odd_cosine_part, cosines, odd_sine_part, sines))
        powers.append(_power(cosine_part, self.matrices[-1][0], sine_part, self.matrices[-1][1]))
        mel = keras.ops.matmul(keras.ops.concatenate(powers, axis=-1), self.weights_of_bins)
        return keras.ops.reshape(keras.ops.log(mel + self.floor), (-1, count, self.params.bands))

    def _framed(self, waveform: keras.KerasTensor, count: int) -> keras.KerasTensor:
        """Return float32[n * count, frame_samples]: part k of each frame is the grid of hops, k later."""
        hop, frame = self.params.hop_samples, self.params.frame_samples
        parts = -(-frame // hop)
        wanted = (count - 1 + parts) * hop
        if wanted > self.samples:
            waveform = keras.ops.pad(waveform, ((0, 0), (0, wanted - self.samples)))
        hops = keras.ops.reshape(waveform[:, :wanted], (-1, wanted // hop, hop))
        shifted = [hops[:, k : k + count, : min(hop, frame - k * hop)] for k in range(parts)]
        return keras.ops.reshape(keras.ops.concatenate(shifted, axis=-1), (-1, frame))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape that `call` gives."""
        return (input_shape[0], self.frames(input_shape[1] or 0), self.params.bands)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this layer."""
        return {**super().get_config(), "params": dataclasses.asdict(self.params), "float16": self.float16}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LogMel":
        """Rebuild a layer from `get_config`."""
        return cls(**{**config, "params": MelParams(**config["params"])})


def float16_values(array: Array) -> Array:
    """Return the nearest values that float16 holds, as float32."""
    return array.astype(np.float16).astype(np.float32)


def _folded(half: keras.KerasTensor, length: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Fold float32[m, up to 2 * length] about its sample `length`; return the sum and the difference, [m, length]."""
    beyond = half.shape[1] - length
    near, far = half[:, length - beyond : length], keras.ops.flip(half[:, length:], axis=-1)
    if beyond == length:
        return near + far, near - far
    alone = half[:, : length - beyond]  # what would fall on it lies outside the frame
    return (
        keras.ops.concatenate([alone, near + far], axis=-1),
        keras.ops.concatenate([alone, near - far], axis=-1),
    )


def _power(
    cosine_part: keras.KerasTensor, cosines: Array, sine_part: keras.KerasTensor, sines: Array
) -> keras.KerasTensor:
    """Return float32[m, bins]: the squares of both projections, added."""
    real = keras.ops.matmul(cosine_part, cosines)
    imaginary = keras.ops.matmul(sine_part, sines)
    return real * real + imaginary * imaginary
