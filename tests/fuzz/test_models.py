import io
import json
import os
import struct
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from fuzz.damage import bounded, damaged, fuzz, numbers, replaced, scraps, slow_fuzz
from hypothesis import given
from hypothesis import strategies as st

from monitor.detect import Manifest, ReasonManifest
from monitor.detect.manifest import read_manifest
from monitor.detect.model import check_model, load_model, load_reason_model, models_folder
from monitor.errors import ModelError

CRY, REASON = models_folder() / "cry", models_folder() / "reason"

GOOD = [(folder / "manifest.json").read_bytes() for folder in (CRY, REASON)]
TREES = [json.loads(text) for text in GOOD]

names = st.sampled_from(
    ["", ".", "..", "/etc/passwd", "/dev/zero", "a\0b", "a" * 5_000, "\udcff", "saved_model", "loop"]
)
with_files = st.builds(
    lambda tree, files: tree | {"files": files},
    st.sampled_from(TREES),
    st.dictionaries(names | st.text(max_size=20), st.text(max_size=64), max_size=3),
)
manifests = (
    damaged(*GOOD, most=10)
    | (st.sampled_from(TREES).flatmap(replaced) | with_files).map(lambda tree: json.dumps(tree).encode())
    | st.binary(max_size=60)
    | st.just(b"[" * 100_000)
    | numbers.map(lambda number: json.dumps(TREES[0] | {"window_samples": number}).encode())
)


@fuzz
@given(manifests)
def test_a_manifest_of_any_bytes_is_one_or_says_what_is_wrong(text: bytes) -> None:
    """A damaged manifest is a valid one or a `ModelError`, whatever it names as files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "manifest.json").write_bytes(text)
        (folder / "saved_model").mkdir()
        (folder / "loop").symlink_to("loop")
        for kind in (Manifest, ReasonManifest):
            with bounded():
                try:
                    read_manifest(folder, kind)
                except ModelError as error:
                    assert error.fix, error  # noqa: PT017 - of either outcome
                except BaseException as error:
                    raise AssertionError(ascii(text[:2_000])) from error


@slow_fuzz
@given(st.sampled_from([0, 1]), st.data())
def test_a_model_beside_a_wrong_manifest_loads_or_says_what_is_wrong(which: int, data: st.DataObject) -> None:
    """With any value of the manifest replaced and no hash to hold it, loading gives a model or a `ModelError`."""
    tree = data.draw(replaced(TREES[which]))
    source = (CRY, REASON)[which]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("model.tflite", "golden.npz"):
            (folder / file).symlink_to(source / file)
        said = tree | {"files": {}} if isinstance(tree, dict) else tree
        (folder / "manifest.json").write_text(json.dumps(said))
        try:
            with bounded():
                (load_model, load_reason_model)[which](folder, "litert")
        except ModelError:
            pass


def npz(**arrays: bytes) -> bytes:
    """A zip of these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def npy(descr: str, shape: str, data: bytes) -> bytes:
    """An array whose header says what it likes."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode("utf-8", "replace")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) & 0xFFFF) + header + data


@cache
def golden() -> tuple[bytes, ...]:
    """Golden vectors of two silent windows, as they may come: packed, plain, and of objects."""
    waveform, cry = np.zeros((2, 24_000), np.float32), np.zeros((2, 1), np.float32)
    made = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, waveform=waveform, cry=cry)
        made.append(file.getvalue())
    objects = io.BytesIO()
    np.savez(objects, waveform=waveform, cry=np.array([{}, os.getcwd], dtype=object))
    return (*made, objects.getvalue())


arrays = st.builds(
    npy,
    st.sampled_from(["'<f4'", "'|O'", "'<f8'", "'<U9'", "'<c16'", "'|V0'", "'<M8'", "[('a', '<f4')]", "None", "'x'"]),
    st.sampled_from(
        ["()", "(0,)", "(2, 24000)", "(10**12,)", "(2**62, 4)", "(-1,)", "(1.5,)", "None", "(2, 1)", "((2,),)"]
    ),
    st.sampled_from([b"", b"\0" * 8, b"\0" * 192_000, b"\0\0\xc0\x7f" * 48_000]) | scraps,
)
zips = st.deferred(lambda: damaged(*golden())) | st.builds(npz, waveform=arrays, cry=arrays) | st.binary(max_size=99)


@fuzz
@given(zips)
def test_golden_vectors_of_any_bytes_fit_or_say_what_is_wrong(content: bytes) -> None:
    """Golden vectors that are damaged, of objects, or larger than this machine are a `ModelError`; nothing is run."""
    with tempfile.TemporaryDirectory() as name, bounded():
        path = Path(name) / "golden.npz"
        path.write_bytes(content)
        try:
            check_model(lambda waves: {"cry": np.zeros((len(waves), 1), np.float32)}, path, 1e-2)
        except ModelError as error:
            assert error.fix  # noqa: PT017 - of either outcome
