"""When a room alerts: a `Detector` that hears seconds of crying or of quiet, and clocks that a test moves."""

from datetime import datetime

import pytest
from detect.one_room import EACH_SECOND, LOUD, WALL_AT, Room
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from monitor.detect import AlertRule, Detector
from monitor.offline import numbered
from monitor.records import NONE, SAMPLE_RATE_HZ, AlertHeld, Alerting, Applied, Command, EndedBy, Event, HeldBy, Segment

DEFAULT = AlertRule()
AFTER_60 = AlertRule(after_s=60)


@pytest.mark.parametrize(
    ("alerts", "script", "told"),
    [
        # When an alert is due
        (DEFAULT, "cry 1", "first 1"),
        (DEFAULT, "cry 599", "first 1, repeat 121, repeat 241, repeat 361, repeat 481"),
        (AlertRule(repeat_after_s=250), "cry 1000", "first 1, repeat 251, repeat 501, hard_limit 600, repeat 850"),
        (AFTER_60, "cry 59, quiet 30", ""),
        (AFTER_60, "cry 60", "first 60"),
        (AFTER_60, "cry 200", "first 60, repeat 180"),
        (AFTER_60, "cry 10, quiet 18, cry 32", "first 60"),  # a pause counts
        (AFTER_60, "cry 50, quiet 19", ""),  # the hang-over does not
        (DEFAULT, "cry 110, quiet 30", "first 1"),
        (DEFAULT, "cry 5, quiet 30, cry 5", "first 1, first 1"),
        (AlertRule(hard_limit_s=60, after_s=60), "cry 60", "hard_limit 60"),
        # Snooze
        (DEFAULT, "snooze 30, cry 250", "snooze holds first 1, snooze holds repeat 121, snooze holds repeat 241"),
        (DEFAULT, "snooze 1, cry 100", "snooze holds first 1, first 60"),
        (DEFAULT, "snooze 30, cry 10, snooze 0, cry 10", "snooze holds first 1, first 10"),
        (DEFAULT, "cry 10, snooze 2, cry 200", "first 1, snooze holds repeat 121, repeat 130"),
        (DEFAULT, "cry 10, snooze 1, cry 200", "first 1, repeat 121"),  # nothing was due meanwhile
        (DEFAULT, "snooze 1, cry 30, quiet 70", "snooze holds first 1"),  # over before the snooze is
        (DEFAULT, "snooze 30, cry 5, quiet 30, cry 5", "snooze holds first 1, snooze holds first 1"),
        (DEFAULT, "snooze 1, cry 30, snooze 1, cry 80", "snooze holds first 1, first 90"),
        (AFTER_60, "snooze 1, cry 59, quiet 30", ""),
        # Acknowledged
        (
            DEFAULT,
            "cry 10, acknowledge, cry 240",
            "first 1, acknowledged holds repeat 121, acknowledged holds repeat 241",
        ),
        (AFTER_60, "cry 10, acknowledge, cry 60", "acknowledged holds first 60"),
        (DEFAULT, "cry 10, acknowledge, quiet 30, cry 5", "first 1, first 1"),
        (DEFAULT, "acknowledge, cry 5", "first 1"),
        # Not a cry
        (DEFAULT, "cry 10, feedback not_a_cry, cry 120", "first 1, not_a_cry holds repeat 121"),
        (DEFAULT, "cry 10, feedback hungry, cry 120", "first 1, repeat 121"),
        (DEFAULT, "feedback not_a_cry, cry 5", "first 1"),
        (DEFAULT, "cry 10, feedback not_a_cry, quiet 30, cry 5", "first 1, first 1"),
        (
            DEFAULT,
            "cry 10, feedback not_a_cry, cry 120, feedback hungry",
            "first 1, not_a_cry holds repeat 121, repeat 130",
        ),
        # Several hold: the first is named, and all must end
        (DEFAULT, "snooze 1, cry 2, acknowledge, cry 130", "snooze holds first 1, acknowledged holds repeat 121"),
        # The hard limit
        (AlertRule(repeat_after_s=3600), "cry 1900", "first 1, hard_limit 600"),
        (
            AlertRule(repeat_after_s=3600),
            "cry 9, acknowledge, cry 1900",
            "first 1, hard_limit 600, hard_limit 1200, hard_limit 1800",
        ),
        (AlertRule(repeat_after_s=3600), "snooze 720, cry 700", "snooze holds first 1, hard_limit 600"),
        (AlertRule(repeat_after_s=3600), "cry 9, feedback not_a_cry, cry 700", "first 1, hard_limit 600"),
        (AlertRule(hard_limit_s=60), "alert_after 600, cry 60", "hard_limit 60"),
        (
            AlertRule(hard_limit_s=60),
            "snooze 1, cry 200",
            "snooze holds first 1, hard_limit 60, repeat 180",  # what was held before it is told by it
        ),
        # alert_after
        (AFTER_60, "alert_after 0, cry 5", "first 1"),
        (AFTER_60, "cry 20, alert_after 20", "first 20"),
        (DEFAULT, "alert_after 30, cry 40", "first 30"),
        (DEFAULT, "cry 5, alert_after 600, cry 120", "first 1, repeat 121"),
    ],
)
def test_what_is_alerted_and_what_is_held(alerts: AlertRule, script: str, told: str) -> None:
    """Each alert that is due is sent, or said to be held and by what, at these seconds of crying and no others."""
    room = Room(alerts)
    room.run(script)
    assert room.told == (told.split(", ") if told else [])


