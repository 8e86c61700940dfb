"""Hard negatives: windows of sounds without a cry that a model takes for one, after all that may happen to them."""

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from training.augment import Augmenter, Mined

BATCH = 256
SOURCE_SHARE = 0.01  # of the draws at most: one bad clip, or one wrong label, must not rule
LEAST_SCORE = 0.02  # under it there is nothing to learn
# Sounds of the cry collection's homes are labelled by the teacher alone: the hardest of them may well be faint cries.
NOT_MINED = "background"


def mine(augmenter: Augmenter, model: keras.Model, seed: int) -> Mined:
    """Return the windows of training negatives, drawn as often as `model` scores them high.

    Every window on a grid of two thirds of a window is rendered once as training would: mixed, joined, sped up,
    filtered.
    """
    size = augmenter.params.window.window_samples
    rows = [
        (int(i), start)
        for i in augmenter.others
        if augmenter.clips[i].label != NOT_MINED
        for start in range(-size // 3, max(len(augmenter.plain[i]) - size // 3, 1), size * 2 // 3)
    ]
    rng = np.random.default_rng((augmenter.params.train.seed, 1_000_000 + seed))  # never a step's own draws
    forward = tf.function(lambda waves: model(waves, training=False)["cry"], reduce_retracing=True)
    parts = []
    for begin in range(0, len(rows), BATCH):
        waves = np.stack([augmenter.negative(rng, *row) for row in rows[begin : begin + BATCH]])
        parts.append(forward(tf.constant(waves, tf.float32)).numpy()[:, 0])
    sources = np.array([augmenter.clips[i].source for i, _ in rows])
    clips, starts = np.array(rows, np.int64).T
    return Mined(clips, starts, chances(np.concatenate(parts), sources))


def chances(scores: npt.NDArray[np.float32], sources: npt.NDArray[np.str_]) -> npt.NDArray[np.float64]:
    """Return chances in proportion to the scores, no source over about SOURCE_SHARE (where there are enough)."""
    weights = np.maximum(scores.astype(np.float64), 1e-6) * np.where(scores >= LEAST_SCORE, 1.0, 1e-3)
    _, of = np.unique(sources, return_inverse=True)
    shares = np.bincount(of, weights) / weights.sum()
    weights *= np.minimum(1.0, SOURCE_SHARE / np.maximum(shares, 1e-12))[of]
    return np.asarray(weights / weights.sum())


def cached(augmenter: Augmenter, model: keras.Model, path: Path, seed: int) -> Mined:
    """Return what `mine` finds, from `path` if it was found before."""
    if not path.is_file():
        found = mine(augmenter, model, seed)
        with path.with_suffix(".part").open("wb") as part:
            np.savez(part, **found._asdict())
        path.with_suffix(".part").rename(path)
    with np.load(path) as kept:
        return Mined(kept["clips"], kept["starts"], kept["chances"])
