"""The shipped model, chunk by chunk, beside the same model on whole windows."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import synth
from hypothesis import given, settings
from hypothesis import strategies as st

import monitor
from monitor.capture import Recording
from monitor.detect import Detector, Model, Said, load_model, models_folder
from monitor.detect.model import Scores, Waveforms
from monitor.detect.stream import Chunks, Frames, Stream
from monitor.errors import InferenceError
from monitor.offline import listen, numbered
from monitor.records import Event, Gate, GateMissed, Level, Samples, Segment, SourceLost

SHIPPED = load_model(models_folder() / "cry")
WINDOW, HOP = SHIPPED.manifest.window_samples, SHIPPED.manifest.hop_samples
LONGEST: dict[Gate, int] = {"open": 128_000, "probe": WINDOW + HOP, "closed": 0}


def shipped_clip() -> Samples:
    with Recording(Path(monitor.__file__).parent / "recordings" / "crying.flac") as recording:
        return np.concatenate(list(recording.blocks()))


CLIP = shipped_clip()
SOUNDS = {"clip": CLIP, "noise": synth.noise(20, -25, seed=5), "both": np.concatenate([CLIP, synth.noise(7, -40)])}


def in_parts(mel: object = None, head: object = None) -> Model:
    """The shipped model with another function in place of one of its parts'."""
    assert SHIPPED.parts
    assert SHIPPED.manifest.stream
    parts = Stream(
        window=WINDOW,
        hop=HOP,
        sizes=SHIPPED.manifest.stream,
        mel=mel or SHIPPED.parts.mel,  # type: ignore[arg-type]
        head=head or SHIPPED.parts.head,  # type: ignore[arg-type]
    )
    return dataclasses.replace(SHIPPED, parts=parts)


def without_scores(record: Said) -> Said:
    if isinstance(record, Event):
        return dataclasses.replace(record, confidence=0, peak=0, mean=0)
    if isinstance(record, GateMissed | Level):
        return dataclasses.replace(record, score=0)
    return record


class Pair:
    """Two detectors that hear the same, by chunks and by whole windows, and what each asked of its model."""

    def __init__(self, sound: Samples, *rooms: str) -> None:
        self.sound = sound
        self.chunks = 0
        self.streamed: list[float] = []
        self.whole: list[float] = []
        models = in_parts(self._mel, self._head), Model(SHIPPED.manifest, "litert", self._function)
        self.detectors = [Detector(model, dict.fromkeys(rooms or ("a",), "high"), numbered()) for model in models]

    def hear(self, *items: Segment | SourceLost) -> int:
        """Let both hear `items`: they score the same and say the same. Return how many chunks were computed."""
        before = self.chunks
        streamed, whole = ([without_scores(said) for said in d.step(items, [], 0.0)] for d in self.detectors)
        assert streamed == whole
        assert len(self.streamed) == len(self.whole)
        np.testing.assert_allclose(self.streamed, self.whole, rtol=0, atol=1e-4)
        return self.chunks - before

    def segment(self, end_sample: int, *, gate: Gate = "open", since_sample: int = 0, room: str = "a") -> Segment:
        """What capture would send at `end_sample` of a room whose ring has held its sound `since_sample`."""
        first = max(since_sample, end_sample - LONGEST[gate])
        samples = self.sound.take(np.arange(first, end_sample), mode="wrap")
        return Segment(room, samples, end_sample, end_sample / 16_000, -30.0, -60.0, gate)

    def _mel(self, chunks: Waveforms) -> Frames:
        assert SHIPPED.parts
        self.chunks += len(chunks)
        return SHIPPED.parts.mel(chunks)

    def _head(self, frames: Frames) -> Scores:
        assert SHIPPED.parts
        scores = SHIPPED.parts.head(frames)
        self.streamed += scores["cry"][:, 0].tolist()
        return scores

    def _function(self, waveforms: Waveforms) -> Scores:
        scores = SHIPPED.function(waveforms)
        self.whole += scores["cry"][:, 0].tolist()
        return scores


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "open", "probe", "closed", "gap", "lost"]),
        st.one_of(st.just(HOP), st.integers(1, 60_000)),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(SOUNDS)), st.integers(0, 20_000), STEPS)
def test_chunks_score_what_whole_windows_do(sound: str, end_sample: int, steps: list[tuple[str, int]]) -> None:
    """Cut into any segments, with gaps, probes, a closed gate and lost sources: the same scores, ends and events."""
    pair, since_sample = Pair(SOUNDS[sound]), 0
    for kind, samples in steps:
        end_sample += samples
        if kind in LONGEST:
            pair.hear(pair.segment(end_sample, gate=kind, since_sample=since_sample))
        else:
            since_sample = end_sample
        if kind == "lost":
            pair.hear(SourceLost("a", "source_lost", end_sample, 0.0))


def test_each_chunk_is_computed_once() -> None:
    """A pre-roll of 8 s needs sixteen chunks for its thirteen windows, each hop after it one, two hops two."""
    pair = Pair(CLIP)
    assert pair.hear(pair.segment(130_000)) == 16
    assert len(pair.streamed) == 13
    assert [pair.hear(pair.segment(130_000 + HOP * hops)) for hops in (1, 2, 3, 5, 6)] == [1, 1, 1, 2, 1]