@pytest.mark.parametrize(
    ("script", "story"),
    [
        ("cry 5, quiet 30", "cry_started, alert, ON, OFF, cry_ended"),
        ("cry 70, lose", "cry_started, alert, ON, cry_ongoing, OFF, cry_ended"),
        ("cry 5, nothing 20", "cry_started, alert, ON, OFF, cry_ended"),
        ("cry 130, lose", "cry_started, alert, ON, cry_ongoing, cry_ongoing, alert, OFF, cry_ended"),
        ("snooze 30, cry 5, lose", "cry_started, cry_ended"),
        ("cry 5, acknowledge, cry 5, lose", "cry_started, alert, ON, acknowledged, OFF, cry_ended"),
        ("cry 5, feedback not_a_cry, cry 5, lose", "cry_started, alert, ON, OFF, cry_ended"),
        ("cry 5, feedback hungry, lose", "cry_started, alert, ON, OFF, cry_ended"),
        ("cry 5, snooze 5, cry 5, lose", "cry_started, alert, ON, OFF, cry_ended"),
        ("snooze 1, cry 59, cry 1, lose", "cry_started, alert, ON, OFF, cry_ended"),
        ("cry 5, test_alert, lose", "cry_started, alert, ON, alert, OFF, cry_ended"),
    ],
)
def test_the_alert_is_on_within_its_episode(script: str, story: str) -> None:
    """The alert is on from the first that is sent, said after it, until it ends, said before its episode does."""
    room = Room()
    room.run(script)
    assert room.story == story.split(", ")


@pytest.mark.parametrize("asked", ["snooze 5", "acknowledge", "feedback not_a_cry"])
def test_what_a_person_does_turns_the_alert_off_at_once(asked: str) -> None:
    """A snooze, an acknowledgement or `not_a_cry` turns the alert off before anything else is heard."""
    room = Room()
    room.run(f"cry 5, {asked}")
    assert [record.on for record in room.said if isinstance(record, Alerting)] == [True, False]


def test_a_hard_limit_turns_the_alert_on_again() -> None:
    """A cry that was acknowledged and reaches the hard limit alerts again, and can be acknowledged again."""
    room = Room(AlertRule(hard_limit_s=60))
    room.run("cry 5, acknowledge, acknowledge, cry 55, acknowledge, acknowledge, lose")
    again = ["alert", "ON", "acknowledged", "OFF"]
    assert [what for what in room.story if what != "cry_ongoing"] == ["cry_started", *again, *again, "cry_ended"]


@pytest.mark.parametrize(("value", "by"), [("", None), ("Anna", "Anna")])
def test_an_acknowledgement_says_who(value: str, by: str | None) -> None:
    """`acknowledged` carries the episode as it stands, and who goes: null where nobody said."""
    room = Room()
    room.run("cry 7")
    room.ask("acknowledge", value)
    started, alert, acknowledged = (record for record in room.said if isinstance(record, Event))
    assert (acknowledged.by, acknowledged.cause, acknowledged.duration_s) == (by, None, 7.0)
    assert acknowledged.episode_id == alert.episode_id == started.episode_id
    assert acknowledged.at == room.wall_at


