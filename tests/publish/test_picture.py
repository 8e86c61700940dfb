import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publish.make import T0, alert, drilled, event, health, level, rehearsed

from monitor.publish import Message, Messages
from monitor.publish.picture import CRY_ENDED_WITHIN_S, REPEAT_S, Picture
from monitor.publish.room import Now
from monitor.publish.tonight import Cry, Night, night_of
from monitor.records import NONE, Alerting, Applied, CauseJudged, EndedBy, Event, Level, RoomHealth

START = Now(1_000.0, T0)


def after(seconds: float) -> Now:
    """Return the instant so long after the start."""
    return Now(START.monotonic_s + seconds, START.at + seconds)


@pytest.fixture
def picture(messages: Messages) -> Picture:
    """The picture of one room, from which nothing has been heard."""
    return Picture(
        messages,
        {("nursery", "enabled"): "ON", ("nursery", "sensitivity"): "normal"},
        model_name="cry-1",
        version="0.1.0",
        now=START,
    )


@pytest.fixture
def hearing(picture: Picture) -> Picture:
    """The picture of a room that hears and is quiet, all of it said."""
    picture.begin_night(night_of(T0), Night())
    picture.tick(START)
    picture.handle(health(), START)
    return picture


def said(messages: list[Message]) -> list[str]:
    """Return what messages say, in short; what only sums up is left out."""
    lines = []
    for message in messages:
        name = message.topic.rpartition("/")[2]
        match name:
            case "summary" | "tonight" | "figures":
                pass
            case "state":
                lines.append(f"state {json.loads(message.payload)['crying']}")
            case "event":
                lines.append(json.loads(message.payload)["event_type"])
            case "health" | "level":
                lines.append(name)
            case _:
                lines.append(f"{name} {message.payload.decode()}")
    return lines


def state(messages: list[Message]) -> dict[str, object]:
    """Return the last `state` among them."""
    found: dict[str, object] = json.loads([m.payload for m in messages if m.topic.endswith("/state")][-1])
    return found


def last(messages: list[Message], name: str) -> dict[str, object]:
    """Return the last JSON on a topic of this name."""
    found: dict[str, object] = json.loads([m.payload for m in messages if m.topic.endswith(f"/{name}")][-1])
    return found


def names(messages: list[Message]) -> list[str]:
    """Return the last part of each topic."""
    return [message.topic.rpartition("/")[2] for message in messages]


def test_before_the_first_sample_nobody_can_tell(picture: Picture) -> None:
    """At the start a room is not quiet but unknown."""
    assert said(picture.tick(START)) == ["state None", "health"]


def test_a_room_that_begins_to_hear_is_quiet(picture: Picture) -> None:
    """Availability and then `state` OFF, as soon as samples come."""
    picture.tick(START)
    assert said(picture.handle(health(), START)) == ["availability online", "state OFF"]


def test_a_cry_is_an_event_and_then_state(hearing: Picture) -> None:
    """The event comes first, then `state`, which carries what the event said."""
    begun = hearing.handle(event("cry_started"), after(1))
    assert said(begun) == ["cry_started", "state ON"]
    assert state(begun)["episode_id"] == "e1"
    assert state(begun)["confidence"] == 0.93
    assert state(begun)["since"] == "2026-09-21T14:13:26.250Z"
    ended = hearing.handle(event("cry_ended"), after(2))
    assert said(ended) == ["cry_ended", "state OFF"]
    assert (state(ended)["episode_id"], state(ended)["confidence"], state(ended)["reasons"]) == (None, None, {})


def test_an_ongoing_cry_is_said_again_only_where_its_reason_changes(hearing: Picture) -> None:
    """`cry_ongoing` brings a new `state` when the cause is known, else none: the 60 s repeat does."""
    hearing.handle(event("cry_started"), after(1))
    assert said(hearing.handle(event("cry_ongoing"), after(2))) == ["cry_ongoing"]
    assert said(hearing.handle(event("cry_ongoing", reason="hungry"), after(3))) == ["cry_ongoing", "state ON"]


