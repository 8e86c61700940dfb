import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from publish.make import T0, alert, event, held, rehearsed

from monitor.publish import MEMORY, Count, Store
from monitor.publish.figures import Figures
from monitor.publish.minutes import Minute
from monitor.publish.schema import MIGRATIONS

DAY_S = 86_400.0

seconds = st.floats(0, 1e11) | st.sampled_from([5e-324, 0.0099, 0.01])
many = st.integers(0, 2**53 - 1) | st.integers(0, 200)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(path)
    yield opened
    opened.close()


def minute(number: int = 0, heard_s: float = 60.0, **changes: object) -> Minute:
    made = {"room": "nursery", "level_dbfs": -40.0, "score": 0.1, "model": "cry-1", "sensitivity": "normal"}
    return Minute(**(made | {"at": int(T0) + 60 * number, "heard_s": heard_s} | changes))  # type: ignore[arg-type]


def cry(store: Store, number: int = 1, *, at: float = T0, alerts: int = 1, answers: tuple[str, ...] = ()) -> None:
    """Let a child cry at `at` for a minute, with so many alerts, and be answered."""
    store.append(event("cry_started", number, at=at, started_at=at))
    for n in range(alerts):
        store.append(alert(number, event_id=f"e{number}-a{n}", at=at + 30 + n, sensitivity="normal"))
    store.append(event("cry_ended", number, at=at + 60, started_at=at))
    for n, value in enumerate(answers):
        store.write_feedback("nursery", f"e{number}", value, at + 90 + n)


def test_a_cry_that_alerted_counts_once(store: Store) -> None:
    """Its repeats, tests, cries without an alert and alerts that were held back do not; its last answer does."""
    cry(store, 1, alerts=3, answers=("hungry", "not_a_cry"))
    cry(store, 2, answers=("hungry",))
    cry(store, 3)
    cry(store, 4, alerts=0, answers=("not_a_cry",))
    store.append(rehearsed(sensitivity="normal"))
    store.append_held(held(episode_id="e4"))
    assert store.counts() == [Count("nursery", "cry-1", "normal", 0.0, alerts=3, answered=2, not_a_cry=1)]


def test_a_running_cry_counts(store: Store) -> None:
    """Its alert is answered while it cries, too."""
    store.append(event("cry_started"))
    store.append(alert(sensitivity="high"))
    store.write_feedback("nursery", "e1", "not_a_cry", T0)
    assert store.counts() == [Count("nursery", "cry-1", "high", 0.0, 1, 1, 1)]


def test_a_minute_that_is_written_twice_adds_up(store: Store, path: Path) -> None:
    """The service was stopped in it, and started again: the seconds add up, of the rest the highest stands."""
    store.write_minutes([minute(heard_s=20.0, level_dbfs=None, score=0.5)])
    store.write_minutes([minute(heard_s=30.0, level_dbfs=-50.0, score=None)])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT heard_s, level_dbfs, score FROM minutes").fetchall() == [(50.0, -50.0, 0.5)]
    assert store.counts() == [Count("nursery", "cry-1", "normal", 50.0)]


def test_what_is_forgotten_is_still_counted(store: Store) -> None:
    """Hours, alerts and answers outlive `keep_days`, whichever row goes on which day."""
    for day in range(5):
        store.write_minutes([minute(1_440 * day + n) for n in range(3)])
        cry(store, day, at=T0 + DAY_S * day, alerts=2, answers=("not_a_cry",) if day % 2 else ())
    before = store.counts()
    assert before == [Count("nursery", "cry-1", "normal", 900.0, 5, 2, 2)]
    for hour in range(24 * 7):
        store.forget_older_than(1, T0 + DAY_S + hour * 3_600)
        assert store.counts() == before
    assert store.night(T0).cries == ()


def test_an_alert_stays_as_long_as_its_cry(store: Store) -> None:
    """A cry that reaches over the bound is counted with its alert when it goes, not before and not twice."""
    store.append(event("cry_started", at=T0, started_at=T0))
    store.append(alert(at=T0 + 30, sensitivity="normal"))
    store.append(event("cry_ended", at=T0 + 600, started_at=T0))
    for after_s in (60.0, 700.0, 800.0):
        store.forget_older_than(1, T0 + DAY_S + after_s)
        assert store.counts() == [Count("nursery", "cry-1", "normal", 0.0, alerts=1)]


