"""How good a model is, the peer beside it in every figure: clips, hard sound, other rooms, nights, false alarms.

What is measured where is said in the file of each: `clips`, `calibration`, `thresholds`, `robustness`, `nights`.
"""

import dataclasses
import json
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from monitor.detect import Model, load_model
from monitor.records import SAMPLE_RATE_HZ, Samples
from training import calibration, clips, data, hearing, intervals, nights, robustness, thresholds
from training.clips import Choices, Judged
from training.data import Clip
from training.hearing import Ears
from training.params import WindowParams
from training.progress import Told, progress

CHOSEN, EARLIER = "kept back", "validation clips"  # what thresholds were chosen on


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """One evaluation: whom to judge, and where the sounds are."""

    ears: Ears
    data_dir: Path
    cache_dir: Path
    as_model: Callable[[Choices], Model]  # with these thresholds, for the monitor's own line
    choices: Choices | None = None  # none: choose them
    thresholds_from: str = CHOSEN


def of_folder(model_dir: Path, data_dir: Path, peer_path: Path, cache_dir: Path, pool: Executor) -> Task:
    """Return the task of judging an exported model: its LiteRT form, at the thresholds in its manifest."""
    model = load_model(model_dir)
    said = json.loads((model_dir / "manifest.json").read_text(encoding="utf-8"))
    return Task(
        ears=Ears(model.function, peer_path, cache_dir, WindowParams(), pool),
        data_dir=data_dir,
        cache_dir=cache_dir,
        as_model=lambda _: model,
        choices=model.manifest.sensitivity,
        thresholds_from=said.get("thresholds_from", EARLIER),
    )


def evaluate(task: Task) -> dict[str, Any]:
    """Return thresholds, figures, and what plots are drawn from: plain values for JSON.

    Takes about six minutes of two cores, and three where the peer's scores are in the cache.
    """
    rows = data.split(data.read_clips(task.data_dir), data.validation_sources(task.data_dir)).validation
    kept = data.load(rows, task.data_dir, task.cache_dir, lossy=False)
    sounds = [kept[i] for i in range(len(kept))]
    quiet = nights.negatives(task.data_dir)
    steps = 3 + len(robustness.conditions(rows, sounds)) + len(nights.NIGHTS) + len(quiet)
    with progress(steps) as told:
        told("validation clips")
        judged = Judged(rows, task.ears.both(sounds))
        choices, hard = _thresholds(task, judged, told)
        model = task.as_model(choices)
        model = dataclasses.replace(model, function=hearing.remembered(model.function))
        metrics = {
            **_clips(judged, choices, task.data_dir),
            "hard": hard,
            "robustness": robustness.measure(judged, sounds, task.ears, choices["normal"], told),
        }
        by_night, timelines = _nights(task, model, told)
        metrics |= {"nights": by_night, "negatives": _negatives(task, model, quiet, told)}
        told("validation clips again")
        _heard_the_same(judged, sounds, task.ears)
    evidence = {"clips": _evidence(judged, choices), "timelines": timelines}
    sensitivity = {name: rule.model_dump() for name, rule in choices.items()}
    said = {"sensitivity": sensitivity, "thresholds_from": task.thresholds_from}
    return {**said, "metrics": plain(metrics), "evidence": plain(evidence)}


def plain(value: Any) -> Any:  # noqa: ANN401 - what JSON can hold, and the records that become it
    """Return a value with its records turned into what JSON holds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _heard_the_same(judged: Judged, sounds: list[Samples], ears: Ears) -> None:
    """Hear the clips a second time, and trust no figure where the model says something else.

    It has happened: LiteRT's form of an earlier model answered the second batch of a size wrongly, by up to 0.9.

    Raises:
        DataError: a score differs.
    """
    for clip, once, twice in zip(judged.clips, judged.heard.ours, ears.ours(sounds), strict=True):
        if not np.allclose(once, twice, atol=1e-4):
            raise data.DataError(f"the model hears {clip.file} differently the second time: evaluate again")


def _clips(judged: Judged, choices: Choices, data_dir: Path) -> dict[str, Any]:
    """Return the figures of the clips as they are."""
    return {
        "validation_clips": {
            "cry": int(judged.cry.sum()),
            "other": int((~judged.cry).sum()),
            "sources": len(set(judged.sources)),
        },
        "clips": clips.ranking(judged),
        "labels": clips.by_label(judged, choices),
        "babies": clips.by_baby(judged, choices, data_dir),
        "band_gap": clips.band_gap(judged, data_dir),
        "calibration": calibration.calibration(judged),
    }


def _thresholds(task: Task, judged: Judged, told: Told) -> tuple[Choices, dict[str, Any]]:
    """Return the thresholds, chosen where none are given, and what they make of the hard sound."""
    told("hard sound that is kept back")
    rows, streams = thresholds.load(task.data_dir, task.cache_dir)
    heard = task.ears.both(list(streams.values()))
    hours = sum(map(len, streams.values())) / SAMPLE_RATE_HZ / 3600
    params = task.ears.params
    choices = task.choices or thresholds.choose(heard.ours, hours, params)
    return choices, {
        "clips": len(rows),
        "sources": len({clip.source for clip in rows}),
        "trainable": sum(map(data.is_kept_back, rows)),
        "hours": round(hours, 3),
        "renderings": len(thresholds.RENDERINGS),
        "rows": thresholds.report(choices, heard, hours, judged, params),
    }


def _nights(task: Task, model: Model, told: Told) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures of the nights, alone and together, and their timelines."""
    found, timelines = {}, {}
    for path in nights.NIGHTS:
        name = Path(path).name
        told(name)
        found[name], timelines[name] = nights.measure(task.data_dir, path, model, task.ears)
    everyone = next(iter(found.values()))
    found["both"] = {who: nights.together([night[who] for night in found.values()]) for who in everyone}
    return {name: {who: f.as_dict() for who, f in row.items()} for name, row in found.items()}, timelines


def _negatives(task: Task, model: Model, paths: list[Path], told: Told) -> dict[str, Any]:
    """Return the episodes on sound without a cry, by theme, and how many an hour: with laughs and without."""
    themes = {}
    for path in paths:
        told(path.stem)
        themes[path.stem] = nights.false_alarms(path, model, task.ears)
    hours = sum(map(nights.duration_s, paths)) / 3600
    rates = {}
    for who in next(iter(themes.values()), {}):
        counts = [row[who] for row in themes.values()]
        every, laughs = sum(count for count, _ in counts), sum(laughs for _, laughs in counts)
        rates[who] = {
            "episodes": {theme: row[who][0] for theme, row in themes.items()},
            "in_laughs": laughs,
            "per_hour": intervals.per_hour(every, hours),
            "per_hour_without_laughs": intervals.per_hour(every - laughs, hours),
        }
    return {"hours": round(hours, 2), "rows": rates}


def _evidence(judged: Judged, choices: Choices) -> list[dict[str, Any]]:
    """Return a row a clip: what the curves and histograms are drawn from, and where the worst mistakes are found."""
    ours, peers = (hearing.best(scores).round(4) for scores in judged.heard)
    on = hearing.started(judged.heard.ours, choices["normal"])

    def row(number: int, clip: Clip) -> dict[str, Any]:
        return {
            "file": clip.file,
            "source": clip.source,
            "label": clip.label,
            "cry": clip.is_cry,
            "model": float(ours[number]),
            "peer": float(peers[number]),
            "started": bool(on[number]),
        }

    return [row(number, clip) for number, clip in enumerate(judged.clips)]
