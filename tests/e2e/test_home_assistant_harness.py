"""A real Home Assistant takes a device's message as docs and code here assume; and the harness shows what it does.

Everything is said by hand, as a service would. What the pinned version (requirements/home-assistant.in) refuses is the
table of `test_a_message_with_a_fault_is_refused_as_a_whole` and of the test after it: unknown keys are refused in the
message, its `device` and its `origin`, and ignored in a component.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from e2e.home_assistant import BIRTH_S, DEADLINE_S, Device, HomeAssistant, Refused
from mqtt_broker import Mosquitto, Recorder, recording

pytestmark = [pytest.mark.home_assistant, pytest.mark.broker]

Message = dict[str, Any]

NODE = "cry/house/status"
ONLINE, OFFLINE = b"online", b"offline"
HEARD: Message = {
    "crying": "OFF",
    "hearing": "ON",
    "reason": "unsure",
    "since": "2026-09-21T14:13:26.250Z",
    "at": -41.3,
}
KEYS = ("alert_after", "crying", "enabled", "event", "hearing", "level", "press", "reason", "sensitivity", "since")


class Room:
    """A device of ten components, made up in the form that a room of the service takes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.id = f"cry_house_{name}"
        self.base = f"cry/house/{name}"
        self.config = f"homeassistant/device/{self.id}/config"

    def message(self) -> Message:
        """Return its device message."""
        state, always = f"{self.base}/state", {"availability": [{"topic": NODE}]}
        return {
            "device": {
                "identifiers": [self.id],
                "name": self.name.title(),
                "manufacturer": "cry-monitor",
                "model": "room",
                "sw_version": "1.2.3",
                "suggested_area": f"Area of {self.name}",
                "via_device": "cry_house",
            },
            "origin": {"name": "cry-monitor", "sw_version": "1.2.3", "support_url": "https://example.org/cry-monitor"},
            "availability": [{"topic": NODE}, {"topic": f"{self.base}/availability"}],
            "availability_mode": "all",
            "qos": 1,
            "components": {
                "crying": self._component("binary_sensor", "crying", None)
                | {"device_class": "sound", "state_topic": state, "value_template": "{{ value_json.crying }}"},
                "hearing": self._component("binary_sensor", "hearing", "Hearing")
                | {"device_class": "connectivity", "entity_category": "diagnostic", **always}
                | {"state_topic": state, "value_template": "{{ value_json.hearing }}"},
                "event": self._component("event", "event", "Cry")
                | {"state_topic": f"{self.base}/event", "event_types": ["cry_started", "cry_ended"]},
                "reason": self._component("sensor", "reason", "Reason")
                | {"device_class": "enum", "options": ["unsure", "hungry"]}
                | {"state_topic": state, "value_template": "{{ value_json.reason }}"},
                "since": self._component("sensor", "since", "Since")
                | {"device_class": "timestamp", "state_topic": state, "value_template": "{{ value_json.since }}"},
                "level": self._component("sensor", "level", "Level")
                | {"device_class": "sound_pressure", "unit_of_measurement": "dB", "state_class": "measurement"}
                | {"state_topic": state, "value_template": "{{ value_json.at }}"},
                "sensitivity": self._component("select", "sensitivity", "Sensitivity")
                | {"options": ["low", "normal", "high"], "entity_category": "config", **self._setting("sensitivity")},
                "alert_after": self._component("number", "alert_after", "Alert after")
                | {"min": 0, "max": 600, "step": 1, "mode": "box", "unit_of_measurement": "s"}
                | {"device_class": "duration", "entity_category": "config", **self._setting("alert_after")},
                "enabled": self._component("switch", "enabled", "Enabled") | self._setting("enabled"),
                "press": self._component("button", "press", "Acknowledge")
                | {"command_topic": f"{self.base}/acknowledge/set", **always},
            },
        }

    def _component(self, platform: str, key: str, name: str | None) -> Message:
        return {"platform": platform, "unique_id": f"{self.id}_{key}", "name": name}

    def _setting(self, key: str) -> Message:
        topic = f"{self.base}/{key}"
        return {"state_topic": topic, "command_topic": f"{topic}/set", "availability": [{"topic": NODE}]}

    def unique_id(self, key: str) -> str:
        """Return what names the component for ever."""
        return f"{self.id}_{key}"

    def say(self, heard: Recorder, topic: str, payload: bytes | Message, *, retain: bool = True) -> None:
        """Publish on a topic of the room."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        heard.send(f"{self.base}/{topic}", data, retain=retain)

    def announce(self, heard: Recorder, message: Message | None = None) -> None:
        """Publish its device message, or another."""
        heard.send(self.config, json.dumps(self.message() if message is None else message).encode(), retain=True)

    def come_alive(self, heard: Recorder) -> None:
        """Say everything that a service says when it connects."""
        self.announce(heard)
        for topic, value in (("sensitivity", b"normal"), ("alert_after", b"30"), ("enabled", b"ON")):
            self.say(heard, topic, value)
        self.say(heard, "state", HEARD)
        self.say(heard, "availability", ONLINE)
        heard.send(NODE, ONLINE, retain=True)

    def registered(self, house: HomeAssistant) -> dict[str, str]:
        """Return the entity ids, by component."""
        prefix = f"{self.id}_"
        registry = house.registry()
        return {name.removeprefix(prefix): one.entity_id for name, one in registry.items() if name.startswith(prefix)}

    def devices(self, house: HomeAssistant) -> list[Device]:
        """Return its device, if it is there."""
        return [device for device in house.devices() if self.id in device.identifiers]

    def states(self, house: HomeAssistant) -> dict[str, str]:
        """Return the states, by component; a disabled one has none."""
        states = house.states()
        return {key: states[entity].state for key, entity in self.registered(house).items() if entity in states}

    def until(self, house: HomeAssistant, **states: str) -> None:
        """Wait until these components have these states."""
        house.until(lambda _: states.items() <= self.states(house).items(), f"{self.name}: {states}")


@pytest.fixture
def room(request: pytest.FixtureRequest) -> Room:
    """A room that no other test has."""
    return Room(f"room{zlib.crc32(request.node.name.encode())}")


@contextmanager
def silent(house: HomeAssistant, room: Room) -> Iterator[None]:
    """Nothing that is done here makes Home Assistant warn about the room or a template."""

    def warnings() -> list[str]:
        return house.log_warnings(room.name) + house.log_warnings("Template variable")

    before = warnings()
    yield
    assert warnings() == before


def warned(house: HomeAssistant, do: Callable[[], None], words: str) -> None:
    """Do something, and wait for a new warning with these words."""
    before = len(house.log_warnings(""))
    do()
    house.until_warning(words, after=before)


def test_one_message_makes_a_device_and_its_entities(home_assistant: HomeAssistant, heard: Recorder) -> None:
    """Every component is an entity, named for device and component; the device has area, version and parent."""
    room = Room("attic")
    message = room.message()
    message["components"]["level"]["enabled_by_default"] = False
    with silent(home_assistant, room):
        room.announce(heard, message)
        home_assistant.until(lambda _: len(room.registered(home_assistant)) == len(KEYS), "all entities")
    assert room.registered(home_assistant) == {
        "crying": "binary_sensor.attic",  # its `name` is null: it is the device
        "hearing": "binary_sensor.attic_hearing",
        "event": "event.attic_cry",
        "reason": "sensor.attic_reason",
        "since": "sensor.attic_since",
        "level": "sensor.attic_level",
        "sensitivity": "select.attic_sensitivity",
        "alert_after": "number.attic_alert_after",
        "enabled": "switch.attic_enabled",
        "press": "button.attic_acknowledge",
    }
    registry = home_assistant.registry()
    assert {one.disabled_by for key in KEYS if key != "level" for one in [registry[room.unique_id(key)]]} == {None}
    assert registry[room.unique_id("level")].disabled_by == "integration"
    assert "sensor.attic_level" not in home_assistant.states()
    device = home_assistant.device(room.id)
    assert (device.name, device.area, device.sw_version) == ("Attic", "Area of attic", "1.2.3")
    assert device.via == {"cry_house"}
    assert home_assistant.device("cry_house").name is None  # until it is announced itself


@pytest.mark.parametrize(
    ("keys", "entity_id"),
    [
        ({"default_entity_id": "binary_sensor.named_1"}, "binary_sensor.named_1"),
        ({"default_entity_id": "sensor.named_2"}, "binary_sensor.named_2"),  # the platform decides
        ({"default_entity_id": "binary_sensor.named_3", "object_id": "old"}, "binary_sensor.named_3"),
        ({"def_ent_id": "binary_sensor.named_4"}, "binary_sensor.named_4"),
    ],
)
def test_default_entity_id_names_the_entity(
    home_assistant: HomeAssistant, heard: Recorder, room: Room, keys: Message, entity_id: str
) -> None:
    """`default_entity_id` names a new entity, without a warning, whatever the device is called."""
    message = room.message()
    message["components"]["crying"] |= keys
    with silent(home_assistant, room):
        room.announce(heard, message)
        home_assistant.until(lambda _: "crying" in room.registered(home_assistant), "the entity")
    assert room.registered(home_assistant)["crying"] == entity_id


def test_default_entity_id_names_only_what_is_new(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """Another `default_entity_id` for a `unique_id` that is registered changes nothing: owners' automations hold."""
    room.come_alive(heard)
    room.until(home_assistant, crying="off", hearing="on")
    before = room.registered(home_assistant)
    message = room.message()
    message["components"]["crying"]["default_entity_id"] = "binary_sensor.another"
    message["components"]["hearing"]["name"] = "Listening"
    with silent(home_assistant, room):
        room.announce(heard, message)
        home_assistant.until(
            lambda _: home_assistant.registry()[room.unique_id("hearing")].original_name == "Listening", "the new name"
        )
    assert room.registered(home_assistant) == before


