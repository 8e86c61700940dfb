"""What a source of sound promises, whatever stands behind it: a file, a device, a stream."""

from typing import Protocol

from monitor.records import Samples


class SourceEnded(Exception):  # noqa: N818 - no error: a recording is over
    """Raised by `read` when the source has come to its end and will give no more."""


class AudioSource(Protocol):
    """One device, stream or file. One capture thread calls it.

    Attributes:
        live: True where samples that nobody fetches are lost (a microphone); False where they wait (a file).
        overflows: Times that samples were lost because nobody fetched them.
    """

    live: bool
    overflows: int

    def open(self) -> None:
        """Start; blocks at most about 2 s.

        Raises:
            SourceError: It cannot be opened; it may be tried again.
        """

    def read(self) -> Samples:
        """Return new samples, int16, shape (n,), 16 kHz mono; blocks at most 1 s, then returns none.

        Raises:
            SourceEnded: It is over.
            SourceError: It broke.
        """

    def close(self) -> None:
        """Give the device back; blocks at most 1 s. May be called at any time, and twice."""
