from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publish.make import T0, alert, drilled, event, rehearsed

from monitor.publish.tonight import Cry, Tally, night_of, noon_of

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(text: str) -> float:
    """Return the instant of a clock in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("clock", "night"),
    [
        ("2026-11-24T12:00:00", "2026-11-24"),
        ("2026-11-24T23:59:59", "2026-11-24"),
        ("2026-11-25T03:00:00", "2026-11-24"),
        ("2026-11-25T11:59:59", "2026-11-24"),
        ("2026-11-25T12:00:00", "2026-11-25"),
        ("2026-03-29T11:59:59", "2026-03-28"),  # the night in which the clock was put forward
        ("2026-03-29T12:00:00", "2026-03-29"),
        ("2026-10-25T11:59:59", "2026-10-24"),  # and back
        ("2026-10-25T12:00:00", "2026-10-25"),
    ],
)
def test_a_night_is_named_by_its_evening(clock: str, night: str) -> None:
    """From noon to noon by the clock on the wall, whatever summer time does."""
    assert night_of(berlin(clock), BERLIN) == date.fromisoformat(night)


@given(at=st.floats(0, 4e9), zone=st.sampled_from([None, UTC, BERLIN, ZoneInfo("America/St_Johns")]))
def test_a_night_begins_at_its_noon(at: float, zone: ZoneInfo | None) -> None:
    """Each instant lies between the noon of its night and the next, 23 to 25 h later."""
    night = night_of(at, zone)
    assert noon_of(night, zone) <= at < noon_of(night, zone) + 25 * 3_600
    assert night_of(noon_of(night, zone), zone) == night


def test_an_episode_counts_once() -> None:
    """The newest word on an episode stands; its crying is summed, hang-over excluded."""
    tally = Tally(night_of(T0, UTC), [Cry("nursery", "e0", T0 - 60, 30.0)], alerts=2, zone=UTC)
    for said in (event("cry_started"), event("cry_ongoing", duration_s=65.0), event("cry_ended", duration_s=90.0)):
        tally.count(said)
    assert (tally.episodes, tally.crying_s, tally.longest_s, tally.last_cry_at) == (2, 120.0, 90.0, T0)
    assert tally.alerts == 2


def test_an_alert_counts_unless_it_is_a_test() -> None:
    """Alerts that were sent tonight; neither a test nor an answer is an episode."""
    tally = Tally(night_of(T0, UTC), zone=UTC)
    for said in (alert(), alert(cause="repeat"), rehearsed(), drilled(), event("acknowledged"), alert(at=T0 + 86_400)):
        tally.count(said)
    assert (tally.alerts, tally.episodes, tally.longest_s, tally.last_cry_at) == (2, 0, 0.0, None)


def test_another_night_does_not_count() -> None:
    """A cry that began before noon belongs to the night before, however long it lasts."""
    tally = Tally(night_of(T0 + 86_400, UTC), zone=UTC)
    tally.count(event("cry_ended", at=T0 + 86_400))
    assert tally.episodes == 0
