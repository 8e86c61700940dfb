import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from publish.make import T0, event, held

from monitor.publish import Store
from monitor.publish.history import UNREADABLE, History
from monitor.publish.tonight import Night
from monitor.records import Applied


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    """A history that works."""
    opened = History(Store(path), failing=False, keep_days=90)
    yield opened
    opened.close(1e9)


def test_what_could_not_be_written_is_written_later(history: History, path: Path) -> None:
    """While the file is locked writes wait, in order; with the lock gone nothing is missing and `failing` is over."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with structlog.testing.capture_logs() as logs:
            for number in range(50):
                history.append(event(number=number), 100.0)
            history.delivered("e0-cry_started", T0, 100.0)
        assert history.failing
        assert [line["event"] for line in logs] == ["history_failed"], "a burst is one failure"
        other.execute("ROLLBACK")
    history.tick(101.0, T0 + 10)
    assert not history.failing
    waiting = history.recover(max_age_s=600, now_at=T0 + 10)
    assert [e.event_id for e in waiting if e.ended_by is None] == [f"e{n}-cry_started" for n in range(1, 50)]


def test_a_failure_that_lasts_is_said_each_hundredth_time(path: Path) -> None:
    """The first failure is a warning, then each 100th with the count; what waits is bounded, what is lost counted."""
    store = Store(path)
    store.close()  # the quickest way to fail
    history = History(store, failing=False, keep_days=90)
    with structlog.testing.capture_logs() as logs:
        for second in range(1_101):
            history.append(event(number=second), 100.0 + second)
    assert [line["failures"] for line in logs if line["event"] == "history_failed"] == [*range(1, 1_102, 100)]
    assert history.lost == 101


def test_without_a_store_nothing_is_written_and_nothing_fails() -> None:
    """A history that could not be opened stays a problem; every call is harmless."""
    history = History(None, failing=True, keep_days=90)
    history.append(event(), 1.0)
    history.keep_setting(Applied("nursery", "enabled", "ON"), 1.0)
    history.touch("e1", T0, 1.0)
    history.held(held(), 1.0)
    history.keep_care("nursery", "fed", T0, 1.0)
    history.keep_feedback("nursery", "e1", "hungry", T0, 1.0)
    assert history.find_episode("nursery", None) == UNREADABLE
    assert history.notes() == ({}, {})
    assert history.night(T0) == Night()
    history.tick(2.0, T0)
    assert history.recover(max_age_s=600, now_at=T0) == []
    assert history.failing
    history.close(3.0)
