import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from publish.make import T0, alert, event, level

from monitor.publish import Message, Messages, Store
from monitor.publish.bookkeeper import COUNTED_AGAIN_S, FIGURES_EVERY_S, Bookkeeper
from monitor.publish.history import History
from monitor.publish.minutes import Minute
from monitor.publish.picture import Picture
from monitor.publish.room import Now
from monitor.records import Level


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    opened = History(Store(path), failing=False, keep_days=90)
    yield opened
    opened.close(1e9)


@pytest.fixture
def bookkeeper(history: History) -> Bookkeeper:
    return kept_by(history)


def kept_by(history: History) -> Bookkeeper:
    messages = Messages("cry", "home", ["nursery", "attic"])
    return Bookkeeper(history, Picture(messages, {}, model_name="cry-1", version="1", now=after(0)))


def after(seconds: float) -> Now:
    return Now(100.0 + seconds, T0 + seconds)


def heard(second: float) -> Level:
    return dataclasses.replace(level(), at=T0 + second, heard_s=5.0, top_dbfs=-40.0, model="cry-1")


def written_s(path: Path) -> float:
    with closing(sqlite3.connect(path)) as database:
        (seconds,) = database.execute("SELECT coalesce(sum(heard_s), 0) FROM minutes").fetchone()
        return float(seconds)


def figures(messages: list[Message]) -> dict[str, dict[str, float]]:
    return {message.topic.split("/")[2]: json.loads(message.payload) for message in messages}


def test_it_writes_once_a_minute(bookkeeper: Bookkeeper, path: Path) -> None:
    """A disk that is a card is written each minute, not each five seconds; at the stop, what is left."""
    seen = []
    for second in range(0, 150, 5):
        bookkeeper.hear(heard(second))
        bookkeeper.tick(after(second))
        seen.append(written_s(path))
    assert sorted(set(seen)) == [0.0, 65.0, 125.0]
    bookkeeper.write(250.0)
    assert written_s(path) == 150.0


def test_a_history_that_fails_costs_no_second(bookkeeper: Bookkeeper, history: History, path: Path) -> None:
    """While writes wait the minutes are gathered, not queued among them; afterwards all are there."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        history.append(event(), 100.0)
        for second in range(0, 600, 5):
            bookkeeper.hear(heard(second))
            bookkeeper.tick(after(second))
        assert len(history._waiting) == 1  # noqa: SLF001 - the event alone
        other.execute("ROLLBACK")
    history.tick(800.0, T0 + 700)
    bookkeeper.tick(after(700))
    assert written_s(path) == 600.0


def test_figures_are_said_each_hour_and_when_they_change(bookkeeper: Bookkeeper, history: History) -> None:
    """Of each room that has new ones: hours by the hour, an alert or an answer at once."""
    history.tick(100.0, T0)
    assert {one["heard_h"] for one in figures(bookkeeper.tick(after(0))).values()} == {0.0}
    for second in range(0, 3_540, 5):
        bookkeeper.hear(heard(second))
        assert bookkeeper.tick(after(second)) == []
    told = figures(bookkeeper.tick(after(FIGURES_EVERY_S)))
    assert list(told) == ["nursery"]
    assert (told["nursery"]["heard_h"], told["nursery"]["per_night_high"]) == (0.98, 25.0)
    history.append(event(), 4_000.0)
    history.append(alert(sensitivity="normal"), 4_000.0)
    assert bookkeeper.tick(after(FIGURES_EVERY_S + 1)) == []
    bookkeeper.recount()
    assert figures(bookkeeper.tick(after(FIGURES_EVERY_S + 2)))["nursery"]["unanswered"] == 1
    assert bookkeeper.tick(after(FIGURES_EVERY_S + 3)) == []


def test_a_history_that_is_free_again_is_counted_at_once(path: Path) -> None:
    """Where it could not be opened at the start its figures are said when it is, and those of a new file at once."""
    before = Store(path)
    before.write_minutes([Minute("nursery", int(T0), 36.0, None, None, "cry-1", "normal")])
    before.close()
    away = path.rename(path.with_name("away.db"))
    path.mkdir()
    history = History(None, failing=True, keep_days=90, reopen=lambda: Store(path))
    bookkeeper = kept_by(history)
    history.tick(100.0, T0)
    assert bookkeeper.tick(after(0)) == []
    path.rmdir()
    away.rename(path)
    assert bookkeeper.tick(after(1)) == []
    history.tick(110.0, T0 + 10)
    told = figures(bookkeeper.tick(after(10)))
    assert (told["nursery"]["heard_h"], told["attic"]["heard_h"]) == (0.01, 0.0)
    path.unlink()
    history.tick(125.0, T0 + 25)  # sees it
    history.tick(126.0, T0 + 26)
    assert figures(bookkeeper.tick(after(26)))["nursery"]["heard_h"] == 0.0
    history.close(1e9)


def test_a_count_that_fails_is_tried_again_soon(bookkeeper: Bookkeeper, history: History, path: Path) -> None:
    """In 10 s, not in an hour: till then nobody is told of figures that nobody counted."""
    history.tick(100.0, T0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("ALTER TABLE heard RENAME TO away")
        assert bookkeeper.tick(after(0)) == []
        other.execute("ALTER TABLE away RENAME TO heard")
    assert bookkeeper.tick(after(COUNTED_AGAIN_S - 1)) == []
    assert set(figures(bookkeeper.tick(after(COUNTED_AGAIN_S)))) == {"nursery", "attic"}


def test_without_a_history_there_are_no_figures() -> None:
    """Nothing can be counted then, and nothing is said of it, to a broker that asks for all neither."""
    bookkeeper = kept_by(History(None, failing=True, keep_days=90))
    first, last = bookkeeper._picture.announce(after(0))  # noqa: SLF001 - what a connect says
    assert not [message for message in (*first, *last) if message.topic.endswith("/figures")]
    bookkeeper.hear(heard(0))
    assert bookkeeper.tick(after(0)) == []
    assert bookkeeper.tick(after(60)) == []
    bookkeeper.write(200.0)
