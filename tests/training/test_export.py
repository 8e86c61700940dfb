import datetime as dt
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from made_evaluation import make, write_data

from monitor.detect import check_model, load_model
from monitor.detect.model import Runtime, Scores, Waveforms
from monitor.errors import ModelError
from training import export, golden, network, shipping
from training.layers import LogMel
from training.params import Params, WindowParams

RUNTIMES: tuple[Runtime, ...] = ("litert", "tensorflow")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    return network.build(Params())


@pytest.fixture(scope="module")
def folder(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sounds = write_data(tmp_path_factory.mktemp("data"))
    target = tmp_path_factory.mktemp("models") / "cry"
    windows = np.random.default_rng(0).normal(0, 0.1, (4, 24000)).astype(np.float32)
    return export.export(model, Params(), make(sounds), windows, target, sounds, {})


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_monitor_loads_what_is_exported(folder: Path, runtime: Runtime) -> None:
    """Both forms load by the monitor's own rules and say what the live model said, whole and in parts."""
    loaded = load_model(folder, runtime)
    assert loaded.parts
    check_model(loaded.function, folder / "golden.npz", golden.TOLERANCE)
    check_model(loaded.parts.whole, folder / "golden.npz", golden.TOLERANCE)
    assert loaded.manifest.window_samples == WindowParams().window_samples


def test_needs_no_operations_but_built_in_ones(folder: Path) -> None:
    """LiteRT runs the model without TensorFlow's own kernels."""
    assert b"Flex" not in (folder / "model.tflite").read_bytes()


def test_is_small(folder: Path, model: keras.Model) -> None:
    """LiteRT takes two bytes for each number, once for all signatures, and 80 kB at most for what to do with them."""
    layer = LogMel()
    layer.build((None, 7920))
    constants = layer.weights_of_bins.size + sum(matrix.size for pair in layer.matrices for matrix in pair)
    numbers = constants + shipping.parts(model, Params()).head.count_params()
    assert (folder / "model.tflite").stat().st_size < 2 * numbers + 80_000


def test_both_forms_have_the_same_numbers(folder: Path) -> None:
    """Nothing is lost between the forms: every constant is a value that float16 holds, rounded before conversion."""
    windows = np.random.default_rng(1).normal(0, 0.1, (8, 24000)).astype(np.float32)
    lite, full = (load_model(folder, runtime).function(windows)["cry"] for runtime in RUNTIMES)
    assert np.abs(lite - full).max() < 1e-5


def test_the_manifest_names_every_file(folder: Path) -> None:
    """Whatever the monitor loads is in the manifest with its hash: not the manifest itself, the card and its plots."""
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    plots = {name for name in files if name.startswith("plots/")}
    hashed = set(json.loads((folder / "manifest.json").read_text())["files"])
    assert hashed == files - {"manifest.json", "CARD.md"} - plots
    assert len(plots) == 8


def test_a_card_can_be_written_again(folder: Path, model: keras.Model, tmp_path: Path) -> None:
    """Another evaluation changes card and figures, and nothing that the monitor loads or checks."""
    before = load_model(folder).manifest
    sounds = write_data(tmp_path)
    evaluation = make(sounds) | {"thresholds_from": "validation clips"}
    export.describe(folder, evaluation, sounds)
    assert load_model(folder).manifest == before
    weights = f"{shipping.parts(model, Params()).head.count_params():,}".replace(",", " ")
    assert f"{weights} weights" in " ".join((folder / "CARD.md").read_text().split())
    assert json.loads((folder / "manifest.json").read_text())["thresholds_from"] == "validation clips"


def test_a_second_model_of_the_month_has_the_next_number(folder: Path) -> None:
    """Versions count up within a month and begin anew in the next."""
    version = json.loads((folder / "manifest.json").read_text())["version"]
    year, month, number = map(int, version.split("."))
    this_month = dt.date(year, month, 20)
    assert export.next_version(folder, this_month) == f"{year}.{month:02}.{number + 1}"
    assert export.next_version(folder, this_month + dt.timedelta(days=15)).endswith(".1")


@pytest.mark.parametrize("fault", [np.nan, 0.001])
def test_a_drifted_model_is_refused(model: keras.Model, folder: Path, fault: float) -> None:
    """A function that gives no number, or another one than the live model, does not pass for it."""
    live = export.live_function(model)

    def drifted(waveforms: Waveforms) -> Scores:
        return {name: scores + np.float32(fault) for name, scores in live(waveforms).items()}

    with pytest.raises(ModelError):
        check_model(drifted, folder / "golden.npz", golden.TOLERANCE)
    with pytest.raises(export.ExportError):
        export.compare(drifted, live, np.zeros((1, 24000), np.float32), "it")
