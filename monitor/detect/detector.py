"""The thread-free core of detect: segments of all rooms in, what is to be said out."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.detect.episodes import EpisodeTracker, Moment, Rule
from monitor.detect.model import Manifest, Model
from monitor.records import (
    Applied,
    Command,
    Event,
    GateMissed,
    Level,
    Samples,
    Score,
    Segment,
    Sensitivity,
    SourceLost,
)

LEVEL_EVERY_S = 5.0

UNHEARD_S = 10.0
"""A room of which nothing at all has come for so long ends its episode, whatever capture says."""

BATCH = 16
"""Windows that the model gets at once. Five rooms' pre-rolls in one batch (70 windows) were measured to leave the
process 80 MB larger, for good."""

Said = Event | GateMissed | Level | Applied


@dataclass(slots=True)
class _Room:
    tracker: EpisodeTracker
    scored_sample: int = 0
    level_due_s: float = LEVEL_EVERY_S
    newest_score: float | None = None
    heard_s: float | None = None
    moment: Moment = field(default_factory=lambda: Moment(0, 0.0, -100.0))


def new_id() -> str:
    """Return a fresh id, unique in the world."""
    return uuid.uuid4().hex


def windows_of(segment: Segment, after_sample: int, window: int, hop: int) -> tuple[list[int], list[Samples]]:
    """Cut a segment into windows that end at multiples of `hop` samples, later than `after_sample`.

    The grid is the room's sample count, not the segment's: a segment that was replaced in the queue costs no window
    as long as the next one still holds it.

    Returns:
        The windows' end samples, oldest first, and the windows, int16[window] each.
    """
    first_sample = segment.end_sample - len(segment.samples)
    earliest = max(after_sample + 1, first_sample + window)
    ends = range(-(-earliest // hop) * hop, segment.end_sample + 1, hop)
    return list(ends), [segment.samples[end - window - first_sample : end - first_sample] for end in ends]


def to_waveforms(windows: Sequence[Samples]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the model's input: float32[n, window] in [-1, 1)."""
    return np.stack(windows).astype(np.float32) / np.float32(32768)


class Detector:
    """Scores what rooms send, in batches, and tracks each room's episode. One thread uses it.

    Args:
        model: The cry model.
        rooms: Each room's sensitivity.
        make_id: Gives a fresh unique id at each call.
    """

    def __init__(self, model: Model, rooms: Mapping[str, Sensitivity], make_id: Callable[[], str] = new_id) -> None:
        self._model = model
        self._rooms = {
            room: _Room(EpisodeTracker(room, rule_of(model.manifest, sensitivity), model.label, make_id))
            for room, sensitivity in rooms.items()
        }

    def step(self, segments: Sequence[Segment | SourceLost], commands: Sequence[Command], now_s: float) -> list[Said]:
        """Hear at most one item a room.

        Args:
            segments: What capture sent; may be empty, so that time goes on.
            commands: Settings to change first.
            now_s: Monotonic seconds (offline: sample time); only the guard against a silent capture uses it.

        Returns:
            What is to be said, in order, room by room.

        Raises:
            InferenceError: The model failed. Nothing changed: the same call may be made again.
        """
        wanted = [self._windows(item) if isinstance(item, Segment) else ([], []) for item in segments]
        scores = iter(self._score([window for _, windows in wanted for window in windows]))
        said: list[Said] = [self._apply(command) for command in commands]
        for item, (ends, _) in zip(segments, wanted, strict=True):
            room = self._rooms[item.room]
            room.heard_s = now_s
            if isinstance(item, SourceLost):
                room.moment = Moment(item.end_sample, item.at, room.moment.level_dbfs)
                room.newest_score = None
                said += room.tracker.close(item.ended_by, room.moment)
            else:
                said += self._hear(room, item, [Score(end, next(scores)) for end in ends])
        for room in self._rooms.values():
            if room.heard_s is not None and now_s - room.heard_s >= UNHEARD_S:
                said += room.tracker.close("source_lost", room.moment)
        return said

    def close(self) -> list[Event]:
        """End every episode: the service stops."""
        return [event for room in self._rooms.values() for event in room.tracker.close("stopped", room.moment)]

    def _windows(self, segment: Segment) -> tuple[list[int], list[Samples]]:
        manifest = self._model.manifest
        after_sample = self._rooms[segment.room].scored_sample
        if segment.gate == "probe":
            # Its one window is scored again, in its place among its neighbours, if the gate opens.
            after_sample = segment.end_sample - manifest.hop_samples
        return windows_of(segment, after_sample, manifest.window_samples, manifest.hop_samples)

    def _score(self, windows: Sequence[Samples]) -> list[float]:
        scores: list[float] = []
        for i in range(0, len(windows), BATCH):
            batch = self._model.function(to_waveforms(windows[i : i + BATCH]))["cry"][:, 0]
            scores += [float(score) for score in batch]
        return scores

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
        said += room.tracker.pass_time(room.moment)
        if scores:
            room.newest_score = scores[-1].score
        if segment.at_s >= room.level_due_s:
            room.level_due_s = (segment.at_s // LEVEL_EVERY_S + 1) * LEVEL_EVERY_S
            said.append(Level(segment.room, segment.level_dbfs, segment.gate, room.newest_score, segment.at))
        return said

    def _apply(self, command: Command) -> Applied:
        tracker = self._rooms[command.room].tracker
        tracker.rule = rule_of(self._model.manifest, command.value)  # type: ignore[arg-type]  # parsed at the door
        return Applied(command.room, command.setting, command.value)


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
