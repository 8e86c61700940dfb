"""The reason model that ships: studied, put together, exported, described. Every seed is fixed."""

import json
import time
from pathlib import Path

import keras

from monitor.records import SAMPLE_RATE_HZ
from training import data, shipping
from training.causes import candidates, card, clips, export, trunk
from training.causes.findings import metrics
from training.causes.judgement import Belief
from training.causes.study import SEED, Recipes, Study, study
from training.progress import Told

REAL = 24  # clips on which the exported forms are compared
STEPS = 12  # that `make` tells of


def make(data_dir: Path, detector_dir: Path, out: Path, told: Told, tries: Recipes | None = None) -> Belief:
    """Study, export and describe: the whole of `python -m training reason`.

    Raises:
        DataError: there is not enough to learn from, no detector, or `out` holds something else.
    """
    export.check_target(out, clips.categories_of(clips.read_clips(data_dir)))
    begin_s = time.monotonic()
    found = study(data_dir, detector_dir, told, tries)
    told("exports, and compares every form")
    detector = json.loads((detector_dir / "manifest.json").read_text(encoding="utf-8"))
    said = {
        "data": {"lists_sha256": data.digest(data_dir)},
        "seed": SEED,
        "metrics": metrics(found)
        | {
            "command": f"python -m training reason --data {data_dir}",
            "detector": f"{detector['name']} {detector['version']}",
            "seconds": round(time.monotonic() - begin_s),
        },
    }
    model, real = build(found, detector_dir), clips.waveforms(found.clips[:: -(-len(found.clips) // REAL)])
    export.export(model, found.categories, found.belief, out, said, real, card.write, float16=True)
    return found.belief


def build(found: Study, detector_dir: Path) -> keras.Model:
    """Return what ships: waveform float32[n, 128000] to `reason` and `embedding`, its numbers as float16 holds them."""
    base = trunk.detector(detector_dir, clips.CLIP_SAMPLES / SAMPLE_RATE_HZ, candidates.BELOW_HZ)
    head = keras.layers.Dense(len(found.categories), activation="softmax", name="reason")
    embedding = keras.layers.UnitNormalization(name="embedding")(base.output)  # forms agree to 1e-4 of numbers up to 1
    model = keras.Model(base.input, {"reason": head(base.output), "embedding": embedding})
    head.set_weights([found.weights, found.bias])
    return shipping.rounded(model)
