"""The pictures of the notebook: waveforms, spectrograms, curves of the training, confusion matrices."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from monitor.records import SAMPLE_RATE_HZ
from training.causes import notebook
from training.causes.notebook import History
from training.data import Waveform
from training.plots import MODEL, OTHER, picture

RANGE_DB = 60.0
SPECTROGRAM_COLOURS = 32
PIXELS = 1000  # across a waveform: each is drawn from its lowest to its highest sample
DARK = 0.5  # from this share on a cell's number is white

Counts = npt.NDArray[np.int64]  # [true, told]


def plot_waveform(axes: Axes, waveform: Waveform) -> None:
    """Draw float32[samples] over its seconds."""
    parts = np.array_split(waveform, PIXELS)
    seconds = np.linspace(0, len(waveform) / SAMPLE_RATE_HZ, PIXELS)
    axes.fill_between(seconds, [part.min() for part in parts], [part.max() for part in parts], color=MODEL)
    axes.set(xlim=(0, seconds[-1]), ylim=(-1.05, 1.05))


def plot_spectrogram(axes: Axes, spectrogram: Waveform) -> None:
    """Draw the loudest 60 dB of float32[frames, bins, 1], as `get_spectrogram` gives it."""
    level_db = 20 * np.log10(spectrogram[..., 0].T + 1e-7)
    seconds = spectrogram.shape[0] * notebook.FRAME_STEP / SAMPLE_RATE_HZ
    extent = (0, seconds, 0, SAMPLE_RATE_HZ / 2000)
    image = axes.imshow(
        level_db, cmap="magma", origin="lower", extent=extent, aspect="auto", interpolation="antialiased"
    )
    image.set_clim(level_db.max() - RANGE_DB, level_db.max())
    axes.grid(visible=False)


def waveforms(sounds: dict[str, Waveform], path: Path) -> None:
    """Write a picture of one waveform a category."""
    with picture(path, 8.4, 0.5 + 1.35 * _rows(sounds)) as figure:
        panels = figure.subplots(_rows(sounds), 2, sharex=True, sharey=True, squeeze=False)
        for axes, (category, waveform) in zip(panels.flat, sounds.items(), strict=False):
            plot_waveform(axes, waveform)
            axes.set_title(category)
        _label(panels, len(sounds), "time, s", "of the peak")


def spectrograms(sounds: dict[str, Waveform], path: Path) -> None:
    """Write a picture of one spectrogram a category."""
    with picture(path, 8.4, 0.5 + 1.7 * _rows(sounds), SPECTROGRAM_COLOURS) as figure:
        panels = figure.subplots(_rows(sounds), 2, sharex=True, sharey=True, squeeze=False)
        for axes, (category, waveform) in zip(panels.flat, sounds.items(), strict=False):
            plot_spectrogram(axes, notebook.get_spectrogram(tf.constant(waveform)).numpy())
            axes.set_title(category)
        _label(panels, len(sounds), "time, s", "kHz")


def curves(histories: dict[str, Sequence[History]], path: Path) -> None:
    """Write a picture of accuracy and loss by epoch, a column for each title, a line for each training."""
    with picture(path, 0.6 + 2.8 * len(histories), 4.4) as figure:
        panels = figure.subplots(2, len(histories), sharex=True, sharey="row", squeeze=False)
        for column, (title, trainings) in zip(panels.T, histories.items(), strict=True):
            for number, history in enumerate(trainings):
                for axes, figure_of in zip(column, ("accuracy", "loss"), strict=True):
                    epochs = range(1, len(history[figure_of]) + 1)
                    labels = ("training", "validation") if not number else (None, None)
                    axes.plot(epochs, history[figure_of], ".-", color=MODEL, linewidth=1, label=labels[0])
                    axes.plot(epochs, history[f"val_{figure_of}"], ".--", color=OTHER, linewidth=1, label=labels[1])
            column[0].set_title(title)
            column[0].set_ylim(0, 1.02)
            column[1].set_xlabel("epoch")
            column[1].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[0, 0].set_ylabel("accuracy")
        panels[1, 0].set_ylabel("loss")
        panels[0, 0].legend(loc="lower right", fontsize=8)


def confusions(matrices: dict[str, Counts], categories: Sequence[str], path: Path) -> None:
    """Write a picture of heat maps, one for each title: numbers are clips, colour is the share of their true cause."""
    side = max(2.4, 0.42 * len(categories))
    with picture(path, 1.2 + side * len(matrices), 1.1 + side) as figure:
        panels = figure.subplots(1, len(matrices), sharey=True, squeeze=False)[0]
        for axes, (title, counts) in zip(panels, matrices.items(), strict=True):
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            for (true, told), count in np.ndenumerate(counts):
                colour = "white" if shares[true, told] >= DARK else "black"
                axes.text(told, true, str(count), ha="center", va="center", color=colour, fontsize=8)
            ticks = range(len(categories))
            axes.set_xticks(ticks, categories, rotation=60, ha="right", rotation_mode="anchor")
            axes.set_yticks(ticks, categories)
            axes.set_xlabel("the network's answer")
            axes.set_title(title)
            axes.grid(visible=False)
        panels[0].set_ylabel("the caregiver's cause")


def _rows(sounds: dict[str, Waveform]) -> int:
    return -(-len(sounds) // 2)


def _label(panels: npt.NDArray[np.object_], count: int, across: str, upwards: str) -> None:
    """Name the axes at the edges; take away a panel that nothing is drawn in."""
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    for axes in panels[-1]:
        axes.set_xlabel(across)
    for axes in panels[:, 0]:
        axes.set_ylabel(upwards)
