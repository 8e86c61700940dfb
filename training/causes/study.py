"""What was tried to tell causes, households kept apart, and how far the one that ships may be believed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from monitor.detect.reasons import posterior
from training import intervals
from training.causes import candidates, clips, figures, judgement, protocols
from training.causes.candidates import Answer, Heard
from training.causes.clips import CauseClip
from training.causes.figures import Causes, Fold, Probabilities
from training.causes.judgement import Belief, Coverage
from training.data import DataError
from training.intervals import Estimate
from training.progress import Told

SEED = 7
REPEATS = 4  # ways to cut five folds; networks are trained in one of them
LEAST_WEIGHT = 0.05  # of the calibration that ships: at 0 the model would say nothing at all
SHIPS = "detector's layers, logistic regression"
EPISODE = "the same, clips of one episode together"
TUNED = "detector trained on, balanced loss"
COPIED = "notebook's network, minority copied, every band"
BANDS = "mel bands over time, logistic regression"
FULL = "detector's layers, logistic regression, every band"
FULL_BANDS = "mel bands over time, logistic regression, every band"
BY_BANDS = (BANDS, FULL_BANDS)  # what the upper band betrays is read off these


class Tried(NamedTuple):
    """What one candidate reached, households apart.

    Attributes:
        figures: accuracy, UAR and macro-F1, in the first way to cut the folds.
        areas: One-vs-rest AUC of each category, there.
        auc: Their mean.
        uars: The UAR in each way to cut them.
    """

    figures: dict[str, Estimate]
    areas: list[Estimate]
    auc: Estimate
    uars: list[float]


class Study(NamedTuple):
    """All that the card says, and the head that ships."""

    categories: list[str]
    clips: list[CauseClip]
    tried: dict[str, Tried]
    likelihood: Probabilities  # calibrated, out of fold
    truth: Causes
    calibration: float
    belief: Belief
    coverage: list[Coverage]
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


Recipes = dict[str, tuple[Answer, int]]
"""What is tried, by name, each with its number of repeats."""


def recipes(detector_dir: Path) -> Recipes:
    """Return all that is tried."""
    shipped, bands = candidates.by_logistic("pooled"), candidates.by_logistic("bands")
    return {
        SHIPS: (shipped, REPEATS),
        "detector's layers, discriminant analysis": (candidates.by_discriminant, REPEATS),
        "detector's layers, few-shot prototypes": (candidates.by_prototype, REPEATS),
        BANDS: (bands, REPEATS),
        "mean of these four": (
            candidates.together([shipped, candidates.by_discriminant, candidates.by_prototype, bands]),
            REPEATS,
        ),
        TUNED: (candidates.by_tuning(detector_dir, SEED), 1),
        COPIED: (candidates.by_notebook(SEED), 1),
        FULL: (candidates.by_logistic("pooled_full"), REPEATS),
        FULL_BANDS: (candidates.by_logistic("bands_full"), REPEATS),
    }


def study(data_dir: Path, detector_dir: Path, told: Told, tries: Recipes | None = None) -> Study:
    """Try everything, calibrate what ships, and learn it from all clips that may teach; eight minutes of two cores.

    `tries` may leave some out, but for what ships and the mel bands over time.

    Raises:
        DataError: there is not enough to learn from, or no detector.
    """
    told("hears the clips")
    known = clips.read_clips(data_dir)
    names = clips.categories_of(known)
    truth, sources = np.array([names.index(clip.category) for clip in known]), [clip.source for clip in known]
    heard = candidates.hear(clips.waveforms(known), sources, detector_dir)
    count = protocols.fold_count(known)
    cuts = [figures.folds(truth, sources, SEED + repeat, count) for repeat in range(REPEATS)]
    tried: dict[str, Tried] = {}
    for name, (answer, repeats) in (tries or recipes(detector_dir)).items():
        told(name)
        said = [out_of_fold(answer, heard, truth, cut) for cut in cuts[:repeats]]
        tried[name] = measure(said, truth, sources)
        if name == SHIPS:
            tried[EPISODE] = measure([candidates.of_one_episode(one, truth, sources) for one in said], truth, sources)
            likelihood = calibrated(said[0], cuts[0], truth)
            calibration = max(LEAST_WEIGHT, judgement.weight_of(said[0], truth))
    told("measures how far it may be believed")
    belief, _ = judgement.belief(likelihood, truth, sources)
    if clips.guessed_households(known):  # where nobody knows them, none was surely kept apart
        belief = belief._replace(min_confidence=None)
    coverage = judgement.coverage(likelihood, 1.0, truth, sources)
    teaches = np.array([clip.may_teach for clip in known])
    if len(np.unique(truth[teaches])) < len(names):
        raise DataError(f"{data_dir} has a category of which no clip may teach: see may_train, or leave it out")
    scale, head = (step for _, step in candidates.logistic().fit(heard.pooled[teaches], truth[teaches]).steps)
    # Of two categories the regression says only the second's odds; the first's are 0 then.
    both = [(0, 0)] if len(names) > 2 else [(1, 0)]
    weights = calibration * np.pad(head.coef_, [*both, (0, 0)]) / scale.scale_
    bias = calibration * np.pad(head.intercept_, both) - weights @ scale.mean_
    return Study(
        names, known, tried, likelihood, truth, calibration, belief, coverage,
        weights.T.astype(np.float32), bias.astype(np.float32),
    )  # fmt: skip


def out_of_fold(answer: Answer, heard: Heard, truth: Causes, cut: Sequence[Fold]) -> Probabilities:
    """Return float64[clips, categories]: of each clip by a model that was told no cause of its household."""
    said = np.zeros((len(truth), truth.max() + 1))
    for fold in cut:
        said[fold.test] = answer(heard, truth, fold)
    return said


def measure(said: Sequence[Probabilities], truth: Causes, sources: Sequence[str]) -> Tried:
    """Return what was reached in the first way to cut the folds, and the UAR in each."""
    first, samples = said[0], intervals.draws(sources)
    drawn = np.array([[auc(first[clips], truth[clips], k) for clips in samples] for k in range(first.shape[1])])
    values = [auc(first, truth, k) for k in range(first.shape[1])]
    return Tried(
        figures.with_intervals(truth, first.argmax(axis=1), sources),
        [intervals.estimate(value, of) for value, of in zip(values, drawn, strict=True)],
        intervals.estimate(float(np.mean(values)), drawn.mean(axis=0)),
        [round(figures.uar(truth, one.argmax(axis=1)), 4) for one in said],
    )


def auc(said: Probabilities, truth: Causes, category: int) -> float:
    """Return the chance that a clip of `category` gets more of it than another clip; no number without both."""
    there = truth == category
    return float(roc_auc_score(there, said[:, category])) if 0 < there.sum() < len(there) else float("nan")


def calibrated(likelihood: Probabilities, cut: Sequence[Fold], truth: Causes) -> Probabilities:
    """Return the answers, those of each fold tempered by what the answers about the other folds needed."""
    said = np.zeros_like(likelihood)
    for fold in cut:
        weight = max(LEAST_WEIGHT, judgement.weight_of(likelihood[fold.train], truth[fold.train]))
        said[fold.test] = posterior(likelihood[fold.test], weight)
    return said
