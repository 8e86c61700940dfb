"""The detector's first layers, as the reason model uses them: 8 s of sound in, what the detector noticed out."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from training import network, shipping
from training.data import DataError
from training.layers import LogMel, float16_values, mel_weights
from training.params import MelParams, Params

VARIABLES = "saved_model/variables/variables"
SEED_SHAPE = (2,)  # the state of a dropout, the one variable that is no weight
POOLED = "pooled"
POOLED_INTO = "dropout"  # the layer of `network.build` that takes it


def detector(folder: Path, window_s: float, below_hz: float = np.inf, output: str = POOLED) -> keras.Model:
    """Return the detector that lies in `folder`, with its weights, for windows of `window_s`.

    Its layers look at any length of sound: a longer window has more frames, not more weights. Takes `waveform`
    float32[n, samples] in [-1, 1); gives its `output`: `pooled` float32[n, 320], mean and maximum of each channel over
    time, or `cry` float32[n, 1]. Mel bands that reach over `below_hz` are silent to it, as to a lesser microphone.

    Raises:
        DataError: the folder holds no detector of this network.
    """
    try:
        said = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        params = Params.from_dict(said["params"])
        checkpoint = tf.train.load_checkpoint(str(folder / VARIABLES))
    except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
        raise DataError(f"{folder} holds no detector that was made here: {error}; name models/cry") from error
    params = dataclasses.replace(params, window=dataclasses.replace(params.window, window_s=window_s))
    model = network.build(params)
    picture, score = model.get_layer(shipping.PICTURE).output, model.get_layer(shipping.OUTPUT).output
    head = shipping.folded(keras.Model(picture, {POOLED: model.get_layer(POOLED_INTO).input, shipping.OUTPUT: score}))
    shapes = checkpoint.get_variable_to_shape_map()
    names = (f"variables/{number}/.ATTRIBUTES/VARIABLE_VALUE" for number in range(len(shapes)))
    stored = [checkpoint.get_tensor(name) for name in names if tuple(shapes.get(name, SEED_SHAPE)) != SEED_SHAPE]
    if [weights.shape for weights in stored] != [weights.shape for weights in head.get_weights()]:
        raise DataError(f"{folder} holds a detector of another network: train it again")
    head.set_weights(stored)
    waveform = keras.Input((params.window.window_samples,), dtype="float32", name="waveform")
    frames = LogMel(params.mel, float16=True)(waveform)
    wanted = keras.Model(head.input, head.output[output])  # without layers that have no say in it
    return keras.Model(waveform, wanted(_below(below_hz, frames, params.mel)))


def bands_below(limit_hz: float, mel: MelParams = MelParams()) -> int:  # noqa: B008 - frozen
    """Return how many mel bands end at `limit_hz` or below."""
    bins_hz = np.arange(mel.fft_size // 2 + 1) * mel.sample_rate_hz / mel.fft_size
    return int((~mel_weights(mel)[bins_hz > limit_hz].any(axis=0)).sum())


def _below(limit_hz: float, picture: keras.KerasTensor, mel: MelParams) -> keras.KerasTensor:
    """Return float32[n, frames, bands] with silence in the bands that reach over `limit_hz`."""
    heard = bands_below(limit_hz, mel)
    silence = float16_values(np.array(np.log(mel.floor_power), np.float32))
    beyond = ((0, 0), (0, 0), (0, mel.bands - heard))
    return keras.ops.pad(picture[:, :, :heard], beyond, constant_values=float(silence))
