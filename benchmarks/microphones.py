"""Rooms heard through a real sound server: how soon is a cry told, what is survived, and what does it cost?

usage: python benchmarks/microphones.py [delay|recovery|quiet|soak ...] [--rounds N] [--minutes M] [--png FILE]

Each room is a null sink of a private PulseAudio with -60 dBFS noise played into it; `cry-monitor run` hears it, as
source `pulse` or `microphone`, and publishes to a real mosquitto. A cry is the shipped recording's, played by `paplay`.

delay     from before `paplay` is started, so that its own start counts too, to the arrival of `cry_started`
recovery  rooms of both sources suffer a fault at once, while another room cries; the worst of all rounds is printed
quiet     CPU and memory of the service and its child; PulseAudio and the players are not counted. The server hands
          sound over every 160 ms; "hurried", and everywhere else here, every 12 ms, since a player asks for 50 ms
soak      four rooms, each 30 s the next one cries; only when asked for

Needs mosquitto, pulseaudio, pulseaudio-utils and ALSA's way to PulseAudio (Debian: libasound2-plugins).
"""

import argparse
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np
import soundfile
import synth
from e2e.service import Service
from house import HANG_OVER_S, Use, shipped_cry, use_of
from mqtt_broker import Mosquitto, find, running
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from sound_server import SoundServer, sounding

from monitor.records import SAMPLE_RATE_HZ, Samples

SOURCES = ("pulse", "microphone")
STRUCK = {f"{source}0": source for source in SOURCES}
"""The rooms that a fault happens to. None is called `pulse`: ALSA has a device of that name."""

LOUD = 328
"""-40 dBFS: where the cry begins."""

AWAY_S = 40.0
"""So long a sink or the server is gone: the service's back-off is at its longest by then."""

LIMIT_S = 60.0
"""Nobody waits longer for a room to be heard again."""

SETTLE_S = 15.0
EACH_S = 30.0

FLAPS = 12
Fault = Literal["sink", "loose", "server"] | signal.Signals
FAULTS: dict[str, Fault] = {
    f"sink unloaded, loaded again after {AWAY_S:.0f} s": "sink",
    f"the same, after {FLAPS} short outages": "loose",
    f"sound server killed, started again after {AWAY_S:.0f} s": "server",
    "child killed (SIGKILL)": signal.SIGKILL,
    "child stopped (SIGSTOP)": signal.SIGSTOP,
}

CARD = """
import importlib.util, sys
from importlib.machinery import PathFinder
spec = PathFinder.find_spec("sounddevice", [path for path in sys.path if path != "{folder}"])
real = sys.modules["sounddevice"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real)
check = real.check_input_settings
def card(device, channels, dtype, samplerate):
    if (channels, samplerate) != (2, 48_000):
        raise real.PortAudioError("not on this card")
    check(device, channels, dtype, samplerate=samplerate)
real.check_input_settings = card
sys.modules["__main__"].is_served = lambda: False
"""
"""The child of a `microphone` room does its own work only where no sound server stands behind the device; else `parec`
does. Nothing here has a sound card: this `sounddevice` lets a device pass for one that does 48 kHz stereo only."""


@dataclass(frozen=True)
class Notice:
    """A message as it arrived; `what` is its payload, for an event its type."""

    at_s: float
    room: str
    topic: str
    what: str


class Ears:
    """A subscriber to everything, which knows what arrived when; times are UTC."""

    def __init__(self, port: int) -> None:
        self._changed = threading.Condition()
        self._notices: list[Notice] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("cry/#", qos=1)
        self._client.loop_start()

    def find(self, room: str, topic: str, what: str | None = None, since_s: float = 0.0) -> list[Notice]:
        """Return what has come from a room on a topic; only `what`, where it is given."""
        with self._changed:
            notices = [n for n in self._notices if (n.room, n.topic) == (room, topic) and n.at_s >= since_s]
        return [n for n in notices if what in (None, n.what)]

    def wait(self, room: str, topic: str, what: str, *, since_s: float = 0.0, within_s: float = LIMIT_S) -> float:
        """Return when it first arrived after `since_s`; infinity if it does not come."""
        with self._changed:
            self._changed.wait_for(lambda: self.find(room, topic, what, since_s), within_s)
        return next((n.at_s for n in self.find(room, topic, what, since_s)), math.inf)

    def close(self) -> None:
        """End it."""
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        now_s, text = time.time(), message.payload.decode()
        *_, room, topic = message.topic.split("/")
        what = json.loads(text)["event_type"] if topic == "event" else text
        with self._changed:
            self._notices.append(Notice(now_s, room, topic, what))
            self._changed.notify_all()


