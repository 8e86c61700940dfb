"""From a trained run to a folder that the monitor loads: SavedModel, LiteRT, golden answers, manifest, card."""

import datetime as dt
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import monitor
from monitor.detect import check_model, load_model
from monitor.detect.model import CHUNK, FRAMES, HEAD, MEL, Function, Manifest, Model, Scores, Threshold, Waveforms
from training import card, data, golden, shipping, train
from training.evaluate import Task
from training.hearing import Ears
from training.params import Params, WindowParams
from training.shipping import OUTPUT, Shipped

INPUT = "waveform"
SIGNATURE = "serving_default"  # the whole model; TensorFlow Serving asks for this name
IN_MANIFEST = ("validation_clips", "clips", "hard", "nights", "negatives")  # the card has the rest


class ExportError(data.DataError):
    """The exported model is not the trained one; nothing was installed."""


def live_function(model: keras.Model) -> Function:
    """Return a Keras model as the monitor calls one: float32[n, window_samples] to {"cry": float32[n, 1]}."""
    forward = tf.function(
        lambda waveform: model(waveform, training=False),
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)],
    )

    def function(waveforms: Waveforms) -> Scores:
        return {name: value.numpy() for name, value in forward(tf.constant(waveforms)).items()}

    return function


def whole_function(model: keras.Model, params: Params) -> Function:
    """Return what ships of a trained model, whole, as the monitor calls it."""
    return live_function(shipping.parts(model, params).whole)


def as_model(function: Function, thresholds: dict[str, dict[str, Any]], params: WindowParams) -> Model:
    """Return a model that is not on disk yet, so that the monitor's own line can run it."""
    return Model(Manifest.model_validate(manifest("cry", "0", thresholds, params)), "tensorflow", function)


def of_run(run: Path, data_dir: Path, peer_path: Path, cache_dir: Path, pool: Executor) -> Task:
    """Return the task of judging a finished run, and of choosing its thresholds."""
    model, params = train.load(run)
    function = whole_function(model, params)
    return Task(
        ears=Ears(function, peer_path, cache_dir, params.window, pool),
        data_dir=data_dir,
        cache_dir=cache_dir,
        as_model=lambda choices: as_model(function, thresholds_as_dict(choices), params.window),
    )


def manifest(name: str, version: str, thresholds: dict[str, dict[str, Any]], params: WindowParams) -> dict[str, Any]:
    """Return what every manifest says, before parts, files and figures."""
    return {
        "format": 1,
        "name": name,
        "version": version,
        "sample_rate_hz": params.sample_rate_hz,
        "window_samples": params.window_samples,
        "hop_samples": params.hop_samples,
        "signature": SIGNATURE,
        "input": INPUT,
        "outputs": {OUTPUT: [1]},
        "sensitivity": thresholds,
        "files": {},
    }


def export(
    model: keras.Model,
    params: Params,
    evaluation: dict[str, Any],
    real_windows: Waveforms,
    target: Path,
    data_dir: Path,
    seeds: dict[str, Any],
) -> Path:
    """Write what ships of the model to the folder `target`, whole or not at all.

    Every form, whole and in parts, must say what the live `shipping.parts(model, params).whole` says, on the golden
    sounds and on real ones: a conversion can pass without an error and give NaN.

    Args:
        model: the trained model.
        params: its settings.
        evaluation: thresholds and figures, as `evaluate` wrote them.
        real_windows: float32[n, window_samples], to compare the forms on; not kept.
        target: the folder, replaced.
        data_dir: the data that it learnt from.
        seeds: the figures by which it was chosen among its like, by seed, as `compare` gave them; may be empty.

    Returns:
        `target`.

    Raises:
        ModelError: a form differs from the live model on a golden sound, or is no number.
        ExportError: a form differs on a real one.
    """
    shipped = shipping.parts(model, params)
    live = live_function(shipped.whole)
    version = next_version(target, dt.datetime.now(tz=dt.UTC).date())
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch) / target.name
        folder.mkdir()
        signatures = {SIGNATURE: (shipped.whole, INPUT), MEL: (shipped.mel, CHUNK), HEAD: (shipped.head, FRAMES)}
        write_saved_model(signatures, folder / "saved_model")
        (folder / "model.tflite").write_bytes(to_litert(folder / "saved_model", signatures))
        golden.write(folder / "golden.npz", live, golden.waveforms(params.window.window_samples))
        _write_manifest(
            folder,
            manifest("cry", version, evaluation["sensitivity"], params.window)
            | {
                "stream": sizes(shipped),
                "files": hashes(folder),
                "data": {"lists_sha256": data.digest(data_dir)},
                "code": code_version(),
                "params": params.as_dict(),
                "seeds": seeds,
            },
        )
        describe(folder, evaluation, data_dir)
        check_model(live, folder / "golden.npz", golden.TOLERANCE)
        for runtime in ("litert", "tensorflow"):
            loaded = load_model(folder, runtime)
            for function, what in ((loaded.function, runtime), (loaded.stream.whole, f"{runtime} in parts")):
                check_model(function, folder / "golden.npz", golden.TOLERANCE)
                compare(function, live, real_windows, what)
        if target.exists():
            shutil.rmtree(target)
        folder.chmod(0o755)
        shutil.move(folder, target)
    return target


