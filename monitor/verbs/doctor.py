"""`doctor`: is everything there that a night needs? A line for each check, and what to do where one fails."""

import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.text import Text

from monitor.assembly import broker_of, source_of
from monitor.capture import CLIPPED_SHARE, FULL_SCALE, QUIET_DBFS, AudioSource, Segmenter, SourceEnded
from monitor.config import Config, Loaded, MqttConfig, RoomConfig
from monitor.detect import load_reasons
from monitor.errors import MonitorError, SourceError, StoreError
from monitor.publish import AlertLog, Messages, Probe, past_episodes, try_to_write
from monitor.records import RING_S, SAMPLE_RATE_HZ, Samples
from monitor.service import redact
from monitor.verbs.files import load_cry_model

LISTEN_S: Final = 3.0
"""So much of each room is listened to: enough for a level, short enough for somebody who waits."""

FIRST_SAMPLES_S: Final = 5.0
"""A source that gives nothing for so long counts as silent: the service would open it anew."""

FREE_BYTES: Final = 100_000_000
"""The history of years and a copy of it; with less, the rest of the system fails soon as well."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check; `fix` is empty where it went well."""

    what: str
    found: str
    fix: str = ""

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return not self.fix


def doctor(
    loaded: Loaded, *, open_source: Callable[[RoomConfig], AudioSource] = source_of, console: Console | None = None
) -> int:
    """Print a line for each check as it is done; blocks for seconds a room, and up to 10 s for each broker's answer.

    Args:
        loaded: What is checked. A fault in the configuration itself was raised before this is called.
        open_source: Gives a room's source, unopened.
        console: Where the lines go.

    Returns:
        1 where a line fails.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    config = loaded.config
    failed = 0
    for finding in _examine(loaded, open_source):
        failed += not finding.ok
        told = redact(f"{finding.what:<24} {finding.found}", config.secrets)
        console.print(Text.assemble(("ok    ", "green") if finding.ok else ("FAIL  ", "bold red"), told))
        if finding.fix:
            console.print(Text(f"{'':<6}{'':<24} -> {redact(finding.fix, config.secrets)}"))
    return 1 if failed else 0


def _examine(loaded: Loaded, open_source: Callable[[RoomConfig], AudioSource]) -> Iterator[Finding]:
    config = loaded.config
    file = loaded.file or "no file: every setting has its default"
    yield Finding("configuration", f"{file}; checked as {_user()}")
    yield _check("model", lambda: _model(config))
    yield _check(
        "reason model",
        lambda: f"{load_reasons(config.reason, config.model.runtime).label}: loads, and answers as when it was made",
    )
    for room_id, room in config.rooms.items():
        yield from _room(room_id, room, open_source)
    yield from _broker(config)
    yield _check("history", lambda: _history(config.history.path))
    alerts = config.log.alerts
    if alerts is not None:
        yield _check("alert log", lambda: _alert_log(alerts))
    yield _check("disk", lambda: _disk(config.history.path))


def _check(what: str, look: Callable[[], str]) -> Finding:
    """Run one check; an error of ours is its fault and its fix."""
    try:
        return Finding(what, look())
    except MonitorError as error:
        about = f"{error.subject}: {error.fault}" if error.subject else error.fault
        return Finding(what, about, error.fix or "see the lines above this one")


def _model(config: Config) -> str:
    model = load_cry_model(config.model)
    return f"{model.label} on {model.runtime}: loads, and answers as when it was made"


def _room(room_id: str, room: RoomConfig, open_source: Callable[[RoomConfig], AudioSource]) -> Iterator[Finding]:
    if not room.enabled:
        # Off means off: not even a check listens.
        yield Finding(f"{room_id}: source", "the room is off (enabled = false); not opened")
        return
    heard: list[Samples] = []
    yield _check(f"{room_id}: source", lambda: _listen(room, open_source(room), heard))
    if not heard:
        yield Finding(f"{room_id}: level", "not tried: there is no sound", "mend the source first")
        yield Finding(f"{room_id}: clipping", "not tried: there is no sound", "mend the source first")
        return
    sound = np.concatenate(heard)
    yield _level(f"{room_id}: level", sound, room)
    share = float(np.mean(np.abs(sound.astype(np.int32)) >= FULL_SCALE))
    fix = "turn the microphone's gain down, or move it away from what is loud" if share > CLIPPED_SHARE else ""
    yield Finding(f"{room_id}: clipping", f"{share * 100:.2f} % of the samples are at full scale", fix)


def _listen(room: RoomConfig, source: AudioSource, heard: list[Samples]) -> str:
    """Fill `heard` with up to `LISTEN_S` of sound; return how that went."""
    began_s = time.monotonic()
    first_s: float | None = None
    try:
        source.open()
        while sum(map(len, heard)) < LISTEN_S * SAMPLE_RATE_HZ:
            pcm = source.read()
            now_s = time.monotonic() - began_s
            if len(pcm):
                first_s = first_s or now_s
                heard.append(pcm)
            elif now_s > (first_s or 0.0) + FIRST_SAMPLES_S:
                break
    except SourceEnded:
        pass
    finally:
        source.close()
    name = f'source = "{room.source}"'
    if first_s is None:
        fix = "see that the device is plugged in, not muted, and not used by another program"
        raise SourceError(name, f"opens, but gives no samples within {FIRST_SAMPLES_S:.0f} s", fix)
    return f"{name}: first samples after {first_s:.1f} s, {sum(map(len, heard)) / SAMPLE_RATE_HZ:.1f} s heard"


def _level(what: str, sound: Samples, room: RoomConfig) -> Finding:
    # Only level and floor are read off it, which depend on neither window nor hop.
    segmenter = Segmenter(
        "", window_samples=RING_S * SAMPLE_RATE_HZ, hop_samples=SAMPLE_RATE_HZ, vad_mode=room.gate.vad_mode
    )
    segmenter.feed(sound, 0.0)
    found = f"{segmenter.level_dbfs:.0f} dBFS, noise floor {segmenter.noise_floor_dbfs:.0f} dBFS"
    if int(sound.min()) == int(sound.max()):
        return Finding(what, "every sample is the same: this is no room", "unmute the microphone; see rooms.*.device")
    if segmenter.level_dbfs < QUIET_DBFS:
        return Finding(what, f"{found}: too quiet to be a room", "turn the microphone's gain up; see rooms.*.device")
    return Finding(what, found)


def _broker(config: Config) -> Iterator[Finding]:
    mqtt = config.mqtt
    with Probe(broker_of(mqtt), Messages(mqtt.topic_prefix, config.node.id, list(config.rooms))) as probe:
        yield _check("broker: log-in", lambda: f"{_address(mqtt)}: let in after {probe.log_in() * 1000:.0f} ms")
        yield _check(
            "broker: retained",
            lambda: f"a retained message came back after {probe.retained_comes_back() * 1000:.0f} ms; cleared",
        )


def _address(mqtt: MqttConfig) -> str:
    user = "without a user" if mqtt.username is None else f"as {mqtt.username}"
    return f"{mqtt.host}:{mqtt.port}, MQTT {mqtt.protocol}{', TLS' if mqtt.tls else ''}, {user}"


def _history(path: Path) -> str:
    episodes = past_episodes(path)
    if episodes is not None:
        try_to_write(path)
        return f"{path}: can be written; episodes: {len(episodes)}"
    folder = _nearest(path.parent)
    try:
        # Not the file itself: made by root, it would be none that the service can write.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(4096))
    except OSError as error:
        fix = "make the folder writable for this user, or set history.path"
        raise StoreError(str(folder), f"cannot be written: {error}", fix) from error
    return f"{path}: not there yet; {folder} can be written"


def _alert_log(path: Path) -> str:
    there = AlertLog(path).try_to_append()
    return f"{path}: can be appended to" if there else f"{path}: not there yet; {path.parent} can be written"


def _disk(path: Path) -> str:
    folder = _nearest(path.parent)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StoreError(str(folder), f"cannot be looked at: {error}", "set history.path") from error
    if free < FREE_BYTES:
        fix = "free some space, or set history.path to another disk"
        raise StoreError(str(folder), f"{free / 1e6:.0f} MB free, less than {FREE_BYTES / 1e6:.0f}", fix)
    return f"{folder}: {free / 1e9:.1f} GB free"


def _nearest(folder: Path) -> Path:
    """The folder itself, or the one above it that exists: there it will be made."""
    # pathlib's own is_dir() raises where we may not look.
    return next(parent for parent in (folder, *folder.parents) if os.path.isdir(parent))  # noqa: PTH112 - as said


def _user() -> str:
    try:
        return f"the user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"the user with id {os.geteuid()}"
