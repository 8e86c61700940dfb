"""The pictures of the card that show sound: a night's timeline, and what the worst mistakes look like."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.signal
from matplotlib.axes import Axes

from monitor.records import SAMPLE_RATE_HZ, Samples
from training import data, teacher
from training.params import WindowParams
from training.plots import CRY, MODEL, NAMES, PEER, picture

WORST = 3
FRAME = 512
RANGE_DB = 60.0
SPECTROGRAM_COLOURS = 20
SECONDS = 7.0


def timeline(night: dict[str, Any], enter: float, title: str, path: Path) -> None:
    """Draw the windows' scores along a night, the true cries behind them, and the episodes of each over it."""
    window = WindowParams()
    grids = {
        "model": (window.window_samples, window.hop_samples, enter, night["scores"], night["episodes"]),
        "peer": (teacher.WINDOW_SAMPLES, teacher.PEER_HOP_SAMPLES, 0.3, night["scores_peer"], night["episodes_peer"]),
    }
    with picture(path, 9.0, 4.2) as figure:
        panels = figure.subplots(2, 1, sharex=True)
        for axes, (who, (first, hop, line, scores, episodes)) in zip(panels, grids.items(), strict=True):
            minutes = (first + hop * np.arange(len(scores))) / SAMPLE_RATE_HZ / 60
            colour = {"model": MODEL, "peer": PEER}[who]
            for onset, offset in night["cries"]:
                axes.axvspan(onset / 60, offset / 60, color=CRY, alpha=0.2, linewidth=0)
            axes.plot(minutes, scores, color=colour, linewidth=0.7)
            axes.axhline(line, color="black", linewidth=0.8, linestyle="--")
            for start, end in episodes:
                axes.plot([start / 60, max(end, start + 1) / 60], [1.07, 1.07], color="black", linewidth=4)
            axes.set(ylabel="score of the window", ylim=(-0.02, 1.12), xlim=(0, night["hours"] * 60), title=NAMES[who])
            axes.set_title(f"{NAMES[who]}, threshold {line:g}", fontsize=9)
        panels[-1].set_xlabel("time, minutes")
        figure.suptitle(f"{title}: shaded, the true cries; bars, the episodes", fontsize=10)


def mistakes(clips: Sequence[dict[str, Any]], data_dir: Path, folder: Path) -> None:
    """Draw the spectrograms of the worst false alarms and of the worst misses, one picture each."""
    others = sorted((clip for clip in clips if not clip["cry"]), key=lambda clip: -float(clip["model"]))
    cries = sorted((clip for clip in clips if clip["cry"]), key=lambda clip: float(clip["model"]))
    for name, ordered in (("false_alarms", others), ("misses", cries)):
        with picture(folder / f"{name}.png", 9.0, 2.7, SPECTROGRAM_COLOURS) as figure:
            panels = figure.subplots(1, WORST, sharex=True, sharey=True)
            for axes, clip in zip(panels, worst(ordered), strict=False):
                _spectrogram(axes, data.read_samples(data_dir / clip["file"]))
                scores = f"score {clip['model']:.2f} (peer {clip['peer']:.2f})"
                axes.set_title(f"{clip['label']}, {scores}\n{Path(clip['file']).stem}", fontsize=8)
                axes.set_xlabel("time, s")
            panels[0].set_ylabel("frequency, kHz")


def worst(ordered: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first clips, one of each source."""
    chosen: dict[str, dict[str, Any]] = {}
    for clip in ordered:
        chosen.setdefault(clip["source"], clip)
    return list(chosen.values())[:WORST]


def _spectrogram(axes: Axes, samples: Samples) -> None:
    """Draw the loudest 60 dB of a clip, coarse: 62.5 Hz by 32 ms, the stronger of two neighbours."""
    _, _, power = scipy.signal.spectrogram(data.to_float(samples), SAMPLE_RATE_HZ, nperseg=FRAME, noverlap=0)
    cells = power[: FRAME // 2].reshape(FRAME // 4, 2, -1).max(axis=1)
    level_db: npt.NDArray[np.float64] = 10 * np.log10(cells + 1e-14)
    top = float(level_db.max())
    extent = (0, level_db.shape[1] * FRAME / SAMPLE_RATE_HZ, 0, SAMPLE_RATE_HZ / 2000)
    image = axes.imshow(level_db, cmap="magma", origin="lower", extent=extent, aspect="auto", interpolation="none")
    image.set_clim(top - RANGE_DB, top)
    axes.set(xlim=(0, SECONDS), ylim=(0, SAMPLE_RATE_HZ / 2000))
    axes.grid(visible=False)