@given(st.lists(st.tuples(st.sampled_from(["write", "erase", "forget"]), st.integers(0, 20)), max_size=30))
def test_the_sums_are_those_of_the_minutes(steps: list[tuple[str, int]]) -> None:
    """Whoever writes, forgets or erases: what is counted is what is there, and what was forgotten in order."""
    store = Store(Path(MEMORY))
    there: dict[int, float] = {}
    forgotten = 0.0
    for step, number in steps:
        if step == "write":
            store.write_minutes([minute(number, 30.0)])
            there[number] = there.get(number, 0.0) + 30.0
        elif step == "forget":
            store.forget_older_than(0, int(T0) + 60 * number)
            forgotten += sum(seconds for n, seconds in there.items() if n < number)
            there = {n: seconds for n, seconds in there.items() if n >= number}
        else:
            store._db.change("DELETE FROM minutes WHERE at = ?", (int(T0) + 60 * number,))  # noqa: SLF001 - as `forget` does
            there.pop(number, None)
    assert sum(count.heard_s for count in store.counts()) == pytest.approx(forgotten + sum(there.values()))
    store.close()


def test_the_rest_of_other_rooms_is_not_erased(store: Store) -> None:
    """A minute that goes takes the empty sum of its own room along, and no other's."""
    store.write_minutes([minute(heard_s=0.004, room="attic"), minute()])
    store._db.change("DELETE FROM minutes WHERE room = 'nursery'")  # noqa: SLF001 - as `forget` does
    assert [(one.room, one.heard_s) for one in store.counts()] == [("attic", 0.004)]


@pytest.mark.parametrize(
    ("column", "value"),
    [("not_a_cry", -1), ("alerts", -1), ("alerts", 2**62), ("heard_s", -1.0), ("heard_s", float("inf"))],
)
def test_a_sum_that_cannot_be_is_left_out(store: Store, column: str, value: float) -> None:
    """A row of a damaged file is no figure."""
    store._db.change("INSERT INTO totals (room, model, sensitivity) VALUES ('nursery', 'cry-1', 'low')")  # noqa: SLF001
    store._db.change(f"UPDATE totals SET {column} = ?", (value,))  # noqa: S608, SLF001 - our own words
    store.write_minutes([minute()])
    with structlog.testing.capture_logs() as logs:
        assert store.counts() == [Count("nursery", "cry-1", "normal", 60.0)]
    assert [line["event"] for line in logs] == ["history_rows_unreadable"]


@given(st.builds(Count, st.just("nursery"), st.just("cry-1"), st.just("low"), seconds, many, many, many))
def test_whatever_can_be_read_can_be_said(count: Count) -> None:
    """Figures of any sums within the bounds are numbers that JSON has."""
    said = Figures.of([count, count]).as_json()
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_alerts_of_an_older_release_are_in_no_figure(tmp_path: Path) -> None:
    """It did not count what it heard: an alert without its hours would make false alarms look frequent."""
    path = tmp_path / "old.db"
    old = Store(path, migrations=MIGRATIONS[:2])
    old._db.change("INSERT INTO alerts VALUES ('a', 'e1', 'nursery', ?, 'first', NULL, 30.0)", (T0,))  # noqa: SLF001 - as it did
    old.close()
    store = Store(path)
    store.append(event("cry_started"))
    store.append(event("cry_ended"))
    assert store.counts() == []
    store.append(event("cry_started", 2))
    store.append(alert(2, sensitivity="normal"))
    assert [count.alerts for count in store.counts()] == [1]
    store.close()


def test_a_file_with_minutes_is_sound(store: Store, path: Path) -> None:
    """SQLite 3.40 takes a table for damaged whose key is not its first columns: a start would set it aside."""
    store.write_minutes([minute(n) for n in range(10)])
    cry(store)
    store.forget_older_than(0, T0 + 300)
    store.close()
    again = Store(path)
    assert not list(path.parent.glob("*.damaged-*"))
    assert again.counts()[0].heard_s == 600.0
    again.close()
