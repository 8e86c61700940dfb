import numpy as np
import pytest
from made_evaluation import score

from training import hearing
from training.params import WindowParams


@pytest.mark.parametrize(
    ("scores", "starts"),
    [([0.9, 0, 0.9, 0, 0.9], True), ([0.9, 0, 0, 0.9, 0, 0.9], False), ([0.9, 0.9], False), ([0.9] * 3, True)],
)
def test_n_of_m_starts_an_episode(scores: list[float], starts: bool) -> None:  # noqa: FBT001 - a case, not a switch
    """An episode starts when three of five windows in a row are over the threshold, and only then."""
    assert hearing.starts_episode(np.array(scores, np.float32), 0.5, 3, 5) is starts


def test_every_window_is_scored_once() -> None:
    """A recording has a score a hop, and one shorter than a window is padded in front, not behind."""
    seen = []

    def function(windows: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(windows)
        return {"cry": windows[:, -1:]}

    params = WindowParams()
    assert len(hearing.window_scores(function, np.zeros(24000 + 7680 * 2, np.int16), params)) == 3
    assert hearing.window_scores(function, np.full(1000, 16384, np.int16), params) == pytest.approx([0.5])
    assert seen[-1][0, 0] == 0


def test_a_window_is_scored_once_however_often_it_is_heard() -> None:
    """With a memory the answers are the same, and known windows cost no inference, in whatever batch they come."""
    asked = []

    def function(windows: np.ndarray) -> dict[str, np.ndarray]:
        asked.append(len(windows))
        return score(windows)

    windows = np.random.default_rng(1).normal(size=(6, 24000)).astype(np.float32)
    recall = hearing.remembered(function)
    for part in (windows[:4], windows[2:], windows):
        assert np.array_equal(recall(part)["cry"], score(part)["cry"])
    assert asked == [4, 2]