@dataclass
class House:
    """Rooms that sound, the service that hears them, and the subscriber to what it says."""

    rooms: Mapping[str, str]
    server: SoundServer
    service: Service
    ears: Ears
    players: ExitStack

    def play(self, room: str, sound: Samples) -> float:
        """Begin to play into a room; return when, before the player has started."""
        begin_s = time.time()
        player = self.players.enter_context(self.server.play(room, sound))
        self.players.callback(player.kill)
        return begin_s

    def children(self) -> dict[int, str]:
        """Return the service's children, each with its command line."""
        pids = " ".join(path.read_text() for path in Path(f"/proc/{self.service.pid}/task").glob("*/children"))
        return {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in pids.split()}

    def use(self) -> tuple[Use, Use]:
        """Return what the service and its children take now."""
        now_s = time.time()
        return use_of([self.service.pid], now_s), use_of(self.children(), now_s)

    def heard(self, room: str, since_s: float) -> float:
        """Return when the room was first heard after a fault, as the log has it; infinity if it was not."""
        lines = [line["ts"] for line in self.service.logged("source_heard") if line["room"] == room]
        times_s = [datetime.fromisoformat(ts).timestamp() for ts in lines]
        return min((at_s for at_s in times_s if at_s >= since_s), default=math.inf)


@contextmanager
def living(
    rooms: Mapping[str, str], *, noise_s: float = 600.0, card: bool = False, hurried: bool = True
) -> Iterator[House]:
    """Start a house, and let it settle when each room is heard."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as players:
        folder, noise = Path(name), synth.noise(noise_s, -60)
        (folder / "sounddevice.py").write_text(CARD.replace("{folder}", name))
        broker = players.enter_context(running(Mosquitto(folder)))
        server = players.enter_context(sounding(SoundServer(folder, list(rooms), noise if hurried else None)))
        if not hurried:
            soundfile.write(folder / "noise.wav", noise, SAMPLE_RATE_HZ)
            for room in rooms:
                command = [find("paplay"), f"--device={room}", str(folder / "noise.wav")]
                player = players.enter_context(subprocess.Popen(command, env={**os.environ, **server.environ}))
                players.callback(player.kill)
        ears = Ears(broker.port)
        players.callback(ears.close)
        settings = {room: {"source": source, "device": room} for room, source in rooms.items()}
        environ = {**server.environ, **({"PYTHONPATH": name} if card else {})}
        with Service(folder, port=broker.port, rooms=settings, environ=environ) as service:
            if math.inf in [ears.wait(room, "availability", "online") for room in rooms]:
                raise SystemExit("\n".join(map(str, service.lines)))
            time.sleep(SETTLE_S)
            yield House(rooms, server, service, ears, players)
            service.stop()


def cry() -> Samples:
    """Return a cry that begins with its first loud sample."""
    sound = shipped_cry()
    return sound[np.argmax(np.abs(sound) > LOUD) :]


def told(house: House, room: str) -> float:
    """Play a cry into a room; return the seconds until the subscriber has `cry_started`."""
    begin_s = house.play(room, cry())
    return house.ears.wait(room, "event", "cry_started", since_s=begin_s, within_s=15) - begin_s


def delay(args: argparse.Namespace) -> None:
    """Each cry is in a room of its own, so that no episode's end is waited for; one room after another."""
    rooms = {f"{source}{n}": source for n in range(args.rounds or 5) for source in SOURCES}
    delays_s: dict[str, list[float]] = {source: [] for source in SOURCES}
    with living(rooms) as house:
        for room, source in rooms.items():
            delays_s[source].append(told(house, room))
            time.sleep(random.uniform(0, 1))  # noqa: S311 - no two cries begin at the same place in a block
    print(f"{'from paplay to cry_started':<28}{'cries':>6}{'median':>9}{'worst':>9}")
    for source, each in delays_s.items():
        print(f"{source:<28}{len(each):>6}{statistics.median(each):>7.2f} s{max(each):>7.2f} s", flush=True)