@pytest.mark.parametrize("script", ["acknowledge", "cry 5, quiet 30, acknowledge", "cry 5, acknowledge, acknowledge"])
def test_nothing_to_acknowledge(script: str) -> None:
    """Where no cry runs, or it is acknowledged already, `acknowledge` changes nothing and says nothing."""
    room = Room()
    room.run(script.removesuffix("acknowledge").removesuffix(", ") or "quiet 1")
    before = list(room.said)
    room.ask("acknowledge", "Anna")
    assert room.said == before


def test_an_alert_carries_its_episode() -> None:
    """An alert has all that `cry_started` of the same moment has, a cause, and an id of its own."""
    room = Room()
    room.run("cry 1")
    started, alert = (record for record in room.said if isinstance(record, Event))
    assert (alert.episode_id, alert.started_at, alert.at, alert.at_s) == (
        started.episode_id,
        started.started_at,
        started.at,
        started.at_s,
    )
    assert (alert.confidence, alert.peak, alert.mean, alert.level_dbfs) == (1.0, 1.0, 1.0, -20.0)
    assert (alert.cause, alert.test, alert.by, alert.ended_by) == ("first", False, None, None)
    assert alert.event_id != started.event_id


def test_what_a_held_alert_says() -> None:
    """A held alert says which episode, when on both clocks, after how much crying, why it was due, and what held it."""
    room = Room()
    room.run("snooze 30, cry 1")
    (held,) = (record for record in room.said if isinstance(record, AlertHeld))
    (started,) = (record for record in room.said if isinstance(record, Event))
    assert started.episode_id is not None
    assert held == AlertHeld("nursery", started.episode_id, room.wall_at, 1.0, 1.0, "first", "snooze")


def test_feedback_on_another_cry_holds_nothing() -> None:
    """`not_a_cry` for another episode holds no alert; for the running one by its id it does."""
    room = Room()
    room.run("cry 5")
    running = room.alerts[0].episode_id
    room.ask("feedback", "not_a_cry", "of last night")
    room.run("cry 120")
    assert room.told == ["first 1", "repeat 121"]
    room.ask("feedback", "not_a_cry", running)
    room.run("cry 120")
    assert room.told[2:] == ["not_a_cry holds repeat 241"]


@pytest.mark.parametrize("script", ["quiet 1", "nothing 1", "cry 5, snooze 30", "cry 5, feedback not_a_cry"])
def test_a_test_passes_everything_and_changes_nothing(script: str) -> None:
    """`test_alert` is an alert of no episode, dated now, whatever is held and if nothing was ever heard."""
    room, other = Room(), Room()
    room.run(script)
    other.run(script)
    before = len(room.said)
    room.ask("test_alert")
    (test,) = room.said[before:]
    assert isinstance(test, Event)
    assert (test.event_type, test.test, test.cause, test.episode_id) == ("alert", True, "test", None)
    assert (test.at, test.duration_s, test.reason, test.reasons) == (room.wall_at, 0.0, "unsure", {})
    room.run("cry 130, lose")
    other.run("cry 130, lose")
    assert [line for line in room.told if line != "test 0"] == other.told


def test_a_snooze_says_its_end() -> None:
    """A snooze is answered with its end: RFC 3339 in UTC, and seconds; 0 is answered with `None`."""
    room = Room()
    room.ask("snooze", "90")
    (applied,) = room.snoozes
    assert applied.until_at == WALL_AT + 90 * 60
    assert applied.value == "2023-11-14T23:43:20.000Z"
    assert datetime.fromisoformat(applied.value).timestamp() == applied.until_at
    room.ask("snooze", "0")
    assert room.snoozes[1:] == [Applied("nursery", "snooze", "None", None)]


def test_a_snooze_ends_on_time_without_a_microphone() -> None:
    """A snooze is counted on the monotonic clock: it ends, and says so once, where no segment comes."""
    room = Room()
    room.run("snooze 1, nothing 59")
    assert len(room.snoozes) == 1
    room.run("nothing 30")
    assert room.snoozes[1:] == [Applied("nursery", "snooze", "None", None)]


