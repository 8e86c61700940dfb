"""A private PulseAudio whose null sinks are the rooms' microphones: what is played into one, its room hears."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile
from mqtt_broker import find, missing, wait_until

from monitor.records import SAMPLE_RATE_HZ, Samples


class SoundServer:
    """A PulseAudio of its own in `folder`; start, kill and start it again, with one null sink for each room.

    Attributes:
        environ: What a process needs to find this server and no other, and PortAudio to find a device for each room.

    Args:
        folder: For its socket and files.
        rooms: The sinks' names; a room's source is `<room>.monitor`, its ALSA device `<room>`.
        quiet: What each room sounds like by itself, played once when it is plugged; a sink without it gives zeros.
    """

    def __init__(self, folder: Path, rooms: list[str], quiet: Samples | None = None) -> None:
        self._folder = folder
        self._rooms = rooms
        if not any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
            missing("ALSA's way to PulseAudio", "libasound2-plugins")
        self._programs = {name: find(name, "pulseaudio") for name in ("pulseaudio", "pactl", "paplay")}
        self._quiet = quiet
        self._modules: dict[str, str] = {}
        self._players: dict[str, subprocess.Popen[bytes]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = folder / "native"
        alsa = folder / "alsa.conf"
        alsa.write_text(
            "".join(
                f'pcm.{room} {{ type pulse; device "{room}.monitor"; hint {{ show on; description "{room}" }} }}\n'
                for room in rooms
            )
        )
        self.environ = {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_RUNTIME_PATH": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "HOME": str(folder),
            "ALSA_CONFIG_PATH": f"/usr/share/alsa/alsa.conf:{alsa}",
        }

    def start(self) -> None:
        """Start it with its sinks, and wait until it answers."""
        self._socket.unlink(missing_ok=True)
        with (self._folder / "pulseaudio.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._programs["pulseaudio"],
                    "-n",
                    "--daemonize=no",
                    "--exit-idle-time=-1",
                    "--use-pid-file=no",
                    "--disable-shm=yes",
                    f"--load=module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
                    "--load=module-rescue-streams",
                    "--load=module-always-sink",
                ],
                env=self._environ(),
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self._socket.exists() and self._pactl("info").returncode == 0, "PulseAudio answers")
        for room in self._rooms:
            self.plug(room)

    def kill(self) -> None:
        """End it at once."""
        for room in list(self._players):
            self._hush(room)
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
        self._modules.clear()

    def plug(self, room: str) -> None:
        """Load the room's sink: its microphone is there."""
        made = self._pactl(
            "load-module", "module-null-sink", f"sink_name={room}", "rate=48000", "channels=2", "format=s16le"
        )
        assert made.returncode == 0, made.stderr
        self._modules[room] = made.stdout.strip()
        if self._quiet is not None:
            self._players[room] = self.play(room, self._quiet)

    def unplug(self, room: str) -> None:
        """Unload the room's sink: its microphone is gone."""
        self._hush(room)
        assert self._pactl("unload-module", self._modules.pop(room)).returncode == 0

    def play(self, room: str, sound: Samples) -> "subprocess.Popen[bytes]":
        """Begin to play int16 samples at 16 kHz into the room; return the player, to wait for or to kill."""
        path = self._folder / f"{room}-{time.monotonic_ns()}.wav"
        soundfile.write(path, sound, SAMPLE_RATE_HZ)
        command = [self._programs["paplay"], f"--device={room}", "--latency-msec=50", str(path)]
        return subprocess.Popen(command, env=self._environ(), stderr=subprocess.DEVNULL)

    def recording(self) -> list[str]:
        """Return the sources that somebody records from, one for each stream."""
        sources = dict(line.split("\t")[:2] for line in self._pactl("list", "short", "sources").stdout.splitlines())
        streams = self._pactl("list", "short", "source-outputs").stdout.splitlines()
        return [sources[line.split("\t")[1]] for line in streams]

    def _hush(self, room: str) -> None:
        player = self._players.pop(room, None)
        if player is not None:
            player.kill()
            player.wait()

    def _pactl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self._programs["pactl"], *words],
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )

    def _environ(self) -> dict[str, str]:
        return {**os.environ, **self.environ}


@contextmanager
def sounding(server: SoundServer) -> Iterator[SoundServer]:
    """Start a sound server, and kill it at the end."""
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def playing(sounds: SoundServer, room: str, sound: Samples) -> Iterator[None]:
    """Play into a room until left."""
    player = sounds.play(room, sound)
    try:
        yield
    finally:
        player.kill()
        player.wait()
