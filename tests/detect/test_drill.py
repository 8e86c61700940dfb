"""What a drill says, what it withholds and until when: a `Detector` that hears seconds of crying or of quiet."""

from collections.abc import Sequence

import numpy as np
import pytest
import toy_reason
from detect.one_room import EACH_SECOND, LOUD, WALL_AT, Room, each_second, loud_or_not
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detect import AlertRule, Detector, Model, Reasons, Said
from monitor.detect.detector import _Room
from monitor.detect.drill import DRILL_S, Drill, DrillIgnored
from monitor.detect.episodes import EpisodeTracker, Moment, Rule
from monitor.detect.model import Scores, Waveforms
from monitor.errors import InferenceError
from monitor.offline import numbered
from monitor.records import SAMPLE_RATE_HZ, AlertHeld, Alerting, CauseJudged, Command, Event, Score, Segment

TOLD = "cry_started, alert, ON"
OVER = "OFF, cry_ended"


@pytest.mark.parametrize(
    ("script", "story"),
    [
        # Its result
        ("quiet 5, drill, quiet 2, cry 8, quiet 40", "drill_passed"),
        ("quiet 5, drill, quiet 14, cry 1, quiet 30", f"drill_failed, {TOLD}, {OVER}"),
        ("quiet 5, drill, quiet 14", ""),
        ("quiet 5, drill, quiet 40", "drill_failed"),
        ("drill, nothing 40", "drill_failed"),
        ("drill, quiet 3, lose, nothing 40", "drill_failed"),
        ("drill, quiet 3, lose, nothing 5, cry 3, quiet 40", "drill_passed"),
        ("drill, cry 3, quiet 5, lose, nothing 40", "drill_passed"),
        # Real crying
        ("drill, cry 14, quiet 40", "drill_passed"),
        ("drill, cry 15, quiet 40", f"drill_passed, {TOLD}, {OVER}"),
        ("drill, cry 30, quiet 30", f"drill_passed, {TOLD}, {OVER}"),
        ("drill, cry 5, quiet 11, cry 1, quiet 30", f"drill_passed, {TOLD}, {OVER}"),
        ("drill, cry 5, quiet 19, cry 1, quiet 30", f"drill_passed, {TOLD}, {OVER}"),
        ("drill, cry 5, quiet 20, cry 1, quiet 30", f"drill_passed, {TOLD}, {OVER}"),
        ("drill, quiet 15, cry 1, quiet 30", f"drill_failed, {TOLD}, {OVER}"),
        ("drill, nothing 15, cry 1, quiet 30", f"drill_failed, {TOLD}, {OVER}"),
        ("drill, cry 3, lose, nothing 13, cry 3, lose", f"drill_passed, {TOLD}, {OVER}"),
        ("drill, cry 3, quiet 20, cry 3, quiet 30", f"drill_passed, {TOLD}, {OVER}"),
        # Over, and nothing of it was real
        ("drill, cry 5, lose, nothing 40", "drill_passed"),
        ("drill, cry 5, nothing 40", "drill_passed"),
        ("drill, cry 5, quiet 12, lose, nothing 40", "drill_passed"),
        ("drill, cry 5, stop", "drill_passed"),
        ("drill, cry 5, quiet 12, stop", "drill_passed"),
        ("drill, stop", ""),
        # Where none can begin
        ("cry 5, drill, cry 5, quiet 30", f"{TOLD}, ignored, {OVER}"),
        ("cry 5, quiet 10, drill, cry 5, quiet 30", f"{TOLD}, ignored, {OVER}"),
        ("drill, quiet 14, drill, quiet 30", "ignored, drill_failed"),
        ("drill, cry 5, drill, quiet 30", "drill_passed, ignored"),
        ("drill, cry 5, quiet 12, drill, quiet 30", "drill_passed, ignored"),
        ("drill, cry 5, quiet 20, drill, cry 5, quiet 30", "drill_passed, drill_passed"),
        ("drill, quiet 15, drill, quiet 15", "drill_failed, drill_failed"),
        ("drill, quiet 15, drill, quiet 15, cry 1, lose", f"drill_failed, drill_failed, {TOLD}, {OVER}"),
        # What somebody does meanwhile: nobody knows of a cry
        ("drill, cry 5, acknowledge, cry 10, lose", f"drill_passed, {TOLD}, {OVER}"),
        ("drill, cry 5, feedback not_a_cry, cry 10, lose", f"drill_passed, {TOLD}, {OVER}"),
        ("drill, cry 5, snooze 30, cry 10, lose", "drill_passed, cry_started, cry_ended"),
        ("drill, cry 5, test_alert, quiet 30", "drill_passed, alert"),
        ("drill, cry 15, acknowledge, cry 5, lose", f"drill_passed, {TOLD}, acknowledged, {OVER}"),
    ],
)
def test_what_a_drill_says_and_what_it_withholds(script: str, story: str) -> None:
    """A drill ends with one event; a cry that may have been played is withheld until one of its windows cannot be."""
    room = Room()
    room.run(script)
    assert ", ".join(room.story) == story


