"""How the service ends: asked to, asked twice, or killed."""

import signal
import time
from pathlib import Path

import pytest
from e2e.heard import (
    AVAILABILITY,
    EVENT,
    STATE,
    STATUS,
    payloads,
    said_of_crying,
    story,
    wait_for_crying,
    wait_for_text,
)
from e2e.service import STOP_S, Service, room
from mqtt_broker import Mosquitto, Recorder, recording

pytestmark = pytest.mark.broker


def test_sigterm_in_an_episode_ends_it(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, long_crying: Path
) -> None:
    """Availability, `cry_ended` (`stopped`), `state` with null, retained `offline`; exit 0 in under 10 s."""
    with Service(tmp_path, port=broker.port, rooms={"nursery": room(long_crying)}) as service:
        wait_for_crying(recorder, "ON")
        service.stop()
    wait_for_text(recorder, STATUS, "offline")
    received = recorder.received
    assert story(received, AVAILABILITY, EVENT, STATE, STATUS)[-4:] == [
        ("availability", "offline"),
        ("event", "cry_ended"),
        ("state", None),
        ("status", "offline"),
    ]
    assert payloads(received, EVENT)[-1]["ended_by"] == "stopped"
    with recording(broker.port) as later:
        assert wait_for_text(later, STATUS, "offline").retain


def test_a_service_that_was_killed_makes_up_for_it(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, long_crying: Path, quiet: Path
) -> None:
    """SIGKILL: the will says `offline`. Again: `cry_ended` (`interrupted`) and a true `state` stand before `online`."""
    with Service(tmp_path, port=broker.port, rooms={"nursery": room(long_crying)}) as service:
        wait_for_crying(recorder, "ON")
        service.signal(signal.SIGKILL)
        assert wait_for_text(recorder, STATUS, "offline").retain
        assert service.wait() == -signal.SIGKILL
    killed = recorder.received
    recorder.clear()
    with Service(tmp_path, port=broker.port, rooms={"nursery": room(quiet)}) as service:
        wait_for_text(recorder, STATUS, "online")
        again = recorder.received
        service.stop()
    *before, ended = payloads(again, EVENT)
    assert {event["event_type"] for event in before} <= {"cry_started", "alert"}  # the kill came before their answers
    assert (ended["event_type"], ended["ended_by"]) == ("cry_ended", "interrupted")
    assert ended["episode_id"] == payloads(killed, EVENT)[0]["episode_id"]
    topics = [message.topic for message in again]
    assert topics.index(EVENT) < topics.index(STATUS)
    assert topics.index(STATE) < topics.index(STATUS)
    assert said_of_crying(again)[0] in ("OFF", None)
    assert "ON" not in said_of_crying(recorder.received)
    assert [line["room"] for line in service.logged("episode_interrupted")] == ["nursery"]


def test_a_broker_that_hangs_does_not_hold_up_the_stop(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, long_crying: Path
) -> None:
    """The broker takes nothing any more: exit 0 in under 10 s all the same, and the log says what was left unsaid."""
    with Service(tmp_path, port=broker.port, rooms={"nursery": room(long_crying)}) as service:
        wait_for_crying(recorder, "ON")
        broker.pause()
        service.stop()
        assert [line["level"] for line in service.logged("stopped_with_unsent")] == ["warning"]
        broker.resume()
    wait_for_text(recorder, STATUS, "offline")


def test_a_second_sigterm_ends_at_once(broker: Mosquitto, recorder: Recorder, tmp_path: Path, quiet: Path) -> None:
    """Whoever asks twice waits for nothing: exit 1 at once, although the broker hangs."""
    with Service(tmp_path, port=broker.port, rooms={"nursery": room(quiet)}) as service:
        wait_for_text(recorder, AVAILABILITY, "online")
        broker.pause()
        service.signal(signal.SIGTERM)
        service.wait_for_line("stopping")
        began_s = time.monotonic()
        service.signal(signal.SIGTERM)
        assert service.wait(STOP_S) == 1
        assert time.monotonic() - began_s < 1.0
        assert service.logged("stopped") == []
        broker.resume()
    wait_for_text(recorder, STATUS, "offline")
