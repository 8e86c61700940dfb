"""The network as a table: raw samples in, one score out, about 60 000 weights."""

from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from training import teacher
from training.layers import LogMel
from training.params import Params


class Block(NamedTuple):
    """One row: a convolution, its batch normalisation and its rectifier."""

    kind: str  # conv | separable
    kernel: int
    channels: int
    stride: int


# What is left of (frames, bands) = (148, 64) after each row. Separable rows cost a ninth of plain ones.
TABLE = (
    Block("conv", 5, 16, 2),  # 74, 32; LiteRT computes sixteen channels as fast as nine
    Block("separable", 3, 48, 2),  # 37, 16
    Block("separable", 3, 64, 1),
    Block("separable", 3, 96, 2),  # 19, 8
    Block("separable", 3, 128, 1),
    Block("separable", 3, 128, 1),
    Block("separable", 3, 160, 1),
)
DROPOUT = 0.2
SCALE = 0.25  # log-mel values lie within about +-4 of their mean


def build(params: Params, classes: int = 0) -> keras.Model:
    """Return a model of float32[n, window_samples] in [-1, 1) named `waveform` to {"cry": float32[n, 1]} in 0..1.

    In what ships, a laugh that is heard counts against the cry. With `classes`, for training, they stand side by side:
    further outputs are `teacher`, float32[n, classes] in 0..1, what else is heard, and `teacher_odds`, float32[n, 521],
    those of all its classes.
    Batch normalisation is the one layer that looks across examples, and only while training.
    """
    waveform = keras.Input((params.window.window_samples,), dtype="float32", name="waveform")
    picture = LogMel(params.mel, name="log_mel")(waveform)
    # How loud a cry is does not matter, nor does what each band hears all the time (noise, an uneven microphone): two
    # maps, one without the window's mean, one without each band's. Each window by itself.
    levelled = picture - keras.ops.mean(picture, axis=(1, 2), keepdims=True)
    changes = picture - keras.ops.mean(picture, axis=1, keepdims=True)
    # [n, frames, bands, 2]; stacked in front and turned, LiteRT needs 13 us for it, stacked at the end 48.
    maps = SCALE * keras.ops.transpose(keras.ops.stack([levelled, changes], axis=1), (0, 2, 3, 1))
    for number, block in enumerate(TABLE, start=1):
        maps = _block(maps, block, name=f"{block.kind}_{number}")
    over_time = keras.ops.mean(maps, axis=2)  # [n, time, channels]: pitch no longer matters, order still does
    # The mean says how much of the window is cry, the maximum that some of it surely is.
    pooled = keras.ops.concatenate([keras.ops.mean(over_time, axis=1), keras.ops.max(over_time, axis=1)], axis=-1)
    pooled = keras.layers.Dropout(DROPOUT, name="dropout")(pooled)
    odds = keras.layers.Dense(1, name="odds")(pooled)
    outputs = {}
    if classes:
        outputs["teacher"] = keras.layers.Dense(classes, activation="sigmoid", name="teacher")(pooled)
        outputs["teacher_odds"] = keras.layers.Dense(teacher.CLASSES, name="teacher_odds")(pooled)
    else:
        laugh = keras.ops.max(keras.layers.Dense(teacher.LAUGHS, name="laugh")(pooled), axis=-1, keepdims=True)
        odds = odds - params.laugh.weight * keras.ops.relu(laugh - params.laugh.from_odds)
    outputs["cry"] = keras.layers.Activation("sigmoid", name="cry")(odds)
    return keras.Model(waveform, outputs, name="cry")


def shipping(model: keras.Model, params: Params, classes: npt.NDArray[np.int64]) -> keras.Model:
    """Return the model that ships, with the weights of `model`, which was trained with these `classes`."""
    plain = build(params)
    laughs = np.isin(classes, np.arange(*teacher.LAUGH_CLASSES.indices(teacher.CLASSES)))
    for layer in plain.layers:
        if layer.name == "laugh":
            layer.set_weights([weights[..., laughs] for weights in model.get_layer("teacher").get_weights()])
        elif layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return plain


def _block(maps: keras.KerasTensor, block: Block, name: str) -> keras.KerasTensor:
    """Return the maps after one row of the table."""
    layer = {"conv": keras.layers.Conv2D, "separable": keras.layers.SeparableConv2D}[block.kind]
    maps = layer(block.channels, block.kernel, strides=block.stride, padding="same", use_bias=False, name=name)(maps)
    # 0.95, not Keras's 0.99: a run has a few thousand steps, and the averaged model needs settled statistics.
    maps = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(maps)
    return keras.layers.ReLU(name=f"{name}_relu")(maps)
