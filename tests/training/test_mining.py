"""Hard negatives: what a model takes for a cry is drawn more often, but no source rules."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training import mining, network
from training.augment import Augmenter
from training.params import Params

Made = Callable[..., Augmenter]


def test_chances_follow_the_scores() -> None:
    """A window that is taken for a cry is drawn in proportion; one that scores nothing hardly ever."""
    drawn = mining.chances(np.array([0.9, 0.45, 0.001] * 200, np.float32), np.array([f"s{i}" for i in range(600)]))
    assert drawn.sum() == pytest.approx(1)
    assert drawn[0] == pytest.approx(2 * drawn[1])
    assert drawn[2] < drawn[1] / 1000


def test_no_source_rules() -> None:
    """However hard one source is, it has about a hundredth of the draws."""
    scores = np.array([0.99] * 1000, np.float32)
    sources = np.array(["laugh"] * 500 + [f"s{i}" for i in range(500)])
    assert mining.chances(scores, sources)[:500].sum() < 0.02


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_what_was_found_stays(made: Made, tmp_path: Path) -> None:
    """Only clips without a cry are mined, and a run that is started again finds the same."""
    augmenter = made(8)
    model = network.build(Params())
    first = mining.cached(augmenter, model, tmp_path / "mined-1.npz", 1)
    assert set(first.clips) <= set(augmenter.others)
    again = mining.cached(augmenter, model, tmp_path / "mined-1.npz", 1)
    np.testing.assert_array_equal(first.chances, again.chances)
    assert augmenter.batch(0, first).waveforms.shape == (8, 24000)
