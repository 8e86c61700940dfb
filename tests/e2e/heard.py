"""What a subscriber reads of the messages that it got."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from e2e.service import DEADLINE_S
from mqtt_broker import Received, Recorder

ROOM = "cry/home/nursery"
EVENT, STATE, AVAILABILITY = f"{ROOM}/event", f"{ROOM}/state", f"{ROOM}/availability"
STATUS = "cry/home/status"


def payloads(received: Sequence[Received], topic: str) -> list[dict[str, Any]]:
    """Return what was said on a topic of JSON, in order."""
    return [json.loads(message.payload) for message in received if message.topic == topic]


def cries(received: Sequence[Received], topic: str = EVENT) -> list[dict[str, Any]]:
    """Return the events of crying itself, in order: when somebody is alerted of it is another story."""
    return [event for event in payloads(received, topic) if event["event_type"].startswith("cry_")]


def said_of_crying(received: Sequence[Received], topic: str = STATE) -> list[str | None]:
    """Return what `state` said of crying, in order."""
    return [state["crying"] for state in payloads(received, topic)]


def story(received: Sequence[Received], *topics: str) -> list[tuple[str, object]]:
    """Return the messages on these topics as (last part of the topic, what matters of the payload), in order."""
    key = {"event": "event_type", "state": "crying"}
    told: list[tuple[str, object]] = []
    for message in received:
        if message.topic in topics:
            name = message.topic.rpartition("/")[2]
            told.append((name, json.loads(message.payload)[key[name]] if name in key else message.payload.decode()))
    return told


def wait_for(recorder: Recorder, condition: Callable[[list[Received]], object], what: str) -> list[Received]:
    """Wait until `condition` holds for all that came, and return that."""
    return recorder.wait_for(condition, what, DEADLINE_S)


def wait_for_text(recorder: Recorder, topic: str, text: str) -> Received:
    """Wait for this payload on this topic."""
    found = wait_for(recorder, lambda all_: any(is_text(m, topic, text) for m in all_), f"{topic} {text}")
    return next(message for message in found if is_text(message, topic, text))


def wait_for_event(recorder: Recorder, event_type: str, topic: str = EVENT) -> dict[str, Any]:
    """Wait for an event of this type, and return the first."""
    found = wait_for(
        recorder, lambda all_: any(e["event_type"] == event_type for e in payloads(all_, topic)), event_type
    )
    return next(event for event in payloads(found, topic) if event["event_type"] == event_type)


def wait_for_crying(recorder: Recorder, value: str | None, topic: str = STATE) -> list[Received]:
    """Wait until the newest `state` says this of crying."""
    return wait_for(recorder, lambda all_: said_of_crying(all_, topic)[-1:] == [value], f"crying {value}")


def is_text(message: Received, topic: str, text: str) -> bool:
    """Return whether it is this payload on this topic."""
    return message.topic == topic and message.payload == text.encode()
