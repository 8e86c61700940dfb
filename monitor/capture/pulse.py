"""A PulseAudio or PipeWire source, through `parec`.

PulseAudio moves a stream whose device vanished to another device. Measured: `parec` ran on and delivered the other
room. It says so on stderr before it writes a sample of the new device, so none of them is ever used.
"""

import os
import re
import shutil
import subprocess

from monitor.capture.child import ChildSource
from monitor.devices import BLOCK_MS, Device, choose
from monitor.errors import SourceError
from monitor.records import SAMPLE_RATE_HZ

ASK_S = 0.8
"""The server answers a question in milliseconds; one that hangs must not hold up `open`, which asks twice."""

ENVIRON = {"LC_ALL": "C"}
"""`parec` and `pactl` speak the user's language; we read theirs."""

_CONNECTED = re.compile(r"Connected to device (?P<name>\S+)")
_FAILED = re.compile(r"(?:Stream error|Connection failure|pa_\w+\(\) failed|Failed to [^:]+): (?P<reason>.+)")
_FIX = 'is the sound server running for this user? see "pactl info"'


class PulseSource(ChildSource):
    """One source of the sound server.

    Args:
        device: Index, name or a part of it; None: the server's default, wherever that is.
        alone: Whether no other room has a microphone. Where others have, the default may become one of theirs.
    """

    def __init__(self, device: str | None, *, alone: bool = True) -> None:
        super().__init__()
        self._device = device
        self._alone = alone
        self._expected: str | None = None
        self._reason = ""

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Look the name up anew, since numbers and names change with the plugs; see `ChildSource`."""
        parec = _program("parec")
        if self._device is None and not self._alone:
            raise SourceError(
                'source = "pulse"',
                "has no device, and the default may become another room's microphone",
                "name each room's device: see cry-monitor list-devices",
            )
        self._expected = None if self._device is None else choose(pulse_sources(), self._device).name
        self._reason = ""
        device = [] if self._expected is None else [f"--device={self._expected}"]
        return [
            parec,
            "--verbose",
            "--raw",
            "--format=s16le",
            f"--rate={SAMPLE_RATE_HZ}",
            "--channels=1",
            f"--latency-msec={BLOCK_MS}",
            "--client-name=cry-monitor",
            *device,
        ], ENVIRON

    def hear(self, line: str) -> None:
        """Refuse a stream that is, or has come, elsewhere; see `ChildSource`."""
        if "Stream moved" in line:
            raise SourceError(self._name, "is gone; the sound server moved us to another device", "plug it in again")
        connected = _CONNECTED.search(line)
        if connected and self._expected not in (None, connected["name"]):
            raise SourceError(self._name, f"the sound server gave us {connected['name']} instead")
        failed = _FAILED.search(line)
        if failed:
            self._reason = failed["reason"].strip().lower()

    def broken(self) -> SourceError:
        """See `ChildSource`."""
        return SourceError(self._name, self._reason or "parec ended", _FIX if self._reason else "it is started again")

    @property
    def _name(self) -> str:
        return self._expected or "the default source"


def pulse_sources() -> list[Device]:
    """Ask the sound server for its sources, monitors included; blocks at most 1.6 s.

    Raises:
        SourceError: There is no server, or no `pactl`.
    """
    default = re.search(r"^Default Source: (.+)$", _ask("info"), re.MULTILINE)
    devices = []
    for index, text in _listed("sources", "Source"):
        # "Source #3\n\tName: ...\n\tDescription: ...\n\tSample Specification: s16le 2ch 48000Hz"
        facts = dict(re.findall(r"^\t(Name|Description|Sample Specification): (.*)$", text, re.MULTILINE))
        rate = re.search(r"([0-9]{1,9})Hz", facts.get("Sample Specification", ""))
        name = facts.get("Name", "")
        devices.append(
            Device(
                index=index,
                name=name,
                description=facts.get("Description", ""),
                rates_hz=(int(rate[1]),) if rate else (),
                default=default is not None and default[1] == name,
            )
        )
    return devices


def source_heard_by(pid: int) -> str:
    """Return the name of the source that the process `pid` records from; blocks at most 2.4 s.

    Raises:
        SourceError: There is no server, or it does not know.
    """
    for _, text in _listed("source-outputs", "Source Output"):
        source = re.search(r"^\tSource: (\d+)$", text, re.MULTILINE)
        if source and f'application.process.id = "{pid}"' in text:
            return choose(pulse_sources(), source[1]).name
    raise SourceError(
        "this device",
        "belongs to a sound server that does not say which of its sources it is",
        'set source = "pulse" and the device to a name of cry-monitor list-devices',
    )


def _listed(what: str, heading: str) -> list[tuple[int, str]]:
    """Ask for all of a kind; return the number and the text of each."""
    parts = re.split(rf"^{heading} #([0-9]{{1,9}})$", _ask("list", what), flags=re.MULTILINE)[1:]
    return [(int(number), text) for number, text in zip(parts[::2], parts[1::2], strict=True)]


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SourceError(name, "is not installed", "Debian: apt install pulseaudio-utils")
    return path


def _ask(*question: str) -> str:
    try:
        answer = subprocess.run(
            [_program("pactl"), *question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **ENVIRON},
            timeout=ASK_S,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise SourceError("the sound server", f"does not answer within {ASK_S} s", _FIX) from error
    if answer.returncode:
        words = answer.stderr.decode(errors="replace").strip().splitlines()
        reason = words[0].rpartition(": ")[2].lower() if words else f"pactl ended with {answer.returncode}"
        raise SourceError("the sound server", reason, _FIX)
    return answer.stdout.decode(errors="replace")
