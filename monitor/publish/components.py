"""What Home Assistant shows of a room and of the node: a table, each line an entity. Keys are Home Assistant's own.

A component's key is part of its unique id and never changes: history, dashboards and automations hang on it.
`docs/home-assistant.md` says what each is for, and is tested against this.
"""

from collections.abc import Mapping, Sequence
from typing import Final, get_args

from monitor.publish.commands import ALERT_AFTER_AT_MOST_S, PRESS
from monitor.publish.messages import CARE, OFFLINE, ONLINE
from monitor.records import NOT_A_CRY, UNSURE, EventType, Problem, Sensitivity

Options = Mapping[str, object]
Components = dict[str, dict[str, object]]

STALE_S: Final = 150
"""State is said each 60 s, so two in a row may be missed: a process that hangs and still answers the broker's keepalive
must not look well for longer."""

STALE_LEVEL_S: Final = 30
"""A level comes each 5 s."""

_DIAGNOSTIC: Final[Options] = {"entity_category": "diagnostic"}
_CONFIG: Final[Options] = {"entity_category": "config"}
_HIDDEN: Final[Options] = {**_DIAGNOSTIC, "enabled_by_default": False}
_FRESH: Final[Options] = {"expire_after": STALE_S}
_SOON: Final[Options] = {"expire_after": STALE_LEVEL_S}
_ENUM: Final[Options] = {"device_class": "enum"}
_PROBLEMS: Final[Options] = {**_ENUM, "options": [*get_args(Problem)]}
_SENSITIVITIES: Final[Options] = {"options": [*get_args(Sensitivity)]}
_CONNECTED: Final[Options] = {"device_class": "connectivity"}
_TIMESTAMP: Final[Options] = {"device_class": "timestamp"}
_MEASURED: Final[Options] = {"state_class": "measurement"}
_SERVES: Final[Options] = {**_CONNECTED, "payload_on": ONLINE, "payload_off": OFFLINE}
_SECONDS: Final[Options] = {
    "min": 0,
    "max": ALERT_AFTER_AT_MOST_S,
    "step": 1,
    "mode": "box",
    "unit_of_measurement": "s",
    "device_class": "duration",
}
_MINUTES: Final[Options] = {
    "unit_of_measurement": "min",
    "device_class": "duration",
    "state_class": "total_increasing",
}
_LEVEL: Final[Options] = {**_MEASURED, "unit_of_measurement": "dBFS", "icon": "mdi:volume-source"}

EVER: Final = frozenset(
    {
        *("enabled", "sensitivity", "alert_after", "snooze_15", "snooze_30", "snooze_60", "snooze_off"),
        *("snoozed_until", "on_my_way", "false_alarm", "feedback", *CARE, "hearing", "problem", "test_alert", "drill"),
    }
)
"""Components that are there while the service is: what matters most when the microphone is gone."""

ALWAYS: Final = "cry"
"""The component that hangs on nothing of ours: on a connect the events that waited are said before `online`, and one
that came to an unavailable entity would go under in its coming back."""


def of_a_room(base: str, node: str, room: str, categories: Sequence[str]) -> Components:
    """Return the components of a room, by key; `base` is the node's first part of every topic, `node` that of ids."""
    topic = f"{base}/{room}"
    state, tonight = f"{topic}/state", f"{topic}/tonight"
    floor = f"rooms['{room}'].noise_floor_dbfs"
    table = [
        _entity("crying", "binary_sensor", None, _read(state, "crying"), _FRESH, device_class="sound"),
        _entity("cry", "event", "Cry", {"state_topic": f"{topic}/event"}, event_types=[*get_args(EventType)]),
        _entity("reason", "sensor", "Reason", _read(state, "reason"), _FRESH, _ENUM, options=[UNSURE, *categories]),
        _entity("alert", "binary_sensor", "Alert", _read(state, "alert"), _FRESH, icon="mdi:bell-ring"),
        _entity("enabled", "switch", "Enabled", _set(topic, "enabled")),
        _entity("sensitivity", "select", "Sensitivity", _set(topic, "sensitivity"), _CONFIG, _SENSITIVITIES),
        _entity("alert_after", "number", "Alert after", _set(topic, "alert_after"), _CONFIG, _SECONDS),
        _snooze(topic, "snooze_15", "Snooze 15 minutes", "15"),
        _snooze(topic, "snooze_30", "Snooze 30 minutes", "30"),
        _snooze(topic, "snooze_60", "Snooze 60 minutes", "60"),
        _snooze(topic, "snooze_off", "End snooze", "0"),
        _entity("snoozed_until", "sensor", "Snoozed until", {"state_topic": f"{topic}/snooze"}, _TIMESTAMP),
        _button("on_my_way", "On my way", f"{topic}/acknowledge", icon="mdi:run-fast"),
        _button("false_alarm", "False alarm", f"{topic}/feedback", NOT_A_CRY, icon="mdi:bell-cancel"),
        _entity("feedback", "select", "It was", _set(topic, "feedback"), options=[NOT_A_CRY, *categories]),
        _button("fed", "Fed", f"{topic}/care/fed", icon="mdi:baby-bottle"),
        _button("slept", "Slept", f"{topic}/care/slept", icon="mdi:sleep"),
        _button("changed", "Changed", f"{topic}/care/changed", icon="mdi:human-baby-changing-table"),
        _entity("cries_tonight", "sensor", "Cries tonight", _read(tonight, "episodes"), state_class="total_increasing"),
        _entity("crying_minutes_tonight", "sensor", "Crying tonight", _read(tonight, "crying_minutes"), _MINUTES),
        _entity("last_cry", "sensor", "Last cry", _read(tonight, "last_cry_at"), _TIMESTAMP),
        _entity("hearing", "binary_sensor", "Hearing", _read(state, "hearing"), _FRESH, _DIAGNOSTIC, _CONNECTED),
        _entity("problem", "sensor", "Problem", _read(state, "problem"), _FRESH, _DIAGNOSTIC, _PROBLEMS),
        _button("test_alert", "Test alert", f"{topic}/test_alert") | {**_DIAGNOSTIC},
        _button("drill", "Bedtime drill", f"{topic}/drill", icon="mdi:ear-hearing") | {**_DIAGNOSTIC},
        _entity("level", "sensor", "Level", _read(f"{topic}/level", "dbfs"), _HIDDEN, _LEVEL, _SOON),
        _entity("noise_floor", "sensor", "Noise floor", _read(f"{base}/health", floor), _HIDDEN, _LEVEL, _FRESH),
        _entity("confidence", "sensor", "Confidence", _read(state, "confidence"), _HIDDEN, _MEASURED, _FRESH),
    ]
    follows = {"availability": [_availability(f"{base}/status")]}
    nothing: Options = {"availability": []}
    return _by_key(table, f"cry_{node}_{room}", {**dict.fromkeys(EVER, follows), ALWAYS: nothing})


