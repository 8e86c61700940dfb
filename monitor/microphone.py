"""A program of its own, the child of a room's microphone: PortAudio in, 16 kHz mono int16 out.

    python -m monitor.microphone [--device=NAME] [--alone]

The only importer of sounddevice. Samples go to stdout in blocks of 240 ms, words to stderr as JSON lines with an
`event`: `opened`, `overflow`, `served` (a sound server stands behind the device: see `is_served`) or `failed`. It ends
when nobody reads its stdout any more, and when the device gives nothing for `SILENT_S`.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NoReturn

from monitor.devices import BLOCK_MS, Device, choose
from monitor.errors import SourceError

SILENT_S: Final = 30
"""The parent replaces a silent child after 5 s; this is for one whose parent is dead, and its device too."""

LATENCY_S: Final = 0.3
"""Asked of PortAudio, so that its buffer outlasts a busy second; samples come no later for it."""

RATE_HZ: Final = 16_000
"""As in `records`, which would bring NumPy."""

RATES_HZ: Final = (RATE_HZ, 48_000, 44_100)
MOST_CHANNELS: Final = 8

Convert = Callable[[bytes], bytes]


def main() -> None:
    """Open the microphone that the command line names, and write what it hears until nobody listens."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device")
    parser.add_argument("--alone", action="store_true", help="no other room has a microphone")
    parser.add_argument("--list", action="store_true", help="print each device as a JSON line and end")
    arguments = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the parent is gone: end without a word
    try:
        portaudio = _portaudio()
        if arguments.list:
            for device in devices(portaudio):
                print(json.dumps(asdict(device)))  # noqa: T201 - the result
            return
        listen(portaudio, arguments.device, alone=arguments.alone)
    except SourceError as error:
        _say("failed", subject=error.subject, fault=error.fault, fix=error.fix)
        sys.exit(1)


