"""The thread-free core of detect: segments of all rooms in, what is to be said out."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar, cast

import numpy as np

from monitor.detect.alerts import NEVER, AlertRule, Alerts
from monitor.detect.drill import Drill, DrillIgnored
from monitor.detect.episodes import EpisodeTracker, Moment, Rule
from monitor.detect.model import Manifest, Model
from monitor.detect.reasons import Judgement, Reasons
from monitor.detect.stream import Held, Plan, to_waveforms
from monitor.errors import InferenceError
from monitor.records import (
    AlertHeld,
    Alerting,
    Applied,
    CauseJudged,
    Command,
    Event,
    GateMissed,
    Level,
    ReasonHealth,
    Score,
    Segment,
    Sensitivity,
    SourceLost,
)

LEVEL_EVERY_S = 5.0

UNHEARD_S = 10.0
"""A room of which nothing at all has come for so long ends its episode, whatever capture says."""

BATCH = 4
"""Windows or chunks that the model gets at once. Five rooms' pre-rolls in one batch (70 windows) were measured to leave
the process 80 MB larger, for good; and sixteen windows in one take up to twice the time of four times four, as they no
longer fit the processor's cache."""

Said = Event | AlertHeld | Alerting | CauseJudged | ReasonHealth | GateMissed | Level | Applied | DrillIgnored


@dataclass(slots=True)
class _Room:
    tracker: EpisodeTracker
    alerts: Alerts
    drill: Drill
    scored_sample: int = 0
    held: Held | None = None
    level_due_s: float = LEVEL_EVERY_S
    newest_score: float | None = None
    heard_s: float | None = None
    moment: Moment = field(default_factory=lambda: Moment(0, 0.0, -100.0))


def new_id() -> str:
    """Return a fresh id, unique in the world."""
    return uuid.uuid4().hex


