import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mqtt_broker import Mosquitto, Recorder, free_port, wait_until
from publish.make import Service, event, rehearsed

from monitor.config import Loaded, load_config
from monitor.errors import DeliveryError
from monitor.publish import Broker, Messages, Rehearsal
from monitor.records import Command
from monitor.verbs import test_alert as verb

pytestmark = pytest.mark.broker

STATUS = "cry/home/status"


def loaded(port: int) -> Loaded:
    return load_config(None, ["mqtt.host=127.0.0.1", f"mqtt.port={port}", "rooms.attic.enabled=true"])


@pytest.fixture
def service(broker: Mosquitto, recorder: Recorder) -> Iterator[Service]:
    """A publisher that listens to commands."""
    with Service(port=broker.port, rooms=["attic", "nursery"]) as running:

        def comes_through() -> bool:
            recorder.send("cry/home/nursery/enabled/set", b"ON")
            return bool(running.commands)

        recorder.wait_for_message(STATUS, b"online")
        wait_until(comes_through, "commands come through")
        running.commands.clear()
        yield running


class Answering(Service):
    """A service whose detect answers a test at once, as the real one does."""

    def _deliver(self, command: Command) -> bool:
        if command.setting == "test_alert":
            now = time.time()
            self.tell(
                event("alert", room=command.room, cause="first", at=now), rehearsed(room=command.room, at=now - 1.5)
            )
        return super()._deliver(command)


@pytest.mark.parametrize("room", [None, "attic"])
def test_an_alert_comes_through(
    broker: Mosquitto, recorder: Recorder, capsys: pytest.CaptureFixture[str], room: str | None
) -> None:
    """It is asked for once, for the first room or the named one, and only an event that is a test counts."""
    with Answering(port=broker.port, rooms=["attic", "nursery"]):
        recorder.wait_for_message(STATUS, b"online")
        wait_until(lambda: rehearse(broker.port, room, capsys), "the alert comes through")
    assert [m.topic for m in recorder.received if m.topic.startswith("cry/home/doctor")] == []


def rehearse(port: int, room: str | None, capsys: pytest.CaptureFixture[str]) -> bool:
    """Return whether it came; False where the service does not listen yet."""
    try:
        assert verb.test_alert(loaded(port), room) == 0
    except DeliveryError:
        return False
    assert f"cry/home/{room or 'attic'}/event after 0." in capsys.readouterr().out
    return True


def test_no_answer_is_an_error(broker: Mosquitto, service: Service) -> None:
    """A service that runs and sends nothing is one line that says so."""
    with Rehearsal(Broker("127.0.0.1", broker.port), Messages("cry", "home", ["nursery"])) as rehearsal:
        rehearsal.log_in()
        with pytest.raises(DeliveryError, match=r"the service runs, and no test alert comes on cry/home/nursery/event"):
            rehearsal.alert("nursery", within_s=0.5)
    assert service.commands == [Command("nursery", "test_alert", "")]


def test_an_answer_to_another_time_is_none(broker: Mosquitto, recorder: Recorder) -> None:
    """A test alert that comes late, or was made before anybody asked, does not count, and neither does nonsense."""
    messages = Messages("cry", "home", ["nursery"])
    now = time.time()
    said = [
        messages.event(rehearsed(at=now), late=True).payload,
        messages.event(rehearsed(at=now - 60)).payload,
        *(b"", b"{}", b"[]", b"1", b'{"event_type": "alert", "test": true, "late": false, "at": 5}'),
    ]
    recorder.send(STATUS, b"online", retain=True)

    def wall() -> float:
        """It listens by now, and asks next."""
        for payload in said:
            recorder.send("cry/home/nursery/event", payload)
        return now

    with Rehearsal(Broker("127.0.0.1", broker.port), messages, wall=wall) as rehearsal:
        rehearsal.log_in()
        with pytest.raises(DeliveryError, match="no test alert comes"):
            rehearsal.alert("nursery", within_s=0.5)
    assert recorder.topics().count("cry/home/nursery/event") == len(said)


@pytest.mark.parametrize(("status", "fault"), [(None, "nothing on cry/home/status"), (b"offline", "says offline")])
def test_a_service_that_does_not_run_is_an_error(
    broker: Mosquitto, recorder: Recorder, status: bytes | None, fault: str
) -> None:
    """No status, or `offline`: nothing is asked for, and the line says what to start."""
    if status is not None:
        recorder.send(STATUS, status, retain=True)
    with Rehearsal(Broker("127.0.0.1", broker.port), Messages("cry", "home", ["nursery"])) as rehearsal:
        rehearsal.log_in()
        with pytest.raises(DeliveryError, match=f"does not run.*{fault}.*start it"):
            rehearsal.alert("nursery", within_s=0.5)
    assert [topic for topic in recorder.topics() if topic.endswith("/set")] == []


def test_the_command_line(repository: Path, broker: Mosquitto, recorder: Recorder) -> None:
    """1 and one line where the broker or the service is away, 2 for a room that there is not."""

    def run(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "monitor", "test-alert", "--set", "mqtt.host=127.0.0.1"]
        return subprocess.run(
            [*command, "--set", f"mqtt.port={port}", *arguments],
            cwd=repository,
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    away = run(free_port())
    assert (away.returncode, away.stdout, len(away.stderr.splitlines())) == (1, "", 1)
    assert "see that the broker runs" in away.stderr
    recorder.send(STATUS, b"offline", retain=True)
    stopped = run(broker.port, "--room", "nursery")
    assert (stopped.returncode, stopped.stdout, len(stopped.stderr.splitlines())) == (1, "", 1)
    assert "cry/home/status says offline" in stopped.stderr
    assert run(broker.port, "--room", "cellar").returncode == 2
    assert recorder.topics() == [STATUS]
