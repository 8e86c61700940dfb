"""What the model and the peer hear in the same sounds: the scores of their windows, and whether that is an episode."""

import functools
import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.detect.model import Function, Threshold, Waveforms
from monitor.detect.model import Scores as Outputs
from monitor.records import Samples
from training import data, peer
from training.params import WindowParams

Scores = npt.NDArray[np.float32]

BATCH = 16  # more costs LiteRT a fifth, fewer costs TensorFlow thrice


class Heard(NamedTuple):
    """The scores of each sound's windows, by the model and by the peer."""

    ours: tuple[Scores, ...]
    peers: tuple[Scores, ...]


class Ears:
    """The model and the peer, for sounds of int16[n]; one thread calls it. The peer's scores are kept in a folder.

    Args:
        function: the model.
        peer_path: YAMNet as .tflite.
        cache_dir: where the peer's scores stay.
        params: the model's window.
        pool: of the processes that run the peer: `peer.workers`.
    """

    def __init__(
        self, function: Function, peer_path: Path, cache_dir: Path, params: WindowParams, pool: Executor
    ) -> None:
        self.function, self.params = function, params
        self._peers = functools.partial(peer.listen, peer_path, cache_dir=cache_dir, pool=pool)

    def ours(self, sounds: Sequence[Samples]) -> tuple[Scores, ...]:
        """Return the model's scores along each sound."""
        return tuple(window_scores(self.function, sound, self.params) for sound in sounds)

    def peers(self, sounds: Sequence[Samples]) -> tuple[Scores, ...]:
        """Return the peer's scores along each sound."""
        return self._peers(sounds)()

    def both(self, sounds: Sequence[Samples]) -> Heard:
        """Return what both hear, at the same time."""
        theirs = self._peers(sounds)
        return Heard(self.ours(sounds), theirs())


def window_scores(function: Function, samples: Samples, params: WindowParams) -> Scores:
    """Return the score of every window of a recording, as `cry-monitor score` gives them: no gate, no tracker.

    A recording shorter than a window is padded with silence in front.
    """
    size, hop = params.window_samples, params.hop_samples
    sound = np.pad(data.to_float(samples), (max(0, size - len(samples)), 0))
    windows = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop]
    parts = [function(np.ascontiguousarray(windows[i : i + BATCH]))["cry"] for i in range(0, len(windows), BATCH)]
    return np.asarray(np.concatenate(parts)[:, 0])


def starts_episode(scores: Scores, enter: float, need: int, of: int) -> bool:
    """Return whether `need` of some `of` windows in a row reach `enter`."""
    over = np.concatenate([np.zeros(of, int), np.cumsum(scores >= enter)])
    return bool((over[of:] - over[:-of]).max() >= need)


def started(scores: Sequence[Scores], rule: Threshold) -> npt.NDArray[np.bool_]:
    """Return which sounds start an episode of the model, bool[sounds]."""
    return np.array([starts_episode(one, rule.enter, rule.need, rule.of) for one in scores])


def peer_started(scores: Sequence[Scores]) -> npt.NDArray[np.bool_]:
    """Return which sounds start an episode of the peer, bool[sounds]."""
    return np.array([starts_episode(one, peer.ENTER, peer.NEED, peer.OF) for one in scores])


def best(scores: Sequence[Scores]) -> Scores:
    """Return the score of each sound's best window, float32[sounds]."""
    return np.array([one.max() for one in scores], np.float32)


def remembered(function: Function) -> Function:
    """Return `function` with a memory: a window that it heard before costs no inference.

    The same night is heard at three sensitivities, which cut it into the same windows.
    """
    known: dict[bytes, np.float32] = {}

    def recall(waveforms: Waveforms) -> Outputs:
        keys = [hashlib.blake2b(wave.tobytes(), digest_size=16).digest() for wave in waveforms]
        new = [number for number, key in enumerate(keys) if key not in known]
        if new:
            known.update(zip((keys[n] for n in new), function(waveforms[new])["cry"][:, 0], strict=True))
        return {"cry": np.array([[known[key]] for key in keys], np.float32)}

    return recall
