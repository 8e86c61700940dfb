"""A source whose samples come from a child process, with real processes as children."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.capture.child import ChildSource
from monitor.capture.microphone import MicrophoneSource
from monitor.capture.pulse import pulse_sources
from monitor.errors import SourceError
from monitor.records import Samples

COUNTING = """
import sys, numpy as np
pcm = np.arange(32_000, dtype=np.int16).tobytes()
for i in range(0, len(pcm), 4_001):
    sys.stdout.buffer.write(pcm[i:i + 4_001]); sys.stdout.buffer.flush()
"""
ENDLESS = "import sys\nwhile True: sys.stdout.buffer.write(bytes(7_680)); sys.stdout.buffer.flush()"
HURRIED = (
    "import sys, time\nwhile True: sys.stdout.buffer.write(bytes(320)); sys.stdout.buffer.flush(); time.sleep(0.01)"
)
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(end='xx', flush=True); signal.pause()"
WORDS = """
import sys, time
sys.stdout.buffer.write(b'good'); sys.stdout.buffer.flush()
print('moved', file=sys.stderr, flush=True)
sys.stdout.buffer.write(b'evil'); sys.stdout.buffer.flush()
time.sleep(60)
"""


class Scripted(ChildSource):
    """Runs a line of Python; the word `moved` makes its samples unusable."""

    def __init__(self, script: str) -> None:
        super().__init__()
        self._script = script
        self.said: list[str] = []

    def command(self) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-c", self._script], {}

    def hear(self, line: str) -> None:
        self.said.append(line)
        if line == "moved":
            raise SourceError("child", "moved")

    def broken(self) -> SourceError:
        return SourceError("child", "ended")


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Iterator[Scripted]:
    source = Scripted(request.param)
    source.open()
    yield source
    source.close()


def heard(source: Scripted) -> Samples:
    """Read to the child's end."""
    pieces: list[Samples] = []
    with pytest.raises(SourceError, match="ended"):
        read_on(source, pieces)
    return np.concatenate(pieces)


def read_on(source: Scripted, pieces: list[Samples]) -> None:
    """Read until it raises."""
    while True:
        pieces.append(source.read())


@pytest.mark.parametrize("opened", [COUNTING], indirect=True)
def test_every_sample_arrives(opened: Scripted) -> None:
    """Samples come whole and in order, however the child cuts its bytes; then its end is an error."""
    assert np.array_equal(heard(opened), np.arange(32_000, dtype=np.int16))


@pytest.mark.parametrize("opened", [HURRIED], indirect=True)
def test_small_pieces_are_gathered(opened: Scripted) -> None:
    """A child that writes 10 ms at a time does not wake the service a hundred times a second."""
    opened.read()
    assert np.mean([len(opened.read()) for _ in range(5)]) > 1_920


@pytest.mark.parametrize("opened", [WORDS], indirect=True)
def test_words_go_before_samples(opened: Scripted) -> None:
    """What a child said before it wrote a sample is known before that sample is used."""
    pieces: list[Samples] = []
    with pytest.raises(SourceError, match="moved"):
        read_on(opened, pieces)
    assert b"evil" not in b"".join(piece.tobytes() for piece in pieces)


@pytest.mark.parametrize("opened", [ENDLESS], indirect=True)
def test_a_killed_child_is_an_error(opened: Scripted) -> None:
    """A child that dies ends the read at once."""
    assert len(opened.read())
    assert opened.pid is not None
    os.kill(opened.pid, signal.SIGKILL)
    with pytest.raises(SourceError, match="ended"):
        read_on(opened, [])


@pytest.mark.parametrize("opened", [DEAF], indirect=True)
def test_close_ends_a_child_that_does_not_obey(opened: Scripted) -> None:
    """A child that ignores SIGTERM is killed within a second, and a closed source gives nothing."""
    opened.read()
    pid = opened.pid
    assert pid is not None
    began_s = time.monotonic()
    opened.close()
    assert time.monotonic() - began_s < 1.0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert len(opened.read()) == 0
    opened.close()


@pytest.mark.parametrize("opened", [ENDLESS], indirect=True)
def test_a_stopped_child_gives_nothing(opened: Scripted) -> None:
    """A child that hangs makes `read` return nothing after a second, and `close` ends it all the same."""
    assert opened.pid is not None
    os.kill(opened.pid, signal.SIGSTOP)
    while len(opened.read()):
        pass
    opened.close()
    assert opened.pid is None


def test_a_program_that_is_not_there() -> None:
    """A program that cannot be started is an error that names it."""

    class Missing(Scripted):
        def command(self) -> tuple[list[str], dict[str, str]]:
            return ["/nowhere/parec"], {}

    with pytest.raises(SourceError, match="/nowhere/parec: cannot be started: No such file"):
        Missing("").open()


@pytest.mark.parametrize(
    "line", ['{"event":', "{}", '{"event": "opened"}', '{"event": "failed", "fault": 1}', "{" * 5_000]
)
def test_what_a_library_says_in_braces_ends_no_room(line: str) -> None:
    """ALSA writes on the same standard error: a line that is none of the child's words is passed over."""
    source = MicrophoneSource(None)
    source.hear(line)
    assert "its process ended" in str(source.broken())


def test_a_sound_server_that_answers_oddly_has_no_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source without a number is none; nothing but a `SourceError` may come of a question to another program."""
    pactl = tmp_path / "pactl"
    pactl.write_text("#!/bin/sh\necho 'Source #none'\necho 'Source #'\n")
    pactl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert pulse_sources() == []
