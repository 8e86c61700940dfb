"""A model of causes becomes a folder that the service loads by `reason.path`, whole or not at all."""

import datetime as dt
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from monitor.detect import ReasonManifest, check_model, load_reason_model
from monitor.detect.model import Waveforms
from monitor.records import NOT_A_CRY, UNSURE
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
CATEGORY = re.compile(r"[a-z0-9_]{1,32}")  # as `monitor.detect.manifest` has it
GOLDEN = (0, 1, 7)  # of `golden.waveforms`: two cries and silence; noise of 8 s would not compress


def export(
    model: keras.Model,
    categories: list[str],
    belief: Belief,
    target: Path,
    said: dict[str, Any],
    real: Waveforms,
    describe: Callable[[Path], None] = lambda _: None,
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
        said: What else the manifest says, for people; a `version` here goes over the counted one.
        real: float32[n, samples], real sounds to compare the forms on; not kept.
        describe: Puts a card into the folder, which has all else by then.
        float16: Whether LiteRT stores its numbers so; they were rounded before.

    Returns:
        `target`.

    Raises:
        DataError: `target` holds something else, or a category is no name for a cause.
        ModelError: a form differs from the live model on a golden sound, or is no number.
        ExportError: a form differs on a real one.
    """
    check_target(target, categories)
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
            check_model(loaded.function, folder / "golden.npz", golden.TOLERANCE, ReasonManifest.fix)
            compare(loaded.function, live, real, runtime, NAME)
        describe(folder)
        if target.exists():
            shutil.rmtree(target)
        folder.chmod(0o755)
        shutil.move(folder, target)
    return target


def check_target(target: Path, categories: Sequence[str]) -> None:
    """See that `target` may be replaced, and the categories exported; ask before minutes are spent on a model.

    Raises:
        DataError: it holds something that is no model of causes, or a category is no name for a cause.
    """
    for category in categories:
        if not CATEGORY.fullmatch(category) or category in (UNSURE, NOT_A_CRY):
            fix = f"rename its folder: a to z, 0 to 9 and _, at most 32, and neither {UNSURE} nor {NOT_A_CRY}"
            raise data.DataError(f"category {category!r} cannot be exported: {fix}")
    if target.is_file():
        raise data.DataError(f"{target} is a file: name an empty folder or a new one")
    if target.exists() and any(target.iterdir()) and _name(target) != NAME:
        raise data.DataError(f"{target} holds something, and no model of causes: name an empty folder or a new one")


def _name(folder: Path) -> object:
    """Return what the model in `folder` calls itself; None where there is none."""
    try:
        said = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said.get("name") if isinstance(said, dict) and isinstance(said.get("version"), str) else None
