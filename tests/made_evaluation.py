"""An evaluation of a made-up model on made-up sounds: all that reads one can be tested without any data."""

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from monitor.detect.model import Manifest, Model, Threshold
from monitor.records import Samples
from training import data, evaluate, export, golden, nights
from training.hearing import Ears, Heard, window_scores
from training.params import WindowParams

RULE = Threshold(enter=0.5, exit=0.3, need=2, of=3)
COLUMNS = ("file", "corpus", "source", "label", "may_train", "licence", "twin_of", "age", "gender", "platform")
# file, source, label, may_train, which golden sound
CLIPS = (
    ("cry_a.flac", "home_a", "cry", "yes", 0),
    ("cry_b.flac", "home_b", "cry", "yes", 1),
    ("cry_c.flac", "home_c", "cry", "yes", 2),
    ("quiet_a.flac", "home_a", "background", "yes", 4),
    ("tune_d.flac", "d", "music", "yes", 6),
    ("tune_e.flac", "e", "music", "yes", 5),
    ("talk_f.flac", "f", "speech", "yes", 5),
    ("talk_g.flac", "g", "speech", "yes", 3),
    ("odd_h.flac", "h", "household", "no", 3),
)


def score(waveforms: np.ndarray) -> dict[str, np.ndarray]:
    """Return as much of a cry as there is of its first harmonic's band: good enough to have an order."""
    power = np.abs(np.fft.rfft(waveforms, axis=1)) ** 2
    band = power[:, 525:1350].sum(axis=1) / (power.sum(axis=1) + 1e-9)  # 350 to 900 Hz of 1.5 s
    return {"cry": band[:, None].astype(np.float32)}


def model() -> Model:
    """Return the made-up model with its thresholds."""
    rules = dict.fromkeys(("low", "normal", "high"), RULE.model_dump())
    return Model(Manifest.model_validate(export.manifest("cry", "0", rules, WindowParams())), "litert", score)


class MadeEars(Ears):
    """The made-up model, and a peer that says half of it for each of its own windows."""

    def __init__(self) -> None:
        super().__init__(score, Path("none"), Path("none"), WindowParams(), ThreadPoolExecutor(1))

    def both(self, sounds: list[Samples]) -> Heard:  # type: ignore[override]
        return Heard(self.ours(sounds), self.peers(sounds))

    def peers(self, sounds: list[Samples]) -> tuple[np.ndarray, ...]:  # type: ignore[override]
        params = WindowParams(window_s=0.975, hop_s=0.4875)
        return tuple(window_scores(score, sound, params) / 2 for sound in sounds)


def write_data(folder: Path) -> Path:
    """Write clips of 4 s, two nights of 24 s with a cry in the middle, a recording without a cry, and all lists."""
    waves = golden.waveforms(64000)
    for name in data.LISTS:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            writer.writerow(COLUMNS)
            if name == data.LISTS[0]:
                writer.writerows(
                    (file, "made", source, label, may, "CC0", "", "04", "f", "ios")
                    for file, source, label, may, _ in CLIPS
                )
            if name == data.LISTS[1]:
                writer.writerow(
                    ("extra/cry_a.flac", "made", "home_a", "cry", "yes", "CC0", "cry_a.flac", "04", "f", "ios")
                )
    for file, _, _, _, number in (*CLIPS, ("extra/cry_a.flac", "", "", "", 0)):
        soundfile.write(folder / file, waves[number], 16000)
    (folder / data.VALIDATION_LIST).write_text("home_a\nhome_b\nhome_c\nd\ne\nf\ng\n", encoding="utf-8")
    night = np.concatenate([waves[4], waves[4], waves[0], waves[0], waves[4], waves[4]])
    for name in nights.NIGHTS:
        _write_night(folder / f"{name}.flac", night, [("8", "16", "cry", "made")])
    _write_night(folder / nights.NEGATIVES / "music.ogg", np.tile(waves[6], 4), [("0", "8", "baby_laugh", "made")])
    return folder


def make(folder: Path) -> dict[str, Any]:
    """Return the evaluation of the made-up model on `write_data`'s sounds, which lie in `folder`."""
    task = evaluate.Task(MadeEars(), folder, folder / "cache", lambda _: model(), model().manifest.sensitivity)
    return evaluate.evaluate(task)


def _write_night(path: Path, wave: np.ndarray, rows: list[tuple[str, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, 16000)
    with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([("onset_s", "offset_s", "label", "detail"), *rows])
