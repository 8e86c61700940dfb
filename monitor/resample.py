"""Any sound becomes the one format of this process: 16 kHz, mono, int16. The only importer of soxr."""

import numpy as np
import soxr
from numpy.typing import NDArray

from monitor.records import SAMPLE_RATE_HZ, Samples


class Resampler:
    """Brings one stream to 16 kHz mono, block by block: the mean of its channels, resampled. One thread uses it.

    Args:
        rate_hz: The stream's sample rate.
    """

    def __init__(self, rate_hz: int) -> None:
        self._stream = (
            None if rate_hz == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        )

    def feed(self, block: NDArray[np.float32], *, last: bool = False) -> Samples:
        """Return what `block` completes, int16, shape (m,); `last` brings what the filter still holds.

        Args:
            block: float32, shape (n, channels), full scale = 1; any n.
            last: Whether the stream ends here.
        """
        mono = block.mean(axis=1, dtype=np.float32)
        if self._stream is not None:
            mono = self._stream.resample_chunk(mono, last=last)
        samples: Samples = np.clip(np.rint(mono * 32768), -32768, 32767).astype(np.int16)
        return samples
