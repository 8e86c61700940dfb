"""What was tried to tell causes from sound: each learns from some households and answers for others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from training.causes import notebook, protocols, trunk
from training.causes.figures import Causes, Fold, Probabilities
from training.data import Waveform
from training.layers import LogMel
from training.params import MelParams

BELOW_HZ = 3800.0
"""The curated clips of the corpus end at 4 kHz, and none of `other` is curated: above, a model reads the curating."""

BATCH = 16
LOUD = 90  # a percentile: a band while the cry is in it
SHARPNESS = 10.0  # of the cosine to a category's mean; it sets how sure the answers are, and not which they are
STRENGTH = 1e-2  # C of the logistic regressions, 320 to 370 features for 300 clips; 1e-3 and 1e-1 told no more
TUNING_EPOCHS, TUNING_RATE = 8, 3e-4

Features = npt.NDArray[np.float32]


class Heard(NamedTuple):
    """The clips as candidates hear them.

    Attributes:
        sources: str[clips], the household of each.
        waveforms: float32[clips, samples].
        pooled: float32[clips, 320], the detector's layers below `BELOW_HZ`; `pooled_full`: with every band.
        bands: float32[clips, 4 * bands], how each mel band below `BELOW_HZ` behaves over time; `bands_full`: each.
    """

    sources: npt.NDArray[np.str_]
    waveforms: Waveform
    pooled: Features
    pooled_full: Features
    bands: Features
    bands_full: Features


Answer = Callable[[Heard, Causes, Fold], Probabilities]
"""Clips, their truth (that of the fold's test clips is not looked at) and a fold to float64[test clips, categories]."""


def hear(waveforms: Waveform, sources: Sequence[str], detector_dir: Path) -> Heard:
    """Return what there is to learn from; a minute for some hundred clips."""
    seconds = waveforms.shape[1] / MelParams().sample_rate_hz
    pooled, pooled_full = (
        trunk.detector(detector_dir, seconds, limit_hz).predict(waveforms, batch_size=BATCH, verbose=0)
        for limit_hz in (BELOW_HZ, np.inf)
    )
    picture = LogMel()
    pictures = np.concatenate(
        [picture(waveforms[i : i + BATCH]).numpy() for i in range(0, len(waveforms), BATCH)],
    )
    return Heard(
        np.array(sources),
        waveforms,
        pooled,
        pooled_full,
        _bands(pictures[:, :, : trunk.bands_below(BELOW_HZ)]),
        _bands(pictures),
    )


def _bands(picture: Features) -> Features:
    """Return float32[n, 4 * bands] of float32[n, frames, bands]: mean, spread, loud level and restlessness of each."""
    level = picture - picture.mean(axis=(1, 2), keepdims=True)
    change = np.abs(np.diff(level, axis=1)).mean(axis=1)
    parts = [level.mean(axis=1), level.std(axis=1), np.percentile(level, LOUD, axis=1), change]
    return np.concatenate(parts, axis=1).astype(np.float32)


def logistic() -> Pipeline:
    """Return the head that ships, untrained: every category counts alike, however many clips it has."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000))


def by_logistic(features: str) -> Answer:
    """Balanced logistic regression on the features of that name."""

    def answer(heard: Heard, truth: Causes, fold: Fold) -> Probabilities:
        known: Features = getattr(heard, features)
        return np.asarray(logistic().fit(known[fold.train], truth[fold.train]).predict_proba(known[fold.test]))

    return answer


def by_discriminant(heard: Heard, truth: Causes, fold: Fold) -> Probabilities:
    """Linear discriminant analysis with shrinkage (Ledoit and Wolf 2004), all categories equally likely before."""
    count = len(np.unique(truth))
    head = make_pipeline(
        StandardScaler(),
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=np.full(count, 1 / count)),
    )
    return np.asarray(head.fit(heard.pooled[fold.train], truth[fold.train]).predict_proba(heard.pooled[fold.test]))


def by_prototype(heard: Heard, truth: Causes, fold: Fold) -> Probabilities:
    """Few-shot: the cosine to the mean embedding of each category (prototypical networks, Snell 2017)."""
    scale = StandardScaler().fit(heard.pooled[fold.train])
    known, asked = (normalize(scale.transform(heard.pooled[clips])) for clips in fold)
    means = np.stack([known[truth[fold.train] == category].mean(axis=0) for category in np.unique(truth)])
    odds = SHARPNESS * asked @ normalize(means).T
    return np.asarray(tf.nn.softmax(odds).numpy())


def by_tuning(detector_dir: Path, seed: int) -> Answer:
    """Return the detector, all its layers trained on with a new head; a category's clips weigh as its rarity."""

    def answer(heard: Heard, truth: Causes, fold: Fold) -> Probabilities:
        keras.utils.set_random_seed(seed)
        seconds = heard.waveforms.shape[1] / MelParams().sample_rate_hz
        base = trunk.detector(detector_dir, seconds, BELOW_HZ)
        pooled = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(base.output))
        count = len(np.unique(truth))
        model = keras.Model(base.input, keras.layers.Dense(count, activation="softmax")(pooled))
        model.compile(keras.optimizers.Adam(TUNING_RATE), "sparse_categorical_crossentropy")
        learnt = truth[fold.train]
        weight = len(learnt) / (count * np.bincount(learnt, minlength=count))
        sounds = tf.data.Dataset.from_tensor_slices((heard.waveforms[fold.train], learnt, weight[learnt]))
        model.fit(sounds.shuffle(len(learnt), seed=seed).batch(BATCH), epochs=TUNING_EPOCHS, shuffle=False, verbose=0)
        return np.asarray(model.predict(heard.waveforms[fold.test], batch_size=BATCH, verbose=0), np.float64)

    return answer


def by_notebook(seed: int) -> Answer:
    """Return the research notebook's network on every band, minority clips copied until all categories have as many."""

    def answer(heard: Heard, truth: Causes, fold: Fold) -> Probabilities:
        names = [str(category) for category in np.unique(truth)]
        audio = notebook.Audio(notebook.normalise(tf.constant(heard.waveforms)), truth, names)
        params = notebook.Params(seed=seed)
        split = protocols.with_validation(fold, heard.sources, seed)
        model, _ = notebook.learn(audio, protocols.copies(split.train, truth), split.validation, params)
        return notebook.probabilities(model, notebook.make_spec_ds(notebook.make_ds(audio, fold.test, params)))

    return answer


def together(answers: Sequence[Answer]) -> Answer:
    """Return the ensemble: the mean of what several say."""
    return lambda heard, truth, fold: np.mean([answer(heard, truth, fold) for answer in answers], axis=0)


def of_one_episode(likelihood: Probabilities, truth: Causes, sources: Sequence[str]) -> Probabilities:
    """Return the geometric mean of the answers to the clips of one household and cause: several cries of one episode.

    It is told which clips belong together, as a monitor would know, and nothing of their cause.
    """
    of = np.unique(
        np.array([f"{source} {cause}" for source, cause in zip(sources, truth, strict=True)]), return_inverse=True
    )[1]
    odds = np.log(np.maximum(likelihood, 1e-9))
    mean = np.stack([odds[of == group].mean(axis=0) for group in range(of.max() + 1)])[of]
    powers = np.exp(mean)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
