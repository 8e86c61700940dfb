import pytest

from monitor.publish.late import Ages, delivery


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [(0, "in_time"), (30, "in_time"), (30.1, "late"), (600, "late"), (600.1, "never")],
)
def test_the_late_rule(age_s: float, expected: str) -> None:
    """Over 30 s an event is late; past 10 minutes it is kept in history only."""
    assert delivery(age_s) == expected


def test_an_age_is_monotonic() -> None:
    """An event grows older by the monotonic clock, from when it was reported or from its age at the start."""
    ages = Ages()
    ages.happened("now", 1_000.0)
    ages.happened("before", 1_000.0, age_s=100.0)
    assert (ages.age_s("now", 1_031.0), ages.age_s("before", 1_031.0)) == (31.0, 131.0)


def test_an_event_of_the_future_is_new() -> None:
    """After the wall clock was set back an event of an earlier run has age 0, not less."""
    ages = Ages()
    ages.happened("tomorrow", 1_000.0, age_s=-86_400.0)
    assert ages.age_s("tomorrow", 1_000.0) == 0.0


def test_what_waits_no_more_is_forgotten() -> None:
    """The ages of delivered events do not pile up."""
    ages = Ages()
    ages.happened("e", 0.0)
    ages.forget("e")
    ages.forget("e")
    assert len(ages) == 0
