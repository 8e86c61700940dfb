import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import loudness
import numpy as np
import pytest
import toy_reason

from monitor.detect import Model, Reasons, check_model, load_model, load_reason_model, models_folder
from monitor.detect.model import Runtime, Scores, Waveforms
from monitor.errors import InferenceError, ModelError

CRY = models_folder() / "cry"
REASON = models_folder() / "reason"


@pytest.fixture(scope="module", params=["shipped", "loudness"])
def model(request: pytest.FixtureRequest) -> Model:
    return load_model(CRY) if request.param == "shipped" else loudness.MODEL


def waveforms(n: int, model: Model) -> Waveforms:
    rng = np.random.default_rng(3)
    levels = 10 ** (rng.uniform(-60, 0, (n, 1)) / 20)
    return (rng.normal(size=(n, model.manifest.window_samples)) * levels).clip(-1, 1).astype(np.float32)


class TestContract:
    """What `Detector` relies on; the tests' own model is held to it as the shipped one is."""

    def test_a_score_is_a_fraction(self, model: Model) -> None:
        """Every waveform of a batch gets one finite score in 0..1, float32[n, 1]."""
        for n in (1, 2, 7):
            scores = model.function(waveforms(n, model))["cry"]
            assert scores.shape == (n, 1)
            assert scores.dtype == np.float32
            assert ((scores >= 0) & (scores <= 1)).all()

    def test_a_batch_mixes_nothing(self, model: Model) -> None:
        """score(batch)[i] == score(batch[i:i+1]): a loud neighbour changes no quiet room's score."""
        batch = waveforms(6, model)
        together = model.function(batch)["cry"]
        alone = np.concatenate([model.function(batch[i : i + 1])["cry"] for i in range(6)])
        assert np.abs(together - alone).max() < 1e-5

    def test_a_batch_is_answered_as_well_again(self, model: Model) -> None:
        """Batches that grow and shrink, each size three times in a row, score what their waveforms score alone."""
        batch = waveforms(18, model)
        for function in (model.function, model.stream.whole):
            alone = np.concatenate([function(batch[i : i + 1])["cry"] for i in range(18)])
            for n in (2, 4, 3, 16, 1, 16, 2):
                for i in range(3):
                    assert np.abs(function(batch[i : i + n])["cry"] - alone[i : i + n]).max() < 1e-5

    def test_digital_silence_is_no_cry(self, model: Model) -> None:
        """Zeros score low, and are no special case that gives NaN."""
        silent = np.zeros((1, model.manifest.window_samples), np.float32)
        assert model.function(silent)["cry"][0, 0] < 0.1


def test_both_runtimes_give_the_same_scores() -> None:
    """LiteRT and TensorFlow answer within 1e-4 on the same folder."""
    lite, full = load_model(CRY, "litert"), load_model(CRY, "tensorflow")
    batch = waveforms(8, lite)
    assert np.abs(lite.function(batch)["cry"] - full.function(batch)["cry"]).max() < 1e-4


def test_both_runtimes_give_the_same_likelihoods() -> None:
    """The shipped reason model answers within 1e-4 in LiteRT and TensorFlow, rows that sum to 1."""
    lite, full = load_reason_model(REASON, "litert"), load_reason_model(REASON, "tensorflow")
    batch = np.random.default_rng(9).normal(0, 0.05, (2, lite.manifest.window_samples)).astype(np.float32)
    for output, width in (("reason", 6), ("embedding", 320)):
        mine, theirs = lite.function(batch)[output], full.function(batch)[output]
        assert mine.shape == (2, width)
        assert np.abs(mine - theirs).max() < 1e-4
    assert np.abs(lite.function(batch)["reason"].sum(axis=1) - 1).max() < 1e-5


@pytest.mark.parametrize("runtime", ["litert", "tensorflow"])
def test_parts_give_what_the_whole_gives(runtime: Runtime) -> None:
    """`mel` on chunks and `head` on their frames give the whole model's score, within 1e-4, in both runtimes."""
    model = load_model(CRY, runtime)
    batch = waveforms(8, model)
    assert model.parts
    assert np.abs(model.parts.whole(batch)["cry"] - model.function(batch)["cry"]).max() < 1e-4


