"""A model of causes becomes a folder that the service loads by `reason.path`, whole or not at all."""

import datetime as dt
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras

from monitor.detect import check_model, load_reason_model
from monitor.detect.model import Waveforms
from training import data, golden
from training.causes.judgement import Belief
from training.export import (
    INPUT,
    SIGNATURE,
    code_version,
    compare,
    hashes,
    live_function,
    next_version,
    to_litert,
    write_saved_model,
)

NAME, EMBEDDING = "reason", "embedding"
GOLDEN = (0, 1, 7)  # of `golden.waveforms`: two cries and silence; noise of 8 s would not compress


def export(
    model: keras.Model,
    categories: list[str],
    belief: Belief,
    target: Path,
    said: dict[str, Any],
    real: Waveforms,
    *,
    float16: bool = False,
) -> Path:
    """Write `model` to the folder `target`, replacing what is there.

    Args:
        model: waveform float32[n, samples] in [-1, 1) to {"reason": float32[n, categories], rows sum to 1,
            "embedding": float32[n, k]}.
        categories: What each column of `reason` means.
        belief: How far the service may believe it.
        target: The folder; what lies there and is no model of causes is not replaced.
        said: What else the manifest says, for people.
        real: float32[n, samples], real sounds to compare the forms on; not kept.
        float16: Whether LiteRT stores its numbers so; they were rounded before.

    Returns:
        `target`.

    Raises:
        DataError: `target` holds something else.
        ModelError: a form differs from the live model on a golden sound, or is no number.
        ExportError: a form differs on a real one.
    """
    check_target(target)
    live = live_function(model)
    window_samples = model.input_shape[1]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch) / target.name
        folder.mkdir()
        signatures = {SIGNATURE: (model, INPUT)}
        write_saved_model(signatures, folder / "saved_model")
        (folder / "model.tflite").write_bytes(to_litert(folder / "saved_model", signatures, float16=float16))
        sounds = data.to_float(data.to_int16(golden.waveforms(window_samples)[list(GOLDEN)]))
        golden.write(folder / "golden.npz", live, sounds)
        manifest = {
            "format": 1,
            "name": NAME,
            "version": next_version(target, dt.datetime.now(tz=dt.UTC).date()),
            "sample_rate_hz": 16000,
            "window_samples": window_samples,
            "signature": SIGNATURE,
            "input": INPUT,
            "outputs": {NAME: [len(categories)], EMBEDDING: [model.output[EMBEDDING].shape[1]]},
            "categories": categories,
            "weight": belief.weight,
            "min_confidence": belief.min_confidence,
            "files": hashes(folder),
            "code": code_version(),
            **said,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        for runtime in ("litert", "tensorflow"):
            loaded = load_reason_model(folder, runtime)
            check_model(loaded.function, folder / "golden.npz", golden.TOLERANCE)
            compare(loaded.function, live, real, runtime, NAME)
        if target.exists():
            shutil.rmtree(target)
        folder.chmod(0o755)
        shutil.move(folder, target)
    return target


def check_target(target: Path) -> None:
    """See that `target` may be replaced; a caller asks before it spends minutes on a model.

    Raises:
        DataError: it holds something, and no model.
    """
    if target.is_file():
        raise data.DataError(f"{target} is a file: name an empty folder or a new one")
    if target.exists() and not (target / "manifest.json").is_file() and any(target.iterdir()):
        raise data.DataError(f"{target} holds something, and no model: name an empty folder or a new one")