def test_a_cry_that_began_before_the_drill_is_told() -> None:
    """Where the first crying window ended before the drill began, nothing is withheld."""
    room = Room(model=each_second(2, 3))
    room.run("cry 1, drill, cry 1, quiet 40")
    assert ", ".join(room.story) == f"drill_passed, {TOLD}, {OVER}"
    room = Room(model=each_second(2, 3))
    room.run("cry 1, quiet 1, drill, cry 2, quiet 40")
    assert ", ".join(room.story) == f"drill_passed, {TOLD}, {OVER}"


def test_a_cry_that_opens_late_is_told_by_its_next_window() -> None:
    """A cry whose crying windows all began in the drill, and which opens after it, waits for one that did not."""
    tracker, drill = drilled_until_14_s()
    told = [[story(e)[0] for e in drill.follow(loud_window(tracker, end_s), at(end_s))] for end_s in (14, 15, 16)]
    assert told == [[], [], ["cry_started"]]


def test_a_cry_that_ends_with_its_first_real_window_is_told() -> None:
    """Whatever comes at once: what ends is dropped only where none of its windows was real."""
    for last_s, told in ((15, []), (16, ["cry_started", "cry_ended"])):
        tracker, drill = drilled_until_14_s()
        said = [event for end_s in range(14, last_s + 1) for event in loud_window(tracker, end_s)]
        said += tracker.close("stopped", at(last_s))
        assert [story(event)[0] for event in drill.follow(said, at(last_s))] == told


def drilled_until_14_s() -> tuple[EpisodeTracker, Drill]:
    """Return a room whose drill is over at 14 s: its windows are 2 s long, one a second, and two make an episode."""
    second = SAMPLE_RATE_HZ
    tracker = EpisodeTracker("nursery", Rule(0.5, 0.5, 2, 2, 2 * second, second), "m", numbered())
    drill = Drill(tracker)
    assert drill.begin(at(0), 0.0) == []
    assert [event.event_type for event in drill.tick(at(14), DRILL_S, 15.0)] == ["drill_failed"]
    return tracker, drill


def at(second: int) -> Moment:
    return Moment(second * SAMPLE_RATE_HZ, float(second), -20.0)


def loud_window(tracker: EpisodeTracker, end_s: int) -> list[Event]:
    return tracker.update(Score(end_s * SAMPLE_RATE_HZ, 1.0), at(end_s))


@pytest.mark.parametrize(
    ("alerts", "script", "told"),
    [
        (AlertRule(after_s=10), "drill, cry 60", ["first 15"]),
        (AlertRule(after_s=15), "drill, cry 60", ["first 15"]),
        (AlertRule(after_s=30), "drill, cry 60", ["first 30"]),
        (AlertRule(hard_limit_s=14), "drill, cry 20", ["hard_limit 15"]),
        (AlertRule(hard_limit_s=60), "drill, cry 61", ["first 15", "hard_limit 60"]),
        (AlertRule(), "drill, cry 5, snooze 30, cry 10", ["snooze holds first 15"]),
        (AlertRule(), "drill, cry 5, snooze 1, cry 60", ["snooze holds first 15", "first 65"]),
        (AlertRule(), "drill, cry 5, alert_after 20, cry 16", ["first 20"]),
        (AlertRule(), "snooze 1, drill, cry 5, quiet 100", []),
        (AlertRule(), "drill, quiet 4, cry 5, quiet 6, cry 130", ["first 12", "repeat 132"]),
    ],
)
def test_alerts_count_from_the_beginning_of_the_cry(alerts: AlertRule, script: str, told: list[str]) -> None:
    """A cry that goes on past the drill is alerted of with its next window, if that is due by its crying seconds."""
    room = Room(alerts)
    room.run(script)
    assert room.told == told


