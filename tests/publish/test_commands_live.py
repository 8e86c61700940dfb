"""Commands over a real broker."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from mqtt_broker import Mosquitto, Recorder, wait_until
from publish.make import Service, event, health, store

from monitor.records import Command

pytestmark = pytest.mark.broker

STATUS = "cry/home/status"


def refusals(logs: list[structlog.typing.EventDict]) -> list[str]:
    """Return the warnings about commands."""
    return [line["err"] for line in logs if line["event"] == "command_refused" and line["log_level"] == "warning"]


def ready(service: Service, recorder: Recorder) -> None:
    """Wait until commands are listened to: one that is sent again until it comes through shows it."""

    def comes_through() -> bool:
        recorder.send("cry/home/nursery/enabled/set", b"ON")
        return bool(service.commands)

    recorder.wait_for_message(STATUS, b"online")
    wait_until(comes_through, "commands come through")
    recorder.send("cry/home/nursery/enabled/set", b"OFF")  # of those sent meanwhile none comes after this one
    wait_until(lambda: service.commands[-1].value == "OFF", "the last of them")
    service.commands.clear()


def test_a_command_reaches_its_owner_and_its_state_follows(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path
) -> None:
    """The state topic changes when the owner has applied it, not before; the setting is kept with what it overrode."""
    history = store(tmp_path)
    key, enabled = ("nursery", "sensitivity"), ("nursery", "enabled")
    settled = history.settle({key: "normal", enabled: "ON"})  # type: ignore[dict-item]
    with Service(port=broker.port, store=history, settings=settled) as service:
        ready(service, recorder)
        recorder.send("cry/home/nursery/sensitivity/set", b"high")
        wait_until(lambda: service.commands, "the command comes")
        assert Command("nursery", "sensitivity", "high") in service.commands
        assert b"high" not in [m.payload for m in recorder.received if m.topic == "cry/home/nursery/sensitivity"]
        service.apply(service.commands[-1])
        assert recorder.wait_for_message("cry/home/nursery/sensitivity", b"high").retain
    with closing(sqlite3.connect(tmp_path / "history.db")) as db:
        kept = db.execute("SELECT * FROM settings").fetchall()
        assert kept == [("nursery", "sensitivity", "high", "normal", None, None)]


GARBAGE = [b"yesterday", b"on", b"\x00\xff\xfe\x80", b"x" * 300_000, b"1e999", b'{"value": "ON"}', b"ON\n"]
TOPICS = [
    "cry/home/nursery/enabled/set",
    "cry/home/nursery/sensitivity/set",
    "cry/home/cellar/enabled/set",
    "cry/home/nursery/snooze/set",
    "cry/home/nursery/care/fed/set",
]


def test_garbage_makes_one_warning_each_and_changes_nothing(broker: Mosquitto, recorder: Recorder) -> None:
    """Every kind of nonsense on every `/set` topic: a sentence each, no command, and the service lives on."""
    with structlog.testing.capture_logs() as logs, Service(port=broker.port) as service:
        ready(service, recorder)
        before = len(refusals(logs))
        for topic in TOPICS:
            for payload in GARBAGE:
                recorder.send(topic, payload)
        wait_until(lambda: len(refusals(logs)) >= before + len(TOPICS) * len(GARBAGE), "the warnings come")
        service.tell(health(), event("cry_started"))
        recorder.wait_for_message("cry/home/nursery/event")
        assert not [c for c in service.commands if c != Command("nursery", "enabled", "ON")]
    sentences = refusals(logs)[before:]
    assert len(sentences) == len(TOPICS) * len(GARBAGE)
    assert sum("send ON or OFF" in s for s in sentences) == len(GARBAGE)
    assert sum("(300000 bytes)" in s for s in sentences) == len(TOPICS)
    assert max(map(len, sentences)) < 400


def test_a_flood_of_nonsense_pushes_nothing_of_ours_out(broker: Mosquitto, recorder: Recorder) -> None:
    """While we do not read, 256 messages of others wait at most; the rest is counted, and no event is lost for it."""
    service = Service(port=broker.port)
    publisher = service.publisher
    with structlog.testing.capture_logs() as logs:
        while not any(m.topic == STATUS for m in recorder.received):
            publisher.turn()
        service.tell(*(event(number=n) for n in range(500)))
        for n in range(1_000):
            recorder.send("cry/home/nursery/enabled/set", b"nonsense %d" % n)
        wait_until(lambda: recorder.topics().count("cry/home/nursery/enabled/set") == 1_000, "all of it came")
        publisher.turn()
        recorder.send("cry/home/nursery/enabled/set", b"the last")
        while recorder.topics().count("cry/home/nursery/event") < 500 or "commands_dropped" not in {
            line["event"] for line in logs
        }:
            publisher.turn()
    dropped = sum(line["messages"] for line in logs if line["event"] == "commands_dropped")
    assert dropped + len(refusals(logs)) == 1_001
    assert service.reports.dropped == 0
    publisher.finish()
    publisher.close()


def test_a_retained_command_is_ignored(broker: Mosquitto, recorder: Recorder) -> None:
    """What the broker kept from another day makes one warning at each connect, and switches nothing off."""
    recorder.send("cry/home/nursery/enabled/set", b"OFF", retain=True)
    with structlog.testing.capture_logs() as logs, Service(port=broker.port) as service:
        wait_until(lambda: refusals(logs), "the warning comes")
        ready(service, recorder)
        assert Command("nursery", "enabled", "OFF") not in service.commands
    assert len(refusals(logs)) == 1
    assert "retain flag" in refusals(logs)[0]


def test_a_full_inbox_is_one_warning(broker: Mosquitto, recorder: Recorder) -> None:
    """An owner that takes no more commands costs the sender this one, with a warning."""
    with structlog.testing.capture_logs() as logs, Service(port=broker.port, inbox=0) as service:
        recorder.wait_for_message(STATUS, b"online")
        wait_until(lambda: sent_until(recorder, lambda: refusals(logs)), "the warning comes")
        assert service.commands == []
    assert refusals(logs)[0] == "too many commands wait"


def sent_until(recorder: Recorder, condition: Callable[[], object]) -> bool:
    """Send a command; return whether `condition` holds."""
    recorder.send("cry/home/nursery/enabled/set", b"OFF")
    return bool(condition())


def test_state_follows_a_room_that_is_switched_off(broker: Mosquitto, recorder: Recorder) -> None:
    """The owner applies OFF, the source closes: the setting says OFF, the room is offline with `disabled`."""
    with Service(port=broker.port) as service:
        ready(service, recorder)
        service.tell(health())
        recorder.wait_for_message("cry/home/nursery/availability", b"online")
        service.apply(Command("nursery", "enabled", "OFF"))
        service.tell(health(hearing=False, source="disabled", problem="disabled"))
        recorder.wait_for_message("cry/home/nursery/enabled", b"OFF")
        recorder.wait_for(
            lambda all_: any(
                m.topic.endswith("/state") and json.loads(m.payload)["problem"] == "disabled" for m in all_
            ),
            "the problem in state",
        )
