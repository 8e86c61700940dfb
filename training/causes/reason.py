"""The reason model: what was tried, what ships, and how far it may be believed. Every seed is fixed."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import keras
import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, roc_auc_score

from training import data, evaluate, intervals, shipping
from training.causes import candidates, card, clips, export, figures, judgement, trunk
from training.causes.candidates import Answer, Heard
from training.causes.clips import CauseClip
from training.causes.figures import Causes, Probabilities
from training.causes.judgement import Belief, Coverage
from training.clips import AGES, GENDERS, PHONES
from training.intervals import Clips, Estimate
from training.progress import Told

SEED = 7
REAL = 24  # clips on which the exported forms are compared
STEPS = 12  # that `make` tells of
REPEATS = 4  # ways to cut five folds; networks are trained in one of them
LEAST_WEIGHT = 0.05  # of the calibration that ships: at 0 the model would say nothing at all
BINS = np.linspace(0.0, 1.0, 11)
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
        figures: accuracy, UAR and macro-F1, of the answers of all repeats together.
        areas: One-vs-rest AUC of each category.
        auc: Their mean.
        uars: The UAR of each repeat by itself.
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


def make(data_dir: Path, detector_dir: Path, out: Path, told: Told, tries: Recipes | None = None) -> Belief:
    """Study, export and describe: the whole of `python -m training reason`.

    Raises:
        DataError: there is not enough to learn from, no detector, or `out` holds something else.
    """
    export.check_target(out)
    begin_s = time.monotonic()
    found = study(data_dir, detector_dir, told, tries)
    told("exports, and compares every form")
    detector = json.loads((detector_dir / "manifest.json").read_text(encoding="utf-8"))
    said = {
        "data": {"lists_sha256": data.digest(data_dir)},
        "seed": SEED,
        "metrics": metrics(found)
        | {"detector": f"{detector['name']} {detector['version']}", "seconds": round(time.monotonic() - begin_s)},
    }
    model, real = build(found, detector_dir), clips.waveforms(found.clips[:: len(found.clips) // REAL])
    export.export(model, found.categories, found.belief, out, said, real, float16=True)
    card.write(out)
    return found.belief


def study(data_dir: Path, detector_dir: Path, told: Told, tries: Recipes | None = None) -> Study:
    """Try everything, calibrate what ships, and learn it from all clips; about eight minutes of two cores.

    `tries` may leave some out, but for what ships and the mel bands over time.

    Raises:
        DataError: there is not enough to learn from, or no detector.
    """
    told("hears the clips")
    known = clips.read_clips(data_dir)
    names = clips.categories_of(known)
    truth, sources = np.array([names.index(clip.category) for clip in known]), [clip.source for clip in known]
    heard = candidates.hear(clips.waveforms(known), detector_dir)
    tried: dict[str, Tried] = {}
    for name, (answer, repeats) in (tries or recipes(detector_dir)).items():
        told(name)
        said = out_of_fold(answer, heard, truth, sources, repeats)
        tried[name] = measure(said, truth, sources)
        if name == SHIPS:
            tried[EPISODE] = measure([candidates.of_one_episode(one, truth, sources) for one in said], truth, sources)
            likelihood = np.mean([calibrated(one, truth, sources, SEED + n) for n, one in enumerate(said)], axis=0)
            calibration = max(LEAST_WEIGHT, judgement.weight_of(np.mean(said, axis=0), truth))
    told("measures how far it may be believed")
    belief, _ = judgement.belief(likelihood, truth, sources)
    coverage = judgement.coverage(likelihood, 1.0, truth, sources)
    scale, head = (step for _, step in candidates.logistic().fit(heard.pooled, truth).steps)
    # Of two categories the regression says only the second's odds; the first's are 0 then.
    both = [(0, 0)] if len(names) > 2 else [(1, 0)]
    weights = calibration * np.pad(head.coef_, [*both, (0, 0)]) / scale.scale_
    bias = calibration * np.pad(head.intercept_, both) - weights @ scale.mean_
    return Study(
        names, known, tried, likelihood, truth, calibration, belief, coverage,
        weights.T.astype(np.float32), bias.astype(np.float32),
    )  # fmt: skip


def out_of_fold(
    answer: Answer, heard: Heard, truth: Causes, sources: Sequence[str], repeats: int
) -> list[Probabilities]:
    """Return for each repeat float64[clips, categories]: each clip by a model that knew nothing of its household."""
    said = []
    for repeat in range(repeats):
        one = np.zeros((len(truth), truth.max() + 1))
        for fold in figures.folds(truth, sources, SEED + repeat):
            one[fold.test] = answer(heard, truth, fold)
        said.append(one)
    return said


def measure(said: Sequence[Probabilities], truth: Causes, sources: Sequence[str]) -> Tried:
    """Return what the repeats reached, together and each."""
    mean, samples = np.mean(said, axis=0), intervals.draws(sources)
    drawn = np.array([[auc(mean[clips], truth[clips], k) for clips in samples] for k in range(mean.shape[1])])
    values = [auc(mean, truth, k) for k in range(mean.shape[1])]
    return Tried(
        figures.with_intervals(truth, mean.argmax(axis=1), sources),
        [intervals.estimate(value, of) for value, of in zip(values, drawn, strict=True)],
        intervals.estimate(float(np.mean(values)), drawn.mean(axis=0)),
        [round(figures.uar(truth, one.argmax(axis=1)), 4) for one in said],
    )


def auc(said: Probabilities, truth: Causes, category: int) -> float:
    """Return the chance that a clip of `category` gets more of it than another clip; no number without both."""
    there = truth == category
    return float(roc_auc_score(there, said[:, category])) if 0 < there.sum() < len(there) else float("nan")


def calibrated(likelihood: Probabilities, truth: Causes, sources: Sequence[str], seed: int) -> Probabilities:
    """Return the answers, those of each fold tempered as the other folds' answers needed it."""
    said = np.zeros_like(likelihood)
    for fold in figures.folds(truth, sources, seed):
        weight = max(LEAST_WEIGHT, judgement.weight_of(likelihood[fold.train], truth[fold.train]))
        said[fold.test] = judgement.tempered(likelihood[fold.test], weight)
    return said


