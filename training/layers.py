"""The log-mel picture as a layer, so that the model takes raw samples and no second spectrogram code can drift."""

import dataclasses
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from training.params import MelParams

Array = npt.NDArray[np.float32]


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


def folded_fourier(params: MelParams) -> tuple[Array, Array, slice]:
    """Return the windowed Fourier matrices of half a frame, and which bins they hold.

    A Hann window that is symmetric about the middle of the frame makes the transform of the frame the cosines of
    (first half + mirrored second half) and the sines of their difference, phase counted from the middle; power does
    not depend on phase. Half the multiplications of a plain matrix product, and only bins that some mel band uses.
    Measured on one core, 1.5 s: RFFT2D 0.69 ms, plain matrix 0.58 ms, folded 0.35 ms.

    Returns:
        cosines float32[frame/2, used bins], sines likewise, and the slice of the used bins.
    """
    used = np.flatnonzero(mel_weights(params).any(axis=1))
    bins = slice(int(used[0]), int(used[-1]) + 1)
    offset = np.arange(params.frame_samples // 2) - (params.frame_samples - 1) / 2  # samples from the middle
    hann = np.cos(np.pi * offset / params.frame_samples) ** 2
    angle = 2.0 * np.pi * np.outer(offset, np.arange(bins.start, bins.stop)) / params.fft_size
    return (
        (hann[:, None] * np.cos(angle)).astype(np.float32),
        (hann[:, None] * np.sin(angle)).astype(np.float32),
        bins,
    )


@keras.saving.register_keras_serializable(package="cry_monitor")
class LogMel(keras.layers.Layer):  # type: ignore[misc]
    """float32[n, samples] in [-1, 1) to float32[n, frames, bands]: log(mel power + floor).

    Each example by itself: nothing here looks across the batch. (A maximum over the batch, as some log-mel layers
    take it, let a loud neighbour change a quiet clip by up to 27 dB.) No weights are trained. Only operations that
    LiteRT has built in: framing is two or three shifted views of the hops side by side.

    Raises:
        ValueError: sizes that do not fit each other, or an input that is not [n, samples] of whole hops.
    """

    def __init__(self, params: MelParams | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.params = params or MelParams()
        if self.params.frame_samples % 2:
            raise ValueError(
                f"expected a frame of an even number of samples, received {self.params.frame_samples}: change frame_s"
            )
        if self.params.frame_samples > self.params.fft_size:
            raise ValueError(
                f"expected fft_size >= the frame's {self.params.frame_samples} samples, "
                f"received {self.params.fft_size}: enlarge fft_size or shorten frame_s"
            )

    def frames(self, samples: int) -> int:
        """Return how many whole frames lie in `samples`."""
        return 1 + (samples - self.params.frame_samples) // self.params.hop_samples

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the constant matrices for inputs of `input_shape`."""
        hop, frame = self.params.hop_samples, self.params.frame_samples
        if len(input_shape) != 2 or not input_shape[1] or input_shape[1] % hop or input_shape[1] < frame:
            raise ValueError(
                f"expected an input of [n, samples], samples a multiple of {hop} and at least {frame}, "
                f"received {input_shape}: cut the window to whole hops"
            )
        self.samples = input_shape[1]
        self.cosines, self.sines, bins = folded_fourier(self.params)
        self.weights_of_bins = mel_weights(self.params)[bins]
        super().build(input_shape)

    def call(self, waveform: keras.KerasTensor) -> keras.KerasTensor:
        """Return float32[n, frames, bands] of float32[n, samples]."""
        hop, frame, count = self.params.hop_samples, self.params.frame_samples, self.frames(self.samples)
        hops = keras.ops.reshape(waveform, (-1, self.samples // hop, hop))
        # [n, frames, frame]: hop k of each frame is the grid of hops, k later.
        parts = [hops[:, k : k + count, : min(hop, frame - k * hop)] for k in range(-(-frame // hop))]
        frames = keras.ops.concatenate(parts, axis=-1)
        first = frames[:, :, : frame // 2]
        mirrored = keras.ops.flip(frames[:, :, frame // 2 :], axis=-1)
        real = keras.ops.matmul(first + mirrored, self.cosines)  # [n, frames, used bins]
        imaginary = keras.ops.matmul(first - mirrored, self.sines)
        power = real * real + imaginary * imaginary
        return keras.ops.log(keras.ops.matmul(power, self.weights_of_bins) + self.params.floor_power)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape that `call` gives."""
        return (input_shape[0], self.frames(input_shape[1] or 0), self.params.bands)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this layer."""
        return {**super().get_config(), "params": dataclasses.asdict(self.params)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LogMel":
        """Rebuild a layer from `get_config`."""
        return cls(**{**config, "params": MelParams(**config["params"])})
