"""The validation clips: how well the model and the peer tell cries from other sounds, all together, per label, per cry.

A clip's score is its best window's.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from monitor.detect.model import Threshold
from monitor.records import Sensitivity
from training import data, hearing, intervals, peer
from training.data import Clip
from training.hearing import Heard, Scores
from training.intervals import Estimate

Mask = npt.NDArray[np.bool_]
Choices = dict[Sensitivity, Threshold]
Figure = Callable[[Scores, Mask], float]

FALSE_RATES = (0.01, 0.02, 0.05)
# As the collection codes them. Weeks, then months, then years.
AGES = {
    "04": "0 to 4 weeks",
    "48": "4 to 8 weeks",
    "26": "2 to 6 months",
    "72": "7 months to 2 years",
    "22": "over 2 years",
}
GENDERS = {"f": "girls", "m": "boys"}
PHONES = {"android": "Android, 8 kHz AMR", "ios": "iOS"}


class Judged(NamedTuple):
    """The clips and what was heard in them."""

    clips: tuple[Clip, ...]
    heard: Heard

    @property
    def cry(self) -> Mask:
        """Which clips are labelled cry, bool[clips]."""
        return np.array([clip.is_cry for clip in self.clips])

    @property
    def sources(self) -> list[str]:
        """Where each clip was recorded."""
        return [clip.source for clip in self.clips]


def auc(best: Scores, cry: Mask) -> float:
    """Return the chance that a cry scores over another sound, ties half; no number without both."""
    cries, others = int(cry.sum()), int((~cry).sum())
    if not cries or not others:
        return float("nan")
    return float((rankdata(best)[cry].sum() - cries * (cries + 1) / 2) / (cries * others))


def recall_at(rate: float) -> Figure:
    """Return the figure: the share of cries over the score that at most `rate` of the others exceed."""

    def recall(best: Scores, cry: Mask) -> float:
        others = np.sort(best[~cry])[::-1]
        if not len(others) or not cry.any():
            return float("nan")
        limit = others[int(rate * len(others))]  # the first score that would be one false alarm too many
        return float((best[cry] > limit).mean())

    return recall


def _average_precision(best: Scores, cry: Mask) -> float:
    return float(average_precision_score(cry, best)) if cry.any() and not cry.all() else float("nan")


FIGURES: dict[str, Figure] = {
    "auc": auc,
    "average_precision": _average_precision,
    **{f"recall_at_{rate:.0%}_false": recall_at(rate) for rate in FALSE_RATES},
}


def ranking(judged: Judged) -> dict[str, dict[str, Estimate]]:
    """Return each figure of the model, of the peer, and the model's lead, over the same draws of households."""
    ours, peers, cry = hearing.best(judged.heard.ours), hearing.best(judged.heard.peers), judged.cry
    samples = intervals.draws(judged.sources)

    def rows(figure: Figure) -> dict[str, Estimate]:
        model, other = figure(ours, cry), figure(peers, cry)
        models, others = (np.array([figure(best[c], cry[c]) for c in samples]) for best in (ours, peers))
        return {
            "model": intervals.estimate(model, models),
            "peer": intervals.estimate(other, others),
            "lead": intervals.estimate(model - other, models - others),
        }

    return {name: rows(figure) for name, figure in FIGURES.items()}


def by_label(judged: Judged, choices: Choices) -> dict[str, dict[str, Any]]:
    """Return, per label, how many clips there are, and which share of them sets either off."""
    labels = np.array([clip.label for clip in judged.clips])
    return {label: _shares(judged, labels == label, choices) for label in sorted(set(labels.tolist()))}


def by_baby(judged: Judged, choices: Choices, data_dir: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the same for cries alone, per age, gender and phone, as the contributor stated them."""
    with (data_dir / data.LISTS[0]).open(newline="", encoding="utf-8") as lines:
        rows = {row["file"]: row for row in csv.DictReader(lines)}
    with (data_dir / data.LISTS[1]).open(newline="", encoding="utf-8") as lines:
        rows |= {row["file"]: row for row in csv.DictReader(lines)}
    cry, table = judged.cry, {}
    for column, names in {"age": AGES, "gender": GENDERS, "platform": PHONES}.items():
        of_clip = np.array([rows.get(clip.file, {}).get(column) or "" for clip in judged.clips])
        groups = {name: cry & (of_clip == code) for code, name in names.items()}
        table[column] = {name: _shares(judged, which, choices) for name, which in groups.items() if which.any()}
    return table


def band_gap(judged: Judged, data_dir: Path) -> dict[str, Any]:
    """Return the mean change of a cry's score when the same recording keeps its band above 4 kHz.

    Near 0: the model hears the cry; far from it: the band.
    """
    number = {clip.file: index for index, clip in enumerate(judged.clips)}
    pairs = [(number[w], number[n]) for w, n in data.twins(data_dir) if w in number and n in number]
    wide, narrow = np.array([w for w, _ in pairs]), np.array([n for _, n in pairs])
    samples = intervals.draws([judged.sources[w] for w in wide])

    def gap(scores: Sequence[Scores]) -> Estimate:
        change = hearing.best(scores)[wide] - hearing.best(scores)[narrow]
        return intervals.bootstrap(lambda c: float(change[c].mean()), len(change), samples)

    return {"pairs": len(pairs), "model": gap(judged.heard.ours), "peer": gap(judged.heard.peers)}


def _shares(judged: Judged, which: Mask, choices: Choices) -> dict[str, Any]:
    """Return which share of the clips `which` has a window over the threshold, and which starts an episode."""
    numbers = np.flatnonzero(which)
    ours, peers = ([scores[i] for i in numbers] for scores in judged.heard)
    sources = [judged.sources[i] for i in numbers]
    return {
        "clips": len(numbers),
        "sources": len(set(sources)),
        "window_over": intervals.share(hearing.best(ours) >= choices["normal"].enter, sources),
        "window_over_peer": intervals.share(hearing.best(peers) >= peer.ENTER, sources),
        **{name: intervals.share(hearing.started(ours, rule), sources) for name, rule in choices.items()},
        "peer": intervals.share(hearing.peer_started(peers), sources),
    }
