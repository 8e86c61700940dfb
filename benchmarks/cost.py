"""CPU seconds for an hour of sound, through the two thread-free cores and through the peer, in turn, in one process.

usage: python benchmarks/cost.py [--rounds N] [--png FILE]

Three rooms: quiet (-60 dBFS noise, the gate closed but for its probes), a noise machine (-35 dBFS), and a cry that
holds the gate open. One thread; medians over rounds; the ratio is taken round by round, so a machine that changes its
speed changes it little. Rooms in real time per core = 3600 / CPU seconds per hour.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import synth
from _peer import load_peer

from monitor.detect import load_model, models_folder
from monitor.offline import listen
from monitor.records import SAMPLE_RATE_HZ, Samples

SECONDS = 300
ROOMS = {
    "quiet room, -60 dBFS": synth.noise(SECONDS, -60),
    "noise machine, -35 dBFS": synth.noise(SECONDS, -35),
    "crying, gate open": synth.over(synth.noise(SECONDS, -60), (0, synth.cry(SECONDS, -25))),
}


def cpu_s_per_hour(use: Callable[[Samples], object], pcm: Samples) -> float:
    """Return the CPU seconds that `use` takes for an hour of `pcm`."""
    begin = time.process_time()
    use(pcm)
    return (time.process_time() - begin) * 3600 * SAMPLE_RATE_HZ / len(pcm)


def main() -> None:
    """Print the table; draw it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--png", type=Path)
    args = parser.parse_args()
    model, peer = load_model(models_folder() / "cry"), load_peer()

    def monitor(pcm: Samples) -> None:
        for _ in listen((pcm[i : i + 3_840] for i in range(0, len(pcm), 3_840)), model):
            pass

    ours: dict[str, list[float]] = {room: [] for room in ROOMS}
    theirs: dict[str, list[float]] = {room: [] for room in ROOMS}
    for _ in range(args.rounds):
        for room, pcm in ROOMS.items():
            ours[room].append(cpu_s_per_hour(monitor, pcm))
            if peer:
                theirs[room].append(cpu_s_per_hour(peer, pcm))
    print(f"{'CPU s per hour of sound':<26}{'cry-monitor':>12}{'peer':>8}{'ratio':>8}{'rooms a core':>14}{'peer':>8}")
    for room in ROOMS:
        mine = statistics.median(ours[room])
        line = f"{room:<26}{mine:>12.2f}"
        if peer:
            other = statistics.median(theirs[room])
            ratio = statistics.median(a / b for a, b in zip(ours[room], theirs[room], strict=True))
            line += f"{other:>8.2f}{ratio:>8.2f}{3600 / mine:>14.0f}{3600 / other:>8.0f}"
        print(line)
    if args.png:
        draw(args.png, ours, theirs)


def draw(png: Path, ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> None:
    """Draw the medians as bars."""
    import matplotlib as mpl  # noqa: PLC0415 - only who wants a picture needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after its backend is chosen

    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for offset, name, figures in ((-0.2, "cry-monitor", ours), (0.2, "peer (YAMNet)", theirs)):
        if all(figures.values()):
            medians = [statistics.median(values) for values in figures.values()]
            bars = axes.barh([i + offset for i in range(len(medians))], medians, height=0.38, label=name)
            axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set_yticks(range(len(ours)), list(ours))
    axes.invert_yaxis()
    axes.set_xlabel("CPU seconds for an hour of sound, one thread")
    axes.legend()
    figure.savefig(png, dpi=120)


if __name__ == "__main__":
    main()