def sizes(shipped: Shipped) -> dict[str, int]:
    """Return what the manifest says of the parts; see `monitor.detect.stream.Chunks`."""
    return {
        "chunk_samples": shipped.mel.input_shape[1],
        "chunk_frames": shipped.mel.output[FRAMES].shape[1],
        "window_frames": shipped.head.input_shape[1],
    }


def describe(folder: Path, evaluation: dict[str, Any], data_dir: Path) -> None:
    """Write what an evaluation says of a model beside it: figures in the manifest, the card, its plots.

    None of them is hashed: the monitor loads what it loaded before.
    """
    said = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    said["thresholds_from"] = evaluation["thresholds_from"]
    said["metrics"] = {name: evaluation["metrics"][name] for name in IN_MANIFEST}
    _write_manifest(folder, said)
    card.write(folder, evaluation, data_dir)


def _write_manifest(folder: Path, said: dict[str, Any]) -> None:
    (folder / "manifest.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def write_saved_model(signatures: dict[str, tuple[keras.Model, str]], folder: Path) -> None:
    """Write a SavedModel of `signatures`: the name of each, its model, and the name of its one input."""

    def answer(model: keras.Model) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        return lambda values: model(values, training=False)

    archive = keras.export.ExportArchive()
    for name, (model, argument) in signatures.items():
        archive.track(model)
        spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=argument)
        archive.add_endpoint(name=name, fn=answer(model), input_signature=[spec])
    archive.write_out(str(folder), verbose=False)


def to_litert(saved_model: Path, signatures: Iterable[str], *, float16: bool = True) -> bytes:
    """Return the SavedModel as a LiteRT model of built-in operations only; it computes in float32.

    With `float16` constants are stored so. They must have been rounded before (`shipping.rounded`), so that nothing is
    lost here.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=list(signatures))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if float16:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def compare(function: Function, live: Function, windows: Waveforms, what: str, output: str = OUTPUT) -> float:
    """Return the largest difference between two forms' `output` on `windows`.

    Raises:
        ExportError: it is over the tolerance, or a score is no number.
    """
    apart = float(np.abs(function(windows)[output] - live(windows)[output]).max())
    if not apart <= golden.TOLERANCE:  # NaN is not
        raise ExportError(f"{what} differs from the live model by {apart} on real sound, over {golden.TOLERANCE}")
    return apart


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in `folder`, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def next_version(target: Path, today: dt.date) -> str:
    """Return `YYYY.MM.n`, n counting the models of the month: one more than the one in `target`."""
    month = f"{today:%Y.%m}."
    try:
        old = json.loads((target / "manifest.json").read_text(encoding="utf-8"))["version"]
    except FileNotFoundError:
        return f"{month}1"
    return f"{month}{int(old.removeprefix(month)) + 1 if old.startswith(month) else 1}"


def code_version() -> dict[str, str]:
    """Return what made the model: the project's version and commit, and the libraries that count."""
    git = shutil.which("git")
    said = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False) if git else None
    return {
        "version": monitor.__version__,
        "git": said.stdout.strip() if said and said.returncode == 0 else "unknown",
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def thresholds_as_dict(choices: dict[Any, Threshold]) -> dict[str, dict[str, Any]]:
    """Return thresholds as plain values, for JSON."""
    return {name: threshold.model_dump() for name, threshold in choices.items()}