def build(found: Study, detector_dir: Path) -> keras.Model:
    """Return what ships: waveform float32[n, 128000] to `reason` and `embedding`, its numbers as float16 holds them."""
    base = trunk.detector(detector_dir, clips.CLIP_SAMPLES / 16000, candidates.BELOW_HZ)
    head = keras.layers.Dense(len(found.categories), activation="softmax", name="reason")
    embedding = keras.layers.UnitNormalization(name="embedding")(base.output)  # forms agree to 1e-4 of numbers up to 1
    model = keras.Model(base.input, {"reason": head(base.output), "embedding": embedding})
    head.set_weights([found.weights, found.bias])
    return shipping.rounded(model)


def metrics(found: Study) -> dict[str, Any]:
    """Return all that the card says, as plain values."""
    told, sources = found.likelihood.argmax(axis=1), [clip.source for clip in found.clips]
    ships = found.tried[SHIPS]
    homes = [{clip.source for clip in found.clips if clip.category == name} for name in found.categories]
    most = found.categories.index(clips.commonest(found.clips))
    said = {
        "clips": len(found.clips),
        "households": len(set(sources)),
        "repeats": REPEATS,
        "below_hz": candidates.BELOW_HZ,
        "always": round(float((found.truth == most).mean()), 4),
        "calibration": found.calibration,
        "causes": [
            {
                "cause": name,
                "clips": int((found.truth == number).sum()),
                "households": len(homes[number]),
                "right": int(((found.truth == number) & (told == number)).sum()),
                "auc": ships.areas[number],
            }
            for number, name in enumerate(found.categories)
        ],
        "tried": {name: {**row.figures, "auc": row.auc, "uars": row.uars} for name, row in found.tried.items()},
        "confusion": confusion_matrix(found.truth, told).tolist(),
        "reliability": reliability(found.likelihood, found.truth, sources),
        "coverage": [row._asdict() for row in found.coverage],
        "groups": groups(found),
        "upper_band": {
            name: {"full": found.tried[FULL_BANDS].areas[number], "below": found.tried[BANDS].areas[number]}
            for number, name in enumerate(found.categories)
        },
    }
    return cast("dict[str, Any]", evaluate.plain(said))


def reliability(said: Probabilities, truth: Causes, sources: Sequence[str]) -> dict[str, Any]:
    """Return the expected calibration error and its tenths, every category counting alike.

    ECE (Naeini 2015): the mean distance between how sure the likeliest cause was and how often it was right, over
    tenths of confidence, each by the weight of its clips. A clip weighs 1 / (clips of its category), since the answers
    take all categories for equally likely.
    """
    weight = 1 / np.bincount(truth)[truth]
    confidence, right = said.max(axis=1), (said.argmax(axis=1) == truth).astype(float)
    of = np.digitize(confidence, BINS[1:-1])

    def ece(drawn: Clips) -> float:
        total, apart = weight[drawn].sum(), 0.0
        for tenth in np.unique(of[drawn]):
            there = drawn[of[drawn] == tenth]
            apart += abs((weight[there] * (confidence[there] - right[there])).sum()) / total
        return float(apart)

    def share(tenth: int) -> Callable[[Clips], float]:
        def right_of(drawn: Clips) -> float:
            there = drawn[of[drawn] == tenth]
            return float(np.average(right[there], weights=weight[there])) if len(there) else float("nan")

        return right_of

    samples = intervals.draws(sources)
    return {
        "ece": intervals.bootstrap(ece, len(truth), samples),
        "bins": [
            {
                "clips": int((of == tenth).sum()),
                "confidence": float(np.average(confidence[of == tenth], weights=weight[of == tenth])),
                "right": intervals.bootstrap(share(tenth), len(truth), samples),
            }
            for tenth in np.unique(of)
        ],
    }


def groups(found: Study) -> dict[str, dict[str, Any]]:
    """Return UAR and clips by age, gender and phone, of the answers of what ships."""
    told = found.likelihood.argmax(axis=1)
    rows: dict[str, dict[str, Any]] = {}
    for what, names in (("age", AGES), ("gender", GENDERS), ("phone", PHONES)):
        of = np.array([getattr(clip, what) for clip in found.clips])
        for code in sorted(set(of) - {""}):
            there = np.flatnonzero(of == code)
            sources = [found.clips[clip].source for clip in there]
            rows[names.get(code, code)] = {
                "clips": len(there),
                "households": len(set(sources)),
                "categories": len(np.unique(found.truth[there])),
                "uar": figures.with_intervals(found.truth[there], told[there], sources)["uar"],
            }
    return rows