def of_the_node(base: str, node: str) -> Components:
    """Return the components of the node, by key: the whole site at a glance."""
    summary = f"{base}/summary"
    table = [
        _entity("status", "binary_sensor", None, {"state_topic": f"{base}/status"}, _DIAGNOSTIC, _SERVES),
        _rooms("rooms_crying", "Rooms crying", summary, "crying"),
        _rooms("rooms_unacknowledged", "Rooms unacknowledged", summary, "unacknowledged"),
        _rooms("rooms_deaf", "Rooms deaf", summary, "deaf"),
        _entity("problem", "sensor", "Problem", _read(f"{base}/health", "problem"), _FRESH, _DIAGNOSTIC, _PROBLEMS),
    ]
    follows = {"availability": [_availability(f"{base}/status")]}
    # The status itself is always there: off is what it says when the service is gone.
    return _by_key(table, f"cry_{node}", {str(one["key"]): follows for one in table if one["key"] != "status"})


def availability(base: str, room: str) -> list[dict[str, str]]:
    """Return what a room's components hang on: the service, and that the room hears."""
    return [_availability(f"{base}/status"), _availability(f"{base}/{room}/availability")]


def _entity(key: str, platform: str, name: str | None, *parts: Options, **options: object) -> dict[str, object]:
    entity: dict[str, object] = {"key": key, "platform": platform, "name": name, "qos": 1}
    for part in (*parts, options):
        entity.update(part)
    return entity


def _read(topic: str, key: str) -> dict[str, object]:
    """A value of a JSON payload; null becomes `None`, which Home Assistant shows as unknown."""
    return {"state_topic": topic, "value_template": f"{{{{ value_json.{key} }}}}"}


def _set(topic: str, name: str) -> dict[str, object]:
    return {"state_topic": f"{topic}/{name}", "command_topic": f"{topic}/{name}/set"}


def _button(key: str, name: str, topic: str, payload: str = PRESS, icon: str = "mdi:bell-check") -> dict[str, object]:
    return _entity(key, "button", name, command_topic=f"{topic}/set", payload_press=payload, icon=icon)


def _snooze(topic: str, key: str, name: str, minutes: str) -> dict[str, object]:
    icon = "mdi:bell" if minutes == "0" else "mdi:bell-sleep"
    return _button(key, name, f"{topic}/snooze", minutes, icon)


def _rooms(key: str, name: str, summary: str, of: str) -> dict[str, object]:
    """How many rooms; their names are attributes, since 64 names are too long for a state."""
    entity = _entity(key, "sensor", name, _read(summary, f"{of} | length"), _MEASURED, icon="mdi:home-account")
    return entity | {"json_attributes_topic": summary}


def _availability(topic: str) -> dict[str, str]:
    return {"topic": topic, "payload_available": ONLINE, "payload_not_available": OFFLINE}


def _by_key(table: Sequence[dict[str, object]], prefix: str, extra: Mapping[str, Options]) -> Components:
    """Return the table by key, with the ids; an entity id of ours is no other's, and stays when a room is renamed."""
    components: Components = {}
    for entity in table:
        key, platform = str(entity.pop("key")), entity["platform"]
        ids = {"unique_id": f"{prefix}_{key}", "default_entity_id": f"{platform}.{prefix}_{key}"}
        components[key] = {**entity, **ids, **extra.get(key, {})}
    return components
