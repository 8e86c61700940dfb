"""The teacher: what YAMNet hears along each clip says which windows of a labelled cry to call a cry.

The labels are weak (a clip named cry holds pauses and speech), so a window of a cry clip is as much a cry as the
teacher hears in it, sharpened; a window of any other clip is none, whatever the teacher says. What else it hears (a
laugh, a cat, a voice) the network learns to say beside it, while it is trained: that keeps a laugh from looking like
a cry to it where no clip of a laugh says so.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from monitor.records import Samples
from training.data import DataError, Sounds, to_float
from training.params import TargetParams

WINDOW_SAMPLES = 15600
PEER_HOP_SAMPLES = 7800  # as alarms run it, and as the peer is measured
GRID_SAMPLES = 3840  # 0.24 s: twice per hop of our windows
CLASSES = 521
CRY_CLASSES = slice(19, 21)  # 'Crying, sobbing' and 'Baby cry, infant cry'
LAUGH_CLASSES = slice(13, 18)  # 'Laughter', 'Baby laughter', 'Giggle', 'Snicker', 'Belly laugh'
VOICES = slice(0, 81)  # of people and of animals in the house: what is taken for a cry
LAUGHS = LAUGH_CLASSES.stop - LAUGH_CLASSES.start
LEAST_SCORE = 1e-4  # smaller ones are noise
LEAST_STD = 0.7  # of a class's odds: what the teacher never hears is not worth fitting
HEARD_AT, HEARD_IN = 0.2, 100  # a class is worth learning where the teacher gives it so much in so many windows

Scores = npt.NDArray[np.float32]
Heard = npt.NDArray[np.float16]
Teacher = Callable[[npt.NDArray[np.float32]], Scores]


def load(path: Path) -> Teacher:
    """Return the teacher: float32[15600] in [-1, 1) at 16 kHz to the scores of its 521 classes, float32[521].

    Raises:
        DataError: there is no model at `path`.
    """
    if not path.is_file():
        raise DataError(f"no teacher at {path}: give YAMNet as a .tflite file with --teacher")
    net = Interpreter(str(path), num_threads=1)
    net.allocate_tensors()
    waveform, scores = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"]

    def score(window: npt.NDArray[np.float32]) -> Scores:
        net.set_tensor(waveform, window)
        net.invoke()
        return np.asarray(net.get_tensor(scores)[0])

    return score


def cry(heard: npt.NDArray[np.floating[Any]]) -> Scores:
    """Return float32[...]: the larger of the two cry scores of float[..., 521]."""
    return np.asarray(heard[..., CRY_CLASSES].max(axis=-1), np.float32)


def worth_learning(heard: Sequence[Heard]) -> npt.NDArray[np.int64]:
    """Return the voices that the teacher hears often enough in the clips, int64[classes].

    All of the laughs, which the network needs afterwards, and none of the cries, which have targets of their own.
    """
    often = np.sum([(scores > HEARD_AT).sum(axis=0) for scores in heard], axis=0) >= HEARD_IN
    often[VOICES.stop :] = False
    often[CRY_CLASSES], often[LAUGH_CLASSES] = False, True
    return np.flatnonzero(often)


class Odds:
    """The teacher's odds, a class's standardised over all that it said of the clips.

    A score near 0 hides how far from a cat a sound is; odds say it, and so all of 521 classes say something of any
    sound, the cries among them. Scores of what is seldom heard are learnt beside them, since odds fitted by least
    squares are timid there.
    """

    def __init__(self, heard: Sequence[Heard]) -> None:
        odds = np.concatenate([_odds(scores) for scores in heard])
        self._mean, self._std = odds.mean(axis=0), np.maximum(odds.std(axis=0), LEAST_STD)

    def __call__(self, heard: Heard) -> Scores:
        """Return float32[..., 521] of scores float16[..., 521]."""
        return np.asarray((_odds(heard) - self._mean) / self._std, np.float32)


def _odds(heard: Heard) -> Scores:
    scores = np.clip(heard.astype(np.float32), LEAST_SCORE, 1 - LEAST_SCORE)
    return np.asarray(np.log(scores / (1 - scores)))


def along(teacher: Teacher, samples: Samples) -> Heard:
    """Return float16[1 + n // GRID, 521]: the window centred on each grid point, silence beyond the ends."""
    half = WINDOW_SAMPLES // 2
    padded = np.pad(to_float(samples), (half, half))
    starts = range(0, len(samples) + 1, GRID_SAMPLES)
    return np.array([teacher(padded[start : start + WINDOW_SAMPLES]) for start in starts], np.float16)


def peer_scores(teacher: Teacher, samples: Samples) -> Scores:
    """Return the scores of the peer as alarms run it: a window each 0.4875 s; a short clip is padded behind."""
    sound = to_float(samples)
    sound = np.pad(sound, (0, max(0, WINDOW_SAMPLES - len(sound))))
    starts = range(0, len(sound) - WINDOW_SAMPLES + 1, PEER_HOP_SAMPLES)
    return np.array([cry(teacher(sound[start : start + WINDOW_SAMPLES])) for start in starts], np.float32)


def cached(teacher_path: Path, sounds: Sounds, cache_dir: Path) -> list[Heard]:
    """Return what the teacher hears `along` each clip, computed once (minutes) and kept in `cache_dir`."""
    content = hashlib.sha256(b"all classes")
    for index in range(len(sounds)):
        content.update(sounds[index].tobytes())
    path = cache_dir / f"teacher-{content.hexdigest()[:16]}.npz"
    if not path.is_file():
        teacher = load(teacher_path)
        scores = {str(number): along(teacher, sounds[number]) for number in range(len(sounds))}
        cache_dir.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".part").open("wb") as part:
            np.savez(part, **scores)  # type: ignore[arg-type]  # the stubs take the names for options
        path.with_suffix(".part").rename(path)
    with np.load(path) as kept:
        return [kept[str(number)] for number in range(len(sounds))]


def inside(grid: int, start: int, length: int) -> slice:
    """Return which of `grid` windows lie wholly in the samples [start, start + length); one at least."""
    half = WINDOW_SAMPLES // 2
    first = min(max(math.ceil((start + half) / GRID_SAMPLES), 0), grid - 1)
    last = min(max(math.floor((start + length - half) / GRID_SAMPLES), first), grid - 1)
    return slice(first, last + 1)


def target(scores: Scores, start: int, length: int, params: TargetParams) -> float:
    """Return how much of a cry the window [start, start + length) of a labelled cry is, 0..1.

    The best teacher window that lies wholly in ours decides: one cry in it makes it a cry. The lift keeps
    clips that the teacher hears faintly from teaching silence.

    Args:
        scores: the clip's cry scores along its grid.
        start: first sample of the window, in the clip; may be negative (silence before the clip).
        length: samples of the window.
        params: how to sharpen.
    """
    best, loudest = float(scores[inside(len(scores), start, length)].max()), max(float(scores.max()), 1e-3)
    odds = min(max(best, 1e-6), 1 - 1e-6)
    sharpened = 1 / (1 + (1 - odds) / odds * math.exp(-params.sharpen_logit))
    return max(sharpened, params.lift_to * best / loudest)