def test_a_released_cry_is_told_as_it_was() -> None:
    """What was withheld is said in order, each event and judged cause with its own time, as without a drill."""

    def said(script: str) -> list[Said]:
        sizes = {"categories": ["hungry", "tired"], "min_confidence": 0.6, "window_samples": SAMPLE_RATE_HZ}
        reasons = Reasons(toy_reason.model(toy_reason.always(0.55, 0.45), **sizes))
        room = Room(reasons=reasons, alerts=AlertRule(after_s=600))
        room.run(script)
        return room.said

    drilled, plain = said("drill, cry 70, quiet 30"), said("cry 70, quiet 30")
    assert [type(record).__name__ for record in plain if not isinstance(record, Event)].count("CauseJudged") == 1
    released = [r for r in drilled if not (isinstance(r, Event) and r.test)]
    assert [story(r) for r in released if isinstance(r, Event | CauseJudged)] == [
        story(r) for r in plain if isinstance(r, Event | CauseJudged)
    ]
    dropped = said("drill, cry 10, quiet 30")
    assert [r.event_type for r in dropped if isinstance(r, Event)] == ["drill_passed"]
    assert not any(isinstance(record, CauseJudged) for record in dropped)


def story(record: Event | CauseJudged) -> tuple[object, ...]:
    """Return all of a record that is no id."""
    if isinstance(record, CauseJudged):
        return (record.reason, record.at)
    return (record.event_type, record.at, record.started_s, record.duration_s, record.mean, record.reason)


def test_what_a_result_carries() -> None:
    """Level: the loudest until then; SNR: that over the floor as the drill began; delay; of no cry, and a test."""
    room = Room()
    hear(room, quiet=-50.0, floor=-58.0)
    room.ask("drill")
    hear(room, quiet=-44.0, floor=-30.0)
    hear(room, loud=-28.0, floor=-30.0)
    hear(room, loud=-10.0, floor=-30.0)
    (passed,) = (r for r in room.said if isinstance(r, Event))
    assert (passed.event_type, passed.test, passed.episode_id, passed.cause) == ("drill_passed", True, None, None)
    assert (passed.level_dbfs, passed.snr_db, passed.delay_s) == (-28.0, 30.0, 2.0)
    assert (passed.at, passed.at_s, passed.reason, passed.reasons) == (room.wall_at - 1, 3.0, "unsure", {})


def test_what_a_failed_one_carries() -> None:
    """The loudest that was heard all the same, dated when its time was over; a room that heard nothing has no level."""
    room = Room()
    room.ask("drill")
    hear(room, quiet=-44.0, floor=-58.0)  # the first floor ever
    hear(room, quiet=-50.0, floor=-30.0)
    room.run("nothing 13")
    (failed,) = (r for r in room.said if isinstance(r, Event))
    assert (failed.event_type, failed.test, failed.at) == ("drill_failed", True, room.wall_at)
    assert (failed.level_dbfs, failed.snr_db, failed.delay_s) == (-44.0, 14.0, None)
    room.run("drill, nothing 15")
    failed = [r for r in room.said if isinstance(r, Event)][-1]
    assert (failed.level_dbfs, failed.snr_db, failed.delay_s) == (-np.inf, None, None)


def hear(room: Room, *, floor: float, loud: float | None = None, quiet: float | None = None) -> None:
    """Let a second of such a level pass."""
    room.now_s += 1
    room.heard_s += 1
    pcm = np.zeros(SAMPLE_RATE_HZ, np.int16) if loud is None else LOUD
    level_dbfs = loud if loud is not None else quiet or 0.0
    end_sample = room.heard_s * SAMPLE_RATE_HZ
    segment = Segment("nursery", pcm, end_sample, room.wall_at, level_dbfs, floor, "open")
    room.said += room.detector.step([segment], [], room.now_s)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("cry 5, drill", "a cry runs there"),
        ("drill, cry 5, drill", "a drill runs there"),
        ("drill, cry 5, quiet 12, drill", "the cry of the last drill is not over yet"),
    ],
)
def test_why_no_drill_begins(script: str, why: str) -> None:
    """Where none can begin, one record says why, and nothing comes of it."""
    room = Room()
    room.run(script)
    assert room.said[-1] == DrillIgnored("nursery", why)


