"""A reason model that a test can reason about: as a record with a Python function, and as a folder on disk.

Both keep the contract of a reason model's folder (`docs/architecture.md`); neither knows anything of children.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monitor.detect import ReasonManifest, ReasonModel
from monitor.detect.model import Scores, Waveforms

CATEGORIES = ("hungry", "tired", "burping", "belly_pain", "discomfort", "cold_hot", "lonely", "scared")
WINDOW_SAMPLES = 8 * 16_000
STEP_DB = 10.0
"""A toy that hears levels has a category for each so many dB."""

Likelihood = Callable[[Waveforms], np.ndarray]


def manifest(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a test wants to stand there
    """Return what a toy's `manifest.json` says; `categories` may be any number of them."""
    categories = changes.get("categories", CATEGORIES)
    return {
        "format": 1,
        "name": "reason",
        "version": "toy",
        "sample_rate_hz": 16_000,
        "window_samples": WINDOW_SAMPLES,
        "signature": "serving_default",
        "input": "waveform",
        "outputs": {"reason": [len(categories)]},
        "categories": list(categories),
        "weight": 1.0,
        "min_confidence": 0.5,
        "files": {},
    } | changes


def model(likelihood: Likelihood, **changes: Any) -> ReasonModel:  # noqa: ANN401 - as above
    """Return a toy that answers what `likelihood` says: float32[n, window] -> [n, categories]."""

    def function(waveforms: Waveforms) -> Scores:
        return {"reason": np.asarray(likelihood(waveforms), np.float32)}

    return ReasonModel(ReasonManifest.model_validate(manifest(**changes)), "litert", function)


def always(*row: float) -> Likelihood:
    """Answer the same whatever it hears."""
    return lambda waveforms: np.tile(row, (len(waveforms), 1))


def mean_of(waveforms: Waveforms) -> np.ndarray:
    """Answer for two categories with what it heard: the first is the mean of the samples, from 0 to 1."""
    mean = waveforms.mean(axis=1, dtype=np.float64)
    return np.stack([mean, 1 - mean], axis=1)


def write(folder: Path, categories: Sequence[str] = CATEGORIES, **changes: Any) -> Path:  # noqa: ANN401 - as above
    """Write a toy's folder, LiteRT and SavedModel: the category is told by the level; takes seconds (TensorFlow)."""
    import keras  # noqa: PLC0415 - seconds that only those wait who need a folder
    import tensorflow as tf  # noqa: PLC0415 - the same

    waveform = keras.Input((WINDOW_SAMPLES,), name="waveform")
    power = keras.ops.mean(keras.ops.square(waveform), axis=1, keepdims=True)
    level = keras.ops.log(power + 1e-9) * (10 / float(np.log(10)) / STEP_DB)  # in steps, 0 at full scale
    middle = keras.ops.convert_to_tensor(-np.arange(len(categories), dtype=np.float32)[None])
    network = keras.Model(waveform, {"reason": keras.ops.softmax(-keras.ops.square(level - middle))})

    folder.mkdir(parents=True)
    archive = keras.export.ExportArchive()
    archive.track(network)
    spec = tf.TensorSpec((None, WINDOW_SAMPLES), tf.float32, name="waveform")
    archive.add_endpoint("serving_default", lambda values: network(values, training=False), [spec])
    archive.write_out(str(folder / "saved_model"), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
    (folder / "model.tflite").write_bytes(converter.convert())
    golden = (np.random.default_rng(1).normal(size=(3, WINDOW_SAMPLES)) * [[0.3], [0.03], [0.003]]).astype(np.float32)
    np.savez(folder / "golden.npz", waveform=golden, reason=network(golden)["reason"].numpy())
    rewrite(folder, manifest(categories=categories, **changes))
    return folder


def rewrite(folder: Path, said: dict[str, Any]) -> None:
    """Let the folder say this of itself, with the hashes of the files as they are."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    hashes = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / "manifest.json").write_text(json.dumps(said | {"files": hashes}))


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return what the folder says of itself."""
    return dict(json.loads((folder / "manifest.json").read_text()))
