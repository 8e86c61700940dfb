from collections.abc import Iterator

import numpy as np
import structlog
import synth
import toy_reason
from loudness import HOP_SAMPLES, MODEL, WINDOW_SAMPLES

from monitor.capture import Segmenter
from monitor.detect import Detect, Detector, Reasons
from monitor.detect.model import Waveforms
from monitor.errors import InferenceError
from monitor.handoff import Inbox, Reports, SegmentQueue
from monitor.offline import numbered
from monitor.records import Event, ReasonHealth


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