def test_object_id_is_on_its_way_out(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """`object_id` without `default_entity_id` makes one warning: it is gone from Home Assistant 2026.4 on."""
    message = room.message()
    message["components"]["crying"]["object_id"] = f"{room.name}_old"
    warned(home_assistant, lambda: room.announce(heard, message), "deprecated option `object_id`")


def test_what_is_said_is_shown(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """Retained state, settings and events, in whatever order they came, are what Home Assistant shows."""
    with silent(home_assistant, room):
        room.come_alive(heard)
        shown = {"crying": "off", "hearing": "on", "reason": "unsure", "since": "2026-09-21T14:13:26+00:00"}
        settings = {"level": "-41.3", "sensitivity": "normal", "alert_after": "30", "enabled": "on"}
        room.until(home_assistant, event="unknown", press="unknown", **shown, **settings)
        crying = room.registered(home_assistant)["crying"]
        with home_assistant.events() as events:
            for value in ("ON", "OFF", "ON"):
                room.say(heard, "state", HEARD | {"crying": value})
            events.wait_for_states(crying, "on", "off", "on")
            assert events.states(crying) == ["on", "off", "on"]
        room.say(heard, "event", {"event_type": "cry_started", "v": 1, "reasons": {"a": 0.5}}, retain=False)
        told = home_assistant.until(
            lambda states: states[room.registered(home_assistant)["event"]].state != "unknown", "the event"
        )[room.registered(home_assistant)["event"]]
        assert told.attributes.items() >= {"event_type": "cry_started", "v": 1, "reasons": {"a": 0.5}}.items()
        assert told.state[:10] == told.last_changed.isoformat()[:10]  # when it came, not when it was


def test_null_is_unknown(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """JSON's null, through its template `None`, is `unknown` for each kind of entity, without a warning."""
    with silent(home_assistant, room):
        room.come_alive(heard)
        room.until(home_assistant, crying="off", enabled="on", alert_after="30")
        room.say(heard, "state", {"crying": None, "hearing": None, "reason": None, "since": None, "at": None})
        for setting in ("sensitivity", "alert_after", "enabled"):
            room.say(heard, setting, b"None")
        unknown = ("crying", "hearing", "reason", "since", "level", "sensitivity", "alert_after", "enabled")
        room.until(home_assistant, **dict.fromkeys(unknown, "unknown"))


def test_a_key_that_is_missing_is_a_warning(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """A `state` without a component's key is a warning each time; the last state stands, but a time is unknown then."""
    room.come_alive(heard)
    room.until(home_assistant, crying="off", level="-41.3", since="2026-09-21T14:13:26+00:00")
    warned(
        home_assistant,
        lambda: room.say(heard, "state", {"reason": "hungry"}, retain=False),
        "Template variable warning: 'dict object' has no attribute 'crying'",
    )
    room.until(home_assistant, crying="off", level="-41.3", hearing="on", reason="hungry", since="unknown")


@pytest.mark.parametrize(
    ("topic", "payload", "words"),
    [
        ("state", HEARD | {"reason": "bored"}, "Ignoring invalid option"),
        ("state", HEARD | {"since": "yesterday"}, "Invalid state message 'yesterday'"),
        ("sensitivity", b"highest", "Invalid option for"),
        ("event", {"event_type": "alert"}, "Invalid event type alert"),
        ("event", {"event": "cry_started"}, "`event_type` missing"),
        ("event", b"cry_started", "No valid JSON event payload"),
        ("alert_after", b"601", "Invalid value for number"),
    ],
)
def test_a_value_that_was_not_announced_is_a_warning(
    home_assistant: HomeAssistant, heard: Recorder, room: Room, topic: str, payload: bytes | Message, words: str
) -> None:
    """An option, type, time or number outside of what the message announced is ignored with a warning."""
    room.come_alive(heard)
    room.until(home_assistant, crying="off", sensitivity="normal", alert_after="30")
    warned(home_assistant, lambda: room.say(heard, topic, payload, retain=False), words)
    room.until(home_assistant, sensitivity="normal", alert_after="30", reason="unsure", event="unknown")


def test_what_is_pressed_is_sent(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """A choice, number or press is one message on its command topic, not retained; shown is what is confirmed."""
    with silent(home_assistant, room):
        room.come_alive(heard)
        room.until(home_assistant, sensitivity="normal", alert_after="30", enabled="on", press="unknown")
        ids = room.registered(home_assistant)
        home_assistant.call("select", "select_option", {"entity_id": ids["sensitivity"], "option": "high"})
        home_assistant.call("number", "set_value", {"entity_id": ids["alert_after"], "value": 45})
        home_assistant.call("switch", "turn_off", {"entity_id": ids["enabled"]})
        home_assistant.call("button", "press", {"entity_id": ids["press"]})
        sent = {"sensitivity": b"high", "alert_after": b"45", "enabled": b"OFF", "acknowledge": b"PRESS"}
        for topic, payload in sent.items():
            assert not heard.wait_for_message(f"{room.base}/{topic}/set", payload).retain
        assert room.states(home_assistant)["sensitivity"] == "normal"
        room.say(heard, "sensitivity", b"high")
        room.until(home_assistant, sensitivity="high")
    with pytest.raises(Refused, match="not valid"):
        home_assistant.call("select", "select_option", {"entity_id": ids["sensitivity"], "option": "highest"})


def test_all_must_be_available(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """`unavailable` until each of the message's topics said `online`; a component's own list replaces them all."""
    always = dict.fromkeys(("hearing", "sensitivity", "enabled"), "unknown")
    gone = dict.fromkeys(("crying", "event", "level"), "unavailable")
    with silent(home_assistant, room):
        heard.send(NODE, OFFLINE, retain=True)
        room.announce(heard)
        room.until(home_assistant, **dict.fromkeys(KEYS, "unavailable"))
        heard.send(NODE, ONLINE, retain=True)
        room.until(home_assistant, **always, **gone)
        room.say(heard, "availability", ONLINE)
        room.until(home_assistant, **dict.fromkeys(KEYS, "unknown"))  # available, and nothing said yet
        room.say(heard, "state", HEARD)
        room.until(home_assistant, crying="off")
        room.say(heard, "availability", OFFLINE)
        room.until(home_assistant, **gone, hearing="on")
        room.say(heard, "availability", ONLINE)
        room.until(home_assistant, crying="off", level="-41.3")  # what it last heard, at once
        heard.send(NODE, OFFLINE, retain=True)
        room.until(home_assistant, **dict.fromkeys(KEYS, "unavailable"))


def test_a_state_expires(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """`expire_after` makes a sensor `unavailable` until the first word and so long after the last, repeats included."""
    message = room.message()
    message["components"]["level"]["expire_after"] = 1
    with silent(home_assistant, room):
        room.come_alive(heard)
        room.announce(heard, message)
        room.say(heard, "state", HEARD | {"at": -30})
        room.until(home_assistant, level="-30", crying="off")
        room.until(home_assistant, level="unavailable", crying="off")
        room.say(heard, "state", HEARD | {"at": -30})
        room.until(home_assistant, level="-30")


def test_a_component_goes_alone(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """A component of nothing but its `platform` is removed, registry entry and all; leaving it out removes nothing."""
    with silent(home_assistant, room):
        room.come_alive(heard)
        room.until(home_assistant, crying="off", level="-41.3", since="2026-09-21T14:13:26+00:00")
        message = room.message()
        del message["components"]["level"]  # left out
        message["components"]["since"] = {"platform": "sensor"}
        room.announce(heard, message)
        left = set(KEYS) - {"since"}
        home_assistant.until(lambda _: set(room.registered(home_assistant)) == left, "one entity less")
        room.say(heard, "state", HEARD | {"crying": "ON", "at": -20})
        room.until(home_assistant, crying="on", level="-20")


def test_an_empty_message_takes_the_device_away(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """An empty retained message removes device and entities, without a warning."""
    room.come_alive(heard)
    room.until(home_assistant, crying="off")
    with silent(home_assistant, room):
        heard.send(room.config, b"", retain=True)
        home_assistant.until(lambda _: room.registered(home_assistant) == {}, "no entity")
        home_assistant.until(lambda _: not room.devices(home_assistant), "no device")


def test_a_device_with_a_disabled_entity_goes_with_a_warning(
    home_assistant: HomeAssistant, heard: Recorder, room: Room
) -> None:
    """The same with a disabled entity, but Home Assistant empties the topic once more itself, and warns of that."""
    message = room.message()
    message["components"]["level"]["enabled_by_default"] = False
    room.announce(heard, message)
    home_assistant.until(lambda _: set(room.registered(home_assistant)) == set(KEYS), "all entities")
    words = f"No device components to cleanup for {room.id}"
    warned(home_assistant, lambda: heard.send(room.config, b"", retain=True), words)
    home_assistant.until(lambda _: room.registered(home_assistant) == {}, "no entity")
    home_assistant.until(lambda _: not room.devices(home_assistant), "no device")


def without(part: str | None, key: str) -> Callable[[Message], None]:
    """Return what takes a key out of a part of the message."""

    def change(message: Message) -> None:
        del (message if part is None else message[part])[key]

    return change


def with_(part: str | None, **keys: object) -> Callable[[Message], None]:
    """Return what puts keys into a part of the message, or into the main component."""

    def change(message: Message) -> None:
        target = message if part is None else message["components"]["crying"] if part == "crying" else message[part]
        target.update(keys)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without(None, "origin"), "required key not provided @ data['origin']"),
        (without("origin", "name"), "required key not provided @ data['origin']['name']"),
        (without(None, "device"), "required key not provided @ data['device']"),
        (without("device", "identifiers"), "at least one identifying value"),
        (with_(None, v=1), "extra keys not allowed @ data['v']"),
        (with_("device", room="attic"), "extra keys not allowed @ data['device']['room']"),
        (with_("origin", v=1), "extra keys not allowed @ data['origin']['v']"),
        (with_("crying", unique_id=None), "string value is None"),
        (with_("crying", platform="cry"), "value must be one of"),
        (with_(None, availability_mode="every"), "value must be one of"),
        (with_("device", via_device=["cry_house"]), "value should be a string"),
    ],
)
def test_a_message_with_a_fault_is_refused_as_a_whole(
    home_assistant: HomeAssistant, heard: Recorder, room: Room, change: Callable[[Message], None], words: str
) -> None:
    """What is unknown or missing in message, device or origin makes one warning, and no entity at all."""
    message = room.message()
    change(message)
    warned(home_assistant, lambda: room.announce(heard, message), words)
    assert room.registered(home_assistant) == {}


@pytest.mark.parametrize(
    ("key", "changes", "words"),
    [
        ("reason", {"state_class": "measurement"}, "Specifying `options` is not allowed together with"),
        ("reason", {"device_class": None}, "The option `options` must be used together with device class `enum`"),
        ("level", {"unit_of_measurement": "dBFS"}, "`dBFS` is not valid together with device class `sound_pressure`"),
        ("event", {"device_class": "sound"}, "expected EventDeviceClass"),
        ("sensitivity", {"command_topic": "cry/#"}, "Wildcards cannot be used in topic names"),
        ("alert_after", {"min": 700}, "max must be >= min"),
    ],
)
def test_a_component_with_a_fault_is_left_out(
    home_assistant: HomeAssistant, heard: Recorder, room: Room, key: str, changes: Message, words: str
) -> None:
    """A fault within one component makes one error; the others become entities all the same."""
    message = room.message()
    message["components"][key] |= changes
    warned(home_assistant, lambda: room.announce(heard, message), words)
    home_assistant.until(lambda _: set(room.registered(home_assistant)) == set(KEYS) - {key}, "the others")


def test_a_component_may_say_more(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """A key that a component's platform does not know is ignored: what later versions added harms no earlier one."""
    message = room.message()
    for component in message["components"].values():
        component["not_yet_invented"] = 1
    with silent(home_assistant, room):
        room.announce(heard, message)
        home_assistant.until(lambda _: set(room.registered(home_assistant)) == set(KEYS), "all entities")


def test_automations_are_read_again(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """An automation that is added to a running Home Assistant hears a device's state, and writes its notification."""
    room.come_alive(heard)
    room.until(home_assistant, crying="off")
    home_assistant.automate(
        {
            "id": "cry",
            "alias": "Tell of a cry",
            "triggers": [{"trigger": "state", "entity_id": room.registered(home_assistant)["crying"], "to": "on"}],
            "actions": [
                {
                    "action": "persistent_notification.create",
                    "data": {"notification_id": room.id, "message": "{{ trigger.to_state.name }} cries"},
                }
            ],
        }
    )
    home_assistant.until_state("automation.tell_of_a_cry", "on")
    room.say(heard, "state", HEARD | {"crying": "ON"})
    home_assistant.until(lambda _: room.id in home_assistant.notifications(), "the notification")
    assert home_assistant.notifications()[room.id]["message"] == f"{room.name.title()} cries"
    home_assistant.automate()
    home_assistant.until_state("automation.tell_of_a_cry", "unavailable")  # gone, but for its entity


def test_a_restart_keeps_everything(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """Over a restart entities, their ids and what is retained stay, and an event that came before; `online` follows."""
    with silent(home_assistant, room):
        room.come_alive(heard)
        room.until(home_assistant, crying="off")
        room.say(heard, "event", {"event_type": "cry_ended", "v": 1}, retain=False)
        event = room.registered(home_assistant)["event"]
        home_assistant.until(lambda states: states[event].state != "unknown", "the event")
        before, told = room.registered(home_assistant), home_assistant.entity(event)
        mark = len(heard.received)
        home_assistant.restart()
        room.until(home_assistant, crying="off", sensitivity="normal", since="2026-09-21T14:13:26+00:00")
        assert room.registered(home_assistant) == before
        again = home_assistant.entity(room.unique_id("event"))
        assert (again.state, again.attributes["event_type"]) == (told.state, "cry_ended")
        heard.wait_for_message("homeassistant/status", OFFLINE, after=mark)
        heard.wait_for(
            lambda all_: [m.payload for m in all_[mark:] if m.topic == "homeassistant/status"] == [OFFLINE, ONLINE],
            "the birth message",
            BIRTH_S + DEADLINE_S,
        )


def test_a_kill_loses_nobody(home_assistant: HomeAssistant, heard: Recorder, room: Room) -> None:
    """Killed and started again it knows its owner, and makes its entities from what is retained."""
    room.come_alive(heard)
    room.until(home_assistant, crying="off")
    before, mark = room.registered(home_assistant), len(heard.received)
    home_assistant.kill()
    heard.wait_for_message("homeassistant/status", OFFLINE, after=mark)  # its will
    home_assistant.start()
    room.until(home_assistant, crying="off")
    assert room.registered(home_assistant) == before


def test_a_broker_that_forgot_everything_is_told_again(
    home_assistant: HomeAssistant, house_broker: Mosquitto, room: Room
) -> None:
    """Without a broker all is `unavailable`; with it back the last states stand again, stale, until somebody speaks."""
    with recording(house_broker.port) as heard:
        room.come_alive(heard)
        room.until(home_assistant, crying="off")
    house_broker.kill()
    room.until(home_assistant, **dict.fromkeys(KEYS, "unavailable"))
    house_broker.start()
    with recording(house_broker.port) as heard:
        room.until(home_assistant, crying="off", hearing="on")  # though nothing is retained, and nobody is there
        heard.wait_for_message("homeassistant/status", ONLINE)  # said on every connect
        room.say(heard, "state", HEARD | {"crying": "ON"})
        room.until(home_assistant, crying="on")  # its device message need not come again
        with silent(home_assistant, room):
            room.come_alive(heard)
            room.until(home_assistant, crying="off", sensitivity="normal")


def test_a_house_that_finds_an_empty_broker_waits(
    home_assistant: HomeAssistant, house_broker: Mosquitto, room: Room
) -> None:
    """Started beside a broker that forgot everything it knows its entities, `unavailable` until they are announced."""
    with recording(house_broker.port) as heard:
        room.come_alive(heard)
        room.until(home_assistant, crying="off")
    before = room.registered(home_assistant)
    home_assistant.stop()
    house_broker.kill()
    house_broker.start()
    home_assistant.start()
    with recording(house_broker.port) as heard, silent(home_assistant, room):
        room.until(home_assistant, **dict.fromkeys(KEYS, "unavailable"))
        room.come_alive(heard)
        room.until(home_assistant, crying="off", hearing="on")
    assert room.registered(home_assistant) == before
