import json
import math

import pytest
from publish.make import T0, drilled, event, health

from monitor.publish import Messages, is_retained
from monitor.publish.messages import RoomState

EVENT_KEYS = [
    *(
        "v",
        "event_type",
        "event_id",
        "episode_id",
        "room",
        "started_at",
        "at",
        "duration_s",
        "ended_by",
        "peak",
        "mean",
    ),
    *("level_dbfs", "model", "confidence", "reason", "reasons", "late", "test", "cause", "by", "snr_db", "delay_s"),
]
STATE_KEYS = [
    *("v", "crying", "alert", "hearing", "episode_id", "since", "confidence", "reason", "reasons", "level_dbfs"),
    "problem",
]
DEAF = RoomState(
    crying=None,
    alert="OFF",
    hearing="OFF",
    episode_id=None,
    since=T0,
    confidence=None,
    reason=None,
    reasons={},
    level_dbfs=-math.inf,
    problem="source_lost",
)


def test_an_event_has_every_key_of_the_contract(messages: Messages) -> None:
    """Every key is there in every event, null where it does not apply; times are UTC with milliseconds."""
    message = messages.event(event("cry_started"))
    said = json.loads(message.payload)
    assert list(said) == EVENT_KEYS
    assert (message.topic, message.retain, message.qos) == ("cry/home/nursery/event", False, 1)
    assert said["started_at"] == "2026-09-21T14:13:20.250Z"
    assert (said["late"], said["test"], said["cause"], said["by"], said["ended_by"]) == (False, False, None, None, None)
    assert (said["snr_db"], said["delay_s"]) == (None, None)


def test_a_drill_has_no_cry_and_says_what_was_heard(messages: Messages) -> None:
    """A drill's result is of no cry; what nobody heard, or never came, is null and not minus infinity."""
    passed = json.loads(messages.event(drilled()).payload)
    unheard = drilled("drill_failed", level_dbfs=-math.inf, snr_db=None, delay_s=None)
    failed = json.loads(messages.event(unheard).payload)
    assert list(passed) == list(failed) == EVENT_KEYS
    nothing = ("episode_id", "started_at", "duration_s", "peak", "mean", "confidence", "cause")
    assert {passed[key] for key in nothing} == {failed[key] for key in nothing} == {None}
    assert (passed["test"], passed["level_dbfs"], passed["snr_db"], passed["delay_s"]) == (True, -23.5, 28.6, 4.2)
    assert (failed["level_dbfs"], failed["snr_db"], failed["delay_s"]) == (None, None, None)


def test_only_a_late_event_says_late(messages: Messages) -> None:
    """`late` makes an event again with that one key changed, and leaves other messages alone."""
    in_time = messages.event(event())
    assert json.loads(messages.late(in_time).payload) == json.loads(in_time.payload) | {"late": True}
    assert messages.late(messages.status("online")) == messages.status("online")


def test_state_has_every_key_and_no_infinity(messages: Messages) -> None:
    """Digital silence is minus infinity dBFS, which JSON cannot say: it becomes null."""
    message = messages.state("nursery", DEAF)
    said = json.loads(message.payload)
    assert list(said) == STATE_KEYS
    assert (said["crying"], said["alert"], said["level_dbfs"]) == (None, "OFF", None)
    assert (message.retain, message.qos) == (True, 1)


def test_health_names_each_room(messages: Messages) -> None:
    """Health says how each source is, and counts what waits for the broker."""
    message = messages.health(
        version="0.1.0",
        model="cry-1",
        uptime_s=61.4,
        problem="ok",
        rooms={"nursery": health(segments_dropped=2, overflows=1)},
        heard_s_ago={"nursery": 0.234},
        outbox=3,
    )
    assert json.loads(message.payload) == {
        "v": 1,
        "version": "0.1.0",
        "model": "cry-1",
        "uptime_s": 61,
        "problem": "ok",
        "rooms": {
            "nursery": {
                "source": "ok",
                "heard_s_ago": 0.2,
                "noise_floor_dbfs": -52.0,
                "segments_dropped": 2,
                "overflows": 1,
            },
        },
        "outbox": 3,
    }


def test_level_is_telemetry(messages: Messages) -> None:
    """A level goes out with QoS 0 and is not kept; before the first window its score is null."""
    message = messages.level("nursery", dbfs=-41.26, gate="closed", score=None)
    assert message.payload == b'{"v":1,"dbfs":-41.3,"gate":"closed","score":null}'
    assert (message.retain, message.qos) == (False, 0)


def test_events_never_coalesce(messages: Messages) -> None:
    """Each event matters; of everything else only the newest on its topic."""
    assert messages.event(event()).coalesce_key is None
    assert messages.availability("nursery", hearing=True).coalesce_key == "cry/home/nursery/availability"


@pytest.mark.parametrize("retained", [True, False])
def test_what_is_retained_is_known_by_its_topic(messages: Messages, *, retained: bool) -> None:
    """`is_retained` agrees with the flag of every message that we build."""
    built = [
        messages.status("online"),
        messages.availability("nursery", hearing=False),
        messages.state("nursery", DEAF),
        messages.event(event()),
        messages.level("nursery", dbfs=-41.0, gate="open", score=0.5),
        messages.setting("nursery", "enabled", "ON"),
        messages.setting("nursery", "sensitivity", "low"),
    ]
    assert {m.topic for m in built if m.retain is retained} == {
        m.topic for m in built if is_retained(m.topic) is retained
    }
    assert not is_retained("cry/home/nursery/enabled/set")


def test_a_room_is_forgotten_by_its_availability_last(messages: Messages) -> None:
    """A forgotten room is found by its `availability`, so that goes last; the rest goes first."""
    cleared = messages.forget("attic")
    assert [m.topic for m in cleared] == [
        f"cry/home/attic/{n}"
        for n in (
            *("state", "tonight", "enabled", "sensitivity", "alert_after", "snooze"),
            *("feedback", "care/fed", "care/slept", "care/changed", "availability"),
        )
    ]
    assert all(m.retain and not m.payload for m in cleared)


@pytest.mark.parametrize(
    "topic",
    ["cry/home/availability", "cry/home//availability", "cry/home/a/b/availability", "cry/other/a/availability", ""],
)
def test_only_a_room_of_ours_is_a_room(messages: Messages, topic: str) -> None:
    """`room_of` answers for `<prefix>/<node>/<room>/<name>` alone."""
    assert messages.room_of("cry/home/attic/availability", "availability") == "attic"
    assert messages.room_of(topic, "availability") is None