def test_a_folder_without_parts_runs_by_whole_windows(tmp_path: Path) -> None:
    """A model of before there were parts loads, and its whole windows score what they did."""
    folder = tmp_path / "cry"
    shutil.copytree(CRY, folder)
    manifest = manifest_of(folder)
    del manifest["stream"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    model = load_model(folder)
    batch = waveforms(3, model)
    assert model.parts is None
    assert np.array_equal(model.stream.whole(batch)["cry"], model.function(batch)["cry"])


@pytest.mark.parametrize("runtime", ["litert", "tensorflow"])
def test_a_model_without_its_parts_is_refused(monkeypatch: pytest.MonkeyPatch, runtime: Runtime) -> None:
    """A manifest that promises parts which the model has not is a ModelError that names the signature."""
    monkeypatch.setattr("monitor.detect.model.HEAD", "torso")
    with pytest.raises(ModelError, match="torso"):
        load_model(CRY, runtime)


def test_auto_is_litert() -> None:
    """`auto` takes LiteRT: the same scores in a tenth of the memory."""
    assert load_model(CRY, "auto").runtime == "litert"


def manifest_of(folder: Path) -> dict[str, object]:
    return dict(json.loads((folder / "manifest.json").read_text()))


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "model.tflite").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / "model.tflite").write_bytes(data)


def remove_the_model(folder: Path) -> None:
    (folder / "model.tflite").unlink()