@pytest.mark.parametrize(
    ("left_s", "ends_after_s", "said"),
    [(30.0, 30, []), (-5.0, 1, []), (10 * 86_400.0, 1_800, [WALL_AT + 1 + 1_800])],
)
def test_a_snooze_outlives_a_restart(left_s: float, ends_after_s: int, said: list[float]) -> None:
    """What is left of a snooze is its end less now, from nothing to what was asked for; an end that moves is told."""
    room = Room(snoozed_until=WALL_AT + 1 + left_s)
    room.run("nothing 1")
    assert [applied.until_at for applied in room.snoozes if applied.until_at] == said
    room.now_s += ends_after_s - 2
    if left_s > 0:
        room.run("nothing 1")
        assert [applied.value for applied in room.snoozes if applied.until_at is None] == []
    room.run("nothing 1")
    assert room.snoozes[-1].value == "None"


def test_rooms_alert_apart() -> None:
    """One room's snooze holds no other room's alert."""
    rule_of_each = {"attic": DEFAULT, "nursery": DEFAULT}
    detector = Detector(EACH_SECOND, dict.fromkeys(rule_of_each, "normal"), numbered(), alerts=rule_of_each)
    loud = [Segment(room, LOUD, SAMPLE_RATE_HZ, 0.0, -20.0, -60.0, "open") for room in rule_of_each]
    said = detector.step(loud, [Command("attic", "snooze", "5")], 0.0)
    assert [r.room for r in said if isinstance(r, AlertHeld)] == ["attic"]
    assert [r.room for r in said if isinstance(r, Event) and r.event_type == "alert"] == ["nursery"]


def test_a_room_without_a_rule_never_alerts() -> None:
    """A recording is heard without alerts: nothing is sent, and nothing held."""
    detector = Detector(EACH_SECOND, {"nursery": "normal"}, numbered())
    said = [
        record
        for second in range(1, 800)
        for record in detector.step(
            [Segment("nursery", LOUD, second * SAMPLE_RATE_HZ, 0.0, -20.0, -60.0, "open")], [], float(second)
        )
    ]
    assert {r.event_type for r in said if isinstance(r, Event)} == {"cry_started", "cry_ongoing"}
    assert not any(isinstance(record, AlertHeld | Alerting) for record in said)


# Any story


THEN_S = st.integers(0, 70)
"""Seconds of crying that follow something, so that it meets a cry as often as not."""


