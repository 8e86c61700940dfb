"""The thread-free core of capture: samples in, segments out."""

import numpy as np

from monitor.capture.gate import FRAME_SAMPLES, VoiceGate
from monitor.capture.ring import RingBuffer
from monitor.records import RING_S, SAMPLE_RATE_HZ, Gate, Samples, Segment

PROBE_EVERY_S = 10
"""Behind a closed gate one window is scored so often: what the gate misses is found, and counted."""

CLOSED_EVERY_S = 1
"""Behind a closed gate a segment without samples is cut at the hop nearest to this: time goes on."""


class Segmenter:
    """Ring and gate of one room. One thread uses it; nothing in it blocks or reads a clock.

    A segment is cut when the sample count passes a multiple of `hop_samples`: there the detector's windows end.

    Args:
        room: The room's id.
        window_samples: The model's window: what a probe holds.
        hop_samples: The model's hop.
        vad_mode: See `VoiceGate`.
    """

    def __init__(self, room: str, *, window_samples: int, hop_samples: int, vad_mode: int = 1) -> None:
        self._room = room
        self._window_samples = window_samples
        self._hop_samples = hop_samples
        self._gate = VoiceGate(vad_mode)
        self._ring = RingBuffer()
        self._rest: Samples = np.zeros(0, np.int16)
        self._cut_sample = 0
        self._probed_sample = 0

    @property
    def end_sample(self) -> int:
        """Samples since the start, gaps counted, a rest shorter than a frame not."""
        return self._ring.end_sample

    @property
    def level_dbfs(self) -> float:
        """RMS of the last second."""
        return self._gate.level_dbfs

    @property
    def noise_floor_dbfs(self) -> float:
        """The gate's slow floor."""
        return self._gate.noise_floor_dbfs

    def feed(self, pcm: Samples, at: float) -> list[Segment]:
        """Hear `pcm`.

        Args:
            pcm: int16, shape (n,), 16 kHz mono; any n.
            at: UTC time of its last sample.

        Returns:
            The segments that it completes, oldest first.
        """
        pcm = np.concatenate([self._rest, pcm])
        whole = len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = pcm[whole:]
        fed_end_sample = self._ring.end_sample + len(pcm)
        segments = []
        start = 0
        while start < whole:
            to_boundary = self._hop_samples - self._ring.end_sample % self._hop_samples
            piece = pcm[start : min(whole, start + -(-to_boundary // FRAME_SAMPLES) * FRAME_SAMPLES)]
            start += len(piece)
            self._ring.write(piece)
            self._gate.step(piece.reshape(-1, FRAME_SAMPLES))
            if len(piece) >= to_boundary:
                segments += self._cut(at - (fed_end_sample - self._ring.end_sample) / SAMPLE_RATE_HZ)
        return segments

    def open_gate(self) -> None:
        """Open the gate: the next segment carries all that the ring holds."""
        self._gate.force_open()

    def skip(self, seconds: float) -> None:
        """Let time pass that nobody heard: the source was closed. Ring and gate begin anew, the count goes on."""
        self._ring.skip(len(self._rest) + max(0, round(seconds * SAMPLE_RATE_HZ)))
        self._rest = self._rest[:0]
        self._gate.reset()

    def _cut(self, at: float) -> list[Segment]:
        if self._gate.is_open:
            return [self._segment("open", RING_S * SAMPLE_RATE_HZ, at)]
        if self.end_sample - self._probed_sample >= PROBE_EVERY_S * SAMPLE_RATE_HZ:
            self._probed_sample = self.end_sample
            return [self._segment("probe", self._window_samples + self._hop_samples, at)]
        if self.end_sample - self._cut_sample >= CLOSED_EVERY_S * SAMPLE_RATE_HZ - self._hop_samples // 2:
            return [self._segment("closed", 0, at)]
        return []

    def _segment(self, gate: Gate, n: int, at: float) -> Segment:
        self._cut_sample = self.end_sample
        return Segment(
            room=self._room,
            samples=self._ring.snapshot(n),
            end_sample=self.end_sample,
            at=at,
            level_dbfs=self._gate.level_dbfs,
            noise_floor_dbfs=self._gate.noise_floor_dbfs,
            gate=gate,
        )