def test_an_unsure_cause_reaches_state(hearing: Picture) -> None:
    """A judged cause without an event of its own is said by `state`, once; that of another episode is not."""
    hearing.handle(event("cry_started"), after(1))
    judged = CauseJudged("nursery", "e1", "unsure", {"hungry": 0.4, "tired": 0.6}, T0 + 8)
    told = hearing.handle(judged, after(2))
    assert said(told) == ["state ON"]
    assert (state(told)["reason"], state(told)["reasons"]) == ("unsure", {"hungry": 0.4, "tired": 0.6})
    assert hearing.handle(judged, after(3)) == []
    assert hearing.handle(dataclasses.replace(judged, episode_id="e0", reasons={"hungry": 1.0}), after(4)) == []
    assert said(hearing.handle(event("cry_ongoing", reasons=judged.reasons), after(5))) == ["cry_ongoing"]


def test_new_odds_are_said_again(hearing: Picture) -> None:
    """`state` follows each event that brings other odds, though the cause stays what it was."""
    hearing.handle(event("cry_started", reason="hungry", reasons={"hungry": 0.7, "tired": 0.3}), after(1))
    later = hearing.handle(event("cry_ongoing", reason="hungry", reasons={"hungry": 0.8, "tired": 0.2}), after(2))
    assert said(later) == ["cry_ongoing", "state ON"]
    assert state(later)["reasons"] == {"hungry": 0.8, "tired": 0.2}


def test_on_a_loss_the_end_of_the_cry_comes_before_state(hearing: Picture) -> None:
    """Availability, `cry_ended`, `state` with null: nobody sees OFF, and nobody sees a cry of a deaf room."""
    hearing.handle(event("cry_started"), after(1))
    assert said(hearing.handle(health(hearing=False), after(2))) == ["availability offline"]
    assert said(hearing.tick(after(3))) == ["health"]
    assert said(hearing.handle(event("cry_ended", ended_by="source_lost"), after(4))) == ["cry_ended", "state None"]


def test_without_a_cry_a_loss_is_said_at_once(hearing: Picture) -> None:
    """No `cry_ended` is on its way, so nothing waits."""
    lost = hearing.handle(health(hearing=False), after(2))
    assert said(lost) == ["availability offline", "state None"]
    assert (state(lost)["problem"], state(lost)["hearing"]) == ("source_lost", "OFF")


@pytest.mark.parametrize(
    ("ended_by", "problem"),
    [("source_lost", "source_lost"), ("source_ended", "source_ended"), ("disabled", "disabled"), ("stopped", "ok")],
)
def test_the_order_holds_where_detect_is_quicker(hearing: Picture, ended_by: EndedBy, problem: str) -> None:
    """A `cry_ended` that means deafness makes the room deaf, before capture says so itself."""
    hearing.handle(event("cry_started"), after(1))
    lost = hearing.handle(event("cry_ended", ended_by=ended_by), after(2))
    assert said(lost) == ["availability offline", "cry_ended", "state None"]
    assert state(lost)["problem"] == problem
    assert said(hearing.handle(health(), after(2.5))) == [], "an older report brought the room back"
    assert said(hearing.handle(health(heard_monotonic_s=200.0), after(3))) == ["availability online", "state OFF"]


def test_an_end_that_never_comes_is_not_waited_for(hearing: Picture) -> None:
    """A detect that died must not keep `state` back for ever, nor leave a cry running."""
    hearing.handle(event("cry_started"), after(1))
    hearing.handle(health(hearing=False), after(2))
    assert said(hearing.tick(after(2 + CRY_ENDED_WITHIN_S))) == ["state None", "health"]
    assert said(hearing.handle(health(), after(30))) == ["availability online", "state OFF"]


def test_state_and_health_are_repeated_each_minute(hearing: Picture) -> None:
    """Once in 60 s each is said again, with nothing changed."""
    assert said(hearing.tick(after(REPEAT_S - 1))) == []
    assert said(hearing.tick(after(REPEAT_S))) == ["state OFF", "health"]
    assert said(hearing.tick(after(REPEAT_S + 1))) == []


