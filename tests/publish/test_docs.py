import dataclasses
import json
import re
from pathlib import Path

import pytest
from publish.make import CATEGORIES, T0, alert, discovery, drilled, event, health, level

from monitor.detect.drill import DRILL_S
from monitor.detect.episodes import HANG_OVER_S
from monitor.publish import Message, Messages, is_retained
from monitor.publish.backoff import LONGEST_S, SHORT_CONNECTION_S
from monitor.publish.commands import Commands, Refusal
from monitor.publish.late import LATE_AFTER_S, TOO_LATE_AFTER_S
from monitor.publish.loop import BIRTH_AT_MOST_S
from monitor.publish.messages import NOTES, SETTINGS
from monitor.publish.mqtt import KEEPALIVE_S
from monitor.publish.picture import _PROBLEMS_FIRST_THAT_APPLIES, REPEAT_S, Picture
from monitor.publish.room import Now

DOC = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text(encoding="utf-8")


def spoken() -> dict[str, Message]:
    """Return one message of each topic, as a cry begins."""
    messages = Messages("cry", "home", ["nursery"])
    settings = {("nursery", name): "None" for name in SETTINGS}
    picture = Picture(messages, settings, model_name="cry-1", version="0.1.0", now=Now(0.0, T0))
    said = [
        *picture.handle(dataclasses.replace(health(), heard_monotonic_s=61.2), Now(61.0, T0)),
        *picture.handle(event(), Now(61.3, T0)),
        *picture.handle(level(), Now(61.3, T0)),
        *(said for name in NOTES for said in picture.note("nursery", name, "None")),
        picture.health(Now(61.4, T0), outbox=3),
        *picture.announce(Now(61.4, T0))[0],
        messages.status("online"),
        *discovery().messages(),
    ]
    return {message.topic: message for message in said}


SHOWN = [topic for topic, message in spoken().items() if message.payload[:1] == b"{" and not topic.endswith("/config")]
"""Topics whose payload is JSON and stands in the text; Home Assistant's has golden files."""


@pytest.mark.parametrize("topic", SHOWN)
def test_each_example_is_what_we_say(topic: str) -> None:
    """The example of a payload is that payload, key for key in the same order."""
    found = re.search(rf"^### `{topic}`\n\n```json\n(.*?)```", DOC, re.MULTILINE | re.DOTALL)
    assert found, f"no example of {topic}"
    assert list(json.loads(found[1]).items()) == list(json.loads(spoken()[topic].payload).items())


def test_the_example_of_an_alert_is_what_we_say() -> None:
    """An alert has the same keys as any event."""
    found = re.search(r"^An alert:\n\n```json\n(.*?)```", DOC, re.MULTILINE | re.DOTALL)
    assert found
    said = Messages("cry", "home", ["nursery"]).event(alert())
    assert list(json.loads(found[1]).items()) == list(json.loads(said.payload).items())


def test_the_example_of_a_drill_is_what_we_say() -> None:
    """A drill's result has the same keys as any event."""
    found = re.search(r"^A drill's end:\n\n```json\n(.*?)```", DOC, re.MULTILINE | re.DOTALL)
    assert found
    said = Messages("cry", "home", ["nursery"]).event(drilled())
    assert list(json.loads(found[1]).items()) == list(json.loads(said.payload).items())


def test_the_table_names_each_topic_and_whether_it_is_retained() -> None:
    """Every topic that we speak on has its line, and says truly whether the broker keeps it."""
    rows = dict(re.findall(r"^\| `((?:cry|homeassistant)/[^`]*)` \| ([^|]*) \|", DOC, re.MULTILINE))
    told = {topic: row for topic, row in rows.items() if not topic.endswith("/set")}
    assert set(told) == set(spoken())
    for topic, retained in told.items():
        assert retained.startswith("yes") is is_retained(topic)


def test_the_table_names_each_command_and_its_values() -> None:
    """Every `/set` topic has its line, and each value that stands there is taken."""
    commands = Commands(Messages("cry", "home", ["nursery"]), CATEGORIES)
    rows = re.findall(r"^\| `cry/home/nursery/([^`]*)/set` \| (.*) \|$", DOC, re.MULTILINE)
    assert [name for name, _ in rows] == list(commands.topics)
    for name, row in rows:
        for value in re.findall(r"`([^`]+)`", row):
            answer = commands.parse(f"cry/home/nursery/{name}/set", value.encode(), now_at=T0)
            assert not isinstance(answer, Refusal), answer
    for name, values in {"enabled": ["ON", "OFF"], "sensitivity": ["low", "normal", "high"]}.items():
        assert re.findall(r"`(\w+)`", dict(rows)[name]) == values


def test_the_problems_stand_in_their_order() -> None:
    """The first that applies is told, so the order is part of the contract."""
    assert ", ".join(f"`{problem}`" for problem in _PROBLEMS_FIRST_THAT_APPLIES) in " ".join(DOC.split())


def test_the_numbers_are_those_of_the_code() -> None:
    """Seconds in the text are the constants."""
    text = " ".join(DOC.split())
    assert f"delivered over {LATE_AFTER_S:.0f} s after" in text
    assert f"Past {TOO_LATE_AFTER_S / 60:.0f} minutes" in text
    assert f"It is {LONGEST_S:.0f} s after a refused login" in text
    assert f"ended within {SHORT_CONNECTION_S:.0f} s" in text
    assert f"Keepalive is {KEEPALIVE_S} s" in text
    assert f"each {REPEAT_S:.0f} s" in text
    assert f"Within {DRILL_S:.0f} s the room must recognise it" in text
    assert f"for {HANG_OVER_S:.0f} s after the played cry" in text
    assert f"again within {BIRTH_AT_MOST_S:.0f} s after `homeassistant/status` says `online`" in text
