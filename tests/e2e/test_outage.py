"""The broker dies, forgets everything and comes back: what happened meanwhile is not lost."""

import signal
import time
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

import pytest
from e2e.heard import payloads, story, wait_for, wait_for_crying, wait_for_text
from e2e.service import DEADLINE_S, Service, room
from mqtt_broker import Mosquitto, Recorder, recording, wait_until

pytestmark = pytest.mark.broker


NODES = {"five": "5", "three": "3.1.1"}


@pytest.mark.parametrize(
    ("outage_s", "late"), [(5.0, False), pytest.param(32.0, True, marks=pytest.mark.slow)], ids=["in-time", "late"]
)
def test_a_cry_outlives_the_broker(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, long_crying: Path, outage_s: float, *, late: bool
) -> None:
    """The broker is killed as a cry begins, and is back, empty, on its port: `cry_started` and all state arrive.

    The event is `late` if it is older than 30 s then. One service speaks MQTT 5, the other 3.1.1.
    """
    rooms = {"nursery": room(long_crying, speed=4.0)}
    with ExitStack() as stack:
        services = [
            stack.enter_context(Service(tmp_path, port=broker.port, rooms=rooms, node=node, protocol=protocol))
            for node, protocol in NODES.items()
        ]
        for service in services:
            wait_until_the_cry_is_near(recorder, service)
        assert not any(service.logged("cry_started") for service in services)
        broker.kill()
        killed_s = time.monotonic()
        for service in services:
            service.wait_for_line("cry_started")
        wait_until(lambda: time.monotonic() - killed_s >= outage_s, "the outage is over", outage_s + DEADLINE_S)
        again = stack.enter_context(back(broker, services))
        for service in services:
            is_told_everything(again, service, late=late)
        with recording(broker.port) as later:
            for service in services:
                assert wait_for_text(later, f"{service.base}/status", "online").retain
                assert wait_for_text(later, f"{service.base}/nursery/availability", "online").retain
                wait_for_crying(later, "ON", f"{service.base}/nursery/state")
            assert all(message.retain for message in later.received if message.topic.endswith("/state"))
        for service in services:
            service.stop()


def wait_until_the_cry_is_near(recorder: Recorder, service: Service) -> None:
    """Wait for 15 s of sound, of which each 5 s the level is told; the baby cries after 20 s."""
    topic = f"{service.base}/nursery/level"
    wait_for(recorder, lambda all_: len(payloads(all_, topic)) >= 3, f"3 x {topic}")


def back(broker: Mosquitto, services: list[Service]) -> AbstractContextManager[Recorder]:
    """Start the broker again; let a recorder connect before the services do: it would miss an event else."""
    for service in services:
        service.signal(signal.SIGSTOP)
    broker.start()
    try:
        return closing(Recorder(broker.port))
    finally:
        for service in services:
            service.signal(signal.SIGCONT)


def is_told_everything(recorder: Recorder, service: Service, *, late: bool) -> None:
    """The broker gets state, availability, the events that waited and `online` last; the cry is the one of the log."""
    state, availability, event = (f"{service.base}/nursery/{name}" for name in ("state", "availability", "event"))
    status = f"{service.base}/status"
    wait_for_text(recorder, status, "online")
    received = recorder.received
    told = story(received, state, availability, event, status)
    before = told[: told.index(("status", "online")) + 1]
    # A minute of sound is a quarter of one here: the cry may have been told to go on meanwhile, and alerted of again.
    assert list(dict.fromkeys(message for message in before if message != ("event", "cry_ongoing"))) == [
        ("state", "ON"),
        ("availability", "online"),
        ("event", "cry_started"),
        ("event", "alert"),
        ("status", "online"),
    ]
    started = payloads(received, event)[0]
    assert started["episode_id"] == service.logged("cry_started")[0]["episode_id"]
    assert started["late"] is late
