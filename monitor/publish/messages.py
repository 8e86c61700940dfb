"""What we say on MQTT: the one place of topics and payload keys. `docs/mqtt.md` is the same for readers, and tested.

A key is added, never renamed; every key is always there, null where it does not apply.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from monitor.publish.figures import Figures
from monitor.publish.tonight import Tally
from monitor.records import Event, Gate, Problem, RoomHealth, SettingName, time_of

VERSION: Final = 1
"""`v` in every JSON payload."""

ONLINE: Final = "online"
OFFLINE: Final = "offline"
OnOff = Literal["ON", "OFF"]

SETTINGS: Final[tuple[SettingName, ...]] = ("enabled", "sensitivity", "alert_after", "snooze")
"""The settings of a room, each with a retained topic of that name."""

FEEDBACK: Final = "feedback"
CARE: Final = ("fed", "slept", "changed")
NOTES: Final = (FEEDBACK, *(f"care/{kind}" for kind in CARE))
"""What people tell of a child, each with a retained topic of that name."""

# Availability last: a service that dies while it clears a room still finds the rest by it next time.
_RETAINED_OF_A_ROOM: Final = ("state", "tonight", "figures", *SETTINGS, *NOTES, "availability")
_RETAINED: Final = frozenset({"status", "health", "summary", "config", *_RETAINED_OF_A_ROOM, *CARE})


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
    """What a room's `state` says. `crying` None: nobody can tell, never "quiet"; `alert` is ON only while it is."""

    crying: OnOff | None
    alert: OnOff
    hearing: OnOff
    episode_id: str | None
    since: float
    confidence: float | None
    reason: str | None
    reasons: Mapping[str, float]
    level_dbfs: float
    problem: Problem


def is_retained(topic: str) -> bool:
    """Return whether the broker keeps what we say on `topic`."""
    return topic.rpartition("/")[2] in _RETAINED


