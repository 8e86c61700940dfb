import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import intervals

SOURCES = ["a", "a", "a", "b", "c", "c"]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
def test_a_source_is_drawn_whole(sources: list[str]) -> None:
    """A draw holds every clip of a source as often as each other one: clips of one home are never told apart."""
    for clips in intervals.draws(sources, count=5):
        for name in set(sources):
            times = [int((clips == i).sum()) for i, source in enumerate(sources) if source == name]
            assert len(set(times)) == 1


def test_draws_are_the_same_at_every_run() -> None:
    """The same sources give the same draws, so that a figure can be repeated to the last digit."""
    assert all(np.array_equal(*pair) for pair in zip(*(intervals.draws(SOURCES) for _ in range(2)), strict=True))


def test_few_homes_make_a_wide_interval() -> None:
    """Twenty clips of two homes say less than twenty clips of twenty homes."""
    hits = np.arange(20) % 2 == 0
    homes = intervals.share(hits, [str(i) for i in range(20)])
    two = intervals.share(hits, ["even" if i % 2 == 0 else "odd" for i in range(20)])
    assert homes.low is not None
    assert two.low is not None
    assert homes.low > two.low
    assert homes.value == two.value == 0.5


def test_none_seen_is_not_never() -> None:
    """Where all clips agree the interval is the binomial one of the sources, and one source has none."""
    none = intervals.share(np.zeros(100, bool), [str(i % 10) for i in range(100)])
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(0.3085, abs=1e-3)
    assert intervals.share(np.ones(3, bool), ["a"] * 3) == intervals.Estimate(1.0, None, None)


def test_counts_have_the_poisson_interval() -> None:
    """Zero in two hours is 0 to 1.84 an hour; nine an hour from 18 in two hours is 5.33 to 14.22."""
    assert intervals.per_hour(0, 2) == intervals.Estimate(0, 0, 1.84)
    assert intervals.per_hour(18, 2) == intervals.Estimate(9, 5.33, 14.22)


def test_what_is_no_number_is_left_out() -> None:
    """A draw without a cry gives no figure, and does not spoil the interval."""
    drawn = np.array([np.nan, *np.linspace(0, 1, 101)])
    assert intervals.estimate(0.5, drawn) == intervals.Estimate(0.5, 0.025, 0.975)
    assert intervals.estimate(0.5, drawn[:1]) == intervals.Estimate(0.5, None, None)


def test_one_source_has_no_interval() -> None:
    """Drawn again, a single source is itself: nothing says what it would be elsewhere."""
    found = intervals.bootstrap(lambda clips: float(len(clips)), 3, intervals.draws(["a", "a", "a"]))
    assert (found.value, found.low, found.high) == (3.0, None, None)
