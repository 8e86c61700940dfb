"""What a study found, as its card says it: figures, calibration, and how it fares with whom."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from sklearn.metrics import confusion_matrix

from training import evaluate, intervals
from training.causes import candidates, clips, figures
from training.causes.figures import Causes, Probabilities
from training.causes.study import BANDS, FULL_BANDS, REPEATS, SHIPS, Study
from training.clips import AGES, GENDERS, PHONES
from training.intervals import Clips

BINS = np.linspace(0.0, 1.0, 11)
LEAST_HOUSEHOLDS = 10  # of a group: under so many its figure says nothing


def metrics(found: Study) -> dict[str, Any]:
    """Return all that the card says, as plain values."""
    told, sources = found.likelihood.argmax(axis=1), [clip.source for clip in found.clips]
    ships = found.tried[SHIPS]
    homes = [{clip.source for clip in found.clips if clip.category == name} for name in found.categories]
    most = found.categories.index(clips.commonest(found.clips))
    said = {
        "clips": len(found.clips),
        "households": len(set(sources)),
        "taught": {
            "clips": sum(clip.may_teach for clip in found.clips),
            "households": len({clip.source for clip in found.clips if clip.may_teach}),
        },
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
    """Return UAR and clips by age, gender and phone, of the answers of what ships; no UAR of a few households."""
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
                "uar": figures.with_intervals(found.truth[there], told[there], sources)["uar"]
                if len(set(sources)) >= LEAST_HOUSEHOLDS
                else None,
            }
    return rows
