import numpy as np
import synth
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.capture import Segmenter
from monitor.records import Samples, Segment

HOP_SAMPLES = 7_680
WINDOW_SAMPLES = 24_000


def segmenter(hop_samples: int = HOP_SAMPLES) -> Segmenter:
    return Segmenter("nursery", window_samples=WINDOW_SAMPLES, hop_samples=hop_samples)


def feed(core: Segmenter, pcm: Samples, block: int = 4_800) -> list[Segment]:
    segments = []
    for start in range(0, len(pcm), block):
        piece = pcm[start : start + block]
        segments += core.feed(piece, at=1_000 + (start + len(piece)) / 16_000)
    return segments


SOUND = synth.over(synth.noise(21, -65), (4, synth.cry(3, -30)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=12))
def test_blocks_do_not_matter(blocks: list[int]) -> None:
    """The same sound gives the same segments however it is cut into blocks."""
    whole = segmenter().feed(SOUND, at=1_000 + len(SOUND) / 16_000)
    core, pieces, start = segmenter(), [], 0
    for n in [*blocks, len(SOUND)]:
        piece = SOUND[start : start + n]
        start += len(piece)
        pieces += core.feed(piece, at=1_000 + start / 16_000)
    assert [s.end_sample for s in pieces] == [s.end_sample for s in whole]
    assert [s.gate for s in pieces] == [s.gate for s in whole]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(pieces, whole, strict=True))
    assert all(abs(a.at - b.at) < 1e-6 for a, b in zip(pieces, whole, strict=True))


def test_one_segment_each_hop_while_open() -> None:
    """While the gate is open every multiple of the hop gets a segment of up to 8 s, newest last, with its UTC time."""
    segments = [s for s in feed(segmenter(), SOUND) if s.gate == "open"]
    ends = [s.end_sample for s in segments]
    assert ends == list(range(ends[0], ends[-1] + 1, HOP_SAMPLES))
    assert ends[0] <= 5 * 16_000
    assert ends[-1] >= 8.5 * 16_000
    for segment in segments:
        heard = SOUND[: segment.end_sample][-128_000:]
        assert np.array_equal(segment.samples, heard)
        assert abs(segment.at - (1_000 + segment.end_sample / 16_000)) < 1e-6


def test_time_goes_on_behind_a_closed_gate() -> None:
    """Behind a closed gate a segment without samples comes about each second, and a probe window every 10 s."""
    segments = [s for s in feed(segmenter(), synth.noise(60, -65)) if s.gate != "open"]
    gaps = np.diff([s.end_sample for s in segments]) / 16_000
    assert gaps.max() <= 1.5
    probes = [s for s in segments if s.gate == "probe"]
    assert len(probes) == 5
    assert all(len(s.samples) == WINDOW_SAMPLES + HOP_SAMPLES for s in probes)
    assert all(len(s.samples) == 0 for s in segments if s.gate == "closed")


def test_opening_by_force_carries_the_ring() -> None:
    """A gate that detect opens gives all that the ring holds at the next hop: nothing missed is lost."""
    core = segmenter()
    feed(core, synth.noise(20, -65))
    core.open_gate()
    (first, *_) = feed(core, synth.noise(1, -65))
    assert first.gate == "open"
    assert len(first.samples) == 128_000


def test_a_gap_is_time_but_no_sound() -> None:
    """After a gap the count has gone on by its length, and no segment holds a sample from before it."""
    core = segmenter()
    feed(core, synth.cry(5, -30))
    core.skip(7.0)
    assert core.end_sample == 12 * 16_000
    segments = feed(core, synth.cry(3, -30))
    assert segments
    assert all(len(s.samples) <= s.end_sample - 12 * 16_000 for s in segments)


def test_a_hop_that_is_no_multiple_of_a_frame() -> None:
    """Every hop is cut once also when it is not a whole number of 30 ms frames."""
    ends = [s.end_sample for s in feed(segmenter(hop_samples=8_000), synth.cry(6, -20)) if s.gate == "open"]
    assert [end // 8_000 for end in ends] == list(range(ends[0] // 8_000, ends[-1] // 8_000 + 1))