class Stories(RuleBasedStateMachine):
    """A room in which anything happens, and beside it what a person who stands there knows, by no code of the rules."""

    alerts = AlertRule(after_s=0, repeat_after_s=15, hard_limit_s=60)

    def __init__(self) -> None:
        super().__init__()
        self.room = Room(self.alerts)
        self.read = 0
        self.after_s = 0
        self.snoozed_until_s = 0.0
        self.snooze_told = NONE
        self.alert_is_on = False
        self.expected_on = False
        self.begin(None)

    def begin(self, started: Event | None) -> None:
        self.episode = started
        self.acknowledged = self.not_a_cry = self.waits = self.any_sent = False
        self.due_s: float | None = None
        self.limits = 0

    @property
    def crying_s(self) -> float:
        return 0.0 if self.episode is None else self.room.loud_s - self.episode.started_s

    @property
    def holds(self) -> set[HeldBy]:
        held: set[HeldBy] = set()
        if self.room.now_s < self.snoozed_until_s:
            held.add("snooze")
        if self.acknowledged:
            held.add("acknowledged")
        return held | {"not_a_cry"} if self.not_a_cry else held

    def hear(self, seconds: int, *, loud: bool | None = True) -> None:
        for _ in range(seconds):
            self.room.second(loud=loud)
            self.listen()

    @rule(seconds=st.integers(1, 70))
    def cry(self, seconds: int) -> None:
        self.hear(seconds)

    @rule(seconds=st.integers(1, 25), loud=st.sampled_from([False, None]))
    def pause(self, seconds: int, *, loud: bool | None) -> None:
        self.hear(seconds, loud=loud)

    @rule(ended_by=st.sampled_from(["source_lost", "disabled", "source_ended"]), then_s=THEN_S)
    def lose(self, ended_by: EndedBy, then_s: int) -> None:
        self.room.lose(ended_by)
        self.listen()
        self.hear(then_s)

    @rule(minutes=st.sampled_from([0, 1, 1, 2]), then_s=THEN_S)
    def snooze(self, minutes: int, then_s: int) -> None:
        self.snoozed_until_s = self.room.now_s + minutes * 60
        self.expected_on = self.expected_on and not minutes
        self.room.ask("snooze", str(minutes))
        self.listen()
        self.hear(then_s)

    @rule(who=st.sampled_from(["", "Anna"]), then_s=THEN_S)
    def acknowledge(self, who: str, then_s: int) -> None:
        before = len(self.room.said)
        expected = self.episode is not None and (self.expected_on or not self.acknowledged)
        self.acknowledged = self.acknowledged or self.episode is not None
        self.expected_on = False
        self.room.ask("acknowledge", who)
        new = [r for r in self.room.said[before:] if isinstance(r, Event) and r.event_type == "acknowledged"]
        assert [event.by for event in new] == [who or None] * expected
        self.listen()
        self.hear(then_s)

    @rule(value=st.sampled_from(["not_a_cry", "hungry"]), other=st.booleans(), then_s=THEN_S)
    def answer(self, value: str, then_s: int, *, other: bool) -> None:
        if self.episode is not None and not other:
            self.not_a_cry = value == "not_a_cry"
            self.expected_on = self.expected_on and not self.not_a_cry
        self.room.ask("feedback", value, "another" if other else None)
        self.listen()
        self.hear(then_s)

    @rule(after_s=st.integers(0, 90))
    def alert_after(self, after_s: int) -> None:
        self.after_s = after_s
        self.room.ask("alert_after", str(after_s))
        self.listen()

    @rule()
    def test(self) -> None:
        self.room.ask("test_alert")
        assert self.room.alerts[-1].test
        self.listen()

    def listen(self) -> None:
        """Hold what was said in one step against what is known."""
        new, self.read = self.room.said[self.read :], len(self.room.said)
        due = [r for r in new if isinstance(r, AlertHeld) or (isinstance(r, Event) and r.event_type == "alert")]
        due = [record for record in due if not (isinstance(record, Event) and record.test)]
        assert len(due) <= 1, "one alert is due in a step at most"
        for record in new:
            match record:
                case Event(event_type="cry_started"):
                    self.begin(record)
                case Event(event_type="cry_ended"):
                    assert not self.alert_is_on, "an alert ends before its episode"
                    self.begin(None)
                    self.expected_on = False
                case Event(event_type="alert", test=False):
                    self.sent(record)
                case AlertHeld():
                    assert record.cause in self.holds
                    assert (self.episode and self.episode.episode_id) == record.episode_id
                    assert record.crying_s == self.crying_s
                    self.due_s, self.waits = self.crying_s, True
                case Alerting():
                    assert record.on != self.alert_is_on, "it is said on change"
                    self.alert_is_on = record.on
                case Applied(setting="snooze"):
                    self.snooze_told = record.value
        limits = int(self.crying_s // self.alerts.hard_limit_s)
        if limits > self.limits and (self.limits == 0 or self.holds):
            assert [record.cause for record in due] == ["hard_limit"], "a hard limit is sent whatever holds it"
        self.limits = limits

    def sent(self, alert: Event) -> None:
        assert self.episode is not None, "an alert that is no test is of an episode"
        assert alert.episode_id == self.episode.episode_id
        assert alert.duration_s == self.crying_s
        if alert.cause == "hard_limit":
            assert self.crying_s // self.alerts.hard_limit_s > self.limits
            assert self.holds or self.limits == 0, "what nothing holds is a repeat"
        else:
            assert not self.holds, "what is held is not sent"
            assert alert.cause == ("repeat" if self.any_sent else "first")
        self.due_s, self.waits, self.any_sent, self.expected_on = self.crying_s, False, True, True

    @invariant()
    def nothing_due_is_silent(self) -> None:
        """What is due was sent or said to be held; what was held and is so no more was sent."""
        if self.episode is None:
            return
        if self.crying_s >= min(self.after_s, self.alerts.hard_limit_s):
            assert self.due_s is not None
        if self.due_s is not None:
            assert self.crying_s - self.due_s < self.alerts.repeat_after_s
        assert self.holds or not self.waits

    @invariant()
    def a_snooze_is_told_until_it_ends(self) -> None:
        """Its topic says an end while it holds, and `None` from that very second, segments or not."""
        assert (self.snooze_told != NONE) == (self.room.now_s < self.snoozed_until_s)

    @invariant()
    def the_alert_is_on_when_it_should(self) -> None:
        """On from an alert until its episode ends, is acknowledged, answered `not_a_cry` or snoozed."""
        assert self.alert_is_on == self.expected_on
        assert not self.alert_is_on or self.episode is not None


TestStories = Stories.TestCase
TestStories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
