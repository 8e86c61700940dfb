"""The publisher with a real broker: what goes out, in which order, and what becomes of it when one of the two dies."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
import structlog
from mqtt_broker import Mosquitto, Received, Recorder, recording, wait_until
from publish.make import Service, event, health, level, store

from monitor.publish import Broker, Store
from monitor.records import Applied, CauseJudged, ReasonHealth

pytestmark = pytest.mark.broker

STATUS = "cry/home/status"
EVENT = "cry/home/nursery/event"
STATE = "cry/home/nursery/state"
HEALTH = "cry/home/health"
AVAILABILITY = "cry/home/nursery/availability"


def payloads(received: list[Received], topic: str) -> list[dict[str, object]]:
    """Return what was said on a topic of JSON, in order."""
    return [json.loads(message.payload) for message in received if message.topic == topic]


def crying(received: list[Received]) -> list[object]:
    """Return what `state` said of crying, in order."""
    return [state["crying"] for state in payloads(received, STATE)]


def wait_for_events(recorder: Recorder, count: int) -> list[dict[str, object]]:
    """Wait for so many events, and return them."""
    return payloads(recorder.wait_for(lambda all_: len(payloads(all_, EVENT)) >= count, f"{count} events"), EVENT)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_cry_goes_out(broker: Mosquitto, recorder: Recorder, protocol: Literal["5", "3.1.1"]) -> None:
    """A cry that starts and ends is two events, and `state` follows each; both protocols."""
    with Service(broker=Broker("127.0.0.1", broker.port, protocol=protocol)) as service:
        recorder.wait_for_message(STATUS, b"online")
        service.tell(health(), level(), event("cry_started"), event("cry_ended"))
        wait_for_events(recorder, 2)
        recorder.wait_for(lambda all_: crying(all_)[-1] == "OFF", "state is OFF again")
    recorder.wait_for_message(STATUS, b"offline")
    received = recorder.received
    assert [e["event_type"] for e in payloads(received, EVENT)] == ["cry_started", "cry_ended"]
    assert crying(received) == [None, "OFF", "ON", "OFF", None]
    assert payloads(received, "cry/home/nursery/level") == [{"v": 1, "dbfs": -41.3, "gate": "closed", "score": 0.02}]
    flags = {message.topic: (message.retain, message.qos) for message in received}
    assert (flags[EVENT], flags[STATE], flags["cry/home/nursery/level"]) == ((False, 1), (True, 1), (False, 0))


def test_online_is_said_last(broker: Mosquitto, recorder: Recorder) -> None:
    """On a connect: settings, `state`, availability, the events that wait, `online`; later state comes after it."""
    service = Service(port=broker.port, rooms=[f"room{n}" for n in range(12)])
    service.tell(*(health(room=f"room{n}") for n in range(12)))
    service.tell(*(event(number=n, room=f"room{n % 12}") for n in range(30)))
    with service:
        recorder.wait_for_message(STATUS, b"online")
        names = [topic.rpartition("/")[2] for topic in recorder.topics()]
    order = [name for n, name in enumerate(names[: names.index("status")]) if n == 0 or names[n - 1] != name]
    order = [name for name in order if name not in {"tonight", "summary"}]
    # Each room's two settings stand side by side.
    assert [name for name in order if name not in {"enabled", "sensitivity"}] == [
        "feedback",
        "state",
        "availability",
        "event",
        "health",
    ]
    assert names.index("state") == 36
    assert names.count("event") == 30
    assert names[:36] == [*["enabled", "sensitivity"] * 12, *["feedback"] * 12]


def test_a_loss_is_told_in_order(broker: Mosquitto, recorder: Recorder) -> None:
    """Availability `offline`, `cry_ended`, `state` with null; `crying` is never OFF on the way."""
    with Service(port=broker.port) as service:
        service.tell(health(), event("cry_started"))
        wait_for_events(recorder, 1)
        recorder.wait_for(lambda all_: crying(all_)[-1:] == ["ON"], "state is ON")
        recorder.clear()
        service.tell(health(hearing=False), event("cry_ended", ended_by="source_lost"))
        received = recorder.wait_for(lambda all_: any(m.topic == STATE for m in all_), "state")
    told = [m for m in received if m.topic in {AVAILABILITY, EVENT, STATE}]
    assert [m.topic for m in told] == [AVAILABILITY, EVENT, STATE]
    assert told[0].payload == b"offline"
    assert payloads(told, STATE)[0]["crying"] is None


def test_a_broker_that_lost_everything_is_told_everything(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path
) -> None:
    """The broker is killed and comes back empty: state is there again, what happened meanwhile arrives, marked late."""
    history = store(tmp_path)
    service = Service(port=broker.port, store=history, retry_s=300.0)
    with service:
        service.tell(health())
        recorder.wait_for_message(AVAILABILITY, b"online")
        service.clock.move_on(31)  # a connection that ends sooner is followed by a minute's wait
        broker.kill()
        wait_until(lambda: not service.publisher.connected, "the loss is noticed")
        service.tell(event("cry_started"), level(), Applied("nursery", "sensitivity", "high"))
        wait_until(lambda: history_holds(tmp_path, 1), "stored")
        service.clock.move_on(200)
        service.tell(event("cry_ended", at=event().at + 200))
        wait_until(lambda: history_holds(tmp_path, 2), "stored")
        broker.start()
        with recording(broker.port) as again:
            assert again.received == []
            service.clock.move_on(101)
            again.wait_for_message(STATUS, b"online")
            received = again.received
    events = payloads(received, EVENT)
    assert [e["event_type"] for e in events] == ["cry_started", "cry_ended"]
    assert [e["late"] for e in events] == [True, True]
    assert crying(received) == ["OFF"]
    assert "cry/home/nursery/level" not in [m.topic for m in received]
    assert b"high" in [m.payload for m in received]
    assert [m.topic for m in received if m.topic.startswith(STATUS)] == [STATUS]


def test_what_is_older_than_ten_minutes_is_kept_in_history_only(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path
) -> None:
    """An event that waited over 10 minutes is not sent: that is logged, and no later start sends it."""
    broker.pause()
    history = store(tmp_path)
    service = Service(port=broker.port, store=history, retry_s=0.1)
    with structlog.testing.capture_logs() as logs:
        with service:
            service.tell(event("cry_started"), health())
            wait_until(lambda: history_holds(tmp_path, 1), "stored")
            service.clock.move_on(601)
            service.tell(event("cry_ended"))
            wait_until(lambda: history_holds(tmp_path, 2), "stored")
            broker.resume()
            events = wait_for_events(recorder, 1)
        assert [e["event_type"] for e in events] == ["cry_ended"]
        assert "event_kept_in_history_only" in [line["event"] for line in logs]
    with closing(sqlite3.connect(tmp_path / "history.db")) as db:
        rows = db.execute("SELECT event_type, delivered_at IS NOT NULL, expired FROM events ORDER BY rowid").fetchall()
    assert rows == [("cry_started", 0, 1), ("cry_ended", 1, 0)]


def test_what_an_earlier_run_left_for_over_ten_minutes_is_history_only(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path
) -> None:
    """After a restart, too: what is older is not sent, which is logged; what is younger is, marked late."""
    before = store(tmp_path)
    before.append(event("cry_ended", 1))
    before.append(event("cry_ended", 2, at=event().at + 100))
    before.close()
    service = Service(port=broker.port, store=store(tmp_path))
    service.clock.move_on(650)
    with structlog.testing.capture_logs() as logs, service:
        recorder.wait_for_message(STATUS, b"online")
        told = payloads(recorder.received, EVENT)
    assert [(e["event_id"], e["late"]) for e in told] == [("e2-cry_ended", True)]
    assert [line["events"] for line in logs if line["event"] == "events_kept_in_history_only"] == [1]


def history_holds(folder: Path, count: int) -> bool:
    """Return whether so many events are in the history."""
    with closing(sqlite3.connect(folder / "history.db")) as db:
        held: int = db.execute("SELECT count(*) FROM events").fetchone()[0]
        return held >= count


def test_a_cry_that_the_service_died_in_is_ended(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """At the next start its `cry_ended` goes out before `online`, with `interrupted`, late; so does what nobody got."""
    died = store(tmp_path)
    died.append(event("cry_started"))
    died.touch("e1", event().at + 40)
    died.close()
    service = Service(port=broker.port, store=store(tmp_path))
    service.clock.move_on(100)
    with service:
        recorder.wait_for_message(STATUS, b"online")
        received = recorder.received
    events = payloads(received, EVENT)
    assert [(e["event_type"], e["ended_by"], e["late"]) for e in events] == [
        ("cry_started", None, True),
        ("cry_ended", "interrupted", True),
    ]
    assert crying(received)[0] is None
    with closing(sqlite3.connect(tmp_path / "history.db")) as db:
        assert db.execute("SELECT ended_by FROM episodes").fetchall() == [("interrupted",)]


def test_a_reason_model_that_fails_is_told_until_it_works(broker: Mosquitto, recorder: Recorder) -> None:
    """`problem` says `reason_model` in the room and in `health` while it fails, and the judged cause is in `state`."""

    def problems(received: list[Received]) -> list[object]:
        return [payloads(received, topic)[-1]["problem"] for topic in (STATE, HEALTH) if payloads(received, topic)]

    with Service(port=broker.port) as service:
        service.tell(health(), event("cry_started"), ReasonHealth(1, "it is out of order"))
        recorder.wait_for(lambda all_: problems(all_) == ["reason_model"] * 2, "reason_model")
        service.tell(ReasonHealth(0), CauseJudged("nursery", "e1", "unsure", {"hungry": 1.0}, event().at))
        recorder.wait_for(lambda all_: problems(all_) == ["ok"] * 2, "ok")
        assert payloads(recorder.received, STATE)[-1]["reasons"] == {"hungry": 1.0}


def test_a_delivered_event_is_not_sent_at_the_next_start(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """What the broker has acknowledged is done with, over a restart too."""
    with Service(port=broker.port, store=store(tmp_path)) as service:
        service.tell(health(), event("cry_started"), event("cry_ended"))
        wait_for_events(recorder, 2)
    recorder.clear()
    with Service(port=broker.port, store=store(tmp_path)):
        recorder.wait_for_message(STATUS, b"online")
        assert payloads(recorder.received, EVENT) == []


def test_alerts_go_out_though_the_history_fails(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """A locked history makes `problem: store` and delays an event by 0.2 s at most; nothing is missing later."""
    history = store(tmp_path)
    with Service(port=broker.port, store=history) as service:
        service.tell(health())
        recorder.wait_for_message(STATUS, b"online")
        with closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began_s = time.monotonic()
            service.tell(event("cry_started"), event("cry_ended"))
            wait_for_events(recorder, 2)
            assert time.monotonic() - began_s < 2.0
            recorder.wait_for(lambda all_: payloads(all_, STATE)[-1]["problem"] == "store", "the problem in state")
            recorder.wait_for(lambda all_: payloads(all_, "cry/home/health")[-1]["problem"] == "store", "and in health")
            other.execute("ROLLBACK")
        recorder.wait_for(lambda all_: payloads(all_, STATE)[-1]["problem"] == "ok", "the problem is over")
    assert history_holds(tmp_path, 2)


def test_without_a_history_alerts_go_out(broker: Mosquitto, recorder: Recorder) -> None:
    """A history that could not be opened is a problem that is said, and no more."""
    with Service(port=broker.port, history_failing=True) as service:
        service.tell(health(), event("cry_started"))
        wait_for_events(recorder, 1)
        recorder.wait_for(lambda all_: payloads(all_, STATE)[-1]["problem"] == "store", "the problem in state")


def test_a_burst_arrives_whole_and_in_order(broker: Mosquitto, recorder: Recorder) -> None:
    """900 events at once: 20 are in flight at a time, none is lost and none overtakes another."""
    with Service(port=broker.port) as service:
        recorder.wait_for_message(STATUS, b"online")
        service.tell(*(event(number=n) for n in range(900)))
        events = wait_for_events(recorder, 900)
    assert [e["episode_id"] for e in events] == [f"e{n}" for n in range(900)]


def test_a_room_that_is_no_longer_configured_is_cleared(broker: Mosquitto, recorder: Recorder) -> None:
    """Its retained topics are cleared; other nodes and our own rooms are left alone."""
    for name in ("state", "enabled", "sensitivity", "availability"):
        recorder.send(f"cry/home/attic/{name}", b"old", retain=True)
        recorder.send(f"cry/other/attic/{name}", b"old", retain=True)
    recorder.clear()
    with Service(port=broker.port):
        recorder.wait_for_message("cry/home/attic/availability", b"")
    with recording(broker.port) as later:
        later.send("done", b"")
        later.wait_for_message("done")
        kept = {m.topic for m in later.received if m.retain}
    assert not [topic for topic in kept if topic.startswith("cry/home/attic/")]
    assert {f"cry/other/attic/{name}" for name in ("state", "enabled", "sensitivity", "availability")} <= kept
    assert AVAILABILITY in kept


def test_the_last_words_are_acknowledged(broker: Mosquitto, recorder: Recorder) -> None:
    """On an orderly stop in a cry: availability, `cry_ended`, `state` with null, and `offline` last, retained."""
    with Service(port=broker.port) as service:
        service.tell(health(), event("cry_started"))
        wait_for_events(recorder, 1)
        recorder.wait_for(lambda all_: crying(all_)[-1] == "ON", "state is ON")
        recorder.wait_for_message(STATUS, b"online")
        recorder.clear()
        service.tell(event("cry_ended", ended_by="stopped"))
    recorder.wait_for_message(STATUS, b"offline")
    received = recorder.received
    assert [m.topic for m in received if m.topic in {AVAILABILITY, EVENT, STATE, STATUS}] in (
        [AVAILABILITY, EVENT, STATE, STATUS],
        [AVAILABILITY, EVENT, STATE, AVAILABILITY, STATE, STATUS],
    )
    assert all(state["crying"] is None for state in payloads(received, STATE))
    assert received[-1].retain


def test_a_broker_that_hangs_does_not_hold_up_the_stop(broker: Mosquitto, recorder: Recorder) -> None:
    """The stop takes its 3 s and no more; when the broker goes on, the will says `offline`."""
    service = Service(port=broker.port)
    with service:
        recorder.wait_for_message(STATUS, b"online")
        broker.pause()
        service.tell(health(), event("cry_started"))
        began_s = time.monotonic()
        service.stop()
        assert time.monotonic() - began_s < 4.5
        broker.resume()
        recorder.wait_for_message(STATUS, b"offline")


def test_a_service_that_is_killed_is_offline_by_its_will(broker: Mosquitto, recorder: Recorder) -> None:
    """SIGKILL leaves no last words; the broker says `offline` for us, retained."""
    program = f"""
        import sys
        sys.path[:0] = [{os.fspath(Path(__file__).parents[2])!r}, {os.fspath(Path(__file__).parents[1])!r}]
        from publish.make import Service
        with Service(port={broker.port}) as service:
            service.loop.join(60.0)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.DEVNULL) as process:
        recorder.wait_for_message(STATUS, b"online")
        process.send_signal(signal.SIGKILL)
    assert recorder.wait_for_message(STATUS, b"offline").retain


