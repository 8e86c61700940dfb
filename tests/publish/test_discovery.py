import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from publish.make import CATEGORIES, discovery

from monitor.publish import Discovery, Message, Messages
from monitor.publish.commands import Commands, Refusal
from monitor.publish.components import ALWAYS, EVER, STALE_S
from monitor.publish.picture import REPEAT_S

GOLDEN = Path(__file__).parent / "golden"
MESSAGES = Messages("cry", "home", ["nursery"])


def payload(message: Message) -> dict[str, Any]:
    """Return a message's JSON."""
    said: dict[str, Any] = json.loads(message.payload)
    return said


def components() -> dict[str, dict[str, Any]]:
    """Return a room's components."""
    found: dict[str, dict[str, Any]] = payload(discovery().room("nursery"))["components"]
    return found


@pytest.mark.parametrize("number", [0, 1])
def test_each_message_is_as_it_was(number: int) -> None:
    """What Home Assistant is told is the golden file, key for key: ids never change, and nothing goes unseen."""
    name = ("node", "room")[number]
    message = discovery().messages()[number]
    assert payload(message) == json.loads((GOLDEN / f"discovery_{name}.json").read_text())
    assert (message.retain, message.qos, message.event) == (True, 1, None)


def test_one_message_a_device() -> None:
    """The node first, since its rooms hang on it; each on the topic of device discovery, below the prefix."""
    told = discovery("nursery", "attic").messages()
    assert [message.topic for message in told] == [
        "homeassistant/device/cry_home/config",
        "homeassistant/device/cry_home_nursery/config",
        "homeassistant/device/cry_home_attic/config",
    ]
    node, *rooms = [payload(message)["device"] for message in told]
    assert all(room["via_device"] in node["identifiers"] for room in rooms)
    assert [room["suggested_area"] for room in rooms] == ["Nursery", "Attic"]


def test_ids_are_of_the_component() -> None:
    """`unique_id` is `cry_<node>_<room>_<component>`; the entity id starts with it; one main entity has no name."""
    for key, component in components().items():
        assert component["unique_id"] == f"cry_home_nursery_{key}"
        assert component["default_entity_id"] == f"{component['platform']}.cry_home_nursery_{key}"
        assert "object_id" not in component
    assert [key for key, component in components().items() if component["name"] is None] == ["crying"]


def test_no_two_ids_meet() -> None:
    """Whatever the rooms are called: Home Assistant tells entities apart by platform and unique id."""
    words = ["a", *{word for key in components() for word in key.split("_")}]
    rooms = [*words, *("_".join(pair) for pair in itertools.product(["a"], words))]
    told = [payload(message)["components"] for message in discovery(*rooms).messages()]
    ids = [(one["platform"], one["unique_id"]) for device in told for one in device.values()]
    assert len(ids) == len(set(ids))


def test_what_matters_without_a_microphone_stays() -> None:
    """Hearing, problem, settings and buttons follow the node alone, events nothing, all else the room too."""
    told = payload(discovery().room("nursery"))
    both = [one["topic"] for one in told["availability"]]
    assert (both, told["availability_mode"]) == (["cry/home/status", "cry/home/nursery/availability"], "all")
    for key, component in components().items():
        if key == ALWAYS:
            assert (component["platform"], component["availability"]) == ("event", [])
        elif key in EVER:
            assert [one["topic"] for one in component["availability"]] == ["cry/home/status"]
        else:
            assert "availability" not in component
            assert component["platform"] in ("sensor", "binary_sensor")


def test_the_status_of_the_node_is_always_there() -> None:
    """It says off when the service is gone, where everything else is unavailable."""
    node = payload(discovery().node())
    assert "availability" not in node
    assert [key for key, one in node["components"].items() if "availability" not in one] == ["status"]


def test_what_is_said_each_minute_expires() -> None:
    """A process that hangs is found out after two and a half minutes; a minute that comes late is no fault."""
    assert 2 * REPEAT_S < STALE_S
    expiring = {key for key, one in components().items() if "expire_after" in one}
    repeated = {key for key, one in components().items() if one.get("state_topic", "").endswith(("/state", "/level"))}
    assert expiring == repeated | {"noise_floor"}


@pytest.mark.parametrize("key", [key for key, one in components().items() if "command_topic" in one])
def test_each_command_of_ours_is_one_that_we_take(key: str) -> None:
    """Every payload that Home Assistant sends for a button, a choice, a switch or a number is valid."""
    component = components()[key]
    match component["platform"]:
        case "button":
            values = [component["payload_press"]]
        case "select":
            values = component["options"]
        case "number":
            values = [str(component["min"]), str(component["max"])]
        case _:
            values = ["ON", "OFF"]
    for value in values:
        answer = Commands(MESSAGES, CATEGORIES).parse(component["command_topic"], value.encode(), now_at=0.0)
        assert not isinstance(answer, Refusal), answer


def test_each_topic_is_one_of_ours() -> None:
    """Everything that a component reads is said by this service, below its own base."""
    topics = {
        one[key]
        for message in discovery().messages()
        for one in payload(message)["components"].values()
        for key in ("state_topic", "json_attributes_topic")
        if key in one
    }
    assert {topic.rpartition("/")[2] for topic in topics} == {
        *("state", "event", "level", "tonight", "figures", "health", "status", "summary"),
        *("enabled", "sensitivity", "alert_after", "snooze", "feedback"),
    }
    assert all(topic.startswith("cry/home/") for topic in topics)


def test_without_a_reason_model_there_are_no_categories() -> None:
    """`reason` is `unsure` alone, and the answer `not_a_cry` alone."""
    told = Discovery(
        prefix="ha", base="cry/home", node_id="home", rooms={"nursery": "Nursery"}, categories=(), version="1"
    )
    room = payload(told.room("nursery"))["components"]
    assert (room["reason"]["options"], room["feedback"]["options"]) == (["unsure"], ["not_a_cry"])
    assert told.birth_topic == "ha/status"


def test_a_room_is_forgotten_by_an_empty_message() -> None:
    """Home Assistant takes a device away whose retained message is cleared."""
    message = discovery().forget("attic")
    assert (message.topic, message.payload, message.retain) == ("homeassistant/device/cry_home_attic/config", b"", True)


DOC = (Path(__file__).parents[2] / "docs" / "home-assistant.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("device", ["room", "node"])
def test_the_guide_names_each_component(device: str) -> None:
    """Each line of the guide's table is a component, in the same order, of the same platform and name."""
    section = re.search(rf"^## What appears: the {device}\n(.*?)^## ", DOC, re.MULTILINE | re.DOTALL)
    assert section
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \| [^|]+ \|", section[1], re.MULTILINE)
    told = payload(discovery().messages()[device == "room"])
    main = "(the device's own)"
    assert rows == [(key, one["platform"], one["name"] or main) for key, one in told["components"].items()]


def test_the_entities_of_the_guide_are_there() -> None:
    """Each entity id in the guide is one that is told."""
    told = {
        one["default_entity_id"]
        for message in discovery().messages()
        for one in payload(message)["components"].values()
    }
    named = set(re.findall(r"\b(?:binary_sensor|sensor|event|button|select|switch|number)\.cry_\w+", DOC))
    assert named
    assert named <= told
