import pytest

from training import nights

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
    figures = nights.judge(spans, CRIES, hours=0.1).as_dict()
    assert (figures["found"], figures["false_episodes"], figures["median_latency_s"]) == (found, false, median_s)


@pytest.mark.parametrize(
    ("span", "false_on_s"),
    [((12.0, 55.0), 0.0), ((12.0, 90.0), 5.0), ((100.0, 120.0), 20.0), ((0.0, 300.0), 9.0 + 114.0 + 65.0)],
)
def test_time_on_outside_cries_is_counted(span: tuple[float, float], false_on_s: float) -> None:
    """From 1 s before a cry to 25 s after it an episode may be on; all other seconds are false."""
    assert nights.judge([span], CRIES, hours=0.1).false_on_s == pytest.approx(false_on_s)


def test_nights_add_up() -> None:
    """Two nights together have the cries, false episodes, seconds and hours of both."""
    one, other = nights.judge([(12.0, 45.0)], CRIES, 0.1), nights.judge([(100.0, 120.0)], CRIES[:1], 0.2)
    both = nights.together([one, other]).as_dict()
    assert (both["cries"], both["found"], both["false_episodes"], both["median_latency_s"]) == (4, 1, 1, 2.0)
    assert both["false_on_s_per_hour"] == pytest.approx(20 / 0.3, abs=0.1)
    assert both["false_per_hour"].value == pytest.approx(3.33)
