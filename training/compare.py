"""Several seeds of one experiment, judged by the validation clips alone: which ships, and how far they lie apart."""

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.detect.model import Function
from monitor.records import Samples
from training import clips, hearing, intervals, robustness
from training.data import Clip
from training.hearing import Scores
from training.intervals import Estimate
from training.params import WindowParams

SOFT_DB = -35.0
RATES = np.arange(0.005, 0.051, 0.005)
Figures = dict[str, Estimate]


def early_recall(best: Scores, cry: clips.Mask) -> float:
    """Return the mean recall where 0.5 to 5 % of the other clips come through: where alarms work, and steady."""
    return float(np.mean([clips.recall_at(rate)(best, cry) for rate in RATES]))


FIGURES: dict[str, clips.Figure] = {
    "AUC": clips.auc,
    "recall at 2 %": clips.recall_at(0.02),
    "early recall": early_recall,
}


def measure(function: Function, params: WindowParams, rows: Sequence[Clip], sounds: Sequence[Samples]) -> Figures:
    """Return a model's figures on the validation clips, as recorded and 35 dB softer, with their intervals."""
    cry = np.array([clip.is_cry for clip in rows])
    draws = intervals.draws([clip.source for clip in rows])
    found: Figures = {}
    for suffix, heard in (("", sounds), (", -35 dB", robustness.softer(sounds, SOFT_DB))):
        best = hearing.best([hearing.window_scores(function, sound, params) for sound in heard])
        for name, figure in FIGURES.items():
            drawn = np.array([figure(best[c], cry[c]) for c in draws])
            found[name + suffix] = intervals.estimate(figure(best, cry), drawn)
    return found


def choose(runs: Mapping[str, Figures]) -> str:
    """Return which run has the highest early recall, as recorded and softer together; of equals the first."""
    return max(runs, key=lambda name: sum(e.value for figure, e in runs[name].items() if figure.startswith("early")))
