import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publish.make import level

from monitor.publish.minutes import KEPT_AT_MOST, Minute, Minutes
from monitor.records import Level

NOON = 1_790_000_040
"""A full minute."""


def heard(at: float, heard_s: float = 5.0, **changes: object) -> Level:
    said: dict[str, object] = {"at": at, "heard_s": heard_s, "top_dbfs": -40.0, "top_score": 0.1, "model": "cry-1"}
    return dataclasses.replace(level(), **(said | changes))  # type: ignore[arg-type]  # a wrong one fails its test


def test_a_minute_is_a_row() -> None:
    """The seconds are summed, of level and score the highest stands; what is taken is gone."""
    minutes = Minutes()
    for second in range(5, 61, 5):
        minutes.add(heard(NOON + second - 0.1, top_dbfs=-41.26 + second / 10, top_score=None if second < 30 else 0.5))
    minutes.add(heard(NOON + 60 + 4.9, top_dbfs=float("-inf"), top_score=None))
    before, full, following = minutes.take()
    assert (before.at, before.heard_s) == (NOON - 60, 0.1)
    assert full == Minute("nursery", NOON, 60.0, -35.3, 0.5, "cry-1", "normal")
    assert (following.at, following.heard_s, following.level_dbfs, following.score) == (NOON + 60, 4.9, None, None)
    assert minutes.take() == []


def test_seconds_before_the_full_minute_are_the_minute_before() -> None:
    """A record that reaches over it is of both."""
    minutes = Minutes()
    minutes.add(heard(NOON + 2))
    assert [(one.at, one.heard_s) for one in minutes.take()] == [(NOON - 60, 3.0), (NOON, 2.0)]


def test_rooms_and_settings_are_counted_apart() -> None:
    """A minute in which the sensitivity was changed is two rows."""
    minutes = Minutes()
    for said in (heard(NOON + 5), heard(NOON + 10, sensitivity="high"), heard(NOON + 5, room="attic")):
        minutes.add(said)
    assert [(one.room, one.sensitivity) for one in minutes.take()] == [
        ("nursery", "normal"),
        ("nursery", "high"),
        ("attic", "normal"),
    ]


def test_what_waits_is_bounded() -> None:
    """While nothing can be written the oldest minutes go."""
    minutes = Minutes()
    for number in range(KEPT_AT_MOST + 5):
        minutes.add(heard(NOON + 60 * number + 30))
    taken = minutes.take()
    assert (len(taken), taken[0].at) == (KEPT_AT_MOST, NOON + 5 * 60)


@given(st.lists(st.tuples(st.floats(0, 200), st.floats(0, 8)), max_size=60))
def test_no_second_is_lost_or_made(spans: list[tuple[float, float]]) -> None:
    """Whatever comes and whenever: what went in comes out, and no minute is of the future."""
    minutes = Minutes()
    at = float(NOON)
    for gap_s, heard_s in spans:
        at += gap_s + heard_s
        minutes.add(heard(at, heard_s))
    taken = minutes.take()
    assert sum(one.heard_s for one in taken) == pytest.approx(sum(s for _, s in spans), abs=0.01 * len(taken) + 1e-6)
    assert all(one.at <= at and one.heard_s <= 60.01 for one in taken)