def test_a_drill_is_of_one_room() -> None:
    """The other room's cry is told as ever, and its drill is its own."""
    detector = Detector(EACH_SECOND, {"attic": "normal", "nursery": "normal"}, numbered())
    loud = [Segment(room, LOUD, SAMPLE_RATE_HZ, 0.0, -20.0, -60.0, "open") for room in ("attic", "nursery")]
    said = detector.step(loud, [Command("nursery", "drill", "")], 0.0)
    assert [(r.room, r.event_type) for r in said if isinstance(r, Event)] == [
        ("attic", "cry_started"),
        ("nursery", "drill_passed"),
    ]


def test_sensitivity_may_change_in_a_drill() -> None:
    """A `sensitivity` command holds from the next window, in a drill as ever."""
    model = each_second(1, 1)
    manifest = model.manifest.model_copy(
        update={"sensitivity": {**model.manifest.sensitivity, "low": each_second(3, 3).manifest.sensitivity["normal"]}}
    )
    room = Room(model=Model(manifest, "litert", loud_or_not))
    room.run("drill")
    room.ask("sensitivity", "low")
    room.run("cry 2, quiet 5")
    assert room.story == []
    room.run("cry 3, quiet 40")
    assert room.story == ["drill_passed"]


def test_a_failed_inference_begins_no_drill_twice() -> None:
    """After an InferenceError the same step begins the drill once, and it has one result."""
    failures = iter([True])

    def function(waveforms: Waveforms) -> Scores:
        if next(failures, False):
            raise InferenceError("loudness", "is out of order")
        return loud_or_not(waveforms)

    detector = Detector(Model(EACH_SECOND.manifest, "litert", function), {"nursery": "normal"}, numbered())
    segments = [Segment("nursery", LOUD, SAMPLE_RATE_HZ, 0.0, -20.0, -60.0, "open")]
    command = Command("nursery", "drill", "")
    with pytest.raises(InferenceError):
        detector.step(segments, [command], 1.0)
    said = [*detector.step(segments, [command], 1.1), *detector.step([], [], 1.1 + DRILL_S)]
    assert [(r.event_type, r.delay_s) for r in said if isinstance(r, Event)] == [("drill_passed", 0.0)]
    assert not any(isinstance(record, DrillIgnored) for record in said)


# Any story


class Undrilled(Detector):
    """The detector as it is where nothing of what a tracker says is withheld."""

    @staticmethod
    def _told(room: _Room, said: Sequence[Said]) -> list[Said]:
        return [*room.alerts.follow(said, room.moment)]


SECONDS = st.builds("{} {}".format, st.sampled_from(["cry", "cry", "quiet", "nothing"]), st.integers(1, 22))
ASKED = st.sampled_from(["lose", "acknowledge", "feedback not_a_cry", "snooze 1", "snooze 0", "test_alert"])
MODELS = st.sampled_from([each_second(1, 1), each_second(2, 3)])


@settings(deadline=None)
@given(script=st.lists(SECONDS | ASKED, max_size=12), model=MODELS)
def test_without_a_drill_nothing_changes(script: list[str], model: Model) -> None:
    """Where nobody asks for a drill, what is said is record for record what the rest of the detector says."""
    room, plain = Room(model=model), Room(model=model, make=Undrilled)
    for one in (room, plain):
        one.run(", ".join([*script, "stop"]))
    assert room.said == plain.said