def test_a_store_that_fails_is_a_problem_where_there_is_no_other(hearing: Picture) -> None:
    """`problem` is `store` in room and node, at once; a room's own problem goes before it."""
    failing = hearing.tick(after(1), store_failing=True)
    assert said(failing) == ["state OFF", "health"]
    assert state(failing)["problem"] == "store"
    assert json.loads(failing[-1].payload)["problem"] == "store"
    assert state(hearing.handle(health(problem="clipped"), after(2)))["problem"] == "clipped"
    assert said(hearing.tick(after(3), store_failing=True)) == ["health"]
    assert json.loads(hearing.tick(after(63), store_failing=False)[-1].payload)["problem"] == "clipped"


def test_a_cause_that_cannot_be_judged_is_a_problem(hearing: Picture) -> None:
    """`problem` is `reason_model` in room and node: after a room's own problem, before the store's."""
    failing = hearing.tick(after(1), reason_failing=True, store_failing=True)
    assert said(failing) == ["state OFF", "health"]
    assert (state(failing)["problem"], json.loads(failing[-1].payload)["problem"]) == ("reason_model",) * 2
    assert state(failing)["hearing"] == "ON"
    assert state(hearing.handle(health(problem="too_quiet"), after(2)))["problem"] == "too_quiet"
    assert state(hearing.handle(health(), after(3)))["problem"] == "reason_model"
    well = hearing.tick(after(4))
    assert (state(well)["problem"], json.loads(well[-1].payload)["problem"]) == ("ok", "ok")


def test_an_applied_setting_is_said_and_kept(hearing: Picture) -> None:
    """The state topic follows the owner's answer, and the next connection announces the new value."""
    assert said(hearing.handle(Applied("nursery", "sensitivity", "high"), after(1))) == ["sensitivity high"]
    first, _ = hearing.announce(after(2))
    assert "sensitivity high" in said(first)


def test_an_announcement_says_online_last(hearing: Picture) -> None:
    """Settings, `state`, availability; then the events that wait; then health and `online`."""
    hearing.handle(event("cry_started"), after(1))
    first, last = hearing.announce(after(2))
    assert said(first) == ["enabled ON", "sensitivity normal", "state ON", "availability online"]
    assert said(last) == ["health", "status online"]


def test_an_announcement_does_not_wait_for_the_end_of_a_cry(hearing: Picture) -> None:
    """A broker that knows nothing is told the state now; the `cry_ended` still follows."""
    hearing.handle(event("cry_started"), after(1))
    hearing.handle(health(hearing=False), after(2))
    first, _ = hearing.announce(after(3))
    assert said(first)[2:] == ["state None", "availability offline"]
    assert said(hearing.handle(event("cry_ended", ended_by="source_lost"), after(4))) == ["cry_ended"]


def test_the_last_words_leave_no_room_hearing(hearing: Picture) -> None:
    """On a stop each room is offline and unknown, and `offline` is said last."""
    hearing.handle(event("cry_started"), after(1))
    assert said(hearing.stop(after(3))) == ["availability offline", "state None", "status offline"]


def test_what_the_broker_holds_already_is_not_said_again_at_the_end(picture: Picture) -> None:
    """A room that was deaf before has nothing to add but its node's `offline`."""
    picture.tick(START)
    assert said(picture.stop(after(1))) == ["status offline"]


def test_a_room_that_is_not_configured_says_nothing(picture: Picture) -> None:
    """A record of an unknown room is dropped."""
    assert picture.handle(event(room="attic"), START) == []
    assert picture.running_episode("attic") is None


# Alerts


def test_an_alert_is_on_until_it_is_off(hearing: Picture) -> None:
    """`state.alert` is what detect says of it, while the room cries; the event itself changes nothing."""
    hearing.handle(event("cry_started"), after(1))
    assert said(hearing.handle(alert(), after(2))) == ["alert"]
    on = hearing.handle(Alerting("nursery", on=True, at=T0), after(2))
    assert (said(on), state(on)["alert"]) == (["state ON"], "ON")
    assert said(hearing.handle(event("acknowledged", by="Anna"), after(3))) == ["acknowledged"]
    off = hearing.handle(Alerting("nursery", on=False, at=T0), after(3))
    assert (state(off)["crying"], state(off)["alert"]) == ("ON", "OFF")


