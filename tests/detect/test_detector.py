import itertools

import numpy as np
import pytest
import synth
import toy_reason
from loudness import HOP_SAMPLES, MANIFEST, MODEL, WINDOW_SAMPLES

from monitor.capture import Segmenter
from monitor.detect import AlertRule, Detector, Model, Reasons, Said, to_waveforms
from monitor.detect.detector import ends_of, rule_of
from monitor.detect.model import Scores, Waveforms
from monitor.errors import InferenceError
from monitor.offline import listen, numbered, score_windows
from monitor.records import (
    Alerting,
    Applied,
    CauseJudged,
    Command,
    Event,
    GateMissed,
    Level,
    ReasonHealth,
    Samples,
    Segment,
    SourceLost,
)


def segments_of(pcm: Samples, room: str = "nursery") -> list[Segment]:
    core = Segmenter(room, window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES)
    return core.feed(pcm, at=1_000 + len(pcm) / 16_000)


def hear(detector: Detector, segments: list[Segment]) -> list[Said]:
    return [said for segment in segments for said in detector.step([segment], [], segment.at_s)]


def events(said: list[Said]) -> list[Event]:
    return [record for record in said if isinstance(record, Event)]


NIGHT = synth.over(synth.noise(50, -65), (6, synth.cry(8, -15)))


def test_a_cry_starts_and_ends() -> None:
    """A cry in a quiet room is one episode: started within 4 s of its onset, ended 20 s after it."""
    said = events(hear(Detector(MODEL, {"nursery": "normal"}, numbered()), segments_of(NIGHT)))
    assert [e.event_type for e in said] == ["cry_started", "cry_ended"]
    assert 6 < said[0].at_s < 10
    assert 34 <= said[1].at_s < 36
    assert 7 < said[1].duration_s < 8 + 2 * 1.5  # a window that touches the cry counts whole
    assert said[0].at == 1_000 + said[0].at_s


def test_a_replaced_segment_costs_no_window() -> None:
    """When every second segment is lost in the queue, the same windows are scored: a segment holds the last 8 s."""
    scored: list[list[float]] = []
    for step in (1, 2, 5):
        seen: list[float] = []

        def function(waveforms: Waveforms, seen: list[float] = seen) -> Scores:
            scores = MODEL.function(waveforms)
            seen += scores["cry"][:, 0].tolist()
            return scores

        detector = Detector(Model(MANIFEST, "litert", function), {"nursery": "normal"}, numbered())
        opened = [s for s in segments_of(synth.cry(31, -15)) if s.gate == "open"]
        hear(detector, opened[::-step][::-1])
        scored.append(seen)
    assert scored[0][-40:] == scored[1][-40:] == scored[2][-40:]


def test_windows_stand_on_the_rooms_own_grid() -> None:
    """Windows end at multiples of the hop, each once, and hold the very samples that end there."""
    pcm = np.arange(100_000, dtype=np.int16)
    segment = Segment("nursery", pcm[-60_000:], 100_000, 0.0, -30.0, -60.0, "open")
    assert ends_of(segment, 80_000, WINDOW_SAMPLES, HOP_SAMPLES) == [84_480, 92_160, 99_840]
    heard: list[Waveforms] = []

    def function(waveforms: Waveforms) -> Scores:
        heard.extend(waveforms.copy())
        return MODEL.function(waveforms)

    Detector(Model(MANIFEST, "litert", function), {"nursery": "normal"}).step([segment], [], 0.0)
    wanted = [pcm[end - WINDOW_SAMPLES : end] for end in (69_120, 76_800, 84_480, 92_160, 99_840)]
    assert np.array_equal(heard, to_waveforms(wanted))