class Beside:
    """A room with drills, the same room without, and what a person who stands there knows of the drills."""

    def __init__(self, model: Model) -> None:
        self.room, self.plain = Room(model=model), Room(model=model, make=Undrilled)
        self.newest_s = 0
        self.drills: list[tuple[int, float]] = []
        self.ends: list[int] = []
        self.ignored = 0
        self.results: list[tuple[str, float]] = []
        self.read = 0

    def run(self, step: str) -> None:
        match step.split():
            case ["cry" | "quiet" | "nothing" as sound, seconds]:
                for _ in range(int(seconds)):
                    self.end_drill(self.room.now_s + 1)
                    self.both(f"{sound} 1")
                    self.newest_s = self.newest_s if sound == "nothing" else self.room.heard_s
            case ["drill"]:
                if self.drill_runs or self.crying:
                    self.ignored += 1
                else:
                    self.drills.append((self.newest_s, self.room.now_s))
                self.room.run("drill")
                self.listen()
            case _:
                self.both(step)
                self.newest_s = self.room.heard_s if step == "lose" else self.newest_s

    def both(self, step: str) -> None:
        self.room.run(step)
        self.plain.run(step)
        self.listen()

    @property
    def drill_runs(self) -> bool:
        return len(self.ends) < len(self.drills)

    @property
    def crying(self) -> bool:
        return [e.event_type for e in cries(self.plain.said)][-1:] not in ([], ["cry_ended"])

    def end_drill(self, now_s: float) -> None:
        if self.drill_runs and now_s >= self.drills[-1][1] + 15:
            self.ends.append(self.newest_s)

    def listen(self) -> None:
        new, self.read = self.room.said[self.read :], len(self.room.said)
        self.results += [
            (r.event_type, self.room.now_s) for r in new if isinstance(r, Event) and r.event_type.startswith("drill")
        ]

    def is_played(self, episode: Sequence[Event]) -> bool:
        """Whether each of its crying windows ended after the last drill's beginning, and began before its end."""
        started_s, now_s = episode[0].started_s, episode[0].at - WALL_AT + 5_000
        before = [number for number, (_, began_s) in enumerate(self.drills) if began_s < now_s]
        if not before:
            return False
        end_s = self.ends[before[-1]] if before[-1] < len(self.ends) else float("inf")
        return started_s + 1 > self.drills[before[-1]][0] and started_s + episode[-1].duration_s - 1 < end_s


def cries(said: Sequence[Said]) -> list[Event]:
    return [r for r in said if isinstance(r, Event) and r.event_type.startswith("cry_")]


@settings(max_examples=300, deadline=None)  # a busy machine
@given(
    script=st.lists(SECONDS | st.just("drill") | ASKED, max_size=14),
    model=MODELS,
    last=st.sampled_from(["stop", "nothing 16"]),
)
def test_a_drill_hides_no_real_cry(script: list[str], model: Model, last: str) -> None:
    """Whatever happens: an episode is lost as a whole, and only one wholly within a drill; each drill has one result.

    The result comes by 15 s and a step, or not at all where the service stops before.
    """
    beside = Beside(model)
    for step in [*script, last]:
        beside.run(step)
    for one in (beside.room, beside.plain):
        one.run("stop")
    episodes: dict[str, list[Event]] = {}
    for event in cries(beside.plain.said):
        episodes.setdefault(event.episode_id or "", []).append(event)
    told = [story(event) for episode in episodes.values() if not beside.is_played(episode) for event in episode]
    assert [story(event) for event in cries(beside.room.said)] == told

    running: str | None = None
    due: set[str | None] = set()
    for record in beside.room.said:
        if isinstance(record, AlertHeld) or (isinstance(record, Event) and record.event_type in ALERTS):
            assert running is not None or (isinstance(record, Event) and record.test)
            assert record.episode_id in (running, None)
            due.add(record.episode_id)
        elif isinstance(record, Event) and not record.test:
            running = None if record.event_type == "cry_ended" else record.episode_id
        elif isinstance(record, Alerting) and record.on:
            assert running is not None
    assert due - {None} == {event.episode_id for event in cries(beside.room.said)}

    assert sum(isinstance(record, DrillIgnored) for record in beside.room.said) == beside.ignored
    begun = beside.drills if last != "stop" else beside.drills[: len(beside.results)]
    assert len(beside.drills) - len(begun) <= 1
    opened = [e.at - WALL_AT + 5_000 for e in cries(beside.plain.said) if e.event_type == "cry_started"]
    for (_, began_s), (result, at_s) in zip(begun, beside.results, strict=True):
        passes = [at_s for at_s in opened if began_s < at_s < began_s + 15]
        assert (result, at_s) == (("drill_passed", passes[0]) if passes else ("drill_failed", began_s + 15))


ALERTS = ("alert", "acknowledged")
