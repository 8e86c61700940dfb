import json
import tempfile
from pathlib import Path

from fuzz.damage import bounded, fuzz, replaced
from hypothesis import given
from hypothesis import strategies as st
from publish.make import CATEGORIES, T0, discovery, event

from monitor.publish import Messages, Store
from monitor.publish.commands import PAYLOAD_CAP_BYTES, Commands
from monitor.publish.door import Door
from monitor.publish.history import History
from monitor.publish.messages import Message
from monitor.publish.picture import Picture
from monitor.publish.reports import Incoming
from monitor.publish.room import Now
from monitor.records import Command

MESSAGES = Messages("cry", "home", ["nursery", "attic"])
COMMANDS = Commands(MESSAGES, CATEGORIES)
NOW = Now(100.0, T0 + 60)

parts = st.sampled_from(["nursery", "attic", "cellar", "", "+", "#", "set", "care", "fed", "availability"]) | st.text(
    max_size=8
)
topics = (
    st.sampled_from([f"cry/home/{room}/{name}/set" for room in ("nursery", "cellar") for name in COMMANDS.topics])
    | st.sampled_from(["homeassistant/status", "cry/home/nursery/availability", "cry/home/cellar/availability"])
    | st.lists(parts, max_size=5).map(lambda more: "/".join(["cry/home", *more]))
    | st.text(max_size=30)
)
said = st.sampled_from(
    ["ON", "OFF", "", "PRESS", "high", "30", "0", "not_a_cry", "hungry", "online", "offline", "Anna"]
)
times = st.datetimes().map(lambda at: at.isoformat() + "Z") | st.just("0001-01-01T00:00:00+23:59")
answers = replaced({"value": "hungry", "episode_id": "e1"}).map(json.dumps) | st.just('{"value":' * 40)
payloads = (
    st.binary(max_size=400)
    | (said | times | answers | st.text(max_size=80)).map(lambda text: text.encode("utf-8", "replace"))
    | st.just(b"x" * 300_000)
)
incoming = st.builds(
    lambda topic, payload, retained, dropped: Incoming(
        1, topic, payload[:PAYLOAD_CAP_BYTES], len(payload), retained, dropped
    ),
    topics,
    payloads,
    st.booleans(),
    st.sampled_from([0, 0, 0, 3]),
)


def check(message: Message) -> None:
    """What we say has a topic of ours or Home Assistant's, no wildcard, and JSON without NaN where it is JSON."""
    assert message.topic.startswith(("cry/home/", "homeassistant/"))
    assert not set(message.topic) & set("+#\0")
    if message.payload.startswith((b"{", b"[")):
        json.loads(message.payload, parse_constant=lambda name: json.loads(f"no {name}"))


@fuzz
@given(st.lists(incoming, max_size=12))
def test_whatever_is_sent_to_us_is_a_command_or_one_refusal(messages: list[Incoming]) -> None:
    """Any topic with any payload becomes a valid command, a note that is kept, or nothing; what we say is valid."""
    taken: list[Command] = []

    def deliver(command: Command) -> bool:
        taken.append(command)
        return len(taken) % 3 > 0  # an inbox that is full now and then

    with tempfile.TemporaryDirectory() as folder, bounded():
        history = History(Store(Path(folder) / "history.db"), failing=False, keep_days=90)
        history.append(event(), 100.0)
        picture = Picture(MESSAGES, {}, model_name="cry-1", version="0.1.0", now=NOW)
        door = Door(
            messages=MESSAGES,
            commands=COMMANDS,
            picture=picture,
            history=history,
            deliver=deliver,
            discovery=discovery("nursery", "attic"),
        )
        for one in messages:
            door.is_birth(one)
            for message in door.take(one, NOW):
                check(message)
        door.remember()
        for message in (one for half in picture.announce(NOW) for one in half):
            check(message)
        assert not history.failing
        history.close(100.0)
    assert all(command.room in MESSAGES.rooms and command.setting for command in taken)
