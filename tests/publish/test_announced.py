"""Home Assistant and people's notes, over a real broker: what is said to the one, and what becomes of the other."""

import dataclasses
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from mqtt_broker import Mosquitto, Received, Recorder, recording, wait_until
from publish.make import T0, Service, alert, discovery, event, health, held, level, rehearsed, store

from monitor.publish import MEMORY, AlertLog, Store, past_alerts
from monitor.records import Alerting, Applied, Command

pytestmark = pytest.mark.broker

STATUS = "cry/home/status"
ROOM = "cry/home/nursery"
BIRTH = "homeassistant/status"
DEVICE = "homeassistant/device/cry_home_nursery/config"


def ready(service: Service, recorder: Recorder) -> None:
    """Wait until commands are listened to."""

    def comes_through() -> bool:
        recorder.send(f"{ROOM}/enabled/set", b"ON")
        return bool(service.commands)

    recorder.wait_for_message(STATUS, b"online")
    wait_until(comes_through, "commands come through")
    recorder.send(f"{ROOM}/enabled/set", b"OFF")  # of those that were sent meanwhile none comes after this one
    wait_until(lambda: service.commands[-1].value == "OFF", "the last of them")
    service.commands.clear()


def order(received: list[Received]) -> list[str]:
    """Return the last part of each topic of ours, in order, each once; `online` and `offline` for the status."""
    names = [
        message.payload.decode() if message.topic == STATUS else message.topic.rpartition("/")[2]
        for message in received
        if not message.topic.endswith("/set") and message.topic != BIRTH
    ]
    return list(dict.fromkeys(names))


def test_home_assistant_is_told_first(broker: Mosquitto, recorder: Recorder) -> None:
    """On a connect: discovery, settings, `state`, `availability`, the events that wait, and `online` last."""
    service = Service(port=broker.port, announced=discovery(), store=Store(Path(MEMORY)))
    service.tell(health(), event("cry_started"))
    with service:
        recorder.wait_for_message(STATUS, b"online")
        told = order(recorder.received)
    assert told[: told.index("online") + 1] == [
        *("config", "enabled", "sensitivity", "feedback", "state", "availability", "event"),
        *("tonight", "figures", "summary", "health", "online"),
    ]
    assert all(message.retain for message in recorder.received if message.topic == DEVICE)


def test_without_discovery_nothing_is_said_there(broker: Mosquitto, recorder: Recorder) -> None:
    """Switched off, no topic of Home Assistant's is touched, and its birth is not listened to."""
    with Service(port=broker.port) as service:
        ready(service, recorder)
        before = len(recorder.received)
        recorder.send(BIRTH, b"online")
        service.tell(event("cry_started"))
        recorder.wait_for_message(f"{ROOM}/event")
    assert [m.topic for m in recorder.received if m.topic.startswith("homeassistant/")] == [BIRTH]
    assert STATUS not in [m.topic for m in recorder.received[before:-1] if m.payload == b"online"]


@pytest.mark.parametrize("payload", [b"offline", b"", b"ONLINE"])
def test_a_home_assistant_that_begins_is_told_everything(broker: Mosquitto, recorder: Recorder, payload: bytes) -> None:
    """Its `online` brings all of it again, `online` last; no event is sent twice; any other word brings nothing."""
    with Service(port=broker.port, announced=discovery(), store=Store(Path(MEMORY))) as service:
        ready(service, recorder)
        service.tell(health(), event("cry_started"))
        recorder.wait_for(lambda all_: b'"crying":["nursery"]' in all_[-1].payload, "the summary, which comes last")
        recorder.clear()
        recorder.send(BIRTH, payload)
        recorder.send(BIRTH, b"online")
        recorder.wait_for_message(STATUS, b"online")
        assert order(recorder.received) == [
            *(
                "config",
                "enabled",
                "sensitivity",
                "feedback",
                "state",
                "availability",
                "tonight",
                "figures",
                "summary",
                "health",
                "online",
            ),
        ]
        assert [m.topic for m in recorder.received].count(STATUS) == 1