@dataclass(frozen=True)
class Survived:
    """What a fault did to a room, in seconds; infinity: never."""

    offline_s: float
    heard_s: float
    cry_s: float
    wrong: int


def strike(house: House, fault: Fault) -> None:
    """Let it happen to the rooms of both sources."""
    match fault:
        case "sink" | "loose":
            for room in STRUCK:
                house.server.unplug(room)
        case "server":
            house.server.kill()
        case number:
            for pid, command in house.children().items():
                if "other" not in command:
                    os.kill(pid, number)


def mend(house: House, fault: Fault, other: Samples) -> None:
    """Undo it; the other room cries again."""
    if fault in ("sink", "loose"):
        for room in STRUCK:
            house.server.plug(room)
    elif fault == "server":
        house.server.start()
        house.play("other", other)


def wiggle(house: House) -> None:
    """Take the sinks away for a moment, again and again, as a loose plug does, and wait until they are heard."""
    for _ in range(FLAPS):
        strike(house, "loose")
        time.sleep(random.uniform(0, 1))  # noqa: S311 - chance decides what the service is about just then
        mend(house, "loose", cry())
        time.sleep(random.uniform(0, 4))  # noqa: S311 - the same
    time.sleep(2 * SETTLE_S)


def suffer(house: House, fault: Fault) -> dict[str, Survived]:
    """Let a fault happen, and undo it; the other room cries all the while."""
    crying = np.tile(shipped_cry(), 40)
    house.play("other", crying)
    if math.isinf(house.ears.wait("other", "event", "cry_started")):
        raise SystemExit("the other room's cry is not heard")
    if fault == "loose":
        wiggle(house)
    struck_s = returned_s = time.time()
    strike(house, fault)
    if not isinstance(fault, signal.Signals):
        time.sleep(AWAY_S)
        returned_s = time.time()
        mend(house, fault, crying)
    while time.time() < returned_s + LIMIT_S and math.inf in [house.heard(room, returned_s) for room in STRUCK]:
        time.sleep(0.1)
    time.sleep(SETTLE_S)
    survived = {}
    for room in STRUCK:
        offline_s = house.ears.wait(room, "availability", "offline", since_s=struck_s, within_s=0)
        online_s = house.ears.wait(room, "availability", "online", since_s=returned_s, within_s=0)
        heard_s = house.heard(room, returned_s) if math.isinf(offline_s) else online_s
        wrong = len(house.ears.find(room, "event"))
        survived[room] = Survived(offline_s - struck_s, heard_s - returned_s, told(house, room), wrong)
    return survived


def recovery(args: argparse.Namespace) -> None:
    """Print the worst of all rounds for each fault and source."""
    rounds = args.rounds or 1
    title = f"worst of {rounds}"
    print(f"{title:<46}{'source':<11}{'offline':>8}{'heard again':>13}{'new cry told':>14}{'wrong events':>14}")
    for name, fault in FAULTS.items():
        each: dict[str, list[Survived]] = {source: [] for source in SOURCES}
        for _ in range(rounds):
            with living({**STRUCK, "other": "pulse"}) as house:
                for room, survived in suffer(house, fault).items():
                    each[STRUCK[room]].append(survived)
        for source, those in each.items():
            worst = [max(getattr(s, key) for s in those) for key in ("offline_s", "heard_s", "cry_s")]
            offline, heard, new = ("never" if math.isinf(s) else f"{s:.1f} s" for s in worst)
            wrong = sum(s.wrong for s in those)
            print(f"{name:<46}{source:<11}{offline:>8}{heard:>13}{new:>14}{wrong:>14}", flush=True)


def cpu_share(first: Use, last: Use) -> float:
    """Return what was used of one core."""
    return (last.cpu_s - first.cpu_s) / (last.at_s - first.at_s)


QUIET = {
    "pulse": ("pulse", {}),
    "microphone": ("microphone", {}),
    "sound card": ("microphone", {"card": True}),
    "hurried": ("pulse", {"hurried": True}),
}