def test_an_alert_ends_with_its_cry(hearing: Picture) -> None:
    """OFF with the end of the episode, without a word of detect's, and not ON again with the next one."""
    hearing.handle(event("cry_started"), after(1))
    hearing.handle(Alerting("nursery", on=True, at=T0), after(2))
    assert state(hearing.handle(event("cry_ended"), after(3)))["alert"] == "OFF"
    assert state(hearing.handle(event("cry_started", 2), after(4)))["alert"] == "OFF"


def test_a_deaf_room_has_no_alert(hearing: Picture) -> None:
    """Nobody can tell whether it still cries: `alert` is OFF, as `crying` is null."""
    hearing.handle(event("cry_started"), after(1))
    hearing.handle(Alerting("nursery", on=True, at=T0), after(2))
    hearing.handle(health(hearing=False), after(3))
    deaf = hearing.handle(event("cry_ended", ended_by="source_lost"), after(4))
    assert (state(deaf)["crying"], state(deaf)["alert"]) == (None, "OFF")


@pytest.mark.parametrize("record", [rehearsed(), drilled(), drilled("drill_failed")])
def test_a_test_is_no_cry(hearing: Picture, record: Event) -> None:
    """A test's alert and a drill are an event and no more: no state, no night, no episode follows from them."""
    assert names(hearing.handle(record, after(1))) == ["event"]
    assert hearing.running_episode("nursery") is None


# The night and the site


def test_tonight_follows_each_cry(hearing: Picture) -> None:
    """Said on change: a running episode is counted, its crying as far as it was told."""
    began = hearing.handle(event("cry_started"), after(1))
    assert last(began, "tonight") == {
        "v": 1,
        "night": night_of(T0).isoformat(),
        "episodes": 1,
        "crying_minutes": 0.1,
        "longest_s": 5.5,
        "alerts": 0,
        "last_cry_at": "2026-09-21T14:13:20.250Z",
    }
    assert last(hearing.handle(alert(), after(2)), "tonight")["alerts"] == 1
    assert last(hearing.handle(event("cry_ended", duration_s=90.0), after(3)), "tonight")["crying_minutes"] == 1.5
    assert names(hearing.handle(event("cry_ended", duration_s=90.0), after(4))) == ["event"]


def test_another_night_begins_with_what_is_known_of_it(picture: Picture) -> None:
    """What the history knows is taken up, and cries of the night before count no more."""
    night = night_of(T0)
    told = picture.begin_night(night, Night((Cry("nursery", "e0", T0, 60.0), Cry("attic", "e9", T0, 9.0)), ()))
    assert (last(told, "tonight")["episodes"], last(told, "tonight")["crying_minutes"]) == (1, 1.0)
    tomorrow = night_of(T0 + 86_400)
    told = picture.begin_night(tomorrow, Night())
    assert (last(told, "tonight")["night"], last(told, "tonight")["episodes"]) == (tomorrow.isoformat(), 0)
    assert last(told, "tonight")["last_cry_at"] is None
    assert "tonight" not in names(picture.handle(event("cry_ended"), after(1)))


def test_the_summary_names_who_cries_longest_first() -> None:
    """Rooms that cry by the start of their episode, whose alert is on, and that are not heard; said on change."""
    picture = Picture(Messages("cry", "home", ["a", "b", "c"]), {}, model_name="m", version="0", now=START)
    assert last(picture.tick(START), "summary") == {
        "v": 1,
        "crying": [],
        "unacknowledged": [],
        "deaf": ["a", "b", "c"],
    }
    for room in ("a", "b"):
        picture.handle(health(room=room), START)
    picture.handle(event("cry_started", 1, room="a", started_at=T0 + 10), after(1))
    picture.handle(event("cry_started", 2, room="b", started_at=T0 + 5), after(1))
    told = picture.handle(Alerting("a", on=True, at=T0), after(2))
    assert last(told, "summary") == {"v": 1, "crying": ["b", "a"], "unacknowledged": ["a"], "deaf": ["c"]}
    assert names(picture.tick(after(3))) == []


def test_the_summary_never_contradicts_a_state(hearing: Picture) -> None:
    """While `state` waits for the end of a cry, the summary waits with it."""
    hearing.handle(event("cry_started"), after(1))
    assert names(hearing.handle(health(hearing=False), after(2))) == ["availability"]
    lost = hearing.handle(event("cry_ended", ended_by="source_lost"), after(3))
    assert last(lost, "summary") == {"v": 1, "crying": [], "unacknowledged": [], "deaf": ["nursery"]}


