"""What ships of a trained network: its normalisation folded in, its numbers as float16 holds them, cut in two parts."""

from typing import NamedTuple

import keras
import numpy as np

from training.layers import Array, LogMel, float16_values
from training.params import Params

PICTURE, OUTPUT = "log_mel", "cry"  # layers of `network.build`


class Shipped(NamedTuple):
    """The same answer whole and in parts: `whole(waveform) == head(frames)`, frames out of `mel` chunk by chunk.

    Attributes:
        whole: waveform float32[n, window_samples] in [-1, 1) to {"cry": float32[n, 1]} in 0..1.
        mel: chunk float32[n, chunk_samples] to {"frames": float32[n, chunk_frames, bands]}; a chunk is a hop and what
            its first frame needs before it.
        head: frames float32[n, window_frames, bands] to {"cry": float32[n, 1]}.
    """

    whole: keras.Model
    mel: keras.Model
    head: keras.Model


def parts(model: keras.Model, params: Params) -> Shipped:
    """Return what ships of `model`, a trained `network.build`; of its outputs only `cry`.

    Rounded here, not by a converter, so that every runtime has the very same numbers: LiteRT stores float16, and a
    SavedModel can only say float32.
    """
    window, hop = params.window.window_samples, params.window.hop_samples
    if hop % params.mel.hop_samples:
        raise ValueError(f"expected whole frames in a hop of {hop} samples: change hop_s")
    head = rounded(folded(keras.Model(model.get_layer(PICTURE).output, model.get_layer(OUTPUT).output)))
    waveform = keras.Input((window,), dtype="float32", name="waveform")
    chunk = keras.Input((hop + params.mel.frame_samples - params.mel.hop_samples,), dtype="float32", name="chunk")
    frames = keras.Input(head.input_shape[1:], dtype="float32", name="frames")
    return Shipped(
        whole=keras.Model(waveform, {OUTPUT: head(LogMel(params.mel, float16=True)(waveform))}),
        mel=keras.Model(chunk, {"frames": LogMel(params.mel, float16=True)(chunk)}),
        head=keras.Model(frames, {OUTPUT: head(frames)}),
    )


def folded(model: keras.Model) -> keras.Model:
    """Return `model` with each `<name>_norm` batch normalisation folded into the convolution `<name>` before it.

    The same answers (to rounding) as `model(..., training=False)`, from plain weights.
    """
    norms = {layer.name: layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        bias = {"use_bias": True} if f"{layer.name}_norm" in norms else {}
        return layer.__class__.from_config(layer.get_config() | bias)

    def call(layer: keras.layers.Layer, *args: keras.KerasTensor, **kwargs: object) -> keras.KerasTensor:
        return args[0] if layer.name in norms else layer(*args, **kwargs)

    plain = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in plain.layers:
        weights = model.get_layer(layer.name).get_weights()
        if norm := norms.get(f"{layer.name}_norm"):
            *before, kernel = weights  # of a separable convolution the last is the pointwise one: [..., channels]
            scale, shift = _scale_and_shift(norm)
            weights = [*before, kernel * scale, shift]
        layer.set_weights(weights)
    return plain


def rounded(model: keras.Model) -> keras.Model:
    """Round the weights of `model` to values that float16 holds; return it."""
    model.set_weights([float16_values(weights) for weights in model.get_weights()])
    return model


def _scale_and_shift(norm: keras.layers.BatchNormalization) -> tuple[Array, Array]:
    """Return what the normalisation multiplies each channel by, and what it adds then, once it is trained."""
    gamma, beta, mean, variance = (weights.astype(np.float64) for weights in norm.get_weights())
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)