def test_rooms_share_a_batch_and_no_frame() -> None:
    """Rooms that are heard in one step, each with its own sound and count, score as they would alone."""
    pair = Pair(SOUNDS["both"], "a", "b")
    for hop in range(4, 40):
        pair.hear(pair.segment(hop * HOP), pair.segment(hop * HOP + 100_000, room="b", since_sample=100_000))
    assert max(pair.streamed) - min(pair.streamed) > 0.5


def test_frames_from_before_a_gap_are_not_used() -> None:
    """After a gap, a lost source, or a while behind the gate, a window is computed from its own four chunks."""
    pair = Pair(CLIP)
    pair.hear(pair.segment(10 * HOP))
    assert pair.hear(pair.segment(14 * HOP, since_sample=14 * HOP - WINDOW)) == 4
    pair.hear(SourceLost("a", "disabled", 14 * HOP, 0.0))
    assert pair.hear(pair.segment(15 * HOP, since_sample=15 * HOP - WINDOW)) == 4
    assert pair.hear(pair.segment(40 * HOP, gate="closed")) == 0
    assert pair.hear(pair.segment(41 * HOP, gate="probe")) == 4


def test_a_gate_that_opens_after_a_probe_scores_the_whole_ring() -> None:
    """The probe's frames are newer than the ring's first windows: those are computed, the probe's again with them."""
    pair = Pair(CLIP)
    assert pair.hear(pair.segment(20 * HOP + 100, gate="probe")) == 4
    assert pair.hear(pair.segment(21 * HOP + 100)) == 17
    assert len(pair.streamed) == 1 + 14


def test_a_failed_head_changes_nothing() -> None:
    """Where the second part fails after the first, the same step can be made again and gives what it would have."""
    failures = iter([False, True])

    def head(frames: Frames) -> Scores:
        if next(failures, False):
            raise InferenceError("cry", "is out of order")
        return SHIPPED.parts.head(frames)  # type: ignore[union-attr]

    pair = Pair(CLIP)
    flaky, sound = (Detector(model, {"a": "high"}, numbered()) for model in (in_parts(head=head), SHIPPED))
    first, second = pair.segment(4 * HOP), pair.segment(5 * HOP)
    assert flaky.step([first], [], 0.0) == sound.step([first], [], 0.0)
    with pytest.raises(InferenceError):
        flaky.step([second], [], 0.0)
    assert flaky.step([second], [], 0.0) == sound.step([second], [], 0.0)


def test_the_same_events_as_by_whole_windows() -> None:
    """The shipped recording, from capture to events, tells the same story either way."""
    whole = dataclasses.replace(SHIPPED, parts=None)
    stories = [[without_scores(said) for said in listen([CLIP, SOUNDS["noise"]], model)] for model in (SHIPPED, whole)]
    assert stories[0] == stories[1]
    assert any(isinstance(said, Event) for said in stories[0])


@pytest.mark.parametrize(
    ("window", "hop", "chunk_samples", "chunk_frames", "window_frames"),
    [
        (24_000, 7_680, 7_920, 47, 148),  # a hop of no whole number of steps
        (24_000, 7_680, 7_920, 48, 151),  # frames that begin before the window
        (24_000, 7_680, 8_001, 48, 148),  # a last frame that ends after the window
        (24_000, 7_680, 7_520, 48, 148),  # a frame without samples
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    window: int, hop: int, chunk_samples: int, chunk_frames: int, window_frames: int
) -> None:
    """Parts whose frames would lie outside the window, or on no grid, make no model."""
    sizes = Chunks(chunk_samples=chunk_samples, chunk_frames=chunk_frames, window_frames=window_frames)
    with pytest.raises(ValueError, match="do not fit"):
        Stream(window=window, hop=hop, sizes=sizes, mel=SHIPPED.stream.mel, head=SHIPPED.stream.head)


@pytest.mark.parametrize(("frame", "step", "lag"), list(itertools.product((400, 160, 100), (160, 320), (0, 80, 200))))
def test_any_sizes_that_fit_give_every_sample_to_its_own_window(frame: int, step: int, lag: int) -> None:
    """Whatever a frame's length, step and distance from the window's end: a window gets the frames that lie in it."""
    hop, frames = 1_920, 17
    window = (frames - 1) * step + frame + lag
    sizes = Chunks(chunk_samples=hop - step + frame, chunk_frames=hop // step, window_frames=frames)

    def mel(chunks: Waveforms) -> Frames:
        return np.lib.stride_tricks.sliding_window_view(chunks, frame, axis=1)[:, ::step]

    windows: list[Frames] = []

    def head(batch: Frames) -> Scores:
        windows.extend(batch)
        return {"cry": np.zeros((len(batch), 1), np.float32)}

    stream = Stream(window=window, hop=hop, sizes=sizes, mel=mel, head=head)
    manifest = SHIPPED.manifest.model_copy(update={"window_samples": window, "hop_samples": hop})
    detector = Detector(dataclasses.replace(SHIPPED, manifest=manifest, parts=stream), {"a": "low"}, numbered())
    pcm = np.arange(30_000, dtype=np.int16)
    for end_sample in (14_000, 15_500, 16_000, 19_000, 30_000):
        detector.step([Segment("a", pcm[3_000:end_sample], end_sample, 0.0, -30.0, -60.0, "open")], [], 0.0)
    ends = range(-(-(3_000 + window) // hop) * hop, 30_001, hop)
    assert len(windows) == len(ends)
    for got, end in zip(windows, ends, strict=True):
        wanted = pcm[end - window : end - lag].astype(np.float32) / np.float32(32768)
        assert np.array_equal(got, np.lib.stride_tricks.sliding_window_view(wanted, frame)[::step])