def test_rooms_do_not_hear_each_other() -> None:
    """Two rooms in one batch: only the room where it cries has an episode, whichever stands first."""
    quiet = synth.noise(50, -65, seed=2)
    for rooms in itertools.permutations(["a", "b"]):
        detector = Detector(MODEL, dict.fromkeys(rooms, "normal"), numbered())
        pairs = itertools.zip_longest(segments_of(NIGHT, "a"), segments_of(quiet, "b"))
        said: list[Said] = []
        for pair in pairs:
            both = sorted((s for s in pair if s is not None), key=lambda s: rooms.index(s.room))
            said += detector.step(both, [], 0.0)
        assert {e.room for e in events(said)} == {"a"}


def test_the_gate_saves_power_never_correctness() -> None:
    """The same events come out with the gate always open."""
    gated = events(list(listen([NIGHT], MODEL)))
    always_open = Segmenter("room", window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES)
    detector = Detector(MODEL, {"room": "normal"}, numbered())
    said: list[Said] = []
    for start in range(0, len(NIGHT), 7_680):
        always_open.open_gate()
        block = NIGHT[start : start + 7_680]
        for segment in always_open.feed(block, (start + len(block)) / 16_000):
            said += detector.step([segment], [], segment.at_s)
    assert [(e.event_type, e.started_s) for e in events(said)] == [(e.event_type, e.started_s) for e in gated]


def test_a_cry_that_the_gate_misses_is_found_by_a_probe() -> None:
    """A probe over the threshold opens the gate, its ring is scored, and N of M decides as always."""

    def all_is_crying(waveforms: Waveforms) -> Scores:
        return {"cry": np.ones((len(waveforms), 1), np.float32)}

    said = list(listen([synth.noise(30, -65)], Model(MANIFEST, "litert", all_is_crying)))
    missed = [record for record in said if isinstance(record, GateMissed)]
    started = events(said)[0]
    assert missed
    assert started.event_type == "cry_started"
    assert started.at_s - missed[0].at_s < 1


def test_a_lost_source_ends_the_episode() -> None:
    """When a source is lost its episode ends with the marker's cause, at the marker's time."""
    detector = Detector(MODEL, {"nursery": "normal"}, numbered())
    hear(detector, segments_of(NIGHT[: 12 * 16_000]))
    (ended,) = events(detector.step([SourceLost("nursery", "disabled", 13 * 16_000, 1_013.0)], [], 0.0))
    assert (ended.event_type, ended.ended_by, ended.at) == ("cry_ended", "disabled", 1_013.0)


def test_a_room_that_falls_silent_ends_by_itself() -> None:
    """A room of which nothing comes for 10 s ends its episode even if capture says nothing."""
    detector = Detector(MODEL, {"nursery": "normal"}, numbered())
    hear(detector, segments_of(NIGHT[: 12 * 16_000]))
    assert events(detector.step([], [], 21.0)) == []
    (ended,) = events(detector.step([], [], 22.1))
    assert ended.ended_by == "source_lost"
    assert detector.step([], [], 40.0) == []


def test_a_stop_ends_every_episode() -> None:
    """An orderly stop ends what runs with `stopped`."""
    detector = Detector(MODEL, {"nursery": "normal"}, numbered())
    hear(detector, segments_of(NIGHT[: 12 * 16_000]))
    assert [e.ended_by for e in events(detector.close())] == ["stopped"]


def test_sensitivity_changes_at_once() -> None:
    """A `sensitivity` command is answered with Applied and holds from the next window."""
    detector = Detector(MODEL, {"nursery": "low"}, numbered())
    command = Command("nursery", "sensitivity", "high")
    assert detector.step([], [command], 0.0) == [Applied("nursery", "sensitivity", "high")]
    assert events(hear(detector, segments_of(NIGHT)))[0].event_type == "cry_started"


def test_a_failed_inference_changes_nothing() -> None:
    """After an InferenceError the same step can be made again and gives what it would have given."""
    failures = iter([True, False])

    def function(waveforms: Waveforms) -> Scores:
        if next(failures, False):
            raise InferenceError("loudness", "is out of order")
        return MODEL.function(waveforms)

    segments = segments_of(synth.cry(5, -10))
    command = Command("nursery", "sensitivity", "high")
    flaky = Detector(Model(MANIFEST, "litert", function), {"nursery": "low"}, numbered())
    sound = Detector(MODEL, {"nursery": "low"}, numbered())
    with pytest.raises(InferenceError):
        flaky.step(segments[-1:], [command], 1.0)
    assert flaky.step(segments[-1:], [command], 1.0) == sound.step(segments[-1:], [command], 1.0)


