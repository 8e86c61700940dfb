"""A house of many rooms in one process, in real time: is every cry heard, in its own room, and how soon?

usage: python benchmarks/house.py [--rooms N] [--crying N] [--minutes M] [--png FILE]

Each room is a file of -60 dBFS noise played at speed 1; each minute another group of `--crying` rooms cries at once,
the shipped recording's ten seconds, 15 s into the minute. `cry-monitor run` publishes to a real mosquitto. The delay is
from the first sample of the cry to the arrival of `cry_started`. Needs mosquitto.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np
import soundfile
import synth
from mqtt_broker import Mosquitto
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from monitor.capture import Recording
from monitor.records import SAMPLE_RATE_HZ, Samples

ONSET_S = 15
HANG_OVER_S = 25
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Heard:
    """What came over MQTT; filled by the client's thread, read when it has stopped."""

    opened_at: dict[str, float] = field(default_factory=dict)
    started: list[tuple[str, float]] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def take(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        """Note when a room was first heard, when its cries arrived, and what was dropped."""
        now = time.time()
        *_, room, topic = message.topic.split("/")
        if topic == "availability" and message.payload == b"online":
            self.opened_at.setdefault(room, now)
        elif topic == "event" and json.loads(message.payload)["event_type"] == "cry_started":
            self.started.append((room, now))
        elif topic == "health":
            rooms = json.loads(message.payload)["rooms"]
            self.dropped = {name: facts["segments_dropped"] for name, facts in rooms.items()}


@dataclass(frozen=True)
class Use:
    """What processes take together at one moment; of memory they share, `own_mb` counts each one's part (PSS)."""

    at_s: float
    cpu_s: float = 0.0
    memory_mb: float = 0.0
    own_mb: float = 0.0
    files: int = 0


def use_of(pids: Iterable[int], at_s: float) -> Use:
    """Read it from /proc; a process that is gone takes nothing."""
    use = Use(at_s)
    for process in (Path(f"/proc/{pid}") for pid in pids):
        with contextlib.suppress(OSError):
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            memory = (process / "smaps_rollup").read_text()
            use = Use(
                at_s,
                use.cpu_s + (int(stat[11]) + int(stat[12])) / TICKS_PER_S,
                use.memory_mb + int(memory.split("Rss:")[1].split()[0]) / 1024,
                use.own_mb + int(memory.split("Pss:")[1].split()[0]) / 1024,
                use.files + sum(1 for _ in (process / "fd").iterdir()),
            )
    return use


def shipped_cry() -> Samples:
    """Return the ten seconds of crying in the shipped recording, at half its level."""
    with Recording(ROOT / "monitor/recordings/crying.flac") as recording:
        return np.concatenate(list(recording.blocks()))[3 * SAMPLE_RATE_HZ : 13 * SAMPLE_RATE_HZ] // 2


def cries_in(room: int, rooms: int, crying: int, minutes: int) -> list[float]:
    """Return the onsets, in seconds, of a room's cries: each minute the next group cries."""
    groups = max(1, rooms // crying)
    return [60.0 * minute + ONSET_S for minute in range(minutes) if minute % groups == room // crying % groups]


def make_house(folder: Path, rooms: int, crying: int, minutes: int, port: int) -> Path:
    """Write the rooms' recordings and the configuration; return its path."""
    cry = shipped_cry()
    lines = [f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n[history]\npath = "{folder}/history.db"\n']
    for room in range(rooms):
        onsets = cries_in(room, rooms, crying, minutes)
        pcm = synth.over(synth.noise(60.0 * minutes, -60, seed=room), *((onset, cry) for onset in onsets))
        soundfile.write(folder / f"room{room}.flac", pcm, SAMPLE_RATE_HZ)
        lines.append(f'[rooms.room{room}]\nsource = "file"\npath = "{folder}/room{room}.flac"\n')
    (folder / "house.toml").write_text("".join(lines))
    return folder / "house.toml"


def live(config: Path, minutes: int, port: int) -> tuple[Heard, list[Use], int]:
    """Run the service for as long as the recordings last; return what was heard, what it cost, and its exit code."""
    heard = Heard()
    cost: list[Use] = []
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = heard.take
    client.connect("127.0.0.1", port)
    client.subscribe("cry/#", qos=1)
    client.loop_start()
    command = [sys.executable, "-m", "monitor", "run", "--config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as service:
        pause, begin_s = threading.Event(), time.monotonic()
        while not pause.wait(5) and time.monotonic() - begin_s < 60 * minutes - 3:
            cost.append(use_of([service.pid], time.monotonic() - begin_s))
        service.terminate()
        code = service.wait(15)
    client.disconnect()
    client.loop_stop()
    return heard, cost, code


def judge(heard: Heard, rooms: int, crying: int, minutes: int) -> tuple[int, int, int, list[float]]:
    """Return how many cries there were, how many were found, how many starts belong to none, and the delays."""
    cries = found = 0
    delays_s, left = [], list(heard.started)
    for room in range(rooms):
        name = f"room{room}"
        for onset_s in cries_in(room, rooms, crying, minutes):
            cries += 1
            onset_at = heard.opened_at[name] + onset_s
            mine = [(who, at) for who, at in left if who == name and onset_at - 1 <= at <= onset_at + HANG_OVER_S]
            if mine:
                found += 1
                delays_s.append(mine[0][1] - onset_at)
                left.remove(mine[0])
    return cries, found, len(left), delays_s


def main() -> None:
    """Print the figures; draw memory and files where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--crying", type=int, default=5)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--png", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder)
        broker.start()
        try:
            config = make_house(folder, args.rooms, args.crying, args.minutes, broker.port)
            heard, cost, code = live(config, args.minutes, broker.port)
        finally:
            broker.stop()
    cries, found, elsewhere, delays_s = judge(heard, args.rooms, args.crying, args.minutes)
    span_s = cost[-1].at_s - cost[0].at_s
    delay = f"median {statistics.median(delays_s):.2f} s, 95th percentile {np.percentile(delays_s, 95):.2f} s"
    print(f"{args.rooms} rooms, {args.crying} crying at once, {args.minutes} minutes in real time; exit {code}")
    print(f"cries {cries}, found in their room {found}, starts that belong to no cry {elsewhere}")
    print(f"delay from the first sample to the message: {delay}")
    print(
        f"CPU {(cost[-1].cpu_s - cost[0].cpu_s) / span_s:.1%} of a core; segments dropped {sum(heard.dropped.values())}"
    )
    print(f"memory {cost[2].memory_mb:.0f} MB at 15 s, {cost[-1].memory_mb:.0f} MB at the end")
    print(f"open files {cost[2].files} at 15 s, {cost[-1].files} at the end")
    if args.png:
        draw(args.png, cost)


def draw(png: Path, cost: list[Use]) -> None:
    """Draw memory and open files over time."""
    import matplotlib as mpl  # noqa: PLC0415 - only who wants a picture needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after its backend is chosen

    figure, (memory, files) = plt.subplots(2, 1, sharex=True, figsize=(7, 4), layout="constrained")
    minutes = [use.at_s / 60 for use in cost]
    memory.plot(minutes, [use.memory_mb for use in cost])
    memory.set(ylabel="resident MB", ylim=(0, None))
    files.step(minutes, [use.files for use in cost], where="post")
    files.set(ylabel="open files", xlabel="minutes", ylim=(0, None))
    figure.savefig(png, dpi=120)


if __name__ == "__main__":
    main()
