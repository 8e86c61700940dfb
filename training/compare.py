"""Several seeds of one experiment, judged by the validation clips alone: which ships, and how far they lie apart."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from monitor.detect.model import Function
from monitor.records import Samples
from training import clips, hearing, intervals, robustness
from training.data import Clip, DataError
from training.hearing import Scores
from training.intervals import Estimate
from training.params import Params, WindowParams

SOFT_DB = -35.0
RATES = np.arange(0.005, 0.051, 0.005)
CHOOSES = "mean recall, 0.5 to 5 %"
Figures = dict[str, Estimate]


def mean_recall(best: Scores, cry: clips.Mask) -> float:
    """Return the mean recall where 0.5 to 5 % of the other clips come through: where alarms work, and steady."""
    return float(np.mean([clips.recall_at(rate)(best, cry) for rate in RATES]))


FIGURES: dict[str, clips.Figure] = {
    "AUC": clips.auc,
    "recall at 2 %": clips.recall_at(0.02),
    CHOOSES: mean_recall,
}


def check(runs: Mapping[Path, Params]) -> None:
    """See that runs differ in their seed and in nothing else.

    Raises:
        DataError: they do not.
    """
    settings = [dataclasses.replace(p, train=dataclasses.replace(p.train, seed=0)) for p in runs.values()]
    if any(one != settings[0] for one in settings) or len({p.train.seed for p in runs.values()}) < len(runs):
        names = ", ".join(map(str, runs))
        raise DataError(f"{names}: runs to compare must differ in their seed and in no other setting")


def measure(function: Function, params: WindowParams, rows: Sequence[Clip], sounds: Sequence[Samples]) -> Figures:
    """Return a model's figures on the validation clips, as recorded and 35 dB softer, with their intervals."""
    cry = np.array([clip.is_cry for clip in rows])
    draws = intervals.draws([clip.source for clip in rows])
    found: Figures = {}
    for suffix, heard in (("", sounds), (", -35 dB", robustness.at_level(sounds, SOFT_DB))):
        best = hearing.best([hearing.window_scores(function, sound, params) for sound in heard])
        for name, figure in FIGURES.items():
            drawn = np.array([figure(best[c], cry[c]) for c in draws])
            found[name + suffix] = intervals.estimate(figure(best, cry), drawn)
    return found


def choose(runs: Mapping[int, Figures]) -> int:
    """Return the seed with the highest mean recall, as recorded and softer together; of equals the first."""
    return max(runs, key=lambda seed: sum(e.value for name, e in runs[seed].items() if name.startswith(CHOOSES)))
