import numpy as np
import pytest

from training import evaluate, nights
from training.data import Clip
from training.evaluate import Heard
from training.params import WindowParams


def heard(cries: list[list[float]], others: list[list[float]]) -> Heard:
    clips = [
        Clip(str(i), "made", str(i), "cry" if i < len(cries) else "speech", may_train=True, licence="")
        for i in range(100)
    ]
    scores = tuple(np.array(s, np.float32) for s in [*cries, *others])
    return Heard(tuple(clips[: len(scores)]), scores, scores)


@pytest.mark.parametrize(
    ("scores", "starts"),
    [([0.9, 0, 0.9, 0, 0.9], True), ([0.9, 0, 0, 0.9, 0, 0.9], False), ([0.9, 0.9], False), ([0.9] * 3, True)],
)
def test_n_of_m_starts_an_episode(scores: list[float], starts: bool) -> None:  # noqa: FBT001 - a case, not a switch
    """An episode starts when three of five windows in a row are over the threshold, and only then."""
    assert evaluate.starts_episode(np.array(scores, np.float32), 0.5, 3, 5) is starts


def test_thresholds_lie_above_what_is_no_cry() -> None:
    """The chosen thresholds are the lowest that the sounds without a cry do not reach too often."""
    chosen = evaluate.choose(heard([[0.9] * 8], [[0.1] * 8] * 30 + [[0.5] * 8]))
    assert chosen["normal"].enter == pytest.approx(0.525)
    assert chosen["normal"].exit < chosen["normal"].enter


def test_ranking_is_by_the_best_window() -> None:
    """One sure window makes a clip a cry."""
    figures = evaluate.ranking([np.array([0.1, 0.9]), np.array([0.2, 0.3])], np.array([True, False]))
    assert figures["auc"] == 1
    assert figures["recall_at_1%_false"] == 1


def test_every_window_is_scored_once() -> None:
    """A recording has a score a hop, and one shorter than a window is padded in front, not behind."""
    seen = []

    def function(windows: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(windows)
        return {"cry": windows[:, -1:]}

    params = WindowParams()
    assert len(evaluate.window_scores(function, np.zeros(24000 + 7680 * 2, np.int16), params)) == 3
    assert evaluate.window_scores(function, np.full(1000, 16384, np.int16), params) == pytest.approx([0.5])
    assert seen[-1][0, 0] == 0


CRIES = [(10.0, 30.0), (50.0, 60.0), (200.0, 210.0)]


@pytest.mark.parametrize(
    ("spans", "found", "false", "median_s"),
    [
        ([], 0, 0, None),
        ([(12.0, 45.0)], 1, 0, 2.0),
        ([(12.0, 80.0)], 2, 0, 2.0),  # the first episode carries over a pause of 20 s: found, without a latency
        ([(12.0, 45.0), (53.0, 80.0), (204.0, 230.0)], 3, 0, 3.0),
        ([(100.0, 120.0)], 0, 1, None),
        ([(8.0, 300.0)], 0, 1, None),  # a monitor that is always on finds nothing
    ],
)
def test_a_night_is_judged_by_its_starts(
    spans: list[tuple[float, float]], found: int, false: int, median_s: float | None
) -> None:
    """A cry is found when an episode starts in it or runs on from the one before; other starts are false."""
    figures = nights.judge(spans, CRIES)
    assert (figures.found, figures.false_episodes, figures.median_latency_s) == (found, false, median_s)
