"""The same line without threads: samples in, what is said out. `replay`, the evaluation and most tests run this."""

import itertools
from collections.abc import Iterable, Iterator

from monitor.capture import Segmenter
from monitor.detect import Detector, Model
from monitor.detect.detector import Said
from monitor.records import SAMPLE_RATE_HZ, GateMissed, Samples, Sensitivity, SourceLost


def listen(
    blocks: Iterable[Samples],
    model: Model,
    *,
    room: str = "room",
    sensitivity: Sensitivity = "normal",
    vad_mode: int = 1,
) -> Iterator[Said]:
    """Run one room's sound through Segmenter and Detector.

    Args:
        blocks: int16 arrays, 16 kHz mono, of any length.
        model: The cry model.
        room: The room's id.
        sensitivity: Which of the manifest's thresholds.
        vad_mode: See `capture.gate.VoiceGate`.

    Yields:
        Events, levels and missed gates as they are decided; `at` counts from 0 at the first sample. Ids are numbers,
        the same at every run.
    """
    manifest = model.manifest
    segmenter = Segmenter(
        room, window_samples=manifest.window_samples, hop_samples=manifest.hop_samples, vad_mode=vad_mode
    )
    numbers = itertools.count(1)
    detector = Detector(model, {room: sensitivity}, lambda: str(next(numbers)))
    heard = 0
    for block in blocks:
        heard += len(block)
        for segment in segmenter.feed(block, heard / SAMPLE_RATE_HZ):
            for said in detector.step([segment], [], segment.at_s):
                if isinstance(said, GateMissed):
                    segmenter.open_gate()
                yield said
    end_s = heard / SAMPLE_RATE_HZ
    yield from detector.step([SourceLost(room, "source_ended", segmenter.end_sample, end_s)], [], end_s)
