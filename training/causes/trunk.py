"""The detector's first layers, as the reason model uses them: 8 s of sound in, what the detector noticed out."""

import dataclasses
import json
from pathlib import Path

import keras
import tensorflow as tf

from training import network, shipping
from training.data import DataError
from training.layers import LogMel
from training.params import Params

VARIABLES = "saved_model/variables/variables"
SEED_SHAPE = (2,)  # the state of a dropout, the one variable that is no weight
POOLED = "dropout"  # what comes into this layer of `network.build`: mean and maximum over time of each channel


def detector(folder: Path, window_s: float) -> tuple[keras.Model, Params]:
    """Return the detector that lies in `folder`, with its weights, for windows of `window_s`, and its settings.

    Its layers look at any length of sound: a longer window has more frames, not more weights.

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
    head = shipping.folded(keras.Model(picture, {"pooled": model.get_layer(POOLED).input, shipping.OUTPUT: score}))
    shapes = checkpoint.get_variable_to_shape_map()
    names = (f"variables/{number}/.ATTRIBUTES/VARIABLE_VALUE" for number in range(len(shapes)))
    stored = [checkpoint.get_tensor(name) for name in names if tuple(shapes.get(name, SEED_SHAPE)) != SEED_SHAPE]
    if [weights.shape for weights in stored] != [weights.shape for weights in head.get_weights()]:
        raise DataError(f"{folder} holds a detector of another network: train it again")
    head.set_weights(stored)
    waveform = keras.Input((params.window.window_samples,), dtype="float32", name="waveform")
    return keras.Model(waveform, head(LogMel(params.mel, float16=True)(waveform))), params
