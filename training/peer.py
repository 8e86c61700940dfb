"""The peer: YAMNet, run as cry alarms run it. Its scores are kept, since it never changes."""

import hashlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from monitor.records import SAMPLE_RATE_HZ, Samples
from training import teacher
from training.teacher import Scores

ENTER, NEED, OF = 0.3, 3, 5  # its usual working point: 3 of 5 windows over 0.3
HANG_OVER_S = 20.0
THREADS = 2

Span = tuple[float, float]


def scores(peer_path: Path, sounds: Sequence[Samples], cache_dir: Path) -> tuple[Scores, ...]:
    """Return the window scores of the peer along each sound, computed once and kept in `cache_dir`.

    Raises:
        DataError: there is no model at `peer_path`.
    """
    content = hashlib.sha256(b"peer")
    for sound in sounds:
        content.update(len(sound).to_bytes(8, "big") + sound.tobytes())
    path = cache_dir / f"peer-{content.hexdigest()[:16]}.npz"
    if not path.is_file():
        parts = [sounds[number::THREADS] for number in range(THREADS)]
        with ThreadPoolExecutor(THREADS, thread_name_prefix="peer") as pool:
            heard = list(pool.map(lambda part: _listen(peer_path, part), parts))
        kept = {str(number): heard[number % THREADS][number // THREADS] for number in range(len(sounds))}
        cache_dir.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".part").open("wb") as part:
            np.savez(part, **kept)  # type: ignore[arg-type]  # the stubs take the names for options
        path.with_suffix(".part").rename(path)
    with np.load(path) as kept_scores:
        return tuple(kept_scores[str(number)] for number in range(len(sounds)))


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
    """Return the scores along each sound, by an interpreter of this thread's own."""
    net = teacher.load(peer_path)
    return [teacher.peer_scores(net, sound) for sound in sounds]
