"""How the line is joined: what the settings and the history become in each room."""

import contextlib
import math
import sqlite3
import threading
from pathlib import Path

import loudness
import pytest
import soundfile
import structlog
import synth
from mqtt_broker import DEADLINE_S, free_port

from monitor import app, assembly
from monitor.capture import Segmenter
from monitor.config import Config, RoomConfig, load_config
from monitor.publish import Store
from monitor.records import AlertHeld, Applied, Event

NOW_AT = 1_700_000_000.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A room in which it cries for 30 s, over and over, as fast as it goes, and no broker."""
    pcm = synth.over(synth.noise(60, -65.0), (5, synth.cry(30, -15.0)))
    soundfile.write(tmp_path / "room.wav", pcm, 16_000)
    room = ("source=file", f"path={tmp_path / 'room.wav'}", "loop=true", "speed=0", "alert.repeat_after_s=10")
    settings = [*(f"rooms.nursery.{setting}" for setting in room), f"mqtt.port={free_port()}"]
    return load_config(None, [*settings, f"history.path={tmp_path / 'history.db'}"]).config


def settings(**changes: str) -> dict[assembly.Key, str]:
    """What a room's settings are, with these changes."""
    values = {"enabled": "ON", "sensitivity": "normal", "alert_after": "0", "snooze": "None"} | changes
    return {("nursery", name): value for name, value in values.items()}  # type: ignore[misc]  # the names of settings


def heard(config: Config, history: assembly.History) -> list[str]:
    """What is said of alerts in half a minute of crying, by cause, `held` where one is held."""
    detector = assembly.detector_of(config, loudness.MODEL, history, None)
    segmenter = Segmenter("nursery", window_samples=loudness.WINDOW_SAMPLES, hop_samples=loudness.HOP_SAMPLES)
    said = []
    for segment in segmenter.feed(synth.cry(30, -15.0), 30.0):
        said += detector.step([segment], [], segment.at_s)
    alerts = [record for record in said if isinstance(record, AlertHeld | Event) and record.room == "nursery"]
    return [
        "held" if isinstance(record, AlertHeld) else record.cause or ""
        for record in alerts
        if isinstance(record, AlertHeld) or record.event_type == "alert"
    ]


def test_the_service_alerts(config: Config) -> None:
    """A cry in a room of the service is alerted, and again after `repeat_after_s`; each is one line of the log."""
    ended = threading.Event()
    with structlog.testing.capture_logs() as logs:

        def alerted_twice() -> bool:
            return len([line for line in logs if line["event"] == "alert"]) >= 2

        timer = threading.Timer(DEADLINE_S, ended.set)
        timer.start()
        try:
            app.run(config, stop=ended, load=lambda *_: loudness.MODEL, until=alerted_twice)
        finally:
            timer.cancel()
            timer.join()
    first, second, *_ = [line for line in logs if line["event"] == "alert"]
    assert [first["cause"], second["cause"]] == ["first", "repeat"]
    assert first["episode_id"] == second["episode_id"]
    assert 10 <= second["crying_s"] - first["crying_s"] < 11
    assert not first["test"]


def test_the_settings_that_a_room_starts_with(config: Config) -> None:
    """`alert_after` is what the configuration says, and nothing is snoozed."""
    history = assembly.open_history(config)
    assert history.settings == settings()
    assert history.until == {}
    assert history.store is not None
    history.store.close()


def test_a_history_without_its_settings_is_not_kept_open(config: Config) -> None:
    """Where they cannot be read the service starts without it, and nothing holds the file."""
    path = config.history.path
    Store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE settings")
    with structlog.testing.capture_logs() as logs:
        assert assembly.open_history(config).store is None
    assert [line["event"] for line in logs] == ["history_off"]
    assert not list(path.parent.glob("*-wal")), "SQLite's log is there while somebody has the file open"


@pytest.mark.parametrize(
    ("changes", "until", "said"),
    [
        ({}, {}, ["first", "repeat", "repeat"]),
        ({"alert_after": "25"}, {}, ["first"]),
        ({"snooze": "some day"}, {("nursery", "snooze"): (math.inf, math.inf)}, ["held"] * 3),
        ({"snooze": "some day"}, {("nursery", "snooze"): (0.0, 60.0)}, ["first", "repeat", "repeat"]),
    ],
)
def test_alerts_follow_the_settings(
    config: Config, changes: dict[str, str], until: dict[assembly.Key, tuple[float, float]], said: list[str]
) -> None:
    """A room alerts by its `alert_after` and its snooze as they are kept, not as they are configured."""
    assert heard(config, assembly.History(None, settings(**changes), until)) == said


def test_a_snooze_without_a_known_end_is_over(config: Config) -> None:
    """Where the end of a snooze is not kept, it ends at the start, and says so."""
    history = assembly.History(None, settings(snooze="2026-11-27T22:00:00.000Z"))
    detector = assembly.detector_of(config, loudness.MODEL, history, None)
    assert detector.step([], [], 0.0) == [Applied("nursery", "snooze", "None", None)]


@pytest.mark.parametrize(
    ("enabled", "kept_at", "left_s"),
    [
        (True, NOW_AT + 60, 60.0),
        (True, None, 12 * 3600.0),  # somebody did it, we do not know when
        (False, None, None),
        (False, NOW_AT + 60, None),  # on over MQTT, and off again, as its configuration has it
    ],
)
def test_what_turns_a_room_on_again(kept_at: float | None, left_s: float | None, *, enabled: bool) -> None:
    """A room that somebody switched off turns itself on; one that its configuration leaves off does not."""
    kept: dict[assembly.Key, tuple[float, float]] = {} if kept_at is None else {("nursery", "enabled"): (kept_at, 60.0)}
    left_off = assembly.off_until(assembly.History(None, settings(enabled="OFF"), kept), "nursery")
    timer = assembly.rearm_of(RoomConfig(enabled=enabled), left_off)
    timer.resume(now_s=5.0, wall_at=NOW_AT)
    assert timer.until_at == (None if left_s is None else NOW_AT + left_s)
    assert timer.runs == (left_s is not None)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_room_that_is_on_has_no_timer(*, enabled: bool) -> None:
    """ON for a room that is on stores no end; OFF starts the timer where the configuration leaves the room on."""
    timer = assembly.rearm_of(
        RoomConfig(enabled=enabled), assembly.off_until(assembly.History(None, settings()), "nursery")
    )
    timer.resume(now_s=5.0, wall_at=NOW_AT)
    assert (timer.until_at, timer.asked_s) == (None, None)
    timer.start(now_s=5.0, wall_at=NOW_AT)
    assert timer.runs == enabled
