"""Every queue between threads: its bound, and what is lost when it is full. A full queue is an ordinary answer.

| queue | from -> to | bound | when full |
| --- | --- | --- | --- |
| `SegmentQueue` | capture -> detect | 2 segments a room | that room's oldest is replaced; markers are never dropped |
| `Reports` | capture, detect, MQTT client -> publish | 1 000 | oldest telemetry goes, then health, then the oldest |
| `Outbox` | publish -> broker | 1 000, 20 in flight | one a topic; then telemetry, then the oldest event goes |
| `Inbox` | publish -> the owner of a setting | 32 | the newest is refused |

Every loss is counted in `dropped`.
"""

import threading
from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from monitor.records import Command, GateMissed, Level, RoomHealth, Segment, SourceLost

SEGMENTS_PER_ROOM = 2
REPORTS = 1_000
OUTBOX = 1_000
IN_FLIGHT = 20
INBOX = 32


class SegmentQueue:
    """Segments on their way to the one detect thread; two wait per room at most, other rooms are never touched."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Segment | SourceLost]] = {}
        self.dropped: dict[str, int] = {}

    def put(self, item: Segment | SourceLost) -> bool:
        """Add `item`; return whether an older segment of its room was replaced. Never blocks. Called by capture."""
        with self._changed:
            line = self._waiting.setdefault(item.room, deque())
            full = isinstance(item, Segment) and self._segments(item.room) >= SEGMENTS_PER_ROOM
            if full:
                line.remove(next(old for old in line if isinstance(old, Segment)))
                self.dropped[item.room] = self.dropped.get(item.room, 0) + 1
            line.append(item)
            self._changed.notify_all()
            return full

    def wait_for_room(self, room: str, timeout_s: float) -> bool:
        """Block up to `timeout_s` until a `put` would replace nothing; return whether it would not. For fast files."""
        with self._changed:
            return self._changed.wait_for(lambda: self._segments(room) < SEGMENTS_PER_ROOM, timeout_s)

    def take(self, timeout_s: float) -> list[Segment | SourceLost]:
        """Return at most one item a room, waiting up to `timeout_s` for the first. Called by detect."""
        with self._changed:
            self._changed.wait_for(lambda: any(self._waiting.values()), timeout_s)
            taken = [line.popleft() for line in self._waiting.values() if line]
            self._changed.notify_all()
            return taken

    def _segments(self, room: str) -> int:
        return sum(isinstance(item, Segment) for item in self._waiting.get(room, ()))


T = TypeVar("T")


class Reports(Generic[T]):
    """All that the publish thread is told, in order; it waits here and nowhere else."""

    def __init__(self, bound: int = REPORTS) -> None:
        self._bound = bound
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()
        self.dropped = 0

    def put(self, report: T) -> None:
        """Add `report`; when full, the least of what waits makes room for it. Never blocks. Called by any thread."""
        with self._changed:
            if len(self._waiting) >= self._bound:
                self._evict()
                self.dropped += 1
            self._waiting.append(report)
            self._changed.notify_all()

    def take_all(self, timeout_s: float) -> list[T]:
        """Return what waits, oldest first, waiting up to `timeout_s` for the first. Called by publish."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), timeout_s)
            taken = list(self._waiting)
            self._waiting.clear()
            return taken

    def _evict(self) -> None:
        for least in (Level, RoomHealth, object):
            for report in self._waiting:
                if isinstance(report, least):
                    self._waiting.remove(report)
                    return


class Inbox:
    """Commands for one owner; a person who pressed a button 32 times is refused the 33rd."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Command | GateMissed] = deque()

    def put(self, command: Command | GateMissed) -> bool:
        """Add `command` and return True, or return False when 32 wait. Never blocks."""
        with self._changed:
            if len(self._waiting) >= INBOX:
                return False
            self._waiting.append(command)
            self._changed.notify_all()
            return True

    def drain(self, timeout_s: float = 0.0) -> list[Command | GateMissed]:
        """Return all that waits, oldest first, waiting up to `timeout_s` for the first. Called by the owner."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), timeout_s)
            taken = list(self._waiting)
            self._waiting.clear()
            return taken


class Sendable(Protocol):
    """What an `Outbox` holds."""

    @property
    def coalesce_key(self) -> str | None:
        """Its topic where only the newest matters; None for an event, of which each matters."""

    @property
    def expendable(self) -> bool:
        """Whether it is telemetry, of which the next comes in a moment."""


M = TypeVar("M", bound=Sendable)


class Outbox(Generic[M]):
    """Messages that the broker has not acknowledged yet. The publish thread alone uses it, so it has no lock.

    While the broker is away nothing is handed to the MQTT client: everything waits here.
    """

    def __init__(self, bound: int = OUTBOX, in_flight: int = IN_FLIGHT) -> None:
        self._bound = bound
        self._in_flight_bound = in_flight
        self._waiting: deque[M] = deque()
        self._in_flight: dict[int, M] = {}
        self._last_id = 0
        self._announced = 0  # so many in front are an announcement: their order stands, none of them gives way
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def put(self, message: M) -> M | None:
        """Add `message` at the end; return what was lost for it: nothing, or when full telemetry, or the oldest event.

        A waiting message with the same `coalesce_key` gives way to it, unless it is part of an announcement; that is
        no loss.
        """
        if message.coalesce_key is not None:
            self._discard(message.coalesce_key)
        self._waiting.append(message)
        if len(self) <= self._bound:
            return None
        waiting = list(enumerate(self._waiting))
        telemetry = (place for place, old in waiting if old.expendable)
        # Never state: there is one of each topic at most, and without it the broker would hold something untrue.
        events = (place for place, old in waiting if old.coalesce_key is None)
        place = next(telemetry, next(events, 0))
        lost = self._waiting[place]
        del self._waiting[place]
        self._announced -= place < self._announced
        self.dropped += 1
        return lost

    def take(self) -> tuple[int, M] | None:
        """Return an id to acknowledge by and the oldest waiting message; None when none waits or 20 are in flight."""
        if not self._waiting or len(self._in_flight) >= self._in_flight_bound:
            return None
        self._last_id += 1
        message = self._waiting.popleft()
        self._announced = max(0, self._announced - 1)
        self._in_flight[self._last_id] = message
        return self._last_id, message

    def ack(self, message_id: int) -> M | None:
        """Forget the message with this id, and return it; None for an id that is not in flight, which is no error."""
        return self._in_flight.pop(message_id, None)

    def requeue(self) -> None:
        """Put what is in flight back in front, oldest first; the connection is gone."""
        newer = {message.coalesce_key for message in self._waiting if message.coalesce_key is not None}
        back = [message for message in self._in_flight.values() if message.coalesce_key not in newer]
        self._in_flight.clear()
        self._announced = 0
        self._waiting.extendleft(reversed(back))

    def announce(self, first: Iterable[M], last: Iterable[M]) -> None:
        """After a connect: `first`, then every event that waits, then `last`; older state gives way to these.

        Newer state queues up behind `last`: a broker that knew nothing must hold all of it before `last` is said.
        """
        self.requeue()
        events = [message for message in self._waiting if message.coalesce_key is None]
        self._waiting = deque([*first, *events, *last])
        self._announced = len(self._waiting)

    def _discard(self, coalesce_key: str) -> None:
        self._waiting = deque(
            message
            for place, message in enumerate(self._waiting)
            if place < self._announced or message.coalesce_key != coalesce_key
        )