def test_an_alert_into_the_gap_is_said_again(broker: Mosquitto, recorder: Recorder) -> None:
    """A Home Assistant that begins hears the unanswered alert of the last 30 s, with its id, before `online`; no other.

    Another event, a test, an alert that is answered or was taken earlier is not said again.
    """
    with Service(port=broker.port, announced=discovery()) as service:
        ready(service, recorder)
        service.tell(health(), event("cry_started"), rehearsed(), alert(), Alerting("nursery", on=True, at=T0))
        recorder.wait_for(lambda all_: b'"unacknowledged":["nursery"]' in all_[-1].payload, "the summary, at the end")
        assert said_again(recorder) == ["e1-alert"]
        told = order(recorder.received)
        assert told.index("availability") < told.index("event") < told.index("online")
        service.clock.move_on(25)
        assert said_again(recorder) == ["e1-alert"]
        service.clock.move_on(6)
        assert said_again(recorder) == []
        second = alert(event_id="e1-alert-2", cause="repeat")
        service.tell(second)
        recorder.wait_for_message(f"{ROOM}/event")
        assert said_again(recorder) == ["e1-alert-2"]
        service.tell(Alerting("nursery", on=False, at=T0))
        recorder.wait_for(lambda all_: b'"unacknowledged":[]' in all_[-1].payload, "the summary, at the end")
        assert said_again(recorder) == []


def said_again(recorder: Recorder) -> list[str]:
    """Let Home Assistant begin; return the ids of the events that it is told."""
    recorder.clear()
    recorder.send(BIRTH, b"online")
    recorder.wait_for_message(STATUS, b"online")
    return [json.loads(m.payload)["event_id"] for m in recorder.received if m.topic == f"{ROOM}/event"]


def test_a_birth_of_the_past_is_none(broker: Mosquitto, recorder: Recorder) -> None:
    """Where Home Assistant retains its birth, what a newcomer is told of it is no new one."""
    recorder.send(BIRTH, b"online", retain=True)
    with Service(port=broker.port, announced=discovery()) as service:
        ready(service, recorder)
        service.tell(event("cry_started"))
        recorder.wait_for_message(f"{ROOM}/event")
        assert recorder.topics().count(DEVICE) == 1


def test_a_room_that_was_taken_out_vanishes(broker: Mosquitto, recorder: Recorder) -> None:
    """A room that is configured no more at a start leaves neither a topic nor a device behind."""
    with Service(port=broker.port, rooms=["attic", "nursery"], announced=discovery("attic", "nursery")) as service:
        ready(service, recorder)
        service.tell(health(room="attic"))
        recorder.wait_for_message("cry/home/attic/availability", b"online")
        recorder.send("cry/home/attic/care/fed/set", b"")
        recorder.wait_for_message("cry/home/attic/care/fed")
    with Service(port=broker.port, announced=discovery()):
        recorder.wait_for_message("cry/home/attic/availability", b"")
    with recording(broker.port) as later:
        later.send("done", b"")
        later.wait_for_message("done")
        kept = [m.topic for m in later.received if m.retain]
    assert not [topic for topic in kept if "attic" in topic]
    assert DEVICE in kept


def test_a_room_that_was_taken_out_vanishes_without_discovery_too(broker: Mosquitto, recorder: Recorder) -> None:
    """What was announced of it once is cleared; of what there is nothing is said, and no birth is listened to."""
    attic = "homeassistant/device/cry_home_attic/config"
    with Service(port=broker.port, rooms=["attic", "nursery"], announced=discovery("attic", "nursery")) as service:
        service.tell(health(room="attic"))
        recorder.wait_for_message("cry/home/attic/availability", b"online")
    recorder.clear()
    with Service(port=broker.port, announced=discovery(announce=False)) as service:
        recorder.wait_for_message("cry/home/attic/availability", b"")
        ready(service, recorder)
        before = recorder.topics().count(STATUS)
        recorder.send(BIRTH, b"online")
        service.tell(event("cry_started"))
        recorder.wait_for_message(f"{ROOM}/event")
        assert recorder.topics().count(STATUS) == before
    assert [(m.topic, m.payload) for m in recorder.received if m.topic.startswith("homeassistant/device")] == [
        (attic, b"")
    ]


