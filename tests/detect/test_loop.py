from collections.abc import Iterator

import numpy as np
import pytest
import structlog
import synth
import toy_reason
from loudness import HOP_SAMPLES, MODEL, WINDOW_SAMPLES

from monitor.capture import Segmenter
from monitor.detect import AlertRule, Detect, Detector, Reasons
from monitor.detect.model import Waveforms
from monitor.errors import InferenceError
from monitor.handoff import Inbox, Reports, SegmentQueue
from monitor.offline import numbered
from monitor.records import AlertHeld, Alerting, Command, Event, ReasonHealth


def failing(works: Iterator[bool]) -> toy_reason.Likelihood:
    def likelihood(_: Waveforms) -> np.ndarray:
        if not next(works):
            raise InferenceError("reason", "is out of order")
        return np.array([[1.0, 0.0]])

    return likelihood


def test_a_reason_model_that_fails_is_logged_once() -> None:
    """The first failure is one WARNING with the fix, the next is none, and the first answer after them is told."""
    model = toy_reason.model(failing(iter([False, False, True])), categories=["hungry", "tired"])
    queue, reports = SegmentQueue(), Reports[object]()
    detect = Detect(
        detector=Detector(MODEL, {"nursery": "normal"}, numbered(), Reasons(model)),
        queue=queue,
        inbox=Inbox(),
        gates={"nursery": Inbox()},
        reports=reports,
    )
    pcm = synth.over(synth.noise(160, -65), (6, synth.cry(150, -15)))
    segmenter = Segmenter("nursery", window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES)
    with structlog.testing.capture_logs() as logs:
        for segment in segmenter.feed(pcm, 0.0):
            queue.put(segment)
            detect.turn()
        detect.finish()
    told = reports.take_all(0.0)
    assert [record.failures for record in told if isinstance(record, ReasonHealth)] == [1, 2, 0]
    assert [record.reason for record in told if isinstance(record, Event)] == ["unsure", "unsure", "hungry", "hungry"]
    about = [line for line in logs if line["event"].startswith("reason_model")]
    assert [(line["event"], line["log_level"]) for line in about] == [
        ("reason_model_failed", "warning"),
        ("reason_model_works_again", "info"),
    ]
    assert "is out of order" in about[0]["err"]
    assert "model.runtime" in about[0]["fix"]
    assert "inference_failed" not in [line["event"] for line in logs]


def test_an_alert_is_one_line_of_the_log() -> None:
    """An alert, a held one, an acknowledgement and a test are one INFO line each, and publish is told."""
    queue, reports, inbox = SegmentQueue(), Reports[object](), Inbox()
    detect = Detect(
        detector=Detector(MODEL, {"nursery": "normal"}, numbered(), alerts={"nursery": AlertRule(repeat_after_s=3)}),
        queue=queue,
        inbox=inbox,
        gates={"nursery": Inbox()},
        reports=reports,
    )
    pcm = synth.over(synth.noise(14, -65), (3, synth.cry(10, -15)))
    segmenter = Segmenter("nursery", window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES)
    told: list[object] = []
    with structlog.testing.capture_logs() as logs:
        for segment in segmenter.feed(pcm, 0.0):
            queue.put(segment)
            detect.turn()
            new = reports.take_all(0.0)
            told += new
            if any(isinstance(record, Alerting) and record.on for record in new):
                inbox.put(Command("nursery", "acknowledge", "Anna"))
                inbox.put(Command("nursery", "test_alert", ""))
        detect.finish()
    told += reports.take_all(0.0)
    about = [line for line in logs if line["event"].startswith(("alert", "ack"))]
    assert {line["log_level"] for line in about} == {"info"}
    alert, acknowledged, test, held, *more = about
    episode_id = told_events(told)[0].episode_id
    assert (alert["event"], alert["room"], alert["episode_id"]) == ("alert", "nursery", episode_id)
    assert (alert["cause"], alert["test"]) == ("first", False)
    assert 0 < alert["crying_s"] < 4
    assert (acknowledged["event"], acknowledged["by"]) == ("acknowledged", "Anna")
    assert (test["event"], test["cause"], test["test"], test["episode_id"]) == ("alert", "test", True, None)
    assert (held["event"], held["cause"], held["due"]) == ("alert_held", "acknowledged", "repeat")
    assert {line["event"] for line in more} <= {"alert_held"}
    assert [event.event_type for event in told_events(told)] == [
        *("cry_started", "alert", "acknowledged", "alert", "cry_ended"),
    ]
    assert len([record for record in told if isinstance(record, AlertHeld)]) == 1 + len(more)
    assert [record.on for record in told if isinstance(record, Alerting)] == [True, False]


