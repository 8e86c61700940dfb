"""Settings over MQTT, through the whole service."""

from pathlib import Path

import pytest
from e2e.heard import (
    AVAILABILITY,
    EVENT,
    ROOM,
    STATE,
    STATUS,
    payloads,
    said_of_crying,
    story,
    wait_for,
    wait_for_crying,
    wait_for_text,
)
from e2e.service import Service, room
from mqtt_broker import Mosquitto, Recorder, wait_until

pytestmark = pytest.mark.broker

GARBAGE = [b"", b"\x00\xff\xfe\x80", b"x" * 300_000, b"1e999"]


def ready(recorder: Recorder) -> None:
    """Wait until commands are listened to: one that is sent again until it is answered shows it."""
    topic = f"{ROOM}/enabled"

    def answered() -> bool:
        recorder.send(f"{topic}/set", b"ON")
        return recorder.topics().count(topic) > 1

    wait_for_text(recorder, STATUS, "online")
    wait_until(answered, "a command is answered")


def test_a_room_is_switched_off_and_on(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, long_crying: Path
) -> None:
    """OFF ends the episode (`disabled`), and the room is offline and knows nothing; ON brings both back."""
    with Service(tmp_path, port=broker.port, rooms={"nursery": room(long_crying)}) as service:
        wait_for_crying(recorder, "ON")
        recorder.send(f"{ROOM}/enabled/set", b"OFF")
        wait_for_text(recorder, f"{ROOM}/enabled", "OFF")
        received = wait_for_crying(recorder, None)
        assert story(received, AVAILABILITY, EVENT, STATE)[-3:] == [
            ("availability", "offline"),
            ("event", "cry_ended"),
            ("state", None),
        ]
        assert payloads(received, EVENT)[-1]["ended_by"] == "disabled"
        assert payloads(received, STATE)[-1]["problem"] == "disabled"
        recorder.clear()
        recorder.send(f"{ROOM}/enabled/set", b"ON")
        wait_for_text(recorder, f"{ROOM}/enabled", "ON")
        told = story(wait_for_crying(recorder, "ON"), AVAILABILITY, EVENT, STATE)
        begins = told.index(("event", "cry_started"))  # its alert may be there already
        assert told[begins - 1 : begins + 2] == [("state", "OFF"), ("event", "cry_started"), ("state", "ON")]
        assert ("availability", "online") in told
        service.stop()


def test_settings_outlive_a_restart(broker: Mosquitto, recorder: Recorder, tmp_path: Path, quiet: Path) -> None:
    """`sensitivity` is answered on its own topic; it and `enabled` are the same after a restart."""
    service = Service(tmp_path, port=broker.port, rooms={"nursery": room(quiet), "attic": room(quiet)})
    with service:
        ready(recorder)
        recorder.send(f"{ROOM}/sensitivity/set", b"high")
        wait_for_text(recorder, f"{ROOM}/sensitivity", "high")
        recorder.send(f"{ROOM}/enabled/set", b"OFF")
        wait_for_text(recorder, f"{ROOM}/enabled", "OFF")
        service.stop()
    recorder.clear()
    with service:
        wait_for_text(recorder, "cry/home/attic/availability", "online")
        wait_for_text(recorder, STATUS, "online")
        wait_for(recorder, lambda all_: payloads(all_, STATE)[-1]["problem"] == "disabled", "the room is disabled")
        service.stop()
    told = [(message.topic, message.payload) for message in recorder.received]
    assert [payload for topic, payload in told if topic == f"{ROOM}/sensitivity"] == [b"high"]
    assert [payload for topic, payload in told if topic == f"{ROOM}/enabled"] == [b"OFF"]
    assert {payload for topic, payload in told if topic == AVAILABILITY} == {b"offline"}
    assert set(said_of_crying(recorder.received)) == {None}


def test_garbage_is_a_warning_and_no_more(broker: Mosquitto, recorder: Recorder, tmp_path: Path, quiet: Path) -> None:
    """Nonsense on every `/set` topic, of unknown rooms too: one short warning each; the next valid command works."""
    topics = [f"cry/home/{name}/set" for name in ("nursery/enabled", "nursery/sensitivity", "cellar/enabled", "x/y")]
    with Service(tmp_path, port=broker.port, rooms={"nursery": room(quiet)}) as service:
        ready(recorder)
        for topic in topics:
            for payload in GARBAGE:
                recorder.send(topic, payload)
        recorder.send(f"{ROOM}/sensitivity/set", b"low")
        wait_for_text(recorder, f"{ROOM}/sensitivity", "low")
        service.stop()
    warnings = [line for line in service.lines if line["level"] != "info"]
    assert [(line["event"], line["topic"]) for line in warnings] == [
        ("command_refused", topic) for topic in topics for _ in GARBAGE
    ]
    assert max(len(str(line)) for line in warnings) < 600
