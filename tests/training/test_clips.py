from pathlib import Path

import numpy as np
import pytest
from made_evaluation import RULE, write_data
from sklearn.metrics import roc_auc_score

from training import calibration, clips, data
from training.clips import Judged
from training.data import Clip
from training.hearing import Heard, Scores

CHOICES: clips.Choices = dict.fromkeys(("low", "normal", "high"), RULE)


def judged(cries: list[float], others: list[float]) -> Judged:
    """Return clips of a source each, all windows alike; the peer says half."""
    rows = [Clip(f"{i}", "made", f"{i}", "cry", may_train=True, licence="") for i in range(len(cries))]
    rows += [Clip(f"o{i}", "made", f"o{i}", "speech", may_train=True, licence="") for i in range(len(others))]
    ours: tuple[Scores, ...] = tuple(np.full(6, value, np.float32) for value in (*cries, *others))
    return Judged(tuple(rows), Heard(ours, tuple(np.asarray(scores / 2, np.float32) for scores in ours)))


def test_ranking_is_by_the_best_window() -> None:
    """One sure window makes a clip a cry."""
    one = judged([0.1], [0.2])
    sure = np.array([0.1, 0.9], np.float32)
    table = clips.ranking(Judged(one.clips, Heard((sure, one.heard.ours[1]), one.heard.peers)))
    assert table["auc"]["model"].value == table["recall_at_1%_false"]["model"].value == 1
    assert table["auc"]["peer"].value == 0
    assert table["auc"]["lead"].value == 1


def test_the_area_is_the_usual_one() -> None:
    """With ties and without, the area under the curve is what scikit-learn says."""
    rng = np.random.default_rng(2)
    for digits in (1, 6):
        best, cry = rng.random(60).round(digits).astype(np.float32), rng.random(60) > 0.4
        assert clips.auc(best, cry) == pytest.approx(roc_auc_score(cry, best))


def test_recall_allows_so_many_false() -> None:
    """At 5 % of twenty others one may be over the line, at 1 % none."""
    best = np.array([0.5, *[0.1] * 19, 0.9, 0.3], np.float32)
    cry = np.arange(22) >= 20
    assert clips.recall_at(0.01)(best, cry) == 0.5
    assert clips.recall_at(0.05)(best, cry) == 1.0


def test_each_label_has_its_shares() -> None:
    """A row a label: how many clips, of how many sources, and which share sets off the model and the peer."""
    table = clips.by_label(judged([0.9, 0.9, 0.1], [0.2] * 4), CHOICES)
    assert (table["cry"]["clips"], table["cry"]["sources"]) == (3, 3)
    assert table["cry"]["normal"].value == pytest.approx(0.667, abs=1e-3)
    assert table["cry"]["peer"].value == pytest.approx(0.667, abs=1e-3)
    assert table["speech"]["window_over"].value == 0


def test_cries_are_told_apart_by_who_cries(tmp_path: Path) -> None:
    """Age, gender and phone come from the lists, and only cries are counted."""
    rows = data.read_clips(write_data(tmp_path))[:4]
    scores = tuple(np.full(6, 0.9, np.float32) for _ in rows)
    table = clips.by_baby(Judged(tuple(rows), Heard(scores, scores)), CHOICES, tmp_path)
    assert table["age"]["0 to 4 weeks"]["clips"] == table["gender"]["girls"]["clips"] == 3
    assert list(table["platform"]) == ["iOS"]


def test_honest_scores_are_calibrated() -> None:
    """Where nine in ten of the clips at 0.9 are cries the error is nought; where none is, it is all of it."""
    honest, sure = judged([0.9] * 9, [0.9]), judged([0.0], [0.95] * 9)
    assert calibration.calibration(honest)["model"]["ece"].value == pytest.approx(0, abs=1e-6)
    assert calibration.calibration(sure)["model"]["ece"].value == pytest.approx(0.955, abs=1e-3)
    assert [row["clips"] for row in calibration.calibration(sure)["model"]["bins"]] == [1, 9]
