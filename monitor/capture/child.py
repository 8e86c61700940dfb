"""A source of sound in a child process: samples come on its stdout, its words on its stderr.

PortAudio cannot see an unplugged device, and starting it anew stops every stream of its process; PulseAudio's client
may hang with its server. In a child each is one room's affair, and recovery is a new child.
"""

import abc
import contextlib
import os
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.devices import BLOCK_MS
from monitor.errors import SourceError
from monitor.records import SAMPLE_RATE_HZ, Samples

READ_S = 1.0
"""`read` waits no longer for samples."""

TERM_S = 0.3
"""A child that is asked to end has so long; then it is killed. One that is stopped (SIGSTOP) needs it always."""

KILL_S = 0.5
"""A killed child that is not gone after this hangs in a driver; it is reaped when the driver lets go."""

BLOCK_BYTES = BLOCK_MS * SAMPLE_RATE_HZ // 1000 * 2
"""A child that writes less than half of it at once is waited for: a sound server may hand over 12 ms at a time, and to
wake for each was measured to cost 94 CPU s/h instead of 13."""

_PIPE_BYTES = 65_536
_LINE_END = re.compile(rb"[\r\n]+")
_NOTHING: Samples = np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one read brought: bytes from stdout, whole lines from stderr, and whether stdout is at its end."""

    pcm: bytes
    said: list[str]
    ended: bool


class Child:
    """A running process with two pipes; one thread uses it."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            OSError: The program cannot be started.
        """
        # A session of its own: Ctrl-C in a terminal is for the service, which ends its children in order.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environ},
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: both are pipes
        assert self._process.stderr is not None  # noqa: S101 - the same
        self._pcm, self._words = self._process.stdout, self._process.stderr
        os.set_blocking(self._words.fileno(), False)
        self._poll = select.poll()
        self._poll.register(self._pcm.fileno(), select.POLLIN)
        self._line = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def read(self, timeout_s: float) -> Heard:
        """Wait up to `timeout_s` for samples, a block's length for more; return at once when the child ends."""
        ready = self._poll.poll(timeout_s * 1000)
        pcm = os.read(self._pcm.fileno(), _PIPE_BYTES) if ready else b""
        if 0 < len(pcm) < BLOCK_BYTES // 2:
            time.sleep((BLOCK_BYTES - len(pcm)) / 2 / SAMPLE_RATE_HZ)
            pcm += os.read(self._pcm.fileno(), _PIPE_BYTES) if self._poll.poll(0) else b""
        # Words after samples: what a child said before it wrote these samples is known before they are used.
        return Heard(pcm, self._lines(), ended=bool(ready) and not pcm)

    def close(self) -> None:
        """End the process, reap it, close the pipes. Blocks 0.3 s for one that does not obey."""
        self._process.terminate()
        try:
            self._process.wait(TERM_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILL_S)
        self._pcm.close()
        self._words.close()

    def _lines(self) -> list[str]:
        data = b""
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self._words.fileno(), _PIPE_BYTES):
                data += more
        *lines, self._line = _LINE_END.split((self._line + data)[-_PIPE_BYTES:])
        return [line.decode(errors="replace") for line in lines]


class ChildSource(abc.ABC):
    """An `AudioSource` whose samples come from a child process; a kind of source says which, and reads its words.

    Attributes:
        overflows: See `AudioSource`.
    """

    live = True

    def __init__(self) -> None:
        self.overflows = 0
        self._child: Child | None = None
        self._odd = b""

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return None if self._child is None else self._child.pid

    def open(self) -> None:
        """Start the child; whether the device opens is told by `read`. See `AudioSource`."""
        command, environ = self.command()
        try:
            self._child = Child(command, environ)
        except OSError as error:
            raise SourceError(command[0], f"cannot be started: {error.strerror or 'no reason given'}") from error
        self._odd = b""

    def read(self) -> Samples:
        """Return what the child wrote; see `AudioSource`."""
        if self._child is None:
            return _NOTHING
        heard = self._child.read(READ_S)
        for line in heard.said:
            self.hear(line)
        if heard.ended:
            raise self.broken()
        data = self._odd + heard.pcm
        whole = len(data) // 2 * 2
        self._odd = data[whole:]
        return np.frombuffer(data[:whole], np.int16)

    def close(self) -> None:
        """End the child; see `AudioSource`. Blocks at most 0.8 s, and 10 ms usually."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    @abc.abstractmethod
    def command(self) -> tuple[list[str], dict[str, str]]:
        """Return the child's command line, and what is different in its environment; blocks at most about 2 s.

        Raises:
            SourceError: There is nothing to start.
        """

    @abc.abstractmethod
    def hear(self, line: str) -> None:
        """Take a line of the child's stderr, said before the samples that come with it were written.

        Raises:
            SourceError: The samples must not be used.
        """

    @abc.abstractmethod
    def broken(self) -> SourceError:
        """Return why the child ended by itself, as far as it said."""
