"""A day of sound through the whole service, as fast as it goes: does it grow, and does every event arrive?

usage: python benchmarks/soak.py [--hours H] [--png FILE] [NIGHT.flac ...]

The recordings (default: the two labelled nights of ../shared, 20 minutes and 8 cries each) become one, which a room
plays in a loop at `speed = 0`. `cry-monitor run` publishes to a real mosquitto, where a subscriber of QoS 1 has a
session that outlives its connection. Each second the service's memory, threads, files and history are measured; how
much sound was heard is read off its events, whose `at` is the time of the opening plus samples / 16 000.
SQLite keeps up to 2 MB of the history in memory, and such growth is no leak. A recording at full speed is ahead of the
clock: its events belong to nights to come, and `tonight` counts them when those are here. Needs mosquitto. 24 h take
about 6 minutes on two free cores.
"""

import argparse
import json
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np
import soundfile
from mqtt_broker import Mosquitto, running, wait_until
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

SHARED = ROOT.parent / "shared" / "data"
NIGHTS = (SHARED / "night" / "night.flac", SHARED / "extra" / "night" / "night_low_snr.flac")

WARM_UP_H = 1.0
"""What is left out of the slope: caches, pools and the first episodes fill."""

HOUR_S, MB = 3600.0, 1 << 20
STALLED_S = 300.0


@dataclass(frozen=True, slots=True)
class Use:
    """What the service takes at one moment; `at` is UTC seconds of this machine's clock."""

    at: float
    memory_mb: float
    threads: int
    files: int
    store_bytes: int
    log_bytes: int


