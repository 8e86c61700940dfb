"""Recordings: any rate, any number of channels, streamed block by block. The only importer of soundfile."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile

from monitor.capture.source import SourceEnded
from monitor.errors import AudioFileError
from monitor.records import SAMPLE_RATE_HZ, Samples
from monitor.resample import Resampler

BLOCK_S = 0.24
"""Eight 30 ms frames: what a microphone's child writes at once, too."""

UNKNOWN_LENGTH = 0xFFFF_0000
"""A WAV written to a pipe declares a length near 2**32; one that declares less than this must hold it."""


RATES_HZ = range(1_000, 384_001)
CHANNELS = range(1, 33)
"""What a header may say of real sound; with more, a block of it would be larger than any room's memory."""


class Recording:
    """An audio file, read as int16 blocks at 16 kHz, mono; memory stays flat however long it is.

    Attributes:
        duration_s: As its header says.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`.

        Raises:
            AudioFileError: It is absent, empty, truncated, or no audio.
        """
        self.path = path
        try:
            if not path.stat().st_size:
                raise self._error("is empty")
            self._file = soundfile.SoundFile(path)
        except OSError as error:
            raise self._error((error.strerror or "cannot be read").lower()) from error
        except soundfile.LibsndfileError as error:
            raise self._error(f"is no recording that can be read: {error.error_string.rstrip('.')}") from error
        rate_hz, channels = self._file.samplerate, self._file.channels
        if rate_hz not in RATES_HZ or channels not in CHANNELS:
            self._file.close()
            limits = f"1 to {CHANNELS[-1]}, at {RATES_HZ[0]} to {RATES_HZ[-1]} Hz"
            raise self._error(f"is no sound: {channels} channels at {rate_hz} Hz, where {limits} can be heard")
        self.duration_s = self._file.frames / rate_hz
        if not self._file.frames:
            self._file.close()
            raise self._error("holds no samples")
        if self._shorter_than_declared():
            self._file.close()
            raise self._error(f"is truncated: it ends after {self.duration_s:.1f} s, its header promises more")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def blocks(self, block_s: float = BLOCK_S) -> Iterator[Samples]:
        """Yield int16 arrays of about `block_s` seconds, 16 kHz, mono (the mean of the channels), to the end.

        Raises:
            AudioFileError: The file breaks off, holds samples that are no numbers, or fewer than make one at 16 kHz.
        """
        rate_hz = self._file.samplerate
        resampler = Resampler(rate_hz)
        heard = given = 0
        while True:
            try:
                block = self._file.read(round(rate_hz * block_s), dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise self._error(f"breaks off after {heard / rate_hz:.1f} s: {error.error_string}") from error
            if not np.isfinite(block).all():
                raise self._error(f"holds samples that are no numbers (NaN or infinite) near {heard / rate_hz:.1f} s")
            heard += len(block)
            last = not len(block)
            if last and heard < self._file.frames:
                raise self._error(f"is truncated: {heard / rate_hz:.1f} of {self.duration_s:.1f} s are there")
            samples = resampler.feed(block, last=last)
            if len(samples):
                given += len(samples)
                yield samples
            if last and not given:
                raise self._error(f"is too short to be a sound: {heard} samples")
            if last:
                return

    def _shorter_than_declared(self) -> bool:
        # libsndfile reads a cut WAV without an error and tells only in its log: "data : 64000 (should be 31978)".
        for line in self._file.extra_info.splitlines():
            name, _, rest = line.partition(":")
            if name.strip() == "data" and "should be" in rest:
                declared, _, found = rest.partition("(should be")
                return int(found.strip(" )")) < int(declared) < UNKNOWN_LENGTH
        return False

    def _error(self, fault: str) -> AudioFileError:
        return AudioFileError(str(self.path), fault, "give a WAV, FLAC or Ogg file")


class FileSource:
    """A recording as a room's source, at `speed` times real time (0: as fast as it is fetched).

    Args:
        path: The recording.
        loop: Start again at its end; the sample count goes on.
        speed: How fast it plays.
        clock: Monotonic seconds.
    """

    live = False
    overflows = 0

    def __init__(
        self, path: Path, *, loop: bool = False, speed: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._loop = loop
        self._speed = speed
        self._clock = clock
        self._closed = threading.Event()
        self._recording: Recording | None = None
        self._blocks: Iterator[Samples] = iter(())
        self._opened_s = 0.0
        self._given = 0

    def open(self) -> None:
        """Open the file; see `AudioSource`."""
        self._closed.clear()
        self._rewind()
        self._opened_s, self._given = self._clock(), 0

    def read(self) -> Samples:
        """Return the next block when its time has come; see `AudioSource`."""
        block = next(self._blocks, None)
        if block is None:
            if not self._loop:
                raise SourceEnded
            self._rewind()
            block = next(self._blocks)
        self._given += len(block)
        if self._speed:
            due_s = self._opened_s + self._given / SAMPLE_RATE_HZ / self._speed
            self._closed.wait(max(0.0, due_s - self._clock()))
        return block

    def close(self) -> None:
        """Close the file; see `AudioSource`."""
        self._closed.set()

    def _rewind(self) -> None:
        if self._recording is not None:
            self._recording.__exit__(None, None, None)
        self._recording = Recording(self._path)
        self._blocks = self._recording.blocks()
