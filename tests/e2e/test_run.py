"""The service from end to end: a recording goes in, messages come out of a real broker, in their order."""

import socket
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
    wait_for,
    wait_for_event,
    wait_for_text,
)
from e2e.service import DEADLINE_S, Service, room
from mqtt_broker import Mosquitto, Recorder

pytestmark = pytest.mark.broker

SETTINGS = {"enabled", "sensitivity", "alert_after", "snooze", "feedback"}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_cry_is_told_in_order(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, late_crying: Path, protocol: str
) -> None:
    """What is known, health, `online` last; `cry_started` before ON, `cry_ended` before OFF, no alert without a cry."""
    with Service(tmp_path, port=broker.port, rooms={"nursery": room(late_crying)}, protocol=protocol) as service:
        wait_for_text(recorder, STATUS, "online")
        connected = recorder.topics()
        ended = wait_for_event(recorder, "cry_ended")
        wait_for(recorder, lambda all_: payloads(all_, STATE)[-1]["problem"] == "source_ended", "the recording's end")
        service.stop()
    ours = [topic.rpartition("/")[2] for topic in connected if topic.startswith("cry/home/")]
    names = list(dict.fromkeys("settings" if name in SETTINGS else name for name in ours[: ours.index("status") + 1]))
    assert names == ["settings", "state", "availability", "tonight", "figures", "summary", "health", "status"]
    received = recorder.received
    told = story(received, AVAILABILITY, EVENT, STATE)
    begins = told.index(("event", "cry_started"))
    assert told[begins:] == [
        ("event", "cry_started"),
        ("state", "ON"),
        ("event", "alert"),
        ("state", "ON"),  # the alert is on
        ("state", "ON"),  # the odds of its cause
        ("state", "ON"),  # the alert is over
        ("event", "cry_ended"),
        ("state", "OFF"),
        ("availability", "offline"),
        ("state", None),
    ]
    assert ("state", "ON") not in told[:begins]
    started, running = payloads(received, EVENT)[0], payloads(received, STATE)[said_of_crying(received).index("ON")]
    assert (started["late"], started["ended_by"], ended["late"], ended["ended_by"]) == (False, None, False, "quiet")
    assert started["episode_id"] == ended["episode_id"] == running["episode_id"]


def test_a_cry_is_one_line_of_the_log(broker: Mosquitto, tmp_path: Path, crying: Path) -> None:
    """Each cry is exactly one INFO line; a night without trouble has no warning and nothing on standard error."""
    rooms = {"nursery": room(crying, speed=20.0), "attic": room(crying, speed=20.0)}
    with Service(tmp_path, port=broker.port, rooms=rooms) as service:
        service.wait_for_line("source_ended", count=2)
        service.stop()
        lines = service.lines
    cries = [line for line in lines if line["event"].startswith("cry_")]
    assert sorted((line["event"], line["level"], line["room"]) for line in cries) == [
        ("cry_started", "info", "attic"),
        ("cry_started", "info", "nursery"),
    ]
    assert len({line["episode_id"] for line in cries}) == 2
    assert {line["level"] for line in lines} == {"info"}
    assert {line["node"] for line in lines} == {"home"}
    assert [line["event"] for line in lines][-1] == "stopped"


def test_the_service_manager_is_told(
    broker: Mosquitto, tmp_path: Path, quiet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY when the model is checked and the threads run, WATCHDOG while all of them turn, STOPPING at the end."""

    def word() -> bytes:
        while (said := manager.recv(4096)).startswith(b"STATUS="):
            pass
        return said

    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(DEADLINE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        with Service(tmp_path, port=broker.port, rooms={"nursery": room(quiet)}) as service:
            assert [word() for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            service.stop()
        last = word()
        while last == b"WATCHDOG=1":
            last = word()
    assert last == b"STOPPING=1"