# What people tell


def test_a_new_cry_has_no_answer_yet(hearing: Picture) -> None:
    """With the next episode `feedback` is `None` again, so that the same answer can be chosen again; once."""
    hearing.handle(event("cry_started"), after(1))
    hearing.note("nursery", "feedback", "hungry")
    hearing.handle(event("cry_ended"), after(2))
    assert hearing.noted("nursery", "feedback") == "hungry"
    assert said(hearing.handle(event("cry_started", 2), after(3)))[:2] == ["cry_started", f"feedback {NONE}"]
    assert "feedback" not in names(hearing.handle(event("cry_started", 3), after(4)))
    assert hearing.latest_episode("nursery") == "e3"


def test_what_was_told_is_announced(hearing: Picture) -> None:
    """Notes stand beside the settings at each connect; those of rooms that are not configured are dropped."""
    assert said(hearing.note("nursery", "care/fed", "then")) == ["fed then"]
    assert hearing.note("attic", "care/fed", "then") == []
    assert "fed then" in said(hearing.announce(after(1))[0])


RECORDS = st.one_of(
    st.sampled_from([health(), health(problem="clipped"), health(hearing=False), level()]),
    st.sampled_from([health(hearing=False, problem="disabled"), Applied("nursery", "enabled", "OFF")]),
    st.just(CauseJudged("nursery", "e1", "unsure", {"hungry": 0.5, "tired": 0.5}, T0)),
    st.builds(lambda on: Alerting("nursery", on=on, at=T0), st.booleans()),
    st.sampled_from([alert(), rehearsed(), drilled(), event("acknowledged")]),
    st.builds(event, st.sampled_from(["cry_started", "cry_ongoing", "cry_ended"]), st.integers(1, 3)),
    st.builds(
        lambda by: event("cry_ended", ended_by=by),
        st.sampled_from(["source_lost", "disabled", "stopped", "source_ended"]),
    ),
    st.just(None),
)


@given(records=st.lists(RECORDS, max_size=40), gap_s=st.sampled_from([0.1, 1.0, 20.0]))
def test_deaf_is_never_off(
    records: list[Event | CauseJudged | Alerting | RoomHealth | Level | Applied | None], gap_s: float
) -> None:
    """Whatever happens in whatever order: `crying` is null exactly while `hearing` is OFF, and availability agrees.

    An alert is on only while the room cries, and the summary says what `state` says.
    """
    messages = Messages("cry", "home", ["nursery"])
    picture = Picture(messages, {}, model_name="m", version="0", now=START)
    retained: dict[str, bytes] = {}
    for number, drawn in enumerate(records, 1):
        now = after(number * gap_s)
        record = drawn
        if isinstance(record, RoomHealth):
            record = health(hearing=record.hearing, problem=record.problem, heard_monotonic_s=float(number))
        said_now = picture.tick(now) if record is None else picture.handle(record, now)
        for message in said_now:
            retained[message.topic] = message.payload
            if message.topic.endswith("/state"):
                state_ = json.loads(message.payload)
                assert (state_["crying"] is None) == (state_["hearing"] == "OFF")
                assert state_["alert"] == "OFF" or state_["crying"] == "ON"
                heard = retained.get("cry/home/nursery/availability", b"offline") == b"online"
                assert heard == (state_["hearing"] == "ON")
        state_ = json.loads(retained.get("cry/home/nursery/state", b'{"crying": null, "alert": "OFF"}'))
        summary = json.loads(retained.get("cry/home/summary", b'{"crying": [], "unacknowledged": [], "deaf": [0]}'))
        assert bool(summary["crying"]) == (state_["crying"] == "ON")
        assert bool(summary["unacknowledged"]) == (state_["alert"] == "ON")
        assert bool(summary["deaf"]) == (state_["crying"] is None)
    for message in picture.stop(after(1e4)):
        retained[message.topic] = message.payload
    assert json.loads(retained.get("cry/home/nursery/state", b'{"crying": null}'))["crying"] is None
    assert retained.get("cry/home/nursery/availability", b"offline") == b"offline"
