"""What we say on MQTT: the one place of topics and payload keys. `docs/mqtt.md` is the same for readers, and tested.

A key is added, never renamed; every key is always there, null where it does not apply.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Literal

from monitor.records import Event, Gate, Problem, RoomHealth, SettingName

VERSION: Final = 1
"""`v` in every JSON payload."""

ONLINE: Final = "online"
OFFLINE: Final = "offline"
OnOff = Literal["ON", "OFF"]

SETTING_VALUES: Final[Mapping[SettingName, tuple[str, ...]]] = MappingProxyType(
    {"enabled": ("ON", "OFF"), "sensitivity": ("low", "normal", "high")},
)
"""The settings of a room, each with the values that its `/set` topic takes."""

# Availability last: a service that dies while it clears a room still finds the rest by it next time.
_RETAINED_OF_A_ROOM: Final = ("state", *SETTING_VALUES, "availability")
_RETAINED: Final = frozenset({"status", "health", *_RETAINED_OF_A_ROOM})


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message on its way out.

    Attributes:
        event: What it was made from, where it is an event: sent late, it is made again with `late` true.
    """

    topic: str
    payload: bytes
    retain: bool
    qos: Literal[0, 1]
    event: Event | None = field(default=None, repr=False)

    @property
    def coalesce_key(self) -> str | None:
        """The topic, of which only the newest message matters; None for an event, of which each matters."""
        return self.topic if self.event is None else None

    @property
    def expendable(self) -> bool:
        """Whether it is telemetry, of which the next comes in a moment."""
        return self.qos == 0


@dataclass(frozen=True, slots=True)
class RoomState:
    """What a room's `state` topic says; `crying` None means that nobody can tell, never "quiet"."""

    crying: OnOff | None
    hearing: OnOff
    episode_id: str | None
    since: float
    confidence: float | None
    reason: str | None
    reasons: Mapping[str, float]
    level_dbfs: float
    problem: Problem
    alert: OnOff = "OFF"


def is_retained(topic: str) -> bool:
    """Return whether the broker keeps what we say on `topic`."""
    return topic.rpartition("/")[2] in _RETAINED


class Messages:
    """Builds every message of one node; knows no state and no clock. Any thread."""

    def __init__(self, topic_prefix: str, node_id: str, rooms: Sequence[str]) -> None:
        self.base = f"{topic_prefix}/{node_id}"
        self.rooms = tuple(rooms)

    @property
    def subscriptions(self) -> tuple[str, str]:
        """The filters of what we listen to: commands, and the availability of rooms that may be configured no more."""
        return f"{self.base}/+/+/set", f"{self.base}/+/availability"

    def status(self, status: Literal["online", "offline"]) -> Message:
        """Whether the service runs; `offline` is also the will."""
        return self._retained(f"{self.base}/status", status.encode())

    def health(
        self,
        *,
        version: str,
        model: str,
        uptime_s: float,
        problem: Problem,
        rooms: Mapping[str, RoomHealth],
        heard_s_ago: Mapping[str, float | None],
        outbox: int,
    ) -> Message:
        """How the service and its sources are; `outbox` counts messages that the broker has not acknowledged."""
        payload = {
            "v": VERSION,
            "version": version,
            "model": model,
            "uptime_s": _number(uptime_s, 0),
            "problem": problem,
            "rooms": {
                room: {
                    "source": health.source,
                    "heard_s_ago": _number(heard_s_ago[room], 1),
                    "noise_floor_dbfs": _number(health.noise_floor_dbfs, 1),
                    "segments_dropped": health.segments_dropped,
                    "overflows": health.overflows,
                }
                for room, health in rooms.items()
            },
            "outbox": outbox,
        }
        return self._retained(f"{self.base}/health", _json(payload))

    def availability(self, room: str, *, hearing: bool) -> Message:
        """Whether the room hears."""
        return self._retained(f"{self.base}/{room}/availability", (ONLINE if hearing else OFFLINE).encode())

    def state(self, room: str, state: RoomState) -> Message:
        """What is known of the room now."""
        payload = {
            "v": VERSION,
            "crying": state.crying,
            "alert": state.alert,
            "hearing": state.hearing,
            "episode_id": state.episode_id,
            "since": _time(state.since),
            "confidence": _number(state.confidence, 3),
            "reason": state.reason,
            "reasons": {name: _number(share, 3) for name, share in state.reasons.items()},
            "level_dbfs": _number(state.level_dbfs, 1),
            "problem": state.problem,
        }
        return self._retained(f"{self.base}/{room}/state", _json(payload))

    def event(self, event: Event, *, late: bool = False) -> Message:
        """One line of a cry's story; not retained: an old cry must never look like a new one."""
        payload = {
            "v": VERSION,
            "event_type": event.event_type,
            "event_id": event.event_id,
            "episode_id": event.episode_id,
            "room": event.room,
            "started_at": _time(event.started_at),
            "at": _time(event.at),
            "duration_s": _number(event.duration_s, 2),
            "ended_by": event.ended_by,
            "peak": _number(event.peak, 3),
            "mean": _number(event.mean, 3),
            "level_dbfs": _number(event.level_dbfs, 1),
            "model": event.model,
            "confidence": _number(event.confidence, 3),
            "reason": event.reason,
            "reasons": {name: _number(share, 3) for name, share in event.reasons.items()},
            "late": late,
            "test": False,
            "cause": None,
            "by": None,
        }
        return Message(f"{self.base}/{event.room}/event", _json(payload), retain=False, qos=1, event=event)

    def late(self, message: Message) -> Message:
        """Return an event's message as it is said when it is delivered late."""
        return message if message.event is None else self.event(message.event, late=True)

    def level(self, room: str, *, dbfs: float, gate: Gate, score: float | None) -> Message:
        """Telemetry: QoS 0, not retained."""
        payload = {"v": VERSION, "dbfs": _number(dbfs, 1), "gate": gate, "score": _number(score, 3)}
        return Message(f"{self.base}/{room}/level", _json(payload), retain=False, qos=0)

    def setting(self, room: str, setting: SettingName, value: str) -> Message:
        """The value that a setting has now."""
        return self._retained(f"{self.base}/{room}/{setting}", value.encode())

    def probe(self, token: str, payload: bytes) -> Message:
        """What `doctor` lets come back from the broker, and clears; no room and no consumer reads it."""
        return self._retained(f"{self.base}/doctor/{token}", payload)

    def forget(self, room: str) -> list[Message]:
        """Clear every retained topic of a room that is configured no more, `availability` last."""
        return [self._retained(f"{self.base}/{room}/{name}", b"") for name in _RETAINED_OF_A_ROOM]

    def room_of(self, topic: str, name: str) -> str | None:
        """Return the room in `<base>/<room>/<name>`, configured or not; None for any other topic."""
        head, tail = f"{self.base}/", f"/{name}"
        room = topic[len(head) : -len(tail)]
        fits = topic.startswith(head) and topic.endswith(tail) and room and "/" not in room
        return room if fits else None

    @staticmethod
    def _retained(topic: str, payload: bytes) -> Message:
        return Message(topic, payload, retain=True, qos=1)


def _json(payload: Mapping[str, object]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _number(value: float | None, digits: int) -> float | int | None:
    """Round `value`; null for what JSON cannot say, as the level of digital silence (-inf)."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits) if digits else round(value)


def _time(at: float) -> str:
    """RFC 3339 with milliseconds and Z, of seconds since the epoch."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
