import numpy as np
import pytest

from training import teacher
from training.params import TargetParams

GRID = teacher.GRID_SAMPLES


def target(scores: list[float], start: int) -> float:
    return teacher.target(np.array(scores, np.float32), start, 24000, TargetParams())


def test_the_best_window_of_a_labelled_cry_is_a_cry() -> None:
    """However timid the teacher, the window where it heard most is a cry, and one where it heard nothing is not."""
    scores = [0.0] * 20 + [0.1] + [0.0] * 20
    assert target(scores, 20 * GRID - 12000) == pytest.approx(0.95)
    assert target(scores, 0) < 0.01


def test_a_sure_teacher_is_believed() -> None:
    """A score near one stays near one, and a middling one is sharpened upwards."""
    assert target([0.99] * 20, 0) > 0.99
    assert target([1.0] + [0.5] * 20, 10 * GRID) == pytest.approx(1 / (1 + np.exp(-1.5)))


@pytest.mark.parametrize("start", [-50000, -8000, 0, 8000, 100000])
def test_windows_may_hang_over_the_ends(start: int) -> None:
    """A window that begins before the clip or ends after it has a target too."""
    assert 0 <= target([0.2, 0.9, 0.1], start) <= 1
