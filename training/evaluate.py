"""How good a model is, beside the peer on the same clips; thresholds are chosen here, on the validation clips alone."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from monitor.detect import Model
from monitor.detect.model import Function, Threshold
from monitor.records import Samples, Sensitivity
from training import data, nights, teacher
from training.data import Clip
from training.params import WindowParams

Scores = npt.NDArray[np.float32]
Choices = dict[Sensitivity, Threshold]

FALSE_RATES = (0.01, 0.02, 0.05)
PEER_FOUND_AT = 0.3  # the peer's usual working point in an N of M
# Each sensitivity: N of M, and how many of the validation clips without a cry may set it off. Three windows in
# a row hold 2.5 s of sound; M over N bridges a breath.
RULES: dict[Sensitivity, tuple[int, int, float]] = {
    "low": (4, 6, 0.005),
    "normal": (3, 5, 0.01),
    "high": (2, 4, 0.04),
}
ENTERS = tuple(round(0.05 + 0.025 * step, 3) for step in range(37))  # 0.05 to 0.95
EXIT_SHARE = 0.6  # of `enter`: hysteresis
BATCH = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    """The validation clips and the window scores of the model and of the peer along each."""

    clips: tuple[Clip, ...]
    ours: tuple[Scores, ...]
    peers: tuple[Scores, ...]

    @property
    def cry(self) -> npt.NDArray[np.bool_]:
        """Which clips are labelled cry, bool[clips]."""
        return np.array([clip.is_cry for clip in self.clips])


def window_scores(function: Function, samples: Samples, params: WindowParams) -> Scores:
    """Return the score of every window of a recording, as `cry-monitor score` gives them: no gate, no tracker.

    A recording shorter than a window is padded with silence in front.
    """
    size, hop = params.window_samples, params.hop_samples
    sound = np.pad(data.to_float(samples), (max(0, size - len(samples)), 0))
    windows = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop]
    parts = [function(np.ascontiguousarray(windows[i : i + BATCH]))["cry"] for i in range(0, len(windows), BATCH)]
    return np.asarray(np.concatenate(parts)[:, 0])


def listen(function: Function, data_dir: Path, teacher_path: Path, cache_dir: Path, params: WindowParams) -> Heard:
    """Return what the model and the peer hear in the validation clips."""
    clips = data.split(data.read_clips(data_dir), data.validation_sources(data_dir)).validation
    sounds = data.load(clips, data_dir, cache_dir, lossy=False)
    return Heard(
        clips=clips,
        ours=tuple(window_scores(function, sounds[i], params) for i in range(len(sounds))),
        peers=tuple(teacher.cached(teacher_path, sounds, range(len(sounds)), cache_dir, peer=True)),
    )


def starts_episode(scores: Scores, enter: float, need: int, of: int) -> bool:
    """Return whether `need` of some `of` windows in a row reach `enter`."""
    over = np.concatenate([np.zeros(of, int), np.cumsum(scores >= enter)])
    return bool((over[of:] - over[:-of]).max() >= need)


def choose(heard: Heard) -> Choices:
    """Return thresholds per sensitivity: the lowest `enter` that no more than the allowed share of others sets off."""
    others = [scores for scores, cry in zip(heard.ours, heard.cry, strict=True) if not cry]
    chosen: Choices = {}
    for sensitivity, (need, of, allowed) in RULES.items():
        enter = next(
            (e for e in ENTERS if np.mean([starts_episode(s, e, need, of) for s in others]) <= allowed), ENTERS[-1]
        )
        chosen[sensitivity] = Threshold(enter=enter, exit=round(enter * EXIT_SHARE, 3), need=need, of=of)
    return chosen


def ranking(scores: Sequence[Scores], cry: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Return how well the best window of each clip tells cries from others: AUC, and recall at false-alarm rates."""
    best = np.array([score.max() for score in scores])
    others = np.sort(best[~cry])[::-1]
    figures = {"auc": round(float(roc_auc_score(cry, best)), 4)}
    for rate in FALSE_RATES:
        limit = others[int(rate * len(others))]  # the first score that would be one false alarm too many
        figures[f"recall_at_{rate:.0%}_false"] = round(float((best[cry] > limit).mean()), 3)
    return figures


def by_label(heard: Heard, choices: Choices) -> dict[str, dict[str, Any]]:
    """Return, per label, how many clips there are and the share that starts an episode, at each sensitivity."""
    table: dict[str, dict[str, Any]] = {}
    for label in sorted({clip.label for clip in heard.clips}):
        which = [i for i, clip in enumerate(heard.clips) if clip.label == label]
        row: dict[str, Any] = {"clips": len(which)}
        for name, rule in choices.items():
            hits = [starts_episode(heard.ours[i], rule.enter, rule.need, rule.of) for i in which]
            row[name] = round(float(np.mean(hits)), 3)
        hits = [starts_episode(heard.peers[i], PEER_FOUND_AT, 3, 5) for i in which]
        row["peer"] = round(float(np.mean(hits)), 3)
        table[label] = row
    return table


def band_gap(heard: Heard, data_dir: Path) -> float:
    """Return the mean change of a cry's best score when the same recording keeps its band above 4 kHz.

    Near 0: the model hears the cry; far from it: the band.
    """
    best = {clip.file: float(scores.max()) for clip, scores in zip(heard.clips, heard.ours, strict=True)}
    pairs = data.twins(data_dir)
    return round(float(np.mean([best[wide] - best[narrow] for wide, narrow in pairs if wide in best])), 4)


def figures(heard: Heard, model: Model, data_dir: Path) -> dict[str, Any]:
    """Return all figures of `model` at its own thresholds, plain values for JSON."""
    choices = model.manifest.sensitivity
    alarms, hours = nights.false_alarms(data_dir, model, "normal")
    return {
        "validation_clips": {"cry": int(heard.cry.sum()), "other": int((~heard.cry).sum())},
        "clips": ranking(heard.ours, heard.cry),
        "clips_peer": ranking(heard.peers, heard.cry),
        "share_that_starts_an_episode": by_label(heard, choices),
        "band_gap": band_gap(heard, data_dir),
        "nights": {
            name: {night: dataclasses.asdict(found) for night, found in nights.measure(data_dir, model, name).items()}
            for name in choices
        },
        "negatives": {"episodes": alarms, "per_hour": round(sum(alarms.values()) / hours, 2), "hours": round(hours, 2)},
    }