def listen(portaudio: Any, wanted: str | None, *, alone: bool) -> NoReturn:  # noqa: ANN401 - a foreign module
    """Write what the device hears to stdout, for ever; nothing of a device that a sound server stands behind.

    Raises:
        SourceError: There is no such device, it does not open, or it broke.
    """
    info = _find(portaudio, wanted)
    rate_hz, channels = _format(portaudio, info)
    try:
        with _stream(portaudio, info["index"], rate_hz, channels) as stream:
            served = is_served()
            if served and wanted is None and not alone:
                raise SourceError(
                    info["name"],
                    "is the sound server's default, which may become another room's microphone",
                    "name each room's device: see cry-monitor list-devices",
                )
            _say("served" if served else "opened", device=info["name"], rate_hz=rate_hz, channels=channels)
            if served:
                _write(bytes(RATE_HZ * BLOCK_MS // 1000 * 2))  # the parent wakes for samples, not for words
            convert = converter(rate_hz, channels)
            frames = rate_hz * BLOCK_MS // 1000
            while True:
                signal.alarm(SILENT_S)
                block, overflowed = stream.read(frames)
                if served:  # the parent asks the server which source this is, and hears that one instead
                    continue
                if overflowed:
                    _say("overflow")
                _write(convert(bytes(block)))
    except portaudio.PortAudioError as error:
        raise SourceError(info["name"], _reason(error)) from error


def converter(rate_hz: int, channels: int) -> Convert:
    """Return what makes 16 kHz mono of a stream's blocks of int16."""
    if (rate_hz, channels) == (RATE_HZ, 1):
        return lambda block: block
    # Only where they are needed: together they are a third of this process.
    import numpy as np  # noqa: PLC0415

    from monitor.resample import Resampler  # noqa: PLC0415

    resampler = Resampler(rate_hz)

    def convert(block: bytes) -> bytes:
        pcm = np.frombuffer(block, np.int16).reshape(-1, channels)
        return resampler.feed(pcm.astype(np.float32) / np.float32(32768)).tobytes()

    return convert


def devices(portaudio: Any) -> list[Device]:  # noqa: ANN401 - a foreign module
    """Return every device that sound can come from; each is opened for a moment at each rate."""
    found = []
    for info in _inputs(portaudio):
        opens = dict.fromkeys(f[0] for f in formats(info) if _check(portaudio, info["index"], *f) is None)
        served = False
        if opens:
            try:
                with _stream(portaudio, info["index"], *_format(portaudio, info)):
                    served = is_served()
            except portaudio.PortAudioError:  # taken by another program just now
                opens = {}
        found.append(
            Device(
                index=info["index"],
                name=info["name"],
                rates_hz=tuple(opens),
                default=info["index"] == portaudio.default.device[0],
                note="by the sound server" if served else "",
            )
        )
    return found


def formats(info: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield sample rate and channels to try, best first: what needs no resampling, then mono, then what is left."""
    most = int(info["max_input_channels"])
    counts = [n for n in dict.fromkeys((1, 2, min(most, MOST_CHANNELS))) if n <= most]
    for rate_hz in dict.fromkeys((*RATES_HZ, round(info["default_samplerate"]))):
        yield from ((rate_hz, channels) for channels in counts)


def is_served(folder: Path = Path("/proc/self/fd")) -> bool:
    """Return whether the open stream comes from a sound server: this process holds a socket and no sound card.

    Measured: an ALSA device of type `pulse` whose source vanishes runs on and delivers another room's sound, without
    any sign of it, where `parec` says that it was moved.
    """
    if not folder.is_dir():  # no Linux: no ALSA
        return False
    held = []
    for link in folder.iterdir():
        try:
            held.append(str(link.readlink()))
        except OSError:  # the folder's own, closed by now
            continue
    return any(name.startswith("socket:") for name in held) and not any(name.startswith("/dev/snd/") for name in held)


def _portaudio() -> Any:  # noqa: ANN401 - a foreign module
    try:
        import sounddevice  # noqa: PLC0415 - loads the PortAudio library, which may be absent
    except OSError as error:
        raise SourceError("PortAudio", "is not installed", "Debian: apt install libportaudio2") from error
    except Exception as error:  # sounddevice's own error cannot be named before it is imported
        if type(error).__name__ != "PortAudioError":
            raise
        raise SourceError("PortAudio", f"does not start: {error}", "see ALSA's configuration: arecord -L") from error
    return sounddevice


def _inputs(portaudio: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a foreign module
    return [info for info in portaudio.query_devices() if info["max_input_channels"] > 0]


def _find(portaudio: Any, wanted: str | None) -> dict[str, Any]:  # noqa: ANN401 - a foreign module
    infos = {info["index"]: info for info in _inputs(portaudio)}
    there = [Device(index=index, name=info["name"]) for index, info in infos.items()]
    if wanted is not None:
        return infos[choose(there, wanted).index]
    default = infos.get(portaudio.default.device[0])
    if default is None:
        names = ", ".join(f"{device.name} [{device.index}]" for device in there)
        fix = f"name one of: {names}" if there else "plug one in, and see cry-monitor list-devices"
        raise SourceError("microphone", "there is no default one", fix)
    return default


def _format(portaudio: Any, info: Mapping[str, Any]) -> tuple[int, int]:  # noqa: ANN401 - a foreign module
    """Return the first format at which the device opens."""
    errors: list[str] = []
    for rate_hz, channels in formats(info):
        error = _check(portaudio, info["index"], rate_hz, channels)
        if error is None:
            return rate_hz, channels
        errors.append(error)
    raise SourceError(info["name"], f"does not open: {errors[0]}", "is another program using it?")


def _check(portaudio: Any, index: int, rate_hz: int, channels: int) -> str | None:  # noqa: ANN401 - a foreign module
    """Return why the device does not open like this; None where it does."""
    try:
        portaudio.check_input_settings(index, channels, "int16", samplerate=rate_hz)
    except portaudio.PortAudioError as error:
        return _reason(error)
    return None


def _stream(portaudio: Any, index: int, rate_hz: int, channels: int) -> Any:  # noqa: ANN401 - a foreign module
    return portaudio.RawInputStream(
        samplerate=rate_hz, device=index, channels=channels, dtype="int16", latency=LATENCY_S
    )


def _reason(error: Exception) -> str:
    return str(error.args[0] if error.args else error).removeprefix("Error opening RawInputStream: ").lower()


def _write(pcm: bytes) -> None:
    sys.stdout.buffer.write(pcm)
    sys.stdout.buffer.flush()


def _say(event: str, **facts: object) -> None:
    print(json.dumps({"event": event, **facts}), file=sys.stderr, flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