def told_events(told: list[object]) -> list[Event]:
    return [record for record in told if isinstance(record, Event)]


def test_an_acknowledgement_of_nothing_is_one_warning() -> None:
    """Who presses when no cry runs is told so in the log; nothing else comes of it."""
    reports, inbox = Reports[object](), Inbox()
    detect = Detect(
        detector=Detector(MODEL, {"nursery": "normal"}, numbered(), alerts={"nursery": AlertRule()}),
        queue=SegmentQueue(),
        inbox=inbox,
        gates={"nursery": Inbox()},
        reports=reports,
    )
    inbox.put(Command("nursery", "acknowledge", "Anna"))
    with structlog.testing.capture_logs() as logs:
        detect.finish()
        detect.turn()
    assert [(line["event"], line["log_level"], line["room"]) for line in logs] == [
        ("acknowledge_ignored", "warning", "nursery")
    ]
    assert reports.take_all(0.0) == []


def test_a_drill_is_one_line_of_the_log() -> None:
    """A drill that passed is one INFO line, one that failed or cannot begin one WARNING that says what to do."""
    queue, reports, inbox = SegmentQueue(), Reports[object](), Inbox()
    now_s = [0.0]
    detect = Detect(
        detector=Detector(MODEL, {"nursery": "normal", "attic": "normal"}, numbered()),
        queue=queue,
        inbox=inbox,
        gates={"nursery": Inbox(), "attic": Inbox()},
        reports=reports,
        clock=lambda: now_s[0],
    )
    pcm = synth.over(synth.noise(20, -65), (3, synth.cry(5, -15)))
    segmenter = Segmenter("nursery", window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES)
    segments = segmenter.feed(pcm, 0.0)
    with structlog.testing.capture_logs() as logs:
        for segment in segments:
            now_s[0] = segment.at_s
            if segment is segments[2]:
                for room in ("nursery", "attic", "attic"):
                    inbox.put(Command(room, "drill", ""))
            queue.put(segment)
            detect.turn()
    ignored, passed, failed = (line for line in logs if line["event"].startswith("drill"))
    assert ignored == {
        "event": "drill_ignored",
        "log_level": "warning",
        "room": "attic",
        "err": "a drill runs there",
        "fix": "ask again when it is over",
    }
    assert (passed["event"], passed["log_level"], passed["room"]) == ("drill_passed", "info", "nursery")
    assert passed["level_dbfs"] == pytest.approx(-18, abs=3)
    assert passed["snr_db"] == pytest.approx(passed["level_dbfs"] + 65, abs=2)
    assert 1 < passed["delay_s"] < 5
    assert (failed["event"], failed["log_level"], failed["room"]) == ("drill_failed", "warning", "attic")
    assert (failed["level_dbfs"], failed["snr_db"], failed["err"]) == (None, None, "nothing was heard at all")
    assert "cry-monitor doctor" in failed["fix"]
    told = [(event.room, event.event_type) for event in told_events(reports.take_all(0.0))]
    assert told == [("nursery", "drill_passed"), ("attic", "drill_failed")]
    assert "cry_started" not in [line["event"] for line in logs]
