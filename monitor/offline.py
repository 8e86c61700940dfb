"""The same line without threads: samples in, what is said out. `replay`, `score`, the evaluation and tests run it."""

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from monitor.capture import Segmenter
from monitor.detect import BATCH, Detector, Model, Reasons, Said, to_waveforms
from monitor.records import RING_S, SAMPLE_RATE_HZ, GateMissed, Samples, Score, Sensitivity, SourceLost

JUDGED_SAMPLES = RING_S * SAMPLE_RATE_HZ
"""How much of the sound before a window's end goes with its score: what a cause is judged by."""


def numbered() -> Callable[[], str]:
    """Return a giver of ids that are the same at every run: 1, 2, 3."""
    numbers = itertools.count(1)
    return lambda: str(next(numbers))


def listen(
    blocks: Iterable[Samples],
    model: Model,
    *,
    room: str = "room",
    sensitivity: Sensitivity = "normal",
    vad_mode: int = 1,
    make_id: Callable[[], str] | None = None,
    reasons: Reasons | None = None,
) -> Iterator[Said]:
    """Run one room's sound through Segmenter and Detector, without alerts: those are the service's.

    Args:
        blocks: int16 arrays, 16 kHz mono, of any length.
        model: The cry model.
        room: The room's id.
        sensitivity: Which of the manifest's thresholds.
        vad_mode: See `capture.gate.VoiceGate`.
        make_id: Gives ids of episodes and events; `numbered()` when omitted.
        reasons: Judges why it cries; None: every cause is `unsure`.

    Yields:
        Events, judged causes, levels and missed gates as they are decided; `at` counts from 0 at the first sample.

    Raises:
        InferenceError: The cry model failed.
    """
    hop_samples = model.manifest.hop_samples
    segmenter = Segmenter(
        room, window_samples=model.manifest.window_samples, hop_samples=hop_samples, vad_mode=vad_mode
    )
    detector = Detector(model, {room: sensitivity}, make_id or numbered(), reasons)
    heard = 0
    # No more than a hop at once: a gate that the detector opens must be open for the next segment, as it is live.
    for piece in (block[i : i + hop_samples] for block in blocks for i in range(0, len(block), hop_samples)):
        heard += len(piece)
        for segment in segmenter.feed(piece, heard / SAMPLE_RATE_HZ):
            for said in detector.step([segment], [], segment.at_s):
                if isinstance(said, GateMissed):
                    segmenter.open_gate()
                yield said
    end_s = heard / SAMPLE_RATE_HZ
    yield from detector.step([SourceLost(room, "source_ended", heard, end_s)], [], end_s)


def score_windows(blocks: Iterable[Samples], model: Model) -> Iterator[tuple[Score, Samples]]:
    """Score every window of a recording, without gate or episodes: the first from its start, then one each hop.

    A recording shorter than a window is padded with zeros in front; what follows the last whole window is not scored.

    Args:
        blocks: int16 arrays, 16 kHz mono, of any length.
        model: The cry model.

    Yields:
        A window's score, and the sound that ends with it: int16[n], 8 s, or all there is from the start; a view of
        what is held for the moment, to be copied by who keeps it.

    Raises:
        InferenceError: The model failed.
    """
    window, hop = model.manifest.window_samples, model.manifest.hop_samples
    held = np.zeros(0, np.int16)
    first = 0  # what `held` begins with, on the recording's count
    end = window
    for block in itertools.chain(blocks, [None]):
        if block is not None:
            held = np.concatenate([held, block])
        elif end == window and 0 < len(held) < window:
            held = np.concatenate([np.zeros(window - len(held), np.int16), held])
        ends = range(end, first + len(held) + 1, hop)
        if ends and (len(ends) >= BATCH or block is None):
            sounds = [held[max(0, end - first - JUDGED_SAMPLES) : end - first] for end in ends]
            scores = model.function(to_waveforms([sound[-window:] for sound in sounds]))["cry"][:, 0]
            for end, score, sound in zip(ends, scores, sounds, strict=True):
                yield Score(end, float(score)), sound
            end = ends[-1] + hop
            gone = max(0, end - first - JUDGED_SAMPLES)
            held, first = held[gone:], first + gone
