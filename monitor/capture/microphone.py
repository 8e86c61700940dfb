"""A microphone through PortAudio, which lives in a child process: see `monitor.microphone`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import structlog

from monitor.capture.child import ChildSource
from monitor.capture.pulse import PulseSource, source_heard_by
from monitor.devices import Device
from monitor.errors import SourceError
from monitor.records import Samples

log = structlog.get_logger()

EVERY = 100
"""An overflow is a WARNING the first time, and then each 100th."""

LIST_S = 30.0
"""Opening every device at every rate takes a second or two; a broken one may take long."""


class MicrophoneSource(ChildSource):
    """One device of PortAudio.

    Where a sound server stands behind the device, PortAudio would not notice that the server moved it to another room's
    microphone; then the server's own source is heard, through `PulseSource`, which does.

    Args:
        device: Index, name or a part of it; None: the system's default.
        alone: Whether no other room has a microphone. Where others have, a sound server's default is refused.
    """

    def __init__(self, device: str | None, *, alone: bool = True) -> None:
        super().__init__()
        self._device = device
        self._alone = alone
        self._failure: SourceError | None = None
        self._served = False
        self._served_by: str | None = None
        self._pulse: PulseSource | None = None

    @property
    def pid(self) -> int | None:
        """See `ChildSource`."""
        return super().pid if self._pulse is None else self._pulse.pid

    def read(self) -> Samples:
        """See `AudioSource`."""
        if self._pulse is not None:
            return self._pulse.read()
        samples = super().read()
        if not self._served:
            return samples
        self._hear_the_server()
        return samples[:0]

    def close(self) -> None:
        """See `ChildSource`."""
        super().close()
        if self._pulse is not None:
            self._pulse.close()
        self._pulse = None

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Start a child that looks the name up anew; see `ChildSource`."""
        self._failure, self._served = None, False
        device = [] if self._device is None else [f"--device={self._device}"]
        return [*_python(), *(["--alone"] if self._alone else []), *device], _environ()

    def hear(self, line: str) -> None:
        """Take what the child says as JSON; what ALSA says beside it is for nobody. See `ChildSource`."""
        if not line.startswith("{"):
            return
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return
        match said:
            case {"event": "overflow"}:
                self.overflows += 1
                if self.overflows % EVERY == 1:
                    log.warning("samples_lost", device=self._name, times=self.overflows)
            case {"event": "opened", "device": device, "rate_hz": rate_hz, "channels": channels}:
                log.info("microphone_opened", device=device, rate_hz=rate_hz, channels=channels)
            case {"event": "served"}:
                self._served = True
            case {"event": "failed", "subject": str(subject), "fault": str(fault), "fix": str(fix)}:
                self._failure = SourceError(subject, fault, fix)

    def broken(self) -> SourceError:
        """See `ChildSource`."""
        return self._failure or SourceError(self._name, "its process ended", "it is started again")

    def _hear_the_server(self) -> None:
        """Hear the server's source in the child's place, once two openings in a row have led to the same one.

        One alone is not believed: the device may vanish between the child's opening and our question, and the answer
        is where the server has moved the child to.
        """
        child = super().pid
        assert child is not None  # noqa: S101 - it has just spoken
        before, self._served_by = self._served_by, source_heard_by(child)
        super().close()
        if self._served_by == before:
            self._pulse = PulseSource(self._served_by)
            self._pulse.open()
        else:
            super().open()

    @property
    def _name(self) -> str:
        return self._device or "the default microphone"


def microphones() -> list[Device]:
    """Return PortAudio's devices, each with the rates at which it opens; blocks for a second or two, at most 30 s.

    Raises:
        SourceError: There is no PortAudio, or it cannot be asked.
    """
    try:
        answer = subprocess.run(
            [*_python(), "--list"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **_environ()},
            timeout=LIST_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SourceError("PortAudio", f"does not answer within {LIST_S:.0f} s", "unplug what does not work") from error
    if answer.returncode == 0:
        return [_device(json.loads(line)) for line in answer.stdout.splitlines()]
    source = MicrophoneSource(None)
    for line in answer.stderr.decode(errors="replace").splitlines():
        source.hear(line)
    raise source.broken()


def _device(fields: dict[str, object]) -> Device:
    rates_hz = fields.pop("rates_hz")
    assert isinstance(rates_hz, list)  # noqa: S101 - JSON knows no tuple
    return Device(**fields, rates_hz=tuple(rates_hz))  # type: ignore[arg-type]  # as `asdict` made them


def _python() -> list[str]:
    # -P: whatever lies in the working folder is not imported.
    return [sys.executable, "-P", "-m", "monitor.microphone"]


def _environ() -> dict[str, str]:
    """Let the child find this very package, installed or not."""
    package = str(Path(__file__).parents[2])
    return {"PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
