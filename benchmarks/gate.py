"""Does the gate cost a cry, and what does it save?

usage: python benchmarks/gate.py [--data DIR]

Recall: of the windows in all cry clips that score over `enter` at `normal`, the share that the gate lets through to the
model, pre-roll counted. Each clip stands in its room: 5 s of room before it, 3 s after. Closed: the share of the time
of `negatives/` (two hours of busy sound without a cry) in which the model rests. Both in a quiet room (-60 dBFS) and
with a white-noise machine (-35 dBFS) under everything.
"""

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import synth

from monitor.capture import Recording, Segmenter
from monitor.detect import Model, load_model, models_folder, to_waveforms
from monitor.detect.detector import ends_of
from monitor.records import SAMPLE_RATE_HZ, Samples

BEFORE_S, AFTER_S = 5, 3
ROOMS = {"quiet room, -60 dBFS": -60.0, "noise machine, -35 dBFS": -35.0}


def read(path: Path) -> Samples:
    """Return a whole recording."""
    with Recording(path) as recording:
        return np.concatenate(list(recording.blocks()))


def let_through(pcm: Samples, model: Model) -> tuple[set[int], float]:
    """Return the ends of the windows that the gate lets through, and the share of segments with a closed gate."""
    window, hop = model.manifest.window_samples, model.manifest.hop_samples
    core = Segmenter("room", window_samples=window, hop_samples=hop)
    ends: set[int] = set()
    open_samples = 0
    for start in range(0, len(pcm), hop):
        for segment in core.feed(pcm[start : start + hop], at=0.0):
            if segment.gate == "open":
                open_samples += hop
                ends.update(ends_of(segment, 0, window, hop))
    return ends, 1 - open_samples / len(pcm)


def crying_windows(pcm: Samples, model: Model) -> set[int]:
    """Return the ends of the windows that score over `enter`."""
    window, hop = model.manifest.window_samples, model.manifest.hop_samples
    ends = range(-(-window // hop) * hop, len(pcm) + 1, hop)
    scores = model.function(to_waveforms([pcm[end - window : end] for end in ends]))["cry"][:, 0]
    return {end for end, score in zip(ends, scores, strict=True) if score >= model.manifest.sensitivity["normal"].enter}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"no figures: {args.data} is not there; name the data with --data")
        return
    model = load_model(models_folder() / "cry")
    with (args.data / "metadata.csv").open() as rows:
        clips = [args.data / row["file"] for row in csv.DictReader(rows) if row["label"] == "cry"]
    negatives = sorted((args.data / "negatives").glob("*.ogg"))
    print(f"{'':<26}{'cry windows':>12}{'let through':>13}{'closed on negatives':>21}")
    for room, level_dbfs in ROOMS.items():
        crying = passed = 0
        for clip in clips:
            sound = read(clip)
            seconds = BEFORE_S + len(sound) / SAMPLE_RATE_HZ + AFTER_S
            pcm = synth.over(synth.noise(seconds, level_dbfs), (BEFORE_S, sound))
            wanted = crying_windows(pcm, model)
            crying += len(wanted)
            passed += len(wanted & let_through(pcm, model)[0])
        closed = []
        for stream in negatives:
            sound = read(stream)
            pcm = synth.over(synth.noise(len(sound) / SAMPLE_RATE_HZ, level_dbfs), (0, sound))
            closed.append(let_through(pcm, model)[1])
        print(f"{room:<26}{crying:>12}{passed / crying:>12.2%} {np.mean(closed):>20.1%}")


if __name__ == "__main__":
    main()
