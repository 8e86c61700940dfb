import datetime as dt
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from monitor.detect import check_model, load_model
from monitor.detect.model import Runtime, Scores, Waveforms
from monitor.errors import ModelError
from training import export, golden, network, shipping
from training.layers import LogMel
from training.params import Params, WindowParams

RUNTIMES: tuple[Runtime, ...] = ("litert", "tensorflow")
RULE = {"enter": 0.5, "exit": 0.3, "need": 3, "of": 5}
FIGURES: dict[str, Any] = {
    "validation_clips": {"cry": 1, "other": 2},
    "clips": {"auc": 0.9},
    "clips_peer": {"auc": 0.8},
    "share_that_starts_an_episode": {"cry": {"clips": 1, "low": 0.5, "normal": 0.6, "high": 0.7, "peer": 0.4}},
    "band_gap": 0.01,
    "nights": {"normal": {"night": {"found": 8, "cries": 8, "false_episodes": 0, "median_latency_s": 3.0}}},
    "negatives": {"episodes": {"music": 1}, "per_hour": 0.5, "hours": 2.0},
}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    return network.build(Params())


@pytest.fixture(scope="module")
def folder(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    evaluation = {"sensitivity": dict.fromkeys(("low", "normal", "high"), RULE), "metrics": FIGURES}
    target = tmp_path_factory.mktemp("models") / "cry"
    windows = np.random.default_rng(0).normal(0, 0.1, (4, 24000)).astype(np.float32)
    return export.export(model, Params(), evaluation, windows, target, "digest")


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
    """Whatever lies in the folder is in the manifest with its hash, but the manifest itself and the card."""
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(json.loads((folder / "manifest.json").read_text())["files"]) == files - {"manifest.json", "CARD.md"}


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
