"""Calibration: of the clips that score about 0.8, are eight in ten a cry? For the mix of the validation clips."""

from typing import Any

import numpy as np
import numpy.typing as npt

from training import hearing, intervals
from training.clips import Judged, Mask
from training.hearing import Scores

BINS = 10


def calibration(judged: Judged) -> dict[str, dict[str, Any]]:
    """Return, of the model and of the peer, the expected calibration error and a row for each tenth of the scores."""
    samples = intervals.draws(judged.sources)

    def of(best: Scores) -> dict[str, Any]:
        error = intervals.bootstrap(lambda c: ece(best[c], judged.cry[c]), len(best), samples)
        return {"ece": error, "bins": reliability(best, judged)}

    return {"model": of(hearing.best(judged.heard.ours)), "peer": of(hearing.best(judged.heard.peers))}


def ece(best: Scores, cry: Mask) -> float:
    """Return the expected calibration error: how far score and share of cries lie apart, over the tenths."""
    bins = _bins(best)
    apart = [abs(float(best[bins == b].mean()) - float(cry[bins == b].mean())) * (bins == b).mean() for b in set(bins)]
    return float(sum(apart))


def reliability(best: Scores, judged: Judged) -> list[dict[str, Any]]:
    """Return, for each tenth that holds clips: how many, their mean score and which share is a cry."""
    bins, rows = _bins(best), []
    for number in sorted(set(bins)):
        inside = np.flatnonzero(bins == number)
        cries = intervals.share(judged.cry[inside], [judged.sources[i] for i in inside])
        rows.append({"clips": len(inside), "score": round(float(best[inside].mean()), 4), "cries": cries})
    return rows


def _bins(best: Scores) -> npt.NDArray[np.int64]:
    return np.asarray(np.minimum((best * BINS).astype(int), BINS - 1))