@pytest.mark.parametrize(
    ("step", "dies_before", "got_before", "got_again"),
    [("append", False, False, True), ("delivered", True, True, True), ("delivered", False, True, False)],
    ids=["stored, not sent", "sent, not noted", "noted"],
)
def test_a_kill_between_two_steps_loses_nothing(
    broker: Mosquitto,
    recorder: Recorder,
    tmp_path: Path,
    step: str,
    *,
    dies_before: bool,
    got_before: bool,
    got_again: bool,
) -> None:
    """SIGKILL between storing, sending and noting the answer: the event arrives, twice at most, with the same id."""
    program = f"""
        import os, signal, sys
        sys.path[:0] = [{os.fspath(Path(__file__).parents[2])!r}, {os.fspath(Path(__file__).parents[1])!r}]
        from pathlib import Path
        from monitor.publish.history import History
        from publish.make import Service, alert, health, store
        before = History.{step}
        def last(*arguments):
            {dies_before} or before(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        History.{step} = last
        with Service(port={broker.port}, store=store(Path({os.fspath(tmp_path)!r}))) as service:
            service.tell(health(), alert())
            service.loop.join(60.0)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)]) as process:
        assert process.wait(60.0) == -signal.SIGKILL
    if got_before:
        recorder.wait_for_message(EVENT)
    assert [e["event_id"] for e in payloads(recorder.received, EVENT)] == ["e1-alert"] * got_before
    recorder.clear()
    with Service(port=broker.port, store=store(tmp_path)):
        recorder.wait_for_message(STATUS, b"online")
        assert [e["event_id"] for e in payloads(recorder.received, EVENT)] == ["e1-alert"] * got_again


def test_memory_keeps_nothing(broker: Mosquitto, recorder: Recorder) -> None:
    """A demonstration's history works as any other."""
    with Service(port=broker.port, store=Store(Path(":memory:"))) as service:
        service.tell(health(), event("cry_started"))
        wait_for_events(recorder, 1)
    assert not Path(":memory:").exists()
