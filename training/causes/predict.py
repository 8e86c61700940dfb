"""What the notebook's network says of recordings, and in one line what its answer is worth."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from training.causes import notebook
from training.causes.clips import waveform
from training.causes.reproduce import HONEST, METRICS, NETWORK
from training.data import DataError
from training.markdown import figure


class Answer(NamedTuple):
    """What the network said of one recording."""

    path: Path
    cause: str
    probabilities: dict[str, float]  # of each category, the likeliest first; their sum is 1


def load(run: Path) -> tuple[keras.Model, dict[str, Any]]:
    """Return the network of a run and its metrics.

    Raises:
        DataError: there is no such run, or its files are not whole.
    """
    try:
        metrics: dict[str, Any] = json.loads((run / METRICS).read_text(encoding="utf-8"))
        return keras.models.load_model(run / NETWORK), metrics
    except (OSError, ValueError) as error:
        raise DataError(f"no network in {run}: {error}; `training reproduce --run {run}` makes one") from error


def predict(network: keras.Model, categories: Sequence[str], paths: Sequence[Path]) -> list[Answer]:
    """Return what `network` says of the last 8 s of each recording, of any rate and format.

    Raises:
        AudioFileError: a file is not there, or it is no sound.
    """
    heard = notebook.normalise(tf.constant(np.stack([waveform(path) for path in paths])))
    audio = notebook.Audio(heard, np.zeros(len(paths), np.int64), list(categories))
    ds = notebook.make_spec_ds(notebook.make_ds(audio, np.arange(len(paths)), notebook.Params()))
    answers = []
    for path, row in zip(paths, notebook.probabilities(network, ds), strict=True):
        probabilities = {categories[number]: float(row[number]) for number in np.argsort(-row, kind="stable")}
        answers.append(Answer(path, next(iter(probabilities)), probabilities))
    return answers


def worth(metrics: dict[str, Any]) -> str:
    """Return what an answer is worth, in one line."""
    return (
        f"On babies of households that it had not heard, such a network's unweighted average recall was "
        f"{figure(metrics['protocols'][HONEST]['uar'])}; guessing has {metrics['chance_uar']:.3f}. "
        "Not for medical use."
    )