def ends_of(segment: Segment, after_sample: int, window: int, hop: int) -> list[int]:
    """Return the end samples of a segment's windows, oldest first: multiples of `hop` samples after `after_sample`.

    The grid is the room's sample count, not the segment's: a segment that was replaced in the queue costs no window
    as long as the next one still holds it.
    """
    first_sample = segment.end_sample - len(segment.samples)
    earliest = max(after_sample + 1, first_sample + window)
    return list(range(-(-earliest // hop) * hop, segment.end_sample + 1, hop))


class Detector:
    """Scores what rooms send, in batches, tracks each room's episode, says its alerts, holds its drills. One thread.

    Args:
        model: The cry model.
        rooms: Each room's sensitivity.
        make_id: Gives a fresh unique id at each call.
        reasons: Judges why it cries; None: every cause is `unsure`.
        alerts: When each room alerts; a room without a rule never does.
        snoozed_until: Rooms that an earlier run left snoozed, with the end, UTC, and the seconds asked for.
        wall: UTC seconds: a snooze's end, a test and a failed drill are dated by it, as they may come without sound.
    """

    def __init__(
        self,
        model: Model,
        rooms: Mapping[str, Sensitivity],
        make_id: Callable[[], str] = new_id,
        reasons: Reasons | None = None,
        *,
        alerts: Mapping[str, AlertRule] = MappingProxyType({}),
        snoozed_until: Mapping[str, tuple[float, float]] = MappingProxyType({}),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._model = model
        self._reasons = reasons
        self._reason_failures = 0
        self._stream = model.stream
        self._snoozed_until = dict(snoozed_until)
        self._wall = wall
        trackers = (
            EpisodeTracker(room, rule_of(model.manifest, sensitivity), model.label, make_id)
            for room, sensitivity in rooms.items()
        )
        self._rooms = {
            tracker.room: _Room(tracker, Alerts(tracker, alerts.get(tracker.room, NEVER)), Drill(tracker))
            for tracker in trackers
        }

    def step(self, segments: Sequence[Segment | SourceLost], commands: Sequence[Command], now_s: float) -> list[Said]:
        """Hear at most one item a room.

        Args:
            segments: What capture sent; may be empty, so that time goes on.
            commands: What to change or do first.
            now_s: Monotonic seconds (offline: sample time); snoozes, drills and the guard against a silent capture use
                it.

        Returns:
            What is to be said, in order: of drills whose time is over, of commands, of snoozes that end, of what was
            heard, of alerts that are due.

        Raises:
            InferenceError: The cry model failed. Nothing changed: the same call may be made again. A reason model
                that fails costs the cause and nothing else.
        """
        plans = {item.room: plan for item in segments if isinstance(item, Segment) and (plan := self._plan(item))}
        scored = self._score(plans)
        said: list[Said] = []
        for name, (until_at, asked_s) in self._snoozed_until.items():
            said += self._rooms[name].alerts.resume(until_at, asked_s, now_s, self._wall())
        self._snoozed_until.clear()
        for room in self._rooms.values():
            said += room.drill.tick(room.moment, now_s, self._wall())
        for command in commands:
            said += self._obey(command, now_s)
        for room in self._rooms.values():
            said += room.alerts.tick(now_s)
        for item in segments:
            room = self._rooms[item.room]
            room.heard_s = now_s
            if isinstance(item, SourceLost):
                room.held = None
                room.moment = Moment(item.end_sample, item.at, room.moment.level_dbfs)
                room.newest_score = None
                said += self._told(room, room.tracker.close(item.ended_by, room.moment))
            else:
                room.drill.hear(item, now_s)
                scores, room.held = scored.get(item.room, ((), room.held))
                said += self._hear(room, item, scores)
        for room in self._rooms.values():
            if room.heard_s is not None and now_s - room.heard_s >= UNHEARD_S:
                said += self._told(room, room.tracker.close("source_lost", room.moment))
        for room in self._rooms.values():
            said += room.alerts.due(room.moment)
        return said

    def close(self) -> list[Said]:
        """End every episode: the service stops."""
        said: list[Said] = []
        for room in self._rooms.values():
            said += self._told(room, room.tracker.close("stopped", room.moment))
        return said

    @staticmethod
    def _told(room: _Room, said: Sequence[Said]) -> list[Said]:
        """Return what is told of what a tracker said: a drill may withhold a cry, and alerts follow what is told."""
        return [*room.alerts.follow(room.drill.follow(said, room.moment), room.moment)]

    def _plan(self, segment: Segment) -> Plan | None:
        manifest, room = self._model.manifest, self._rooms[segment.room]
        after_sample = room.scored_sample
        if segment.gate == "probe":
            # Its one window is scored again, in its place among its neighbours, if the gate opens.
            after_sample = segment.end_sample - manifest.hop_samples
        ends = ends_of(segment, after_sample, manifest.window_samples, manifest.hop_samples)
        return self._stream.plan(segment.samples, segment.end_sample, ends, room.held) if ends else None

    def _score(self, plans: Mapping[str, Plan]) -> dict[str, tuple[Sequence[Score], Held]]:
        """Return each room's scores, and the frames to hold for its next windows."""
        stream = self._stream
        chunks = [chunk for plan in plans.values() for chunk in plan.chunks]
        new = (frames for batch in _batches(chunks) for frames in stream.mel(to_waveforms(batch)))
        framed = {room: stream.frames_of(plan, [next(new) for _ in plan.chunks]) for room, plan in plans.items()}
        windows = [frames for windows, _ in framed.values() for frames in windows]
        scores = (float(score) for batch in _batches(windows) for score in stream.head(np.stack(batch))["cry"][:, 0])
        return {
            room: ([Score(end, next(scores)) for end in plan.ends], framed[room][1]) for room, plan in plans.items()
        }

    def _hear(self, room: _Room, segment: Segment, scores: Sequence[Score]) -> list[Said]:
        room.moment = Moment(segment.end_sample, segment.at, segment.level_dbfs)
        said: list[Said] = []
        if segment.gate == "probe":
            rule = room.tracker.rule
            over = rule.exit if room.tracker.crying else rule.enter
            said += [GateMissed(segment.room, s.score, segment.at_s) for s in scores if s.score >= over]
        else:
            for score in scores:
                said += room.tracker.update(score, room.moment)
                room.scored_sample = score.end_sample
            said += self._judge(room, segment)
        said += room.tracker.pass_time(room.moment)
        if scores:
            room.newest_score = scores[-1].score
        if segment.at_s >= room.level_due_s:
            room.level_due_s = (segment.at_s // LEVEL_EVERY_S + 1) * LEVEL_EVERY_S
            said.append(Level(segment.room, segment.level_dbfs, segment.gate, room.newest_score, segment.at))
        return self._told(room, said)

    def _judge(self, room: _Room, segment: Segment) -> list[Said]:
        """Judge the cause by the segment's newest window, where that is due and the window holds some of the cry."""
        reasons = self._reasons
        if reasons is None or len(segment.samples) < reasons.window_samples:
            return []
        if not room.tracker.wants_judgement(room.moment, reasons.window_samples):
            return []
        health: list[Said] = []
        try:
            judgement = reasons.judge(segment.samples)
            if self._reason_failures:
                self._reason_failures = 0
                health = [ReasonHealth(0)]
        except InferenceError as error:
            judgement = Judgement()
            self._reason_failures += 1
            health = [ReasonHealth(self._reason_failures, str(error))]
        return [*health, *room.tracker.judge(judgement, room.moment)]

    def _obey(self, command: Command, now_s: float) -> Sequence[Said]:
        room = self._rooms[command.room]
        if command.setting == "drill":
            return room.drill.begin(room.moment, now_s)
        if command.setting != "sensitivity":
            return room.alerts.obey(command, room.moment, now_s, self._wall())
        sensitivity = cast("Sensitivity", command.value)  # parsed at the door
        room.tracker.rule = rule_of(self._model.manifest, sensitivity)
        return [Applied(command.room, "sensitivity", sensitivity)]


T = TypeVar("T")


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[i : i + BATCH] for i in range(0, len(items), BATCH))


def rule_of(manifest: Manifest, sensitivity: Sensitivity) -> Rule:
    """Return the rule that a model's manifest gives for a sensitivity."""
    threshold = manifest.sensitivity[sensitivity]
    return Rule(
        enter=threshold.enter,
        exit=threshold.exit,
        need=threshold.need,
        of=threshold.of,
        window_samples=manifest.window_samples,
        hop_samples=manifest.hop_samples,
    )
