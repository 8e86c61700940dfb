from pathlib import Path

import numpy as np
import pytest

from monitor.detect.model import Scores, Waveforms
from training import compare, data
from training.intervals import Estimate
from training.params import Params, TrainParams, WindowParams


def test_the_best_at_both_levels_is_chosen() -> None:
    """The seed with the highest mean recall, as recorded and softer together, is chosen; of equals the first."""

    def figures(recorded: float, soft: float) -> compare.Figures:
        values = {"AUC": 1 - recorded, compare.CHOOSES: recorded, compare.CHOOSES + ", -35 dB": soft}
        return {name: Estimate(value, None, None) for name, value in values.items()}

    assert compare.choose({20: figures(0.9, 0.5), 21: figures(0.8, 0.7), 22: figures(0.7, 0.8)}) == 21


@pytest.mark.parametrize(("second", "alike"), [({"seed": 21}, True), ({}, False), ({"seed": 21, "steps": 5}, False)])
def test_only_seeds_are_compared(second: dict[str, int], alike: bool) -> None:  # noqa: FBT001 - a row of the table
    """Runs that differ in more than their seed, or not even in that, are refused."""
    runs = {Path("a"): Params(), Path("b"): Params(train=TrainParams(**second))}
    if alike:
        compare.check(runs)
    else:
        with pytest.raises(data.DataError, match="differ in their seed"):
            compare.check(runs)


def test_mean_recall_knows_no_late_cry() -> None:
    """Cries over all others count whole; one that a twentieth of the others exceed counts for nothing."""
    others = np.linspace(0.1, 0.8, 200)
    best = np.concatenate([[0.9, 0.75], others]).astype(np.float32)
    cry = np.arange(len(best)) < 2
    assert compare.mean_recall(best, cry) == pytest.approx(0.5)


def test_soft_sound_is_measured_too(data_dir: Path) -> None:
    """A model that is deaf to soft sound shows it: its figures at -35 dB are those of chance."""
    rows, sounds = data.validation(data_dir)

    def loud_only(waveforms: Waveforms) -> Scores:
        loud = np.abs(waveforms).max(axis=1, keepdims=True)
        return {"cry": np.where(loud > 0.05, loud, 0.0).astype(np.float32)}

    found = compare.measure(loud_only, WindowParams(), rows, sounds)
    assert found["AUC, -35 dB"].value == 0.5
    assert found["AUC"].value != 0.5
