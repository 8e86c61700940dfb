import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, poisson

from monitor.publish.figures import Count, Figures, poisson_interval, two_digits


@pytest.mark.parametrize("seen", [1, 2, 3, 7, 20, 100])
def test_the_interval_is_the_exact_one(seen: int) -> None:
    """Garwood's: the means at which as few, and as many, as were seen are 2.5 % likely each. SciPy has the same."""
    low, high = poisson_interval(seen)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * seen) / 2, rel=1e-9)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * seen + 2) / 2, rel=1e-9)
    assert poisson.cdf(seen, high) == pytest.approx(0.025)


@pytest.mark.parametrize("seen", [101, 1_000, 100_000])
def test_of_many_the_interval_is_near_the_exact_one(seen: int) -> None:
    """It takes no time, and nobody sees the difference in two digits."""
    low, high = poisson_interval(seen)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * seen) / 2, rel=3e-5)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * seen + 2) / 2, rel=3e-5)


def test_of_none_the_bound_is_one_sided() -> None:
    """Nothing lies below, so all of the 5 % lies above: 2.996, the rule of three."""
    low, high = poisson_interval(0)
    assert low == 0.0
    assert high == pytest.approx(-math.log(0.05))


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [(0.1131, 0.11, 0.12), (0.12, 0.12, 0.12), (1.951, 1.9, 2.0), (71.9, 71, 72), (1_234, 1_200, 1_300), (0.0, 0, 0)],
)
def test_two_digits_are_rounded_outwards(value: float, down: float, up: float) -> None:
    """An interval never looks narrower than it is, and a value of two digits stays."""
    assert (two_digits(value, math.floor), two_digits(value, math.ceil)) == (down, up)


@given(st.floats(1e-6, 1e6))
def test_rounding_never_crosses_the_value(value: float) -> None:
    """Whatever it is: down is below, up above, and neither by more than a tenth."""
    assert value * 0.9 <= two_digits(value, math.floor) <= value * (1 + 1e-6)
    assert value * (1 - 1e-6) <= two_digits(value, math.ceil) <= value * 1.1 + 1e-9


def test_none_in_212_hours_is_under_an_eighth_a_night() -> None:
    """The figure of the documentation: a night is 8 h heard."""
    figures = Figures.of(
        [Count("nursery", "cry-1", "normal", 600_000, 4, 3, 0), Count("nursery", "cry-1", "high", 163_200)]
    )
    assert figures.as_json() == {
        "heard_h": 212.0,
        "alerts": 4,
        "answered": 3,
        "unanswered": 1,
        "not_a_cry": 0,
        "per_night": 0.0,
        "per_night_low": 0.0,
        "per_night_high": 0.12,
    }


def test_where_nothing_was_heard_nothing_is_known() -> None:
    """No hours, no rate: null, never 0."""
    figures = Figures.of([])
    assert (figures.per_night, figures.per_night_low, figures.per_night_high) == (None, None, None)
    assert figures == Figures()