@dataclass(slots=True)
class Heard:
    """What the subscriber got; filled by its client's thread."""

    ids: Counter[str] = field(default_factory=Counter)
    marks: list[tuple[float, float]] = field(default_factory=list)  # when an event came, and its own time
    late: int = 0

    def take(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        """Count an event."""
        event = json.loads(message.payload)
        self.ids[event["event_id"]] += 1
        self.late += event["late"]
        self.marks.append((time.time(), datetime.fromisoformat(event["at"]).timestamp()))


def subscriber(port: int, heard: Heard) -> Client:
    """Return a connected client that hears every event, and for which the broker keeps what it misses."""

    def on_connect(client: Client, _data: object, _flags: ConnectFlags, _reason: ReasonCode, _more: object) -> None:
        client.subscribe("cry/+/+/event", qos=1)

    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 86_400
    client = Client(CallbackAPIVersion.VERSION2, client_id="soak", protocol=MQTTv5)
    client.on_connect, client.on_message = on_connect, heard.take
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    return client


def use_of(pid: int, history: Path) -> Use:
    """Read what a process takes from /proc, and how large its history is, log included."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    store, log = (
        side.stat().st_size if side.exists() else 0 for side in (history, history.with_name(f"{history.name}-wal"))
    )
    return Use(time.time(), int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), files, store, log)


def one_recording(nights: Sequence[Path], path: Path) -> float:
    """Write the nights one after the other; return the seconds."""
    parts = [soundfile.read(night, dtype="int16") for night in nights]
    rates = {rate_hz for _, rate_hz in parts}
    if len(rates) > 1:
        raise SystemExit(f"the nights must have one rate, these have {sorted(rates)} Hz")
    sound, (rate_hz,) = np.concatenate([sound for sound, _ in parts]), rates
    soundfile.write(path, sound, rate_hz)
    return len(sound) / rate_hz


def run(folder: Path, night: Path, hours: float, port: int, heard: Heard) -> tuple[list[Use], int, float]:
    """Run the service until so much was heard; return what it took each second, its exit code, and when it opened."""
    history = folder / "history.db"
    config = folder / "soak.toml"
    config.write_text(
        f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n[history]\npath = "{history}"\n'
        f'[rooms.nursery]\nsource = "file"\npath = "{night}"\nloop = true\nspeed = 0\n'
    )
    uses: list[Use] = []
    command = [sys.executable, "-m", "monitor", "run", "--config", str(config)]
    opened_at = time.time()
    pause = threading.Event()
    with (folder / "log").open("wb") as log, subprocess.Popen(command, cwd=ROOT, stdout=log) as service:
        while not pause.wait(1.0):
            if service.poll() is not None:
                break
            uses.append(use_of(service.pid, history))
            newest = heard.marks[-1] if heard.marks else (opened_at, opened_at)
            if newest[1] - opened_at >= hours * HOUR_S:
                break
            if time.time() - newest[0] > STALLED_S:
                print(f"no event for {STALLED_S:.0f} s; it is stopped")
                break
        service.send_signal(signal.SIGTERM)
        code = service.wait(30)
    uses.append(replace(uses[-1], at=time.time(), store_bytes=history.stat().st_size, log_bytes=0))
    return uses, code, opened_at


def stored(history: Path) -> tuple[set[str], int, int]:
    """Return the ids of the events in the store, how many the broker never had, and how many episodes there are."""
    with closing(sqlite3.connect(history)) as db:
        ids = {row[0] for row in db.execute("SELECT event_id FROM events")}
        (waiting,) = db.execute("SELECT count(*) FROM events WHERE delivered_at IS NULL").fetchone()
        (episodes,) = db.execute("SELECT count(*) FROM episodes").fetchone()
    return ids, waiting, episodes


def main() -> None:
    """Print the figures; draw them where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nights", nargs="*", type=Path, default=NIGHTS)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--png", type=Path)
    args = parser.parse_args()
    if not all(night.is_file() for night in args.nights):
        print("the labelled nights are not here: name recordings of your own")
        return
    heard = Heard()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        night_s = one_recording(args.nights, folder / "night.flac") / len(args.nights)
        with running(Mosquitto(folder)) as broker:
            client = subscriber(broker.port, heard)
            uses, code, opened_at = run(folder, folder / "night.flac", args.hours, broker.port, heard)
            ids, waiting, episodes = stored(folder / "history.db")
            if not waiting:
                wait_until(lambda: not ids - heard.ids.keys(), "the last events arrive")
            client.disconnect()
            client.loop_stop()
        logged = Counter(json.loads(line)["event"] for line in (folder / "log").read_bytes().splitlines())
    marks = np.array([(opened_at, opened_at), *heard.marks])
    hours = (np.interp([use.at for use in uses], marks[:, 0], np.maximum.accumulate(marks[:, 1])) - opened_at) / HOUR_S
    memory_mb = np.array([use.memory_mb for use in uses])
    warm = (hours >= min(WARM_UP_H, hours[-1] / 2)) & (np.arange(len(uses)) < len(uses) - 1)
    slope = np.polyfit(hours[warm], memory_mb[warm], 1)[0] * 24
    nights = hours[-1] * HOUR_S / night_s
    lost, twice = ids - heard.ids.keys(), sum(count - 1 for count in heard.ids.values())
    drops = {event: logged[event] for event in ("message_lost", "event_kept_in_history_only", "history_failed")}
    print(f"{hours[-1]:.1f} h of sound in {uses[-1].at - opened_at:.0f} s, {nights:.0f} nights; exit {code}")
    print(
        f"memory {memory_mb[warm][0]:.1f} MB after {hours[warm][0]:.1f} h, {memory_mb[-1]:.1f} MB at the end, at most "
        f"{memory_mb.max():.1f} MB; slope past that {slope:+.2f} MB in 24 h"
    )
    print(f"at most {max(use.threads for use in uses)} threads, {max(use.files for use in uses)} open files")
    print(f"{episodes} cries; {len(ids)} events stored, {len(heard.ids)} received: {len(lost)} lost, {twice} twice")
    print(f"{waiting} not acknowledged, {heard.late} late; " + ", ".join(f"{e} {n}" for e, n in drops.items()))
    print(
        f"history {uses[-1].store_bytes / MB:.2f} MB: {uses[-1].store_bytes / nights / 1024:.1f} kB a night of "
        f"{night_s / 60:.0f} min, {uses[-1].store_bytes / max(1, episodes) / 1024:.2f} kB a cry"
    )
    if args.png:
        draw(args.png, hours[:-1], uses[:-1])


def draw(png: Path, hours: np.ndarray, uses: Sequence[Use]) -> None:
    """Draw memory and history over the hours of sound."""
    import matplotlib as mpl  # noqa: PLC0415 - only who wants a picture needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after its backend is chosen

    figure, (memory, store) = plt.subplots(2, 1, sharex=True, figsize=(7, 4), layout="constrained")
    memory.plot(hours, [use.memory_mb for use in uses])
    memory.set(ylabel="resident MB", ylim=(0, None), title=f"cry-monitor run, {hours[-1]:.0f} h of sound at full speed")
    store.plot(hours, [use.store_bytes / MB for use in uses], label="history")
    store.plot(hours, [use.log_bytes / MB for use in uses], label="its write-ahead log")
    store.set(ylabel="MB on disk", xlabel="hours of sound", ylim=(0, None), xlim=(0, hours[-1]))
    store.legend(loc="center right")
    figure.savefig(png, dpi=120)


if __name__ == "__main__":
    main()
