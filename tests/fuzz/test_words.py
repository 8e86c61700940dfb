import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fuzz.damage import bounded, damaged, fuzz, replaced, values
from hypothesis import given
from hypothesis import strategies as st

from monitor.capture.microphone import MicrophoneSource
from monitor.capture.pulse import PulseSource, pulse_sources, source_heard_by
from monitor.devices import Device, choose
from monitor.errors import SourceError

SAID: list[dict[str, object]] = [
    {"event": "opened", "device": "USB", "rate_hz": 48_000, "channels": 1},
    {"event": "overflow"},
    {"event": "served"},
    {"event": "failed", "subject": "USB", "fault": "is gone", "fix": "plug it in"},
]
PAREC = (
    "Opening a recording stream with sample specification 's16le 1ch 16000Hz'.",
    "Connected to device usb (index: 3, suspended: no).",
    "Stream moved to device hdmi (index: 4, suspended: no).",
    "Stream error: No such entity",
    "Connection failure: Connection refused",
)
SOURCES = b"""Server String: x\nDefault Source: usb\nSource #3\n\tState: IDLE\n\tName: usb\n\tDescription: USB Mic
\tSample Specification: s16le 2ch 48000Hz\nSource Output #7\n\tSource: 3\n\t\tapplication.process.id = "4711"\n"""

lines = (
    (
        st.sampled_from(SAID).flatmap(replaced)
        | st.dictionaries(st.sampled_from(["event", "device", "fault"]), values)
        | values
    ).map(json.dumps)
    | st.text(max_size=60)
    | st.just("{" * 5_000)
    | st.just('{"event":')
)


@contextmanager
def program(name: str, answer: bytes, *, words: bytes = b"", code: int = 0) -> Iterator[None]:
    """Let a program of this name answer so, whatever it is asked; the path is as it was afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        for kind, content in (("out", answer), ("err", words)):
            (Path(folder) / kind).write_bytes(content)
        script = Path(folder) / name
        script.write_text(f"#!/bin/sh\ncat {folder}/out\ncat {folder}/err >&2\nexit {code}\n")
        script.chmod(0o755)
        path = os.environ["PATH"]
        os.environ["PATH"] = f"{folder}:{path}"
        try:
            yield
        finally:
            os.environ["PATH"] = path


@fuzz
@given(st.lists(lines, max_size=6))
def test_a_microphone_may_say_anything(said: list[str]) -> None:
    """Whatever the child, or ALSA through it, writes on its standard error, a room goes on, or has a `SourceError`."""
    source = MicrophoneSource(None)
    with bounded():
        for line in said:
            source.hear(line)
    assert isinstance(source.broken(), SourceError)
    assert isinstance(str(source.broken()), str)


damaged_words = damaged(*(line.encode() for line in PAREC)).map(lambda line: line.decode(errors="replace"))


@fuzz
@given(st.lists(st.sampled_from(PAREC) | damaged_words | st.text(max_size=60), max_size=6), st.none() | st.just("usb"))
def test_parec_may_say_anything(said: list[str], device: str | None) -> None:
    """Whatever `parec` says, its stream is used or refused by a `SourceError`."""
    source = PulseSource(device)
    try:
        for line in said:
            source.hear(line)
    except SourceError:
        pass
    assert isinstance(source.broken(), SourceError)


@fuzz
@given(damaged(SOURCES) | st.binary(max_size=99), st.sampled_from([0, 0, 0, 1, 255]), st.binary(max_size=30))
def test_pactl_may_answer_anything(answer: bytes, code: int, words: bytes) -> None:
    """Whatever `pactl` prints, there are sources, or a `SourceError`."""
    with program("pactl", answer, words=words, code=code):
        for ask in (pulse_sources, lambda: source_heard_by(4711), lambda: choose(pulse_sources(), "usb")):
            try:
                ask()
            except SourceError as error:
                assert str(error)  # noqa: PT017 - of either outcome


some_devices = st.lists(st.builds(Device, st.integers(), st.text(max_size=9), st.text(max_size=9)), max_size=4)


@fuzz
@given(st.text(max_size=30), some_devices)
def test_any_text_means_one_device_or_none(wanted: str, devices: list[Device]) -> None:
    """Any setting means one of the devices, or a `SourceError` says which there are."""
    try:
        assert choose(devices, wanted) in devices
    except SourceError as error:
        assert str(error)  # noqa: PT017 - of either outcome
