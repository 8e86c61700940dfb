"""A model's folder that cannot be trusted: nothing starts, and one line says which file it is."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from e2e.service import cry_monitor

from monitor.detect import models_folder


def flip_a_byte(folder: Path) -> None:
    path = folder / "model.tflite"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def break_the_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text()[:-50])


def disagree(folder: Path) -> None:
    """Let the golden vectors want other scores than the model gives, with every hash in order."""
    path, manifest_path = folder / "golden.npz", folder / "manifest.json"
    with np.load(path) as arrays:
        golden = dict(arrays)
    golden["cry"] = 1.0 - golden["cry"]
    np.savez(path, **golden)
    manifest = json.loads(manifest_path.read_text())
    if path.name in manifest["files"]:
        manifest["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest_path.write_text(json.dumps(manifest))


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (flip_a_byte, "cry/model.tflite"),
    (shutil.rmtree, "cry/manifest.json"),
    (break_the_manifest, "cry/manifest.json"),
    (disagree, "golden vectors"),
]


@pytest.mark.parametrize(("damage", "named"), DAMAGES, ids=["byte", "absent", "manifest", "golden"])
@pytest.mark.parametrize("verb", ["run", "replay", "score"])
def test_a_damaged_model_is_70(
    tmp_path: Path, crying: Path, verb: str, damage: Callable[[Path], None], named: str
) -> None:
    """Exit 70 and one line that names the folder and what is wrong in it; no traceback, no event, no score."""
    folder = tmp_path / "cry"
    shutil.copytree(models_folder() / "cry", folder)
    damage(folder)
    files = [] if verb == "run" else [crying]
    result = cry_monitor(verb, *files, "--set", f"model.path={folder}", "--set", f"history.path={tmp_path / 'h.db'}")
    assert (result.returncode, result.stdout) == (70, "")
    (line,) = result.stderr.splitlines()
    assert str(folder) in line
    assert named in line