def test_alerts_are_said_beside_the_cry() -> None:
    """An alert comes after the event of the same step, its end before the episode's, also when the service stops."""
    alerts = {"nursery": AlertRule(after_s=3)}
    for night, last in ((NIGHT, "quiet"), (NIGHT[: 14 * 16_000], "stopped")):
        detector = Detector(MODEL, {"nursery": "normal"}, numbered(), alerts=alerts)
        said = [*hear(detector, segments_of(night)), *detector.close()]
        story = [record for record in said if isinstance(record, Event | Alerting)]
        started, alert, on, off, ended = story
        assert isinstance(started, Event)
        assert isinstance(alert, Event)
        assert isinstance(ended, Event)
        assert [started.event_type, alert.event_type, ended.event_type] == ["cry_started", "alert", "cry_ended"]
        assert 3 <= alert.duration_s < 4
        assert on == Alerting("nursery", on=True, at=alert.at)
        assert off == Alerting("nursery", on=False, at=ended.at)
        assert ended.ended_by == last
        assert len({event.event_id for event in events(said)}) == 3


def test_a_failed_inference_holds_no_command_up_twice() -> None:
    """After an InferenceError the same commands are obeyed once, by the call that succeeds."""
    failures = iter([True, False])

    def function(waveforms: Waveforms) -> Scores:
        if next(failures, False):
            raise InferenceError("loudness", "is out of order")
        return MODEL.function(waveforms)

    flaky = Detector(Model(MANIFEST, "litert", function), {"nursery": "low"}, numbered(), wall=lambda: 1_000.0)
    segments = segments_of(synth.cry(5, -10))[-1:]
    commands = [Command("nursery", "test_alert", ""), Command("nursery", "snooze", "1")]
    with pytest.raises(InferenceError):
        flaky.step(segments, commands, 1.0)
    said = flaky.step(segments, commands, 1.0)
    assert [e.event_id for e in events(said) if e.test] == ["1"]
    assert [r.until_at for r in said if isinstance(r, Applied)] == [1_060.0]


def test_the_level_is_told_each_five_seconds() -> None:
    """A room tells its level, its gate and its newest score every 5 s of sound."""
    levels = [r for r in listen([NIGHT], MODEL) if isinstance(r, Level)]
    assert len(levels) == pytest.approx(10, abs=1)
    assert levels[0].score is None
    assert max(level.dbfs for level in levels) > -25


def test_the_levels_say_how_much_was_heard() -> None:
    """Their seconds are those of the sound, and the loudest second and the highest score are among them."""
    core = Detector(MODEL, {"nursery": "normal"}, numbered())
    levels = [record for record in hear(core, segments_of(NIGHT)) if isinstance(record, Level)]
    assert sum(level.heard_s for level in levels) == pytest.approx(levels[-1].at - 1_000)
    assert max(level.heard_s for level in levels) < 6
    assert max(level.top_dbfs for level in levels) > -18
    assert max(level.top_score or 0.0 for level in levels) > max(level.score or 0.0 for level in levels)
    assert {(level.model, level.sensitivity) for level in levels} == {(MODEL.label, "normal")}