def test_an_alert_goes_out_is_kept_and_logged(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """An alert is an event, a state, a row and a line; one that was held is a row and a line."""
    log = AlertLog(tmp_path / "alerts.jsonl")
    with Service(port=broker.port, store=store(tmp_path), alert_log=log) as service:
        service.tell(health(), event("cry_started"), alert(), Alerting("nursery", on=True, at=T0), held(), rehearsed())
        recorder.wait_for(
            lambda all_: (
                [json.loads(m.payload)["test"] for m in all_ if m.topic == f"{ROOM}/event"] == [False, False, True]
            ),
            "the test's event",
        )
        recorder.wait_for(
            lambda all_: any(m.topic == f"{ROOM}/state" and json.loads(m.payload)["alert"] == "ON" for m in all_),
            "the alert in state",
        )
        recorder.wait_for(
            lambda all_: [json.loads(m.payload)["alerts"] for m in all_ if m.topic == f"{ROOM}/tonight"][-1:] == [1],
            "the alert in tonight, and not the test",
        )
    assert [line["event"] for line in map(json.loads, log.path.read_text().splitlines())] == [
        *("alert", "alert_held", "alert"),
    ]
    kept = past_alerts(tmp_path / "history.db") or []
    assert {(one.cause, one.held_by, one.episode_id) for one in kept} == {
        ("first", None, "e1"),
        ("repeat", "snooze", "e1"),
        ("test", None, None),
    }


def test_a_log_that_cannot_be_written_stops_no_alert(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """A missing folder is one warning, and every alert goes out."""
    log = AlertLog(tmp_path / "absent" / "alerts.jsonl")
    with structlog.testing.capture_logs() as logs, Service(port=broker.port, alert_log=log) as service:
        service.tell(*(alert(number) for number in range(5)))
        recorder.wait_for(lambda all_: [m.topic for m in all_].count(f"{ROOM}/event") == 5, "the alerts")
        wait_until(lambda: "alert_log_failed" in {line["event"] for line in logs}, "the warning")
    assert [line["event"] for line in logs].count("alert_log_failed") == 1


def test_the_night_survives_a_restart(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """What the history knows of this night is said at the next start; without a history it begins anew."""
    with Service(port=broker.port, store=store(tmp_path)) as service:
        service.tell(health(), event("cry_started"), event("cry_ended", duration_s=90.0), alert())
        recorder.wait_for_message(STATUS, b"online")
    for history, episodes in ((store(tmp_path), 1), (None, 0)):
        recorder.clear()
        with Service(port=broker.port, store=history):
            tonight = json.loads(recorder.wait_for_message(f"{ROOM}/tonight").payload)
        assert (tonight["episodes"], tonight["alerts"]) == (episodes, episodes)


def test_figures_follow_alerts_and_answers(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """An alert is counted as it is sent, its answer as it is given; hours by the next start at the latest."""

    def wait_for_figures(**expected: object) -> None:
        def told(all_: list[Received]) -> bool:
            said = [json.loads(m.payload) for m in all_ if m.topic == f"{ROOM}/figures" and m.payload]
            return bool(said) and expected.items() <= said[-1].items()

        recorder.wait_for(told, f"figures: {expected}")

    with Service(port=broker.port, store=store(tmp_path)) as service:
        ready(service, recorder)
        wait_for_figures(heard_h=0.0, alerts=0, per_night_high=None)
        service.tell(dataclasses.replace(level(), heard_s=720.0, model="cry-1"))
        service.tell(health(), event("cry_started"), alert(sensitivity="normal"), rehearsed(sensitivity="normal"))
        wait_for_figures(alerts=1, answered=0, unanswered=1)
        recorder.send(f"{ROOM}/feedback/set", b"not_a_cry")
        wait_for_figures(alerts=1, answered=1, unanswered=0, not_a_cry=1)
    recorder.clear()
    with Service(port=broker.port, store=store(tmp_path)):
        wait_for_figures(heard_h=0.2, not_a_cry=1, per_night=40.0)


def test_noon_begins_another_night(broker: Mosquitto, recorder: Recorder) -> None:
    """At noon by the local clock the night is empty, and says so by itself."""
    with Service(port=broker.port) as service:
        service.tell(health(), event("cry_started"), event("cry_ended"))
        recorder.wait_for_message(STATUS, b"online")
        nights = {json.loads(m.payload)["night"] for m in recorder.received if m.topic == f"{ROOM}/tonight"}
        service.clock.move_on(86_400)
        recorder.wait_for(
            lambda all_: any(
                m.topic == f"{ROOM}/tonight"
                and json.loads(m.payload)["episodes"] == 0
                and json.loads(m.payload)["night"] not in nights
                for m in all_
            ),
            "another night",
        )


def test_care_is_kept_and_said(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """A press is now, a time is that time; the last one stands, over a restart too; nobody else is asked."""
    with Service(port=broker.port, store=store(tmp_path)) as service:
        ready(service, recorder)
        recorder.send(f"{ROOM}/care/fed/set", b"2026-09-21T13:00:00Z")
        recorder.wait_for_message(f"{ROOM}/care/fed", b"2026-09-21T13:00:00.000Z")
        recorder.send(f"{ROOM}/care/fed/set", b"2026-09-21T11:00:00Z")
        recorder.wait_for(lambda all_: [m.topic for m in all_].count(f"{ROOM}/care/fed") == 2, "the answer")
        recorder.send(f"{ROOM}/care/changed/set", b"PRESS")
        changed = recorder.wait_for_message(f"{ROOM}/care/changed").payload
        assert changed[:15] == b"2026-09-21T14:1"
        assert service.commands == []
    recorder.clear()
    with Service(port=broker.port, store=store(tmp_path)):
        assert recorder.wait_for_message(f"{ROOM}/care/fed").payload == b"2026-09-21T13:00:00.000Z"
        assert recorder.wait_for_message(f"{ROOM}/care/changed").payload == changed


def test_feedback_is_of_the_running_else_of_the_latest_cry(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path
) -> None:
    """It is kept with its episode, said, and handed to detect with the episode that was meant; after a restart too."""
    with Service(port=broker.port, store=store(tmp_path)) as service:
        ready(service, recorder)
        service.tell(health(), event("cry_started", 1), event("cry_ended", 1), event("cry_started", 2))
        recorder.wait_for(lambda all_: [m.topic for m in all_].count(f"{ROOM}/event") == 3, "the events")
        recorder.send(f"{ROOM}/feedback/set", b"not_a_cry")
        recorder.wait_for_message(f"{ROOM}/feedback", b"not_a_cry")
        recorder.send(f"{ROOM}/feedback/set", b'{"value": "hungry", "episode_id": "e1"}')
        wait_until(lambda: len(service.commands) == 2, "the answer to the older one")
        assert service.commands == [
            Command("nursery", "feedback", "not_a_cry", episode_id="e2"),
            Command("nursery", "feedback", "hungry", episode_id="e1"),
        ]
    with closing(sqlite3.connect(tmp_path / "history.db")) as db:
        kept = db.execute("SELECT episode_id, value FROM feedback ORDER BY rowid").fetchall()
    assert kept == [("e2", "not_a_cry"), ("e1", "hungry")]
    with Service(port=broker.port, store=store(tmp_path)) as service:
        ready(service, recorder)
        recorder.send(f"{ROOM}/feedback/set", b"tired")
        recorder.wait_for_message(f"{ROOM}/feedback", b"tired")
        assert service.commands[-1].episode_id == "e2"
    said = [m.payload for m in recorder.received if m.topic == f"{ROOM}/feedback"]
    assert said == [b"None", b"not_a_cry", b"not_a_cry", b"tired"]


def test_an_answer_of_before_does_not_stay(broker: Mosquitto, recorder: Recorder) -> None:
    """What the broker kept of a cry that the history does not know goes at the next connect."""
    recorder.send(f"{ROOM}/feedback", b"hungry", retain=True)
    with Service(port=broker.port):
        recorder.wait_for_message(f"{ROOM}/feedback", b"None")


def test_a_history_that_cannot_be_read_knows_no_cry(broker: Mosquitto, recorder: Recorder) -> None:
    """Without one an answer to an older cry is refused, and says so; the latest since the start can be answered."""
    with structlog.testing.capture_logs() as logs, Service(port=broker.port, history_failing=True) as service:
        ready(service, recorder)
        recorder.send(f"{ROOM}/feedback/set", b"hungry")
        recorder.send(f"{ROOM}/feedback/set", b'{"value": "hungry", "episode_id": "e1"}')
        wait_until(lambda: len(refused(logs)) == 2, "the warnings")
        service.tell(health(), event("cry_started"))
        recorder.wait_for_message(f"{ROOM}/event")
        recorder.send(f"{ROOM}/feedback/set", b"hungry")
        recorder.wait_for_message(f"{ROOM}/feedback", b"hungry")
    assert all("the history cannot be read" in err for err in refused(logs))


def refused(logs: list[structlog.typing.EventDict]) -> list[str]:
    return [line["err"] for line in logs if line["event"] == "command_refused"]


def test_feedback_on_nothing_changes_nothing(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """An unknown id, a room without a cry, and a full inbox: one warning each, nothing kept, nothing said."""
    with structlog.testing.capture_logs() as logs:
        service = Service(port=broker.port, store=store(tmp_path), rooms=["nursery", "attic"])
        with service:
            ready(service, recorder)
            service.tell(health(), event("cry_started"))
            recorder.wait_for_message(f"{ROOM}/event")
            recorder.send(f"{ROOM}/feedback/set", b'{"value": "hungry", "episode_id": "e9"}')
            recorder.send("cry/home/attic/feedback/set", b"hungry")
            recorder.send("cry/home/attic/feedback/set", b'{"value": "hungry", "episode_id": "e1"}')
            service.allow(0)
            recorder.send(f"{ROOM}/feedback/set", b"hungry")
            wait_until(lambda: len(refused(logs)) == 4, "the warnings")
            assert service.commands == []
    faults = ["no episode with that id", "there was no cry yet", "no episode with that id", "too many commands wait"]
    assert [err.rpartition(": ")[2] for err in refused(logs)] == faults
    assert {m.payload for m in recorder.received if m.topic.endswith("/feedback")} == {b"None"}


def test_a_setting_with_an_end_is_said_and_kept(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """A snooze's state is its end; what the owner applied is there again at the next start."""
    history = store(tmp_path)
    end = "2026-09-21T15:00:00.000Z"
    with Service(port=broker.port, store=history, settings=history.settle({("nursery", "snooze"): "None"})) as service:
        ready(service, recorder)
        recorder.send(f"{ROOM}/snooze/set", b"30")
        wait_until(lambda: service.commands, "the command")
        assert service.commands == [Command("nursery", "snooze", "30")]
        service.tell(Applied("nursery", "snooze", end, T0 + 2_799.75, 1_800))
        recorder.wait_for_message(f"{ROOM}/snooze", end.encode())
    again = store(tmp_path)
    assert again.settle({("nursery", "snooze"): "None"}) == {("nursery", "snooze"): end}
    assert again.until() == {("nursery", "snooze"): (T0 + 2_799.75, 1_800)}
    again.close()