def remove_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def break_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def mistype_a_threshold(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["sensitivity"] = {"normal": {"enter": 1.5, "exit": 0.4, "need": 3, "of": 5}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def leave_a_sensitivity_out(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["sensitivity"] = {"normal": {"enter": 0.5, "exit": 0.4, "need": 3, "of": 5}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def point_outside(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["files"] = {"../../etc/passwd": "0" * 64}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def name_another_output(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["outputs"] = {"laugh": [1]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def name_another_signature(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["signature"] = "sing"
    (folder / "manifest.json").write_text(json.dumps(manifest))


def missize_a_part(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["stream"] = {"chunk_samples": 7920, "chunk_frames": 47, "window_frames": 148}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def cut_the_golden_vectors(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["files"] = {}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "golden.npz").write_bytes(b"PK")


def name_a_nul(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["files"] = {"a\0b": ""}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def name_a_link_to_itself(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["files"] = {"loop": ""}
    (folder / "loop").symlink_to("loop")
    (folder / "manifest.json").write_text(json.dumps(manifest))


def pack_too_much(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["files"] = {}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with zipfile.ZipFile(folder / "golden.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("waveform.npy", b"\0" * (80 << 20))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (flip_a_byte, "model.tflite"),
        (remove_the_model, "model.tflite"),
        (remove_the_manifest, "manifest.json"),
        (break_the_manifest, "manifest.json"),
        (mistype_a_threshold, "sensitivity.normal.enter"),
        (leave_a_sensitivity_out, "sensitivity"),
        (point_outside, "outside the folder"),
        (name_another_output, "outputs"),
        (name_another_signature, "sing"),
        (missize_a_part, "chunk_frames=47"),
        (cut_the_golden_vectors, "golden.npz"),
        (name_a_nul, "files: 'a\\x00b'"),
        (name_a_link_to_itself, "loop"),
        (pack_too_much, "golden.npz: holds 80 MB"),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path: Path, damage: Callable[[Path], None], named: str) -> None:
    """Whatever is wrong with a model's folder is a ModelError that names the file or the field, and the fix."""
    folder = tmp_path / "cry"
    shutil.copytree(CRY, folder)
    damage(folder)
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert named in str(caught.value)
    assert "model.path" in str(caught.value)


@pytest.mark.parametrize(
    "distort",
    [
        lambda scores: scores * 0 + np.nan,
        lambda scores: 1 - scores,
        lambda scores: scores[:, 0],
    ],
    ids=["nan", "drifted", "misshapen"],
)
def test_a_model_that_answers_otherwise_is_refused(distort: Callable[[np.ndarray], np.ndarray]) -> None:
    """NaN, a drifted score and another shape all fail the golden check."""
    honest = load_model(CRY).function

    def function(batch: Waveforms) -> Scores:
        return {"cry": distort(honest(batch)["cry"])}

    with pytest.raises(ModelError):
        check_model(function, CRY / "golden.npz", 1e-2)


def test_a_model_that_gives_no_answer_is_refused() -> None:
    """A runtime that fails on the golden vectors is an unusable model, not a bug to start again after."""

    def function(_batch: Waveforms) -> Scores:
        raise InferenceError("cry", "the kernel could not be made")

    with pytest.raises(ModelError, match="gives no answer: the kernel could not be made"):
        check_model(function, CRY / "golden.npz", 1e-2)


# The model of causes


@pytest.mark.parametrize("runtime", ["litert", "tensorflow"])
def test_a_reason_model_loads(toy_reason_folder: Path, runtime: Runtime) -> None:
    """A folder by the contract loads in both runtimes, which give the same likelihoods: a row each, the sum 1."""
    model = load_reason_model(toy_reason_folder, runtime)
    assert model.runtime == runtime
    assert model.manifest.categories == toy_reason.CATEGORIES
    with np.load(toy_reason_folder / "golden.npz") as golden:
        rows = model.function(golden["waveform"])["reason"]
        assert np.abs(rows - golden["reason"]).max() < 1e-4
    assert rows.dtype == np.float32
    assert rows.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert len(set(rows.argmax(axis=1))) == 3, "the toy tells levels apart"
    assert Reasons(model).label == f"reason toy on {runtime}"


def replace_golden(folder: Path, **arrays: object) -> None:
    with np.load(folder / "golden.npz") as golden:
        np.savez(folder / "golden.npz", **{**golden, **arrays})


def changes(**said: object) -> Callable[[Path], dict[str, object]]:
    return lambda folder: toy_reason.manifest_of(folder) | said


def other_golden(**arrays: object) -> Callable[[Path], dict[str, object]]:
    def damage(folder: Path) -> dict[str, object]:
        replace_golden(folder, **arrays)
        return toy_reason.manifest_of(folder)

    return damage


def seven_answers(folder: Path) -> dict[str, object]:
    """Leave one category out of manifest and golden vectors: only the network has it."""
    with np.load(folder / "golden.npz") as golden:
        rows = golden["reason"][:, :7]
    replace_golden(folder, reason=rows / rows.sum(axis=1, keepdims=True))
    return changes(categories=toy_reason.CATEGORIES[:7], outputs={"reason": [7]})(folder)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (changes(name="cry", outputs={"cry": [8]}), "name"),
        (changes(outputs={"reason": [7]}), "outputs.reason"),
        (changes(categories=["hungry"], outputs={"reason": [1]}), "categories"),
        (changes(categories=["hungry", "hungry"], outputs={"reason": [2]}), "categories"),
        (changes(categories=["hungry", "unsure"], outputs={"reason": [2]}), "categories"),
        (changes(categories=["hungry", "not_a_cry"], outputs={"reason": [2]}), "categories"),
        (changes(categories=["hungry", "Very Tired"], outputs={"reason": [2]}), "categories.1"),
        (changes(weight=1.5), "weight"),
        (changes(min_confidence="high"), "min_confidence"),
        (changes(min_confidence=2), "min_confidence"),
        (changes(window_samples=8_000), "window_samples"),
        (changes(window_samples=128_001), "window_samples"),
        (changes(window_samples=64_000), "'waveform' must be float32[m, 64000]"),
        (changes(signature="sing"), "sing"),
        (seven_answers, "misshapen"),
        (other_golden(reason=np.full((3, 8), 1 / 8, np.float32)), "differ from its golden vectors"),
        (other_golden(reason=np.full((3, 8), 1, np.float32)), "the sum of each row 1"),
        (other_golden(reason=np.full((3, 8), np.nan, np.float32)), "no float32 numbers"),
        (other_golden(waveform=np.zeros((0, 128_000), np.float32)), "no golden vectors"),
        (other_golden(waveform=np.float32(1)), "no golden vectors"),
    ],
)
def test_a_damaged_reason_model_is_refused(
    toy_reason_folder: Path, tmp_path: Path, damage: Callable[[Path], dict[str, object]], named: str
) -> None:
    """Whatever is wrong with the folder is a ModelError that names it, and says which key could name another."""
    folder = tmp_path / "reason"
    shutil.copytree(toy_reason_folder, folder)
    toy_reason.rewrite(folder, damage(folder))
    with pytest.raises(ModelError) as caught:
        load_reason_model(folder)
    assert named in str(caught.value)
    assert "reason.path" in str(caught.value)


@pytest.mark.parametrize(
    "damage", [flip_a_byte, remove_the_model, remove_the_manifest, break_the_manifest, shutil.rmtree]
)
def test_damaged_files_of_a_reason_model_are_refused(
    toy_reason_folder: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """A file that is absent or not the one that was made is a ModelError with the fix for a reason model."""
    folder = tmp_path / "reason"
    shutil.copytree(toy_reason_folder, folder)
    damage(folder)
    with pytest.raises(ModelError, match=r"reason\.path"):
        load_reason_model(folder)