@pytest.mark.parametrize("loud", [False, True])
@pytest.mark.parametrize("marked", [False, True])
def test_what_nobody_heard_is_not_counted(*, loud: bool, marked: bool) -> None:
    """The time of a source that was away is in no level, whether capture said so or its samples just went on later."""
    core = Detector(MODEL, {"nursery": "normal"}, numbered())
    segmenter = Segmenter("nursery", window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES)
    sound = synth.over(synth.noise(20, -60), (0, synth.cry(19, -20))) if loud else synth.noise(20, -60)
    said = hear(core, segmenter.feed(sound, at=1_020))
    if marked:
        said += core.step([SourceLost("nursery", "source_lost", segmenter.end_sample, 1_020)], [], 20.0)
    segmenter.skip(400.0)
    said += hear(core, segmenter.feed(sound, at=1_440))
    levels = [record for record in said if isinstance(record, Level)]
    unsaid_s = 1_440 - levels[-1].at
    assert sum(level.heard_s for level in levels) == pytest.approx(40 - unsaid_s, abs=1.5)


def test_hindsight_is_the_same_at_each_sensitivity() -> None:
    """What belongs to a cry before its start follows from the most sensitive setting, whichever the room has."""
    rules = [rule_of(MANIFEST, sensitivity) for sensitivity in ("low", "normal", "high")]
    assert {rule.lead for rule in rules} == {0.2}
    assert [rule.sensitivity for rule in rules] == ["low", "normal", "high"]


@pytest.mark.parametrize("block", [1_000, 7_680, 100_000])
def test_score_hears_every_window(block: int) -> None:
    """`score` gives one score a hop from the start of the recording, whatever the blocks it is read in."""
    blocks = [NIGHT[start : start + block] for start in range(0, len(NIGHT), block)]
    scores = [score for score, _ in score_windows(blocks, MODEL)]
    assert [s.end_sample for s in scores] == list(range(WINDOW_SAMPLES, len(NIGHT) + 1, HOP_SAMPLES))
    alone = MODEL.function(to_waveforms([NIGHT[HOP_SAMPLES : HOP_SAMPLES + WINDOW_SAMPLES]]))
    assert scores[1].score == pytest.approx(float(alone["cry"][0, 0]))


def test_score_pads_a_short_recording_in_front() -> None:
    """A recording shorter than a window is scored as one window that ends with it."""
    ((score, _),) = score_windows([synth.cry(0.5, -10)], MODEL)
    assert score.end_sample == WINDOW_SAMPLES
    assert score.score > 0.5


# Why it cries

LONG_CRY = synth.over(synth.noise(110, -65), (6, synth.cry(75, -15)))


def with_causes(pcm: Samples, likelihood: toy_reason.Likelihood, **changes: object) -> list[Said]:
    changes = {"categories": ["hungry", "tired"], "min_confidence": 0.6} | changes
    reasons = Reasons(toy_reason.model(likelihood, **changes))
    return [said for said in listen([pcm], MODEL, reasons=reasons) if not isinstance(said, Level)]


def test_a_cause_is_judged_by_the_first_8_s_and_each_minute() -> None:
    """The model hears the 8 s at hand once the episode is 8 s old, and those at each `cry_ongoing`; no others."""
    heard: list[Waveforms] = []

    def keep(waveforms: Waveforms) -> np.ndarray:
        heard.extend(waveforms)
        return np.tile((0.7, 0.3), (len(waveforms), 1))

    started, extra, ongoing, ended = events(with_causes(LONG_CRY, keep))
    assert [e.event_type for e in (started, extra, ongoing, ended)] == [
        "cry_started",
        "cry_ongoing",
        "cry_ongoing",
        "cry_ended",
    ]
    assert 8 <= extra.at_s - started.started_s < 8.5
    assert 60 <= ongoing.at_s - started.at_s < 60.5
    wanted = [LONG_CRY[round(e.at_s * 16_000) - 128_000 : round(e.at_s * 16_000)] for e in (extra, ongoing)]
    assert np.array_equal(heard, to_waveforms(wanted))
    assert (started.reason, started.reasons) == ("unsure", {})
    assert {e.reason for e in (extra, ongoing, ended)} == {"hungry"}
    assert ended.reasons == {"hungry": 0.7, "tired": 0.3}


