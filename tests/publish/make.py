"""Records, and a publisher with all its parts, for the tests of publish."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, cast

from mqtt_broker import DEADLINE_S

from monitor.handoff import Reports
from monitor.publish import AlertLog, Broker, Discovery, Messages, Publisher, Store
from monitor.publish.settings import Key
from monitor.records import AlertHeld, Applied, Command, Event, EventType, Level, RoomHealth, SettingName
from monitor.threads import Loop

T0 = 1_790_000_000.25
"""2026-09-21T14:13:20.250Z."""

CATEGORIES = ("hungry", "tired")
"""What the reason model of these tests can name."""


def event(event_type: EventType = "cry_started", number: int = 1, **changes: object) -> Event:
    """Return an event of episode `e<number>`."""
    made = Event(
        event_type=event_type,
        event_id=f"e{number}-{event_type}",
        episode_id=f"e{number}",
        room="nursery",
        at=T0 + 6,
        at_s=18.0,
        started_at=T0,
        started_s=12.0,
        duration_s=5.5,
        confidence=0.93,
        peak=0.97,
        mean=0.88,
        level_dbfs=-23.46,
        model="cry-1",
        ended_by="quiet" if event_type == "cry_ended" else None,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]  # a wrong one fails its test


def alert(number: int = 1, **changes: object) -> Event:
    """Return the first alert of episode `e<number>`."""
    said: dict[str, object] = {"cause": "first", "at": T0 + 30, "duration_s": 28.0}
    return event("alert", number, **(said | changes))


def rehearsed(**changes: object) -> Event:
    """Return a test's alert, which is of no cry."""
    nothing: dict[str, object] = {"duration_s": 0.0, "confidence": 0.0, "peak": 0.0, "mean": 0.0}
    test: dict[str, object] = {"event_id": "t1", "episode_id": None, "cause": "test", "test": True}
    return alert(1, **(nothing | test | changes))


def drilled(event_type: EventType = "drill_passed", **changes: object) -> Event:
    """Return a drill's result, which is of no cry."""
    said: dict[str, object] = {"event_id": "d1", "cause": None, "at": T0 + 2, "snr_db": 28.56, "delay_s": 4.21}
    return dataclasses.replace(rehearsed(**(said | changes)), event_type=event_type)


def held(**changes: object) -> AlertHeld:
    """Return an alert that a snooze held back."""
    made = AlertHeld("nursery", "e1", T0 + 40, 52.0, 38.0, "repeat", "snooze")
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]  # a wrong one fails its test


def discovery(*rooms: str, announce: bool = True) -> Discovery:
    """Return what Home Assistant is told of node `home` and these rooms."""
    return Discovery(
        prefix="homeassistant",
        base="cry/home",
        node_id="home",
        rooms={room: room.title() for room in rooms or ("nursery",)},
        categories=CATEGORIES,
        version="0.1.0",
        announce=announce,
    )


def health(*, hearing: bool = True, room: str = "nursery", **changes: object) -> RoomHealth:
    """Return the health of a room that hears, or of one whose source is lost."""
    made = RoomHealth(
        room=room,
        source="ok" if hearing else "lost",
        hearing=hearing,
        problem="ok" if hearing else "source_lost",
        level_dbfs=-41.26,
        noise_floor_dbfs=-52.04,
        heard_monotonic_s=100.0,
        segments_dropped=0,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]  # a wrong one fails its test


def level(room: str = "nursery", score: float | None = 0.02) -> Level:
    """Return a room's telemetry."""
    return Level(room=room, dbfs=-41.26, gate="closed", score=score, at=T0)


class Clock:
    """The monotonic clock and the wall clock, both of which a test can move on."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._began_s = time.monotonic()

    def __call__(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic() + self._ahead_s

    def wall(self) -> float:
        """Return UTC seconds: `T0` when it was made."""
        return T0 + self() - self._began_s

    def move_on(self, seconds: float) -> None:
        """Let so much time have passed."""
        self._ahead_s += seconds


class Service:
    """A publisher in its thread, with the reports that the other rooms would make. Leave it to stop it."""

    def __init__(
        self,
        *,
        rooms: Sequence[str] = ("nursery",),
        store: Store | None = None,
        inbox: int = 1_000,
        settings: Mapping[Key, str] | None = None,
        broker: Broker | None = None,
        port: int = 1883,
        retry_s: float = 0.05,
        history_failing: bool = False,
        reopen: Callable[[], Store] | None = None,
        announced: Discovery | None = None,
        alert_log: AlertLog | None = None,
        categories: Sequence[str] = CATEGORIES,
    ) -> None:
        self.clock = Clock()
        self.reports: Reports[object] = Reports()
        self.commands: list[Command] = []
        self._inbox = inbox
        names: Sequence[tuple[SettingName, str]] = (("enabled", "ON"), ("sensitivity", "normal"))
        self.publisher = Publisher(
            messages=Messages("cry", "home", rooms),
            settings=settings or {(room, name): value for room in rooms for name, value in names},
            broker=broker or Broker(host="127.0.0.1", port=port),
            model_name="cry-1",
            version="0.1.0",
            reports=self.reports,
            deliver=self._deliver,
            store=store,
            clock=self.clock,
            wall=self.clock.wall,
            uniform=lambda _low, _high: retry_s,
            history_failing=history_failing,
            reopen=reopen,
            discovery=announced,
            alert_log=alert_log,
            categories=categories,
        )
        self.loop = Loop("publish", self.publisher, clock=self.clock)

    def tell(self, *records: object) -> None:
        """Report as capture and detect do."""
        for record in records:
            self.reports.put(record)

    def apply(self, command: Command) -> None:
        """Answer as the owner of a setting does."""
        self.tell(Applied(command.room, cast("SettingName", command.setting), command.value))

    def allow(self, commands: int) -> None:
        """Let the owners' inboxes take so many commands in all."""
        self._inbox = commands

    def stop(self) -> None:
        """Stop it in order, as `app` does."""
        self.loop.stop()
        assert self.loop.join(DEADLINE_S), "the publish thread does not end"
        assert self.loop.error is None, self.loop.error

    def __enter__(self) -> Self:
        """Start the thread."""
        self.loop.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the thread."""
        self.stop()

    def _deliver(self, command: Command) -> bool:
        if len(self.commands) >= self._inbox:
            return False
        self.commands.append(command)
        return True


def store(folder: Path) -> Store:
    """Return a new history."""
    return Store(folder / "history.db")
