import dataclasses
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.detect.episodes import HANG_OVER_S, EpisodeTracker, Moment, Rule
from monitor.detect.reasons import Judgement
from monitor.records import CauseJudged, Event, Score

WINDOW_SAMPLES = 24_000
HOP_SAMPLES = 8_000
RULE = Rule(enter=0.6, exit=0.4, need=3, of=5, window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES)


def tracker(rule: Rule = RULE) -> EpisodeTracker:
    numbers = itertools.count(1)
    return EpisodeTracker("nursery", rule, "loudness 1", lambda: str(next(numbers)))


def moment(end_sample: int) -> Moment:
    return Moment(end_sample, 1_000 + end_sample / 16_000, -30.0)


def hear(core: EpisodeTracker, scores: Sequence[float], first_sample: int = WINDOW_SAMPLES) -> list[Event]:
    events: list[Event] = []
    for i, score in enumerate(scores):
        end_sample = first_sample + i * HOP_SAMPLES
        events += core.update(Score(end_sample, score), moment(end_sample))
        events += core.pass_time(moment(end_sample))
    return events


@pytest.mark.parametrize(
    ("before", "lead_s"),
    [
        ([], 0.0),
        ([0.5], 0.5),
        ([0.5, *[0.0] * 10], 5.5),
        ([0.5, *[0.0] * 30, 0.5, *[0.0] * 38], 35.0),  # pauses of under 20 s
        ([0.5, *[0.0] * 39], 0.0),  # and one of 20 s
        ([0.4, *[0.0] * 10], 0.0),
    ],
)
def test_what_came_before_it_was_sure_is_its_lead(before: list[float], lead_s: float) -> None:
    """It reaches back to the first window at `lead`, over pauses as short as the hang-over; the start stays."""
    rule = dataclasses.replace(RULE, lead=0.5)
    (started,) = hear(tracker(rule), [*before, 0.9, 0.9, 0.9])
    assert (started.lead_s, started.started_s) == (lead_s, len(before) * 0.5)


def test_a_lead_ends_with_what_it_led_to() -> None:
    """A second cry does not reach back into the first, nor over the loss of a source."""
    for ended_by in ("quiet", "source_lost"):
        core = tracker(dataclasses.replace(RULE, lead=0.5))
        hear(core, [0.9] * 3)
        end_sample = WINDOW_SAMPLES + (45 if ended_by == "quiet" else 5) * HOP_SAMPLES
        if ended_by == "source_lost":
            core.close("source_lost", moment(end_sample))
        (*_, started) = hear(core, [0.9] * 3, end_sample)
        assert (started.event_type, started.lead_s) == ("cry_started", 0.0)


@pytest.mark.parametrize(
    ("scores", "starts"),
    [
        ([0.9, 0.9], False),
        ([0.9, 0.9, 0.9], True),
        ([0.9, 0.0, 0.9, 0.0, 0.9], True),
        ([0.9, 0.0, 0.0, 0.9, 0.0, 0.9], False),
        ([0.6, 0.6, 0.6], True),
        ([0.59, 0.59, 0.59, 0.59, 0.59], False),
    ],
)
def test_it_starts_when_n_of_the_last_m_reach_enter(scores: list[float], *, starts: bool) -> None:
    """An episode starts exactly when `need` of the last `of` windows reach `enter`."""
    assert [e.event_type for e in hear(tracker(), scores)] == (["cry_started"] if starts else [])


def test_what_a_start_says() -> None:
    """A start is at the start of the earliest of its N windows, decided at the newest sample."""
    (event,) = hear(tracker(), [0.1, 0.7, 0.2, 0.95, 0.8])
    assert event.started_s == (WINDOW_SAMPLES + HOP_SAMPLES - WINDOW_SAMPLES) / 16_000
    assert event.at_s == (WINDOW_SAMPLES + 4 * HOP_SAMPLES) / 16_000
    assert event.at - event.started_at == pytest.approx(event.at_s - event.started_s)
    assert event.confidence == event.peak == 0.95
    assert event.mean == pytest.approx((0.7 + 0.2 + 0.95 + 0.8) / 4)
    assert event.duration_s == event.at_s - event.started_s
    assert event.ended_by is None