def test_each_minute_is_judged_anew() -> None:
    """A `cry_ongoing` carries what was judged of its own 8 s, and the end what was judged last."""
    rows = iter([(0.7, 0.3), (0.2, 0.8)])
    said = events(with_causes(LONG_CRY, lambda _: np.array([next(rows)])))
    assert [e.reason for e in said] == ["unsure", "hungry", "tired", "tired"]


def test_an_unsure_cause_is_told_without_an_event() -> None:
    """Odds that are not worth a word are said beside the events, and the end carries them."""
    said = with_causes(NIGHT, toy_reason.always(0.55, 0.45))
    started, judged, ended = said
    assert isinstance(started, Event)
    assert isinstance(ended, Event)
    assert isinstance(judged, CauseJudged)
    assert (judged.room, judged.episode_id) == ("room", started.episode_id)
    assert (judged.reason, judged.reasons) == ("unsure", {"hungry": 0.55, "tired": 0.45})
    assert (ended.reason, ended.reasons) == ("unsure", {"hungry": 0.55, "tired": 0.45})


def test_a_cry_of_a_moment_is_not_judged() -> None:
    """Where the cry has left the 8 s before the episode is 8 s old for the gate, nothing is judged of other sound."""
    pcm = synth.over(synth.noise(50, -65), (6, synth.cry(3, -15)), (19, synth.noise(1, -42)))
    said = with_causes(pcm, toy_reason.always(1, 0), window_samples=16_000)
    assert [e.event_type for e in events(said)] == ["cry_started", "cry_ended"]
    assert events(said)[-1].reasons == {}


def test_less_than_a_window_is_not_judged() -> None:
    """A segment that holds less than the reason model's window leaves the cause as it was."""
    detector = Detector(
        MODEL, {"nursery": "normal"}, numbered(), Reasons(toy_reason.model(toy_reason.always(*[1 / 8] * 8)))
    )
    short = [
        Segment(s.room, s.samples[-100_000:], s.end_sample, s.at, s.level_dbfs, s.noise_floor_dbfs, s.gate)
        for s in segments_of(NIGHT)
    ]
    assert [e.reasons for e in events(hear(detector, short))] == [{}, {}]


def test_a_reason_model_that_fails_costs_the_cause_alone() -> None:
    """Cries are told as without it, no window is scored twice, and each failure and the first success is told."""
    working = iter([False, True])
    scored: list[int] = []

    def scoring(waveforms: Waveforms) -> Scores:
        scored.append(len(waveforms))
        return MODEL.function(waveforms)

    def flaky(_: Waveforms) -> np.ndarray:
        if not next(working):
            raise InferenceError("reason", "is out of order")
        return np.array([[1.0, 0.0]])

    reasons = Reasons(toy_reason.model(flaky, categories=["hungry", "tired"]))
    said = list(listen([LONG_CRY], Model(MANIFEST, "litert", scoring), reasons=reasons))
    windows = len(scored)
    plain = list(listen([LONG_CRY], Model(MANIFEST, "litert", scoring)))
    assert len(scored) == 2 * windows
    told = [(e.event_type, e.at_s, e.confidence) for e in events(said)]
    assert told == [(e.event_type, e.at_s, e.confidence) for e in events(plain)]
    assert [e.reason for e in events(said)] == ["unsure", "hungry", "hungry"]
    assert [h for h in said if isinstance(h, ReasonHealth)] == [
        ReasonHealth(1, "reason: is out of order"),
        ReasonHealth(0),
    ]


@pytest.mark.parametrize("block", [5_000, 61_440, 10_000_000])
def test_score_gives_the_sound_of_each_window(block: int) -> None:
    """With a window's score come the 8 s that end with it, or all there is, whatever the blocks it is read in."""
    blocks = [NIGHT[start : start + block] for start in range(0, len(NIGHT), block)]
    count = 0
    for score, sound in score_windows(blocks, MODEL):
        count += 1
        assert np.array_equal(sound, NIGHT[max(0, score.end_sample - 128_000) : score.end_sample])
    assert count == (len(NIGHT) - WINDOW_SAMPLES) // HOP_SAMPLES + 1