def quiet(args: argparse.Namespace) -> None:
    """One room in which nothing happens."""
    minutes = args.minutes or 5.0
    print(f"{f'{minutes:g} quiet minutes':<20}{'CPU s/h':>8}{'a core':>9}{'resident MB':>18}{'own MB':>18}{'files':>8}")
    for name, (source, how) in QUIET.items():
        with living({"nursery": source}, noise_s=60 * minutes + 60, **{"hurried": False, **how}) as house:
            first = house.use()
            time.sleep(60 * minutes)
            last = house.use()
        for who, a, b in zip(("service", "child"), first, last, strict=True):
            share = cpu_share(a, b)
            resident, own = f"{a.memory_mb:.1f} to {b.memory_mb:.1f}", f"{a.own_mb:.1f} to {b.own_mb:.1f}"
            line = f"{f'{name}: {who}':<20}{3600 * share:>8.1f}{share:>9.2%}{resident:>18}{own:>18}"
            print(f"{line}{f'{a.files}, {b.files}':>8}", flush=True)


def soak(args: argparse.Namespace) -> None:
    """Four rooms for a long time."""
    minutes = args.minutes or 30.0
    rooms = {f"{source}{n}": source for n in range(2) for source in SOURCES}
    played: list[tuple[str, float]] = []
    uses: list[tuple[Use, Use]] = []
    with living(rooms, noise_s=60 * minutes + 60) as house:
        begin_s = time.time()
        while (at_s := time.time() - begin_s) < 60 * minutes:
            if EACH_S * (len(played) + 1) <= at_s < 60 * minutes - EACH_S:
                room = list(rooms)[len(played) % len(rooms)]
                played.append((room, house.play(room, cry())))
            uses.append(house.use())
            time.sleep(5)
        started = [(n.room, n.at_s) for room in rooms for n in house.ears.find(room, "event", "cry_started")]
        changes = sum(len(house.ears.find(room, "availability")) for room in rooms) - len(rooms)
        health = json.loads(house.ears.find("home", "health")[-1].what)["rooms"].values()
    found = sum(any(r == room and at <= s <= at + HANG_OVER_S for r, s in started) for room, at in played)
    print(f"{len(rooms)} rooms, {minutes:g} minutes; changes of availability {changes}")
    print(f"cries found {found} of {len(played)}, starts that belong to no cry {len(started) - found}")
    print(", ".join(f"{key} {sum(room[key] for room in health)}" for key in ("segments_dropped", "overflows")))
    warm_s = begin_s + EACH_S * (len(rooms) + 1)
    for who, each in zip(("service", "children"), zip(*uses, strict=True), strict=True):
        print(f"{who}: {cpu_share(each[0], each[-1]):.2%} of a core; first minute after the first cries, last minute:")
        for label, key in (("resident MB", "memory_mb"), ("own MB", "own_mb"), ("open files", "files")):
            early = statistics.mean(getattr(use, key) for use in each if warm_s <= use.at_s < warm_s + 60)
            late = statistics.mean(getattr(use, key) for use in each if use.at_s > each[-1].at_s - 60)
            print(f"    {label:<12}{early:>7.1f}{late:>7.1f}")
    if args.png:
        draw(args.png, uses)


def draw(png: Path, uses: list[tuple[Use, Use]]) -> None:
    """Draw memory and open files over time."""
    import matplotlib as mpl  # noqa: PLC0415 - only who wants a picture needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after its backend is chosen

    figure, (memory, files) = plt.subplots(2, 1, sharex=True, figsize=(7, 4.5), layout="constrained")
    for who, each in zip(("service", "its children"), zip(*uses, strict=True), strict=True):
        minutes = [(use.at_s - each[0].at_s) / 60 for use in each]
        memory.plot(minutes, [use.memory_mb for use in each], label=f"{who}, resident")
        memory.plot(minutes, [use.own_mb for use in each], label=f"{who}, own (PSS)")
        files.step(minutes, [use.files for use in each], where="post", label=who)
    memory.set(ylabel="MB", ylim=(0, None))
    files.set(ylabel="open files", xlabel="minutes", ylim=(0, None))
    memory.legend(fontsize="small")
    files.legend(fontsize="small")
    figure.savefig(png, dpi=120)


def main() -> None:
    """Print the figures."""
    parts = {part.__name__: part for part in (delay, recovery, quiet, soak)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"{', '.join(parts)}; all but soak if none is named")
    parser.add_argument("--rounds", type=int, help="of delay (5) and recovery (1)")
    parser.add_argument("--minutes", type=float, help="of quiet (5) and soak (30)")
    parser.add_argument("--png", type=Path, help="soak draws memory and open files there")
    args = parser.parse_args()
    for name in args.parts or ("delay", "recovery", "quiet"):
        parts[name](args)


if __name__ == "__main__":
    main()