def test_a_mean_is_never_over_the_peak() -> None:
    """Three equal scores whose sum rounds upwards have a mean that is their own."""
    (event,) = hear(tracker(), [0.7826904778151971] * 3)
    assert event.mean == event.peak


def test_windows_with_a_gap_between_them_do_not_add_up() -> None:
    """Three windows over `enter` that do not follow each other start nothing."""
    core = tracker()
    events = hear(core, [0.9, 0.9]) + hear(core, [0.9, 0.9], first_sample=10 * WINDOW_SAMPLES)
    assert events == []


def test_it_ends_after_the_hang_over() -> None:
    """An episode ends 20 s after the last window that reached `exit`; the hang-over is no crying."""
    core = tracker()
    events = hear(core, [0.9, 0.9, 0.9, 0.5] + [0.39] * 60)
    last_crying_s = (WINDOW_SAMPLES + 3 * HOP_SAMPLES) / 16_000
    ended = events[-1]
    assert [e.event_type for e in events] == ["cry_started", "cry_ended"]
    assert ended.at_s == last_crying_s + HANG_OVER_S
    assert ended.duration_s == last_crying_s - ended.started_s
    assert ended.ended_by == "quiet"
    assert ended.confidence == ended.peak == 0.9
    assert not core.crying


def test_a_closed_gate_ends_it_too() -> None:
    """Time that goes on without a score ends an episode as quiet windows do."""
    core = tracker()
    hear(core, [0.9] * 3)
    last_sample = WINDOW_SAMPLES + 2 * HOP_SAMPLES
    assert core.pass_time(moment(last_sample + 19 * 16_000)) == []
    (ended,) = core.pass_time(moment(last_sample + 20 * 16_000))
    assert ended.ended_by == "quiet"


def test_it_is_said_to_go_on_each_minute() -> None:
    """A cry of 150 s says `cry_ongoing` after 60 s and after 120 s."""
    events = hear(tracker(), [0.9] * 300)
    started, *ongoing = events
    assert [e.event_type for e in ongoing] == ["cry_ongoing"] * 2
    assert [round(e.at_s - started.at_s) for e in ongoing] == [60, 120]


JUDGED = Judgement("hungry", {"hungry": 0.7, "tired": 0.3})
JUDGED_UNSURE = Judgement(reasons={"hungry": 0.6, "tired": 0.4})
EIGHT_S = 8 * 16_000


def wants(core: EpisodeTracker, end_sample: int) -> bool:
    return core.wants_judgement(moment(end_sample), EIGHT_S)


def test_a_cause_is_wanted_once_there_are_8_s() -> None:
    """The first judgement is wanted from 8 s after the episode's start, and then when the cry is said to go on."""
    core = tracker()
    assert not wants(core, EIGHT_S)
    (started,) = hear(core, [0.9] * 14)  # it cries from 0 s to 8 s
    assert started.started_s == 0
    assert not wants(core, EIGHT_S - 1)
    assert wants(core, EIGHT_S)
    core.judge(JUDGED, moment(EIGHT_S))
    hear(core, [0.9] * 104, first_sample=EIGHT_S + HOP_SAMPLES)
    minute_later = round(started.at_s * 16_000) + 60 * 16_000
    assert not wants(core, minute_later - 1)
    assert wants(core, minute_later)


def test_a_cause_is_not_wanted_of_sound_without_the_cry() -> None:
    """Sound that begins after the last crying window is not judged, however long the episode is."""
    core = tracker()
    hear(core, [0.9] * 3 + [0.1] * 30)
    last_crying_sample = WINDOW_SAMPLES + 2 * HOP_SAMPLES
    assert wants(core, last_crying_sample + EIGHT_S - 1)
    assert not wants(core, last_crying_sample + EIGHT_S)


def test_a_cause_that_can_be_told_is_one_more_event() -> None:
    """The first that is not `unsure` is a `cry_ongoing` at once; the rhythm of 60 s stays, and all to come carry it."""
    core = tracker()
    started, *_ = hear(core, [0.9] * 14)
    (extra,) = core.judge(JUDGED, moment(EIGHT_S))
    assert isinstance(extra, Event)
    assert (extra.event_type, extra.at_s, extra.reason, extra.reasons) == ("cry_ongoing", 8.0, "hungry", JUDGED.reasons)
    *ongoing, ended = hear(core, [0.9] * 120 + [0.0] * 60, first_sample=EIGHT_S + HOP_SAMPLES)
    assert [round(e.at_s - started.at_s) for e in ongoing] == [60]
    assert {e.reason for e in (*ongoing, ended)} == {"hungry"}
    assert (started.reason, started.reasons) == ("unsure", {})


