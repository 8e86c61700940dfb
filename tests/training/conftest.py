"""TensorFlow on one quiet core, and clips made by rule: no test here needs the data."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is imported
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training import golden, teacher
from training.augment import Augmenter
from training.data import LISTS, VALIDATION_LIST, Clip, Sounds, to_int16
from training.params import AugmentParams, Params, TrainParams

COLUMNS = ("file", "corpus", "source", "label", "may_train", "licence", "twin_of")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Give a folder of audio: cries and others of six sources, two of them for validation, one not to be trained on."""
    folder = tmp_path / "data"
    rows = [
        ("cry_a.flac", "home_a", "cry", "yes"),
        ("quiet_a.flac", "home_a", "background", "yes"),
        ("cry_b.flac", "home_b", "cry", "yes"),
        ("noise_c.flac", "c", "household", "yes"),
        ("noise_d.flac", "d", "laugh", "no"),
        ("odd_e.flac", "e", "unverified", "yes"),
        ("cry_f.flac", "home_f", "cry", "yes"),
        ("noise_g.flac", "g", "speech", "yes"),
    ]
    sounds = golden.waveforms(48000)
    for name in LISTS:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            writer.writerow(COLUMNS)
            if name == LISTS[0]:
                writer.writerows((file, "made", source, label, may, "CC0", "") for file, source, label, may in rows)
    for number, (file, _, label, _) in enumerate(rows):
        sound = sounds[number % 2 if label == "cry" else 3 + number % 4]
        soundfile.write(folder / file, np.asarray(sound), 16000)
    (folder / VALIDATION_LIST).write_text("home_f\ng\n", encoding="utf-8")
    return folder


@pytest.fixture
def made() -> Callable[..., Augmenter]:
    """Make augmenters of two cries and three others, 3 s each."""

    def make(batch: int = 16, **changes: float) -> Augmenter:
        waves = golden.waveforms(48000)
        labels = ["cry", "cry", "laugh", "speech", "speech"]
        clips = [
            Clip(f"{i}.flac", "made", f"s{i}", label, may_train=True, licence="CC0") for i, label in enumerate(labels)
        ]
        sounds = Sounds(to_int16(waves[[0, 1, 3, 5, 6]].ravel()), np.arange(1, 6) * 48000)
        params = Params(augment=AugmentParams(**changes), train=TrainParams(batch=batch))  # type: ignore[arg-type]
        heard = np.zeros((5, 1 + 48000 // teacher.GRID_SAMPLES, 521), np.float16)
        heard[:2, :, teacher.CRY_CLASSES] = 1.0
        heard[2, :, 13] = 0.9
        return Augmenter(clips, sounds, sounds, list(heard), params)

    return make
