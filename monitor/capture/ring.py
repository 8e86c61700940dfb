"""The last 8 seconds of one room."""

import numpy as np

from monitor.records import RING_S, SAMPLE_RATE_HZ, Samples


class RingBuffer:
    """Holds the newest `capacity` samples; older ones are overwritten, by design. One thread uses it.

    Attributes:
        end_sample: Samples written or skipped since the start; the ring's newest sample is the last of them.
    """

    def __init__(self, capacity: int = RING_S * SAMPLE_RATE_HZ) -> None:
        self.end_sample = 0
        self._ring: Samples = np.zeros(capacity, np.int16)
        self._held = 0

    def write(self, pcm: Samples) -> None:
        """Append int16 samples, shape (n,); any n."""
        capacity = len(self._ring)
        kept = pcm[-capacity:]
        start = (self.end_sample + len(pcm) - len(kept)) % capacity
        until_wrap = min(len(kept), capacity - start)
        self._ring[start : start + until_wrap] = kept[:until_wrap]
        self._ring[: len(kept) - until_wrap] = kept[until_wrap:]
        self.end_sample += len(pcm)
        self._held = min(capacity, self._held + len(pcm))

    def skip(self, n: int) -> None:
        """Let `n` samples pass that nobody heard: the count goes on, what was held is forgotten."""
        self.end_sample += n
        self._held = 0

    def snapshot(self, n: int) -> Samples:
        """Return a copy of the newest `n` samples, or of all that are held when they are fewer; read-only."""
        capacity = len(self._ring)
        n = min(n, self._held)
        start = (self.end_sample - n) % capacity
        copy = np.concatenate([self._ring[start : start + n], self._ring[: max(0, start + n - capacity)]])
        copy.flags.writeable = False
        return copy