def test_an_unsure_cause_is_no_event() -> None:
    """A first judgement that is `unsure` is told beside the events; those to come carry its odds."""
    core = tracker()
    hear(core, [0.9] * 14)
    now = moment(EIGHT_S)
    assert core.judge(JUDGED_UNSURE, now) == [CauseJudged("nursery", "1", "unsure", JUDGED_UNSURE.reasons, now.at)]
    (ended,) = core.close("stopped", now)
    assert (ended.reason, ended.reasons) == ("unsure", JUDGED_UNSURE.reasons)


def test_a_later_judgement_is_said_by_the_event_that_is_due() -> None:
    """A cause judged again makes no event of its own: the `cry_ongoing` for which it was judged says it."""
    core = tracker()
    hear(core, [0.9] * 14)
    core.judge(JUDGED_UNSURE, moment(EIGHT_S))
    hear(core, [0.9] * 100, first_sample=EIGHT_S + HOP_SAMPLES)
    later = moment(70 * 16_000)
    assert core.judge(JUDGED, later) == []
    (ongoing,) = core.pass_time(later)
    assert (ongoing.event_type, ongoing.reason) == ("cry_ongoing", "hungry")


def test_a_new_episode_starts_without_a_cause() -> None:
    """What was judged of one episode is not said of the next; nothing is judged where none runs."""
    core = tracker()
    hear(core, [0.9] * 14)
    core.judge(JUDGED, moment(EIGHT_S))
    core.close("source_lost", moment(EIGHT_S))
    assert core.judge(JUDGED, moment(EIGHT_S)) == []
    (started,) = hear(core, [0.9] * 3, first_sample=EIGHT_S + WINDOW_SAMPLES)
    assert (started.reason, started.reasons) == ("unsure", {})


def test_a_rule_may_change_while_it_runs() -> None:
    """Lowering the sensitivity does not end a running episode by itself; the next window is judged by the new rule."""
    core = tracker()
    hear(core, [0.7] * 3)
    core.rule = Rule(enter=0.9, exit=0.8, need=3, of=5, window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES)
    assert core.crying
    events = hear(core, [0.7] * 60, first_sample=WINDOW_SAMPLES + 3 * HOP_SAMPLES)
    assert [e.event_type for e in events] == ["cry_ended"]


STEPS = st.lists(
    st.one_of(
        st.floats(0, 1).map(lambda score: ("score", score)),
        st.integers(1, 30).map(lambda seconds: ("time", seconds)),
        st.just(("close", 0)),
    ),
    max_size=150,
)


@given(STEPS)
def test_every_story_is_whole(steps: list[tuple[str, float]]) -> None:
    """Whatever comes: each episode starts once, ends once, ids are never used twice, and it never stays on."""
    core, sample, events = tracker(), WINDOW_SAMPLES, []
    for kind, value in steps:
        if kind == "score":
            sample += HOP_SAMPLES
            events += core.update(Score(sample, value), moment(sample))
            events += core.pass_time(moment(sample))
        elif kind == "time":
            sample += int(value) * 16_000
            events += core.pass_time(moment(sample))
        else:
            events += core.close("source_lost", moment(sample))
    events += core.pass_time(moment(sample + 21 * 16_000))
    assert not core.crying
    assert len({e.event_id for e in events}) == len(events)
    for _, group in itertools.groupby(events, key=lambda e: e.episode_id):
        story = list(group)
        assert [e.event_type for e in story if e.event_type != "cry_ongoing"] == ["cry_started", "cry_ended"]
        assert (story[0].event_type, story[-1].event_type) == ("cry_started", "cry_ended")
        assert all(e.ended_by is None for e in story[:-1])
        assert story[-1].ended_by in {"quiet", "source_lost"}
        assert all(0 <= e.mean <= e.peak <= 1 for e in story)
        assert [e.at for e in story] == sorted(e.at for e in story)
        assert all(e.duration_s >= 0 for e in story)
