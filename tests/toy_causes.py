"""Folders of made-up cries, one for each cause: their pitch tells the cause, and a file's name its household."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import synth

EIGHT = ("alone", "bored", "cold", "hungry", "itchy", "noisy", "scared", "tired")


class Done(NamedTuple):
    """A finished run of `training reproduce --export`, and what it printed."""

    data: Path
    run: Path
    exported: Path
    printed: str


def write(
    folder: Path, pitches_hz: dict[str, float], households: int = 2, clips: int = 1, seconds: float = 2.0
) -> Path:
    """Write `clips` cries of each cause in so many households of its own, to `folder`/cause/household-number.wav."""
    for first, (category, pitch_hz) in enumerate(pitches_hz.items()):
        (folder / category).mkdir(parents=True)
        for household in range(households):
            for number in range(clips):
                room = synth.noise(seconds, -55.0, seed=100 * household + number)
                sound = synth.over(room, (0.0, synth.cry(seconds, -20.0, pitch_hz * (1 + 0.01 * household))))
                name = f"h{first:04x}{household:04x}-{number}.wav"
                soundfile.write(folder / category / name, np.asarray(sound), 16000)
    return folder


def pitches(categories: Sequence[str]) -> dict[str, float]:
    """Return a pitch for each cause, a third apart."""
    return {category: 200.0 * 1.26**number for number, category in enumerate(categories)}