class Messages:
    """Builds every message of one node; knows no state and no clock. Any thread."""

    def __init__(self, topic_prefix: str, node_id: str, rooms: Sequence[str]) -> None:
        self.base = f"{topic_prefix}/{node_id}"
        self.rooms = tuple(rooms)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The filters of what we listen to: commands, and the availability of rooms that may be configured no more."""
        return f"{self.base}/+/+/set", f"{self.base}/+/care/+/set", f"{self.base}/+/availability"

    def status(self, status: Literal["online", "offline"]) -> Message:
        """Whether the service runs; `offline` is also the will."""
        return retained(f"{self.base}/status", status.encode())

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
        return retained(f"{self.base}/health", to_json(payload))

    def availability(self, room: str, *, hearing: bool) -> Message:
        """Whether the room hears."""
        return retained(f"{self.base}/{room}/availability", (ONLINE if hearing else OFFLINE).encode())

    def state(self, room: str, state: RoomState) -> Message:
        """What is known of the room now."""
        payload = {
            "v": VERSION,
            "crying": state.crying,
            "alert": state.alert,
            "hearing": state.hearing,
            "episode_id": state.episode_id,
            "since": time_of(state.since),
            "confidence": _number(state.confidence, 3),
            "reason": state.reason,
            "reasons": {name: _number(share, 3) for name, share in state.reasons.items()},
            "level_dbfs": _number(state.level_dbfs, 1),
            "problem": state.problem,
        }
        return retained(f"{self.base}/{room}/state", to_json(payload))

    def event(self, event: Event, *, late: bool = False) -> Message:
        """One line of a cry's story; not retained: an old cry must never look like a new one."""
        of_a_cry = event.episode_id is not None  # a test alert and a drill are of none
        payload = {
            "v": VERSION,
            "event_type": event.event_type,
            "event_id": event.event_id,
            "episode_id": event.episode_id,
            "room": event.room,
            "started_at": time_of(event.started_at) if of_a_cry else None,
            "at": time_of(event.at),
            "duration_s": _number(event.duration_s, 2) if of_a_cry else None,
            "ended_by": event.ended_by,
            "peak": _number(event.peak, 3) if of_a_cry else None,
            "mean": _number(event.mean, 3) if of_a_cry else None,
            "level_dbfs": _number(event.level_dbfs, 1),
            "model": event.model,
            "confidence": _number(event.confidence, 3) if of_a_cry else None,
            "reason": event.reason,
            "reasons": {name: _number(share, 3) for name, share in event.reasons.items()},
            "late": late,
            "test": event.test,
            "cause": event.cause,
            "by": event.by,
            "snr_db": _number(event.snr_db, 1),
            "delay_s": _number(event.delay_s, 1),
        }
        return Message(self.event_topic(event.room), to_json(payload), retain=False, qos=1, event=event)

    def late(self, message: Message) -> Message:
        """Return an event's message as it is said when it is delivered late."""
        return message if message.event is None else self.event(message.event, late=True)

    def level(self, room: str, *, dbfs: float, gate: Gate, score: float | None) -> Message:
        """Telemetry: QoS 0, not retained."""
        payload = {"v": VERSION, "dbfs": _number(dbfs, 1), "gate": gate, "score": _number(score, 3)}
        return Message(f"{self.base}/{room}/level", to_json(payload), retain=False, qos=0)

    def setting(self, room: str, name: str, value: str) -> Message:
        """The value that one of `SETTINGS` or `NOTES` has now."""
        return retained(f"{self.base}/{room}/{name}", value.encode())

    def tonight(self, room: str, night: Tally) -> Message:
        """What a room's night was like so far."""
        payload = {
            "v": VERSION,
            "night": night.night.isoformat(),
            "episodes": night.episodes,
            "crying_minutes": _number(night.crying_s / 60, 1),
            "longest_s": _number(night.longest_s, 1),
            "alerts": night.alerts,
            "last_cry_at": None if night.last_cry_at is None else time_of(night.last_cry_at),
        }
        return retained(f"{self.base}/{room}/tonight", to_json(payload))

    def figures(self, room: str, figures: Figures) -> Message:
        """How often an alarm of a room was false, since installation."""
        return retained(f"{self.base}/{room}/figures", to_json({"v": VERSION, **figures.as_json()}))

    def summary(self, *, crying: Sequence[str], unacknowledged: Sequence[str], deaf: Sequence[str]) -> Message:
        """The whole site at a glance: rooms that cry, longest first; whose alert is on; that are not heard."""
        payload = {"v": VERSION, "crying": crying, "unacknowledged": unacknowledged, "deaf": deaf}
        return retained(f"{self.base}/summary", to_json(payload))

    def probe(self, token: str, payload: bytes) -> Message:
        """What `doctor` lets come back from the broker, and clears; no room and no consumer reads it."""
        return retained(f"{self.base}/doctor/{token}", payload)

    def forget(self, room: str) -> list[Message]:
        """Clear every retained topic of a room that is configured no more, `availability` last."""
        return [retained(f"{self.base}/{room}/{name}", b"") for name in _RETAINED_OF_A_ROOM]

    def event_topic(self, room: str) -> str:
        """Where a room's events are said."""
        return f"{self.base}/{room}/event"

    def set_topic(self, room: str, name: str) -> str:
        """Where others say what is to become of a room."""
        return f"{self.base}/{room}/{name}/set"

    def room_of(self, topic: str, name: str) -> str | None:
        """Return the room in `<base>/<room>/<name>`, configured or not; None for any other topic."""
        head, tail = f"{self.base}/", f"/{name}"
        room = topic[len(head) : -len(tail)]
        fits = topic.startswith(head) and topic.endswith(tail) and room and "/" not in room
        return room if fits else None


def retained(topic: str, payload: bytes) -> Message:
    """Return a message that the broker keeps."""
    return Message(topic, payload, retain=True, qos=1)


def to_json(payload: Mapping[str, object]) -> bytes:
    """Return a payload as it is sent."""
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _number(value: float | None, digits: int) -> float | int | None:
    """Round `value`; null for what JSON cannot say, as the level of digital silence (-inf)."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits) if digits else round(value)
