import contextlib
import io
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from functools import cache
from pathlib import Path

import loudness
import structlog
from fuzz.damage import bounded, fuzz, numbers, replaced, scraps, values
from hypothesis import given
from hypothesis import strategies as st
from publish.make import T0, alert, discovery, event, held, rehearsed

from monitor.assembly import build, open_history
from monitor.config import load_config
from monitor.errors import StoreError
from monitor.publish import Messages, Store, past_alerts, past_episodes
from monitor.publish.commands import Commands
from monitor.publish.door import Door
from monitor.publish.history import History
from monitor.publish.messages import Message
from monitor.publish.picture import Picture
from monitor.publish.room import Now
from monitor.publish.tonight import night_of, noon_of
from monitor.records import Applied
from monitor.verbs.history import history as history_verb

NOW = Now(100.0, T0 + 60)

COLUMNS = {
    "episodes": (
        *("episode_id", "room", "model", "started_at", "started_s", "last_at", "ended_at", "ended_by", "peak", "mean"),
        *("duration_s", "level_dbfs", "reason", "reasons"),
    ),
    "events": ("event_id", "episode_id", "room", "event_type", "at", "record", "delivered_at", "expired"),
    "alerts": ("alert_id", "episode_id", "room", "at", "cause", "held_by", "crying_s"),
    "settings": ("room", "setting", "value", "overrode", "until_at", "asked_s"),
    "care": ("room", "kind", "at"),
    "feedback": ("episode_id", "room", "value", "at"),
}


@cache
def good() -> bytes:
    """A history of two cries, one of them open, with alerts, settings and notes; nothing of it was delivered."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        store = Store(path)
        store.settle(open_history(load_config(None, ["history.path=:memory:"], {"HOME": folder}).config).settings)
        for one in (event(), alert(), event("cry_ended"), event(number=2), rehearsed()):
            store.append(one)
        store.append_held(held())
        store.write_setting(Applied("nursery", "sensitivity", "high"))
        store.write_setting(Applied("nursery", "alert_after", "30"))
        store.write_setting(Applied("nursery", "enabled", "OFF", T0 + 3_600, 3_600.0))
        store.write_setting(Applied("nursery", "snooze", "2026-09-21T14:30:00.000Z", T0 + 1_000, 1_000.0))
        store.write_care("nursery", "fed", T0)
        store.write_feedback("nursery", "e2", "not_a_cry", T0)
        store.close()
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA journal_mode = DELETE")
        return path.read_bytes()


@contextlib.contextmanager
def file_of(content: bytes, *changes: tuple[str, str, object]) -> Iterator[Path]:
    """A history file of these bytes, with some columns of all rows set to other values, whatever the schema forbids."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        path.write_bytes(content)
        if changes:
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("PRAGMA writable_schema = ON")
                db.execute("UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'")
                db.execute("PRAGMA writable_schema = RESET")
                for table, column, value in changes:
                    with contextlib.suppress(sqlite3.IntegrityError, OverflowError):
                        db.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))  # noqa: S608 - our own words
        yield path


def refuse(constant: str) -> None:
    """JSON has no such number."""
    raise AssertionError(constant)


def check(messages: list[Message]) -> None:
    """Topics that a broker takes, and JSON that any parser takes: no NaN, no infinity."""
    for message in messages:
        assert not set(message.topic) & set("+#\0"), message.topic
        if message.payload.startswith(b"{"):
            json.loads(message.payload, parse_constant=refuse)


def start_on(path: Path) -> None:
    """Do with the file what a start of the service and a night with it do; say what is said then."""
    config = load_config(None, [f"history.path={path}"], {"HOME": "/"}).config
    found = open_history(config)
    build(config, loudness.MODEL, found)
    messages = Messages("cry", "home", ["nursery"])
    kept = History(found.store, failing=found.store is None, keep_days=90)
    told = discovery()
    picture = Picture(messages, found.settings, model_name="cry-1", version="0.1.0", now=NOW)
    commands = Commands(messages)
    door = Door(
        messages=messages, commands=commands, picture=picture, history=kept, deliver=lambda _: True, discovery=told
    )
    check([messages.event(one) for one in kept.take_up(max_age_s=600, now_s=NOW.monotonic_s, now_at=NOW.at)])
    door.remember()
    night = night_of(NOW.at)
    check(picture.begin_night(night, kept.night(noon_of(night))))
    kept.tick(NOW.monotonic_s, NOW.at)
    kept.find_episode("nursery", None)
    for one in (event(number=3), alert(3), event("cry_ended", 3)):
        kept.append(one, NOW.monotonic_s)
        check(picture.handle(one, NOW))
    check([message for half in picture.announce(NOW) for message in half])
    kept.close(1e9)


def ask(path: Path) -> None:
    """Read it as `history` does: what there is, or a `StoreError`."""
    with contextlib.suppress(StoreError):
        past_episodes(path)
        past_alerts(path)
    config = load_config(None, [f"history.path={path}"], {"HOME": "/"})
    for jsonl in (True, False):
        with contextlib.suppress(StoreError), contextlib.redirect_stdout(io.StringIO()) as out:
            history_verb(config, jsonl=jsonl, since=None)
            for line in out.getvalue().splitlines():
                json.loads(line, parse_constant=refuse)


def both(path: Path) -> None:
    """Read it beside the service, then start on it, then read what that made of it."""
    with bounded(), structlog.testing.capture_logs(), contextlib.redirect_stderr(io.StringIO()):
        ask(path)
        start_on(path)
        ask(path)


flips = st.lists(st.tuples(st.integers(0, 200) | st.integers(0, 80_000), scraps), min_size=1, max_size=12)
odd = (
    values.filter(lambda value: not isinstance(value, list | dict))
    | st.binary(max_size=8)
    | st.sampled_from(["ON", "{}"])
)
cells = st.sampled_from([(table, column) for table, columns in COLUMNS.items() for column in columns])
records = replaced(json.loads(json.dumps({"reasons": {"hungry": 1.0}, "at": T0, "room": "nursery"})))


def stored(value: object) -> object:
    """As SQLite can hold it: a number of any size is one of 64 bits or a float there."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float("inf") if value > 0 else float("-inf")
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) and not value.isascii() else value


@fuzz
@given(flips)
def test_a_history_with_wrong_bytes_ends_no_start(changes: list[tuple[int, bytes]]) -> None:
    """Whatever bytes of the file are overwritten: the service starts, and `history` says what it can."""
    content = bytearray(good())
    for place, scrap in changes:
        start = place % len(content)
        content[start : start + len(scrap)] = scrap
    with file_of(bytes(content)) as path:
        both(path)


@fuzz
@given(st.lists(st.tuples(cells, odd | numbers), min_size=1, max_size=4))
def test_a_history_with_wrong_values_ends_no_start(changes: list[tuple[tuple[str, str], object]]) -> None:
    """Any column may hold any type, NULL, or a number that is no time: the service starts, and says valid JSON."""
    with file_of(good(), *((table, column, stored(value)) for (table, column), value in changes)) as path:
        both(path)


@fuzz
@given(st.sampled_from([event(), alert(), event("cry_ended")]).flatmap(lambda e: replaced(record_of(e))), records)
def test_a_history_with_wrong_json_ends_no_start(record: object, reasons: object) -> None:
    """The JSON in a row may be any other: the service starts, and sends what can be read."""
    with file_of(
        good(),
        ("events", "record", json.dumps(record)),
        ("episodes", "reasons", json.dumps(reasons)),
    ) as path:
        both(path)


def record_of(one: object) -> object:
    """What the store writes of an event."""
    return asdict(one)  # type: ignore[call-overload]
