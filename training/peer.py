"""The peer: YAMNet, run as cry alarms run it. Its scores are kept, since it never changes."""

import functools
import hashlib
import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import numpy as np

from monitor.records import SAMPLE_RATE_HZ, Samples
from training import teacher
from training.teacher import Scores

ENTER, NEED, OF = 0.3, 3, 5  # its usual working point: 3 of 5 windows over 0.3
HANG_OVER_S = 20.0
WORKERS = 2

Span = tuple[float, float]


def listen(
    peer_path: Path, sounds: Sequence[Samples], cache_dir: Path, pool: Executor
) -> Callable[[], tuple[Scores, ...]]:
    """Begin to score the windows of each sound; return what waits for the scores, in the order of the sounds.

    Computed once and kept in `cache_dir`. The pool is of processes, so that the model and its judge share nothing.
    What is returned raises DataError where there is no model at `peer_path`.
    """
    content = hashlib.sha256(b"peer")
    for sound in sounds:
        content.update(len(sound).to_bytes(8, "big") + sound.tobytes())
    path = cache_dir / f"peer-{content.hexdigest()[:16]}.npz"
    parts = [] if path.is_file() else [sounds[number::WORKERS] for number in range(WORKERS)]
    waiting = [pool.submit(_listen, peer_path, [np.asarray(sound) for sound in part]) for part in parts]

    def scores() -> tuple[Scores, ...]:
        if waiting:
            heard = [part.result() for part in waiting]
            _keep(path, {str(number): heard[number % WORKERS][number // WORKERS] for number in range(len(sounds))})
        with np.load(path) as kept:
            return tuple(kept[str(number)] for number in range(len(sounds)))

    return scores


def workers() -> Executor:
    """Return a pool for `listen`; its processes start with the first sound that is not known yet."""
    return ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn"))


def episodes(scores: Scores) -> list[Span]:
    """Return when the peer's episodes begin and end, in seconds: the rule of its own tool, shared/tools/peer_yamnet.py.

    They end at the last window that kept them on, while the monitor's end 20 s later, when it says so: this flatters
    the peer's seconds of false alarm.
    """
    spans: list[Span] = []
    recent: deque[bool] = deque(maxlen=OF)
    running = False
    for number, score in enumerate(scores):
        at = (number * teacher.PEER_HOP_SAMPLES + teacher.WINDOW_SAMPLES) / SAMPLE_RATE_HZ
        recent.append(bool(score >= ENTER))
        if sum(recent) >= NEED:
            spans = [*spans[:-1], (spans[-1][0], at)] if running else [*spans, (at, at)]
            running = True
        elif running and at - spans[-1][1] >= HANG_OVER_S:
            running = False
    return spans


def _listen(peer_path: Path, sounds: Sequence[Samples]) -> list[Scores]:
    """Return the scores along each sound: what a worker does."""
    return [teacher.peer_scores(_net(peer_path), sound) for sound in sounds]


@functools.cache
def _net(peer_path: Path) -> teacher.Teacher:
    return teacher.load(peer_path)


def _keep(path: Path, scores: dict[str, Scores]) -> None:
    """Write scores to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".part").open("wb") as part:
        np.savez(part, **scores)  # type: ignore[arg-type]  # the stubs take the names for options
    path.with_suffix(".part").rename(path)
