import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.publish.backoff import next_delay_s


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_a_broker_that_is_away_is_tried_within_8_s(failures: int, seed: int) -> None:
    """Between 1 s and 8 s, full jitter, however often it failed."""
    uniform = random.Random(seed).uniform  # noqa: S311 - no secret
    delay_s = next_delay_s(lasting=False, short_in_a_row=1, failures=failures, uniform=uniform)
    assert 1.0 <= delay_s <= 8.0


def test_the_delay_grows() -> None:
    """The longest delay doubles with each failure, up to 8 s."""
    longest = [
        next_delay_s(lasting=False, short_in_a_row=1, failures=n, uniform=lambda _low, high: high) for n in (1, 2, 3, 4)
    ]
    assert longest == [2.0, 4.0, 8.0, 8.0]


@pytest.mark.parametrize(("lasting", "short_in_a_row"), [(True, 0), (True, 2), (False, 2)])
def test_what_does_not_pass_by_itself_is_tried_each_minute(*, lasting: bool, short_in_a_row: int) -> None:
    """A refused login, a taken client id and the second connection in a row that ends within 30 s wait 60 s."""
    delay_s = next_delay_s(lasting=lasting, short_in_a_row=short_in_a_row, failures=1, uniform=random.uniform)
    assert delay_s == 60.0
