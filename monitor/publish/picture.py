"""What the broker should hold of each room, and what must be said when that changes: no thread, no I/O, no clock.

Deaf is never OFF: while a room does not hear, `crying` is null. On a loss the order is availability `offline`, then the
`cry_ended` of a running episode (detect always sends it), then `state`.
"""

import dataclasses
from collections.abc import Mapping
from datetime import date
from typing import Final, get_args

from monitor.publish.figures import Figures
from monitor.publish.messages import FEEDBACK, Message, Messages
from monitor.publish.room import Now, Room, differ
from monitor.publish.tonight import Night, Tally
from monitor.records import (
    NONE,
    Alerting,
    Applied,
    CauseJudged,
    EndedBy,
    Event,
    Level,
    Problem,
    RoomHealth,
    SettingName,
)

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


Record = Event | CauseJudged | Alerting | RoomHealth | Level | Applied
"""What changes the picture."""


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
        self._settings: dict[tuple[str, str], str] = {(room, name): value for (room, name), value in settings.items()}
        self._model_name = model_name
        self._version = version
        self._started_s = now.monotonic_s
        self._rooms = {room: Room(room, now) for room in messages.rooms}
        self._summary = b""
        self._reason_failing = False
        self._store_failing = False
        self._health_said: tuple[Problem, float] | None = None

    def handle(self, record: Record, now: Now) -> list[Message]:
        """Return what must be said because of `record`, in order; nothing for a room that is not configured."""
        room = self._rooms.get(record.room)
        if room is None:
            return []
        match record:
            case Event():
                said = self._on_event(room, record, now)
            case CauseJudged():
                if room.episode is not None and room.episode.episode_id == record.episode_id:
                    room.episode = dataclasses.replace(room.episode, reason=record.reason, reasons=record.reasons)
                said = self._state(record.room, room, now)
            case Alerting():
                room.alerting = record.on
                said = self._state(record.room, room, now)
            case RoomHealth():
                said = self._on_health(room, record, now)
            case Level():
                return [self._messages.level(record.room, dbfs=record.dbfs, gate=record.gate, score=record.score)]
            case Applied():
                return self.note(record.room, record.setting, record.value)
        return [*said, *self._at_a_glance()]

    def note(self, room: str, name: str, value: str) -> list[Message]:
        """Return what says that one of `SETTINGS` or `NOTES` has this value now; it is said at each connect, too."""
        if room not in self._rooms:
            return []
        self._settings[room, name] = value
        return [self._messages.setting(room, name, value)]

    def noted(self, room: str, name: str) -> str | None:
        """Return the value that one of `SETTINGS` or `NOTES` has; None where it has none."""
        return self._settings.get((room, name))

    def begin_night(self, night: date, known: Night) -> list[Message]:
        """Return each room's `tonight` of another night, of which the history knows `known`."""
        alerts = dict(known.alerts)
        for name, room in self._rooms.items():
            room.tally = Tally(night, (cry for cry in known.cries if cry.room == name), alerts.get(name, 0))
        return [message for name, room in self._rooms.items() for message in self._tonight(name, room)]

    def count(self, figures: Mapping[str, Figures]) -> list[Message]:
        """Return each room's `figures` where they have changed; a room that is not among them has heard nothing yet."""
        said = []
        for name, room in self._rooms.items():
            before, room.figures = room.figures, figures.get(name, Figures())
            if room.figures != before:
                said.append(self._messages.figures(name, room.figures))
        return said

    def tick(
        self, now: Now, *, store_failing: bool = False, reason_failing: bool = False, outbox: int = 0
    ) -> list[Message]:
        """Return what is due by time, or because something began or ceased to fail. Call it at least each second."""
        self._store_failing = store_failing
        self._reason_failing = reason_failing
        said = []
        for name, room in self._rooms.items():
            if room.owed_until_s is not None and now.monotonic_s >= room.owed_until_s:
                room.end_episode()
            due = now.monotonic_s - room.shown_monotonic_s >= REPEAT_S
            said += self._state(name, room, now, always=due and room.owed_until_s is None)
        problem = self.problem
        before = self._health_said
        if before is None or before[0] != problem or now.monotonic_s - before[1] >= REPEAT_S:
            said.append(self.health(now, outbox=outbox))
        return [*said, *self._at_a_glance()]

    def announce(self, now: Now, *, outbox: int = 0) -> tuple[list[Message], list[Message]]:
        """Return what a broker that knows nothing must be told: before the events that wait, and after them."""
        first = [self._messages.setting(room, name, value) for (room, name), value in self._settings.items()]
        for name, room in self._rooms.items():
            first += self._state(name, room, now, always=True)
        first += [self._messages.availability(name, hearing=room.hearing) for name, room in self._rooms.items()]
        last = [message for name, room in self._rooms.items() for message in self._tonight(name, room, always=True)]
        last += [
            self._messages.figures(name, room.figures)
            for name, room in self._rooms.items()
            if room.figures is not None  # what was not counted would be said as zero
        ]
        last += [*self._at_a_glance(always=True), self.health(now, outbox=outbox), self._messages.status("online")]
        return first, last

    def stop(self, now: Now) -> list[Message]:
        """Return the last words: no room hears from here on, and the service is `offline`."""
        said = []
        for name, room in self._rooms.items():
            if room.hearing:
                said.append(self._messages.availability(name, hearing=False))
            room.lose(None)
            room.end_episode()
            said += self._state(name, room, now)
        return [*said, *self._at_a_glance(), self._messages.status("offline")]

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

    def alerting_episode(self, room: str) -> str | None:
        """Return the id of the room's running episode while its alert is on: nobody has answered it."""
        known = self._rooms.get(room)
        return self.running_episode(room) if known is not None and known.alerting else None

    def latest_episode(self, room: str) -> str | None:
        """Return the id of the room's running, else of its latest episode since the start."""
        known = self._rooms.get(room)
        return None if known is None else known.latest_id

    def _on_event(self, room: Room, event: Event, now: Now) -> list[Message]:
        said = []
        if event.event_type == "cry_ended":
            if event.ended_by is not None and event.ended_by in _LOSSES and room.hearing:
                # Detect was quicker than capture's own report: the same order all the same.
                room.lose(_LOSSES[event.ended_by])
                said.append(self._messages.availability(event.room, hearing=False))
            room.end_episode()
        elif event.event_type in ("cry_started", "cry_ongoing"):
            room.episode = event
            if not room.hearing and room.owed_until_s is None:
                room.owed_until_s = now.monotonic_s + CRY_ENDED_WITHIN_S
        said.append(self._messages.event(event))
        said += self._answer_is_due(room, event)
        room.tally.count(event)
        said += self._state(event.room, room, now, changed_at=event.at)
        return [*said, *self._tonight(event.room, room)]

    def _answer_is_due(self, room: Room, event: Event) -> list[Message]:
        """A new cry has no answer yet: shown with the old one, a `select` would not send the same again."""
        if event.event_type not in ("cry_started", "cry_ongoing", "cry_ended") or event.episode_id == room.latest_id:
            return []
        room.latest_id = event.episode_id
        answered = self.noted(event.room, FEEDBACK) not in (None, NONE)
        return self.note(event.room, FEEDBACK, NONE) if answered else []

    def _on_health(self, room: Room, health: RoomHealth, now: Now) -> list[Message]:
        before = room.hearing
        room.heard(health)
        said = []
        if room.hearing != before:
            said.append(self._messages.availability(health.room, hearing=room.hearing))
            waits = before and room.episode is not None
            room.owed_until_s = now.monotonic_s + CRY_ENDED_WITHIN_S if waits else None
        return [*said, *self._state(health.room, room, now)]

    def _state(
        self, name: str, room: Room, now: Now, *, always: bool = False, changed_at: float | None = None
    ) -> list[Message]:
        """Return the room's `state` where it differs from what was said, and where it need not wait."""
        if room.owed_until_s is not None and not always:
            return []
        state = room.state(self._problem(room), now.at if changed_at is None else changed_at)
        if not (always or differ(room.shown, state)):
            return []
        room.shown, room.shown_monotonic_s = state, now.monotonic_s
        return [self._messages.state(name, state)]

    def _tonight(self, name: str, room: Room, *, always: bool = False) -> list[Message]:
        message = self._messages.tonight(name, room.tally)
        before, room.tonight = room.tonight, message.payload
        return [message] if always or message.payload != before else []

    def _at_a_glance(self, *, always: bool = False) -> list[Message]:
        """Return the `summary` of what each room's `state` said last, where that has changed."""
        shown = {name: room.shown for name, room in self._rooms.items()}
        crying = [name for name, state in shown.items() if state is not None and state.crying == "ON"]
        message = self._messages.summary(
            crying=sorted(crying, key=self._crying_since),
            unacknowledged=[name for name, state in shown.items() if state is not None and state.alert == "ON"],
            deaf=[name for name, state in shown.items() if state is None or state.hearing == "OFF"],
        )
        before, self._summary = self._summary, message.payload
        return [message] if always or message.payload != before else []

    def _crying_since(self, name: str) -> float:
        room = self._rooms[name]
        if room.episode is not None:
            return room.episode.started_at
        return room.shown.since if room.shown is not None else 0.0

    def _problem(self, room: Room) -> Problem:
        if room.problem != "ok":
            return room.problem
        if self._reason_failing:
            return "reason_model"
        return "store" if self._store_failing else "ok"
