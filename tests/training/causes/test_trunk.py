from pathlib import Path

import numpy as np
import pytest

from monitor.detect import load_model, models_folder
from training.causes import trunk
from training.data import DataError

CRY = models_folder() / "cry"


def test_its_layers_are_the_detectors() -> None:
    """On the detector's own window it scores what the shipped detector scores."""
    with np.load(CRY / "golden.npz") as golden:
        scored = trunk.detector(CRY, 1.5, output="cry")(golden["waveform"]).numpy()
        assert np.abs(scored - golden["cry"]).max() < 1e-5
    assert load_model(CRY).manifest.window_samples == 24_000


def test_eight_seconds_give_one_embedding() -> None:
    """A window of 8 s, and a batch that mixes nothing: each waveform's embedding is what it is alone."""
    model = trunk.detector(CRY, 8.0)
    sounds = np.random.default_rng(2).normal(0, 0.05, (3, 128_000)).astype(np.float32)
    together = model(sounds).numpy()
    assert together.shape == (3, 320)
    assert np.abs(together[1] - model(sounds[1:2]).numpy()[0]).max() < 1e-5


def test_it_is_deaf_above_the_limit() -> None:
    """A whistle at 5 kHz changes the embedding of a model that hears all, and not that of one that ends at 3.8."""
    time_s = np.arange(24_000) / 16_000
    room = np.random.default_rng(1).normal(0, 0.01, (1, 24_000)).astype(np.float32)
    whistle = room + 0.2 * np.sin(2 * np.pi * 5_000 * time_s).astype(np.float32)
    deaf, whole = trunk.detector(CRY, 1.5, 3_800.0), trunk.detector(CRY, 1.5)
    assert np.abs(deaf(room).numpy() - deaf(whistle).numpy()).max() < 0.05
    assert np.abs(whole(room).numpy() - whole(whistle).numpy()).max() > 0.5


def test_a_folder_that_is_no_detector_is_named(tmp_path: Path) -> None:
    """What cannot be a detector is one line with its path."""
    with pytest.raises(DataError, match=f"{tmp_path} holds no detector"):
        trunk.detector(tmp_path, 1.5)
