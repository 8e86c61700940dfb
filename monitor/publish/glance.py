"""What a person sees of the rooms at a glance: a frozen value that the publish thread replaces and anybody may read."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from monitor.records import Event, RoomHealth

UNSAID_S: Final = 15.0
"""A room that says it hears, and has given no samples for so long, is deaf and nobody was told: capture says so after
10 s, and publish takes it up within 1 s."""

LONGEST_LINE: Final = 1_000
"""Characters: a service manager takes 4 096 bytes, a person less."""

_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class RoomGlance:
    """What is known of one room; `health` None: capture has said nothing yet."""

    room: str
    health: RoomHealth | None = None
    crying_since_at: float | None = None
    last_cry_at: float | None = None


@dataclass(frozen=True, slots=True)
class Glance:
    """What is known of all rooms."""

    rooms: tuple[RoomGlance, ...]

    @classmethod
    def of(cls, rooms: Iterable[str]) -> Self:
        """Return what is known at the start: nothing."""
        return cls(tuple(RoomGlance(room) for room in rooms))

    def after(self, record: Event | RoomHealth) -> "Glance":
        """Return what is known after `record`."""
        return Glance(tuple(_after(room, record) if room.room == record.room else room for room in self.rooms))

    def deaf_unsaid(self, now_s: float) -> list[str]:
        """Return the rooms that give no samples although their last word was that they hear (monotonic `now_s`)."""
        return [
            room.room
            for room in self.rooms
            if room.health is not None
            and room.health.hearing
            and now_s - (room.health.heard_monotonic_s or 0) > UNSAID_S
        ]

    def in_words(self, now_at: float) -> str:
        """Return one line for a person, who cries first, then who is deaf (UTC seconds `now_at`, local clock times)."""
        told = [_in_words(room, now_at) for room in sorted(self.rooms, key=_urgency)]
        line = "; ".join(told)
        while len(line) > LONGEST_LINE:
            told.pop()
            line = "; ".join([*told, f"and {len(self.rooms) - len(told)} more"])
        return line


def _after(room: RoomGlance, record: Event | RoomHealth) -> RoomGlance:
    if isinstance(record, RoomHealth):
        return dataclasses.replace(room, health=record)
    if record.event_type not in ("cry_started", "cry_ongoing", "cry_ended"):
        return room
    crying = record.event_type != "cry_ended"
    return dataclasses.replace(
        room, crying_since_at=record.started_at if crying else None, last_cry_at=record.started_at
    )


def _urgency(room: RoomGlance) -> int:
    if room.crying_since_at is not None:
        return 0
    return 2 if room.health is not None and room.health.hearing else 1


def _in_words(room: RoomGlance, now_at: float) -> str:
    health = room.health
    if room.crying_since_at is not None:
        told = f"CRYING since {_clock(room.crying_since_at, now_at)}"
    elif health is None or health.source == "opening":
        told = "opening"
    elif health.hearing:
        told = "no cry"
    else:
        told = "off" if health.problem == "disabled" else f"DEAF ({health.problem})"
    if health is not None and health.hearing:
        told = f"{told}, {health.level_dbfs:.0f} dBFS{'' if health.problem == 'ok' else f', {health.problem}'}"
    if room.crying_since_at is None and room.last_cry_at is not None:
        told = f"{told}, last cry {_clock(room.last_cry_at, now_at)}"
    return f"{room.room} {told}"


def _clock(at: float, now_at: float) -> str:
    here = datetime.fromtimestamp(at, UTC).astimezone()
    return f"{here:%H:%M}" if abs(now_at - at) < _DAY_S / 2 else f"{here:%Y-%m-%d %H:%M}"
