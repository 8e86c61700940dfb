"""What the broker should hold of each room, and what must be said when that changes: no thread, no I/O, no clock.

Deaf is never OFF: while a room does not hear, `crying` is null. On a loss the order is availability `offline`, then the
`cry_ended` of a running episode (detect always sends it), then `state`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from monitor.publish.messages import Message, Messages, OnOff, RoomState
from monitor.records import Applied, CauseJudged, EndedBy, Event, Level, Problem, RoomHealth, SettingName

REPEAT_S: Final = 60.0
"""`state` and `health` are said again this often, changed or not."""

CRY_ENDED_WITHIN_S: Final = 15.0
"""How long `state` waits for the `cry_ended` of a lost room; a detect that died must not keep it back for ever."""

_LOSSES: Final[Mapping[EndedBy, Problem | None]] = {
    "source_lost": "source_lost",
    "source_ended": "source_ended",
    "disabled": "disabled",
    "stopped": None,
}
"""Ends that mean deafness, with the problem that the room then has."""

_PROBLEMS_FIRST_THAT_APPLIES: Final[tuple[Problem, ...]] = tuple(p for p in get_args(Problem) if p != "ok")


@dataclass(frozen=True, slots=True)
class Now:
    """One instant on both clocks: monotonic seconds for ages and timers, UTC seconds for what a reader sees."""

    monotonic_s: float
    at: float


@dataclass(frozen=True, slots=True)
class _Loss:
    """Deafness that detect told of before capture did; it stands until capture reports it, or newer samples."""

    problem: Problem | None
    heard_monotonic_s: float | None


class _Room:
    """What is known of one room."""

    def __init__(self, room: str, now: Now) -> None:
        self.health = RoomHealth(
            room=room,
            source="opening",
            hearing=False,
            problem="ok",
            level_dbfs=float("-inf"),
            noise_floor_dbfs=float("-inf"),
            heard_monotonic_s=None,
            segments_dropped=0,
        )
        self.episode: Event | None = None
        self.loss: _Loss | None = None
        self.owed_until_s: float | None = None  # a `state` waits until then for `cry_ended`
        self.crying: OnOff | None = None
        self.since = now.at
        self.said: tuple[object, ...] | None = None
        self.said_monotonic_s = now.monotonic_s

    @property
    def hearing(self) -> bool:
        return self.health.hearing and self.loss is None

    @property
    def problem(self) -> Problem:
        return (self.loss and self.loss.problem) or self.health.problem

    def lose(self, problem: Problem | None) -> None:
        self.loss = _Loss(problem, self.health.heard_monotonic_s)


class Picture:
    """Turns records into messages. Used by the publish thread alone; never blocks, never raises."""

    def __init__(
        self,
        messages: Messages,
        settings: Mapping[tuple[str, SettingName], str],
        *,
        model_name: str,
        version: str,
        now: Now,
    ) -> None:
        self._messages = messages
        self._settings = dict(settings)
        self._model_name = model_name
        self._version = version
        self._started_s = now.monotonic_s
        self._rooms = {room: _Room(room, now) for room in messages.rooms}
        self._reason_failing = False
        self._store_failing = False
        self._health_said: tuple[Problem, float] | None = None

    def handle(self, record: Event | CauseJudged | RoomHealth | Level | Applied, now: Now) -> list[Message]:
        """Return what must be said because of `record`, in order; nothing for a room that is not configured."""
        room = self._rooms.get(record.room)
        if room is None:
            return []
        match record:
            case Event():
                return self._on_event(room, record, now)
            case CauseJudged():
                if room.episode is not None and room.episode.episode_id == record.episode_id:
                    room.episode = dataclasses.replace(room.episode, reason=record.reason, reasons=record.reasons)
                return self._state(record.room, room, now)
            case RoomHealth():
                return self._on_health(room, record, now)
            case Level():
                return [self._messages.level(record.room, dbfs=record.dbfs, gate=record.gate, score=record.score)]
            case Applied():
                self._settings[record.room, record.setting] = record.value
                return [self._messages.setting(record.room, record.setting, record.value)]

    def tick(
        self, now: Now, *, store_failing: bool = False, reason_failing: bool = False, outbox: int = 0
    ) -> list[Message]:
        """Return what is due by time, or because something began or ceased to fail. Call it at least each second."""
        self._store_failing = store_failing
        self._reason_failing = reason_failing
        said = []
        for name, room in self._rooms.items():
            if room.owed_until_s is not None and now.monotonic_s >= room.owed_until_s:
                room.owed_until_s, room.episode = None, None
            due = now.monotonic_s - room.said_monotonic_s >= REPEAT_S
            said += self._state(name, room, now, always=due and room.owed_until_s is None)
        problem = self.problem
        before = self._health_said
        if before is None or before[0] != problem or now.monotonic_s - before[1] >= REPEAT_S:
            said.append(self.health(now, outbox=outbox))
        return said

    def announce(self, now: Now, *, outbox: int = 0) -> tuple[list[Message], list[Message]]:
        """Return what a broker that knows nothing must be told: before the events that wait, and after them."""
        first = [self._messages.setting(room, name, value) for (room, name), value in self._settings.items()]
        for name, room in self._rooms.items():
            first += self._state(name, room, now, always=True)
        first += [self._messages.availability(name, hearing=room.hearing) for name, room in self._rooms.items()]
        return first, [self.health(now, outbox=outbox), self._messages.status("online")]

    def stop(self, now: Now) -> list[Message]:
        """Return the last words: no room hears from here on, and the service is `offline`."""
        said = []
        for name, room in self._rooms.items():
            if room.hearing:
                said.append(self._messages.availability(name, hearing=False))
            room.lose(None)
            room.owed_until_s, room.episode = None, None
            said += self._state(name, room, now)
        return [*said, self._messages.status("offline")]

    def health(self, now: Now, *, outbox: int) -> Message:
        """Return the node's health; `outbox` counts what the broker has not acknowledged."""
        heard = {name: room.health.heard_monotonic_s for name, room in self._rooms.items()}
        self._health_said = (self.problem, now.monotonic_s)
        return self._messages.health(
            version=self._version,
            model=self._model_name,
            uptime_s=now.monotonic_s - self._started_s,
            problem=self.problem,
            rooms={name: room.health for name, room in self._rooms.items()},
            heard_s_ago={name: None if at is None else max(0.0, now.monotonic_s - at) for name, at in heard.items()},
            outbox=outbox,
        )

    @property
    def problem(self) -> Problem:
        """The node's problem: the first in the contract's order that any room has."""
        present = {self._problem(room) for room in self._rooms.values()}
        return next((problem for problem in _PROBLEMS_FIRST_THAT_APPLIES if problem in present), "ok")

    def running_episode(self, room: str) -> str | None:
        """Return the id of the room's running episode."""
        known = self._rooms.get(room)
        return None if known is None or known.episode is None else known.episode.episode_id

    def _on_event(self, room: _Room, event: Event, now: Now) -> list[Message]:
        said = []
        if event.event_type == "cry_ended":
            if event.ended_by is not None and event.ended_by in _LOSSES and room.hearing:
                # Detect was quicker than capture's own report: the same order all the same.
                room.lose(_LOSSES[event.ended_by])
                said.append(self._messages.availability(event.room, hearing=False))
            room.episode = None
            room.owed_until_s = None
        else:
            room.episode = event
            if not room.hearing and room.owed_until_s is None:
                room.owed_until_s = now.monotonic_s + CRY_ENDED_WITHIN_S
        said.append(self._messages.event(event))
        return [*said, *self._state(event.room, room, now, changed_at=event.at)]

    def _on_health(self, room: _Room, health: RoomHealth, now: Now) -> list[Message]:
        before = room.hearing
        room.health = health
        if room.loss and (not health.hearing or health.heard_monotonic_s != room.loss.heard_monotonic_s):
            room.loss = None
        said = []
        if room.hearing != before:
            said.append(self._messages.availability(health.room, hearing=room.hearing))
            waits = before and room.episode is not None
            room.owed_until_s = now.monotonic_s + CRY_ENDED_WITHIN_S if waits else None
        return [*said, *self._state(health.room, room, now)]

    def _state(
        self,
        name: str,
        room: _Room,
        now: Now,
        *,
        always: bool = False,
        changed_at: float | None = None,
    ) -> list[Message]:
        """Return the room's `state` where it differs from what was said, and where it need not wait."""
        if room.owed_until_s is not None and not always:
            return []
        crying: OnOff | None = None
        if room.hearing:
            crying = "ON" if room.episode else "OFF"
        if crying != room.crying:
            room.crying, room.since = crying, now.at if changed_at is None else changed_at
        episode = room.episode if crying == "ON" else None
        state = RoomState(
            crying=crying,
            hearing="ON" if room.hearing else "OFF",
            episode_id=episode.episode_id if episode else None,
            since=room.since,
            confidence=episode.confidence if episode else None,
            reason=episode.reason if episode else None,
            reasons=episode.reasons if episode else {},
            level_dbfs=room.health.level_dbfs,
            problem=self._problem(room),
        )
        cause = (state.episode_id, state.reason, state.reasons)
        essence = (state.crying, state.alert, state.hearing, cause, state.problem)
        if essence == room.said and not always:
            return []
        room.said, room.said_monotonic_s = essence, now.monotonic_s
        return [self._messages.state(name, state)]

    def _problem(self, room: _Room) -> Problem:
        if room.problem != "ok":
            return room.problem
        if self._reason_failing:
            return "reason_model"
        return "store" if self._store_failing else "ok"
