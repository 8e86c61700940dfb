"""The research notebook's experiment, function by function: sound, spectrograms, a small network, its training.

Readers of TensorFlow's tutorial on simple audio recognition know these names. One seed gives one result on one
machine: the order of the clips, what is changed in them, weights and dropout follow from it. What it does not fix is
the last bits of sums, which depend on how many threads add them up, and so on the processor.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from training.causes import clips as sounds_of
from training.causes.clips import CauseClip
from training.causes.figures import Causes, Probabilities
from training.intervals import Clips

FRAME_LENGTH, FRAME_STEP = 255, 128
SILENCE = 1e-5  # a third of the smallest step of 16-bit sound: what peaks lower is silence, and stays it
SHIFT_SAMPLES = 8000
GAIN_DB = 6.0
NOISE = 0.02  # the highest peak of the noise that is added; the peak of a clip is 1
EMBEDDING = "embedding"

History = dict[str, list[float]]


@dataclasses.dataclass(frozen=True, slots=True)
class Params:
    """The settings that one may want to change."""

    seed: int = 0
    epochs: int = 10
    batch: int = 64
    learning_rate: float = 1e-3
    patience: int = 2  # epochs without a lower loss on the validation clips


class Audio(NamedTuple):
    """Clips in memory, 0.5 MB each."""

    waveforms: tf.Tensor  # float32[clips, CLIP_SAMPLES], each with its peak at 1
    labels: Causes  # int64[clips], numbers of `categories`
    categories: list[str]


def load(clips: Sequence[CauseClip]) -> Audio:
    """Return the sound of `clips`, of any rate and format, as 8 s at 16 kHz, zeros in front of what is shorter.

    Raises:
        AudioFileError: a file is not there, or it is no sound.
    """
    categories = sounds_of.categories_of(clips)
    labels = np.array([categories.index(clip.category) for clip in clips], np.int64)
    return Audio(normalise(tf.convert_to_tensor(sounds_of.waveforms(clips))), labels, categories)


def normalise(waveform: tf.Tensor) -> tf.Tensor:
    """Return float32[..., samples] with the peak of each waveform at 1; silence stays silence."""
    peak = tf.reduce_max(tf.abs(waveform), axis=-1, keepdims=True)
    return waveform / tf.maximum(peak, SILENCE)


def get_spectrogram(waveform: tf.Tensor) -> tf.Tensor:
    """Return the magnitudes of a short-time Fourier transform, float32[..., frames, 129, 1], of [..., samples]."""
    spectrogram = tf.abs(tf.signal.stft(waveform, frame_length=FRAME_LENGTH, frame_step=FRAME_STEP))
    return tf.expand_dims(spectrogram, -1)  # a channel: the network takes it for a picture


def augment(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Return float32[samples] a little earlier or later, louder or softer, in some white noise.

    Args:
        waveform: float32[samples].
        seed: int64[2]; the same seed makes the same change.
    """
    shift = tf.random.stateless_uniform((), seed, -SHIFT_SAMPLES, SHIFT_SAMPLES + 1, tf.int32)
    gain_db = tf.random.stateless_uniform((), seed + 1, -GAIN_DB, GAIN_DB)
    level = tf.random.stateless_uniform((), seed + 2, 0.0, NOISE)
    noise = level * tf.random.stateless_uniform(tf.shape(waveform), seed + 3, -1.0, 1.0)  # normal: five times slower
    return tf.roll(waveform, shift, axis=0) * 10.0 ** (gain_db / 20.0) + noise


def make_train_ds(audio: Audio, numbers: Clips, params: Params) -> tf.data.Dataset:
    """Return batches (float32[n, samples], int64[n]) of the clips `numbers`, in another order and changed each time."""
    changes = tf.data.Dataset.random(seed=params.seed, rerandomize_each_iteration=True).batch(2, drop_remainder=True)
    order = tf.data.Dataset.from_tensor_slices((numbers, audio.labels[numbers])).shuffle(len(numbers), params.seed)

    def read(clip: tuple[tf.Tensor, tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        number, label = clip
        return augment(audio.waveforms[number], seed), label

    return tf.data.Dataset.zip(order, changes).map(read, tf.data.AUTOTUNE).batch(params.batch)


def make_ds(audio: Audio, numbers: Clips, params: Params) -> tf.data.Dataset:
    """Return batches (float32[n, samples], int64[n]) of the clips `numbers`, in this order and as they are."""
    order = tf.data.Dataset.from_tensor_slices((numbers, audio.labels[numbers])).batch(params.batch)
    return order.map(lambda clips, labels: (tf.gather(audio.waveforms, clips), labels))


def make_spec_ds(ds: tf.data.Dataset) -> tf.data.Dataset:
    """Return a dataset of waveforms as one of spectrograms."""
    spectrograms = ds.map(lambda waveform, label: (get_spectrogram(waveform), label), tf.data.AUTOTUNE)
    return spectrograms.prefetch(tf.data.AUTOTUNE)


def build_model(train_spectrogram_ds: tf.data.Dataset, categories: int) -> keras.Model:
    """Return the network, untrained: float32[n, frames, 129, 1] to logits float32[n, categories].

    Args:
        train_spectrogram_ds: what it will learn from: its mean and variance are taken out of every spectrogram.
        categories: How many there are.
    """
    norm_layer = keras.layers.Normalization()
    norm_layer.adapt(train_spectrogram_ds.map(lambda spectrogram, _: spectrogram))
    return keras.Sequential(
        [
            keras.Input(train_spectrogram_ds.element_spec[0].shape[1:]),
            keras.layers.Resizing(32, 32),
            norm_layer,
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.25),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu", name=EMBEDDING),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(categories),
        ]
    )


def fit(model: keras.Model, train_ds: tf.data.Dataset, validation_ds: tf.data.Dataset, params: Params) -> History:
    """Train `model` on spectrograms until its loss on the validation clips falls no more; return its curves by epoch.

    Returns:
        accuracy, loss, val_accuracy and val_loss.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(params.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    stop = keras.callbacks.EarlyStopping(patience=params.patience)
    fitted = model.fit(
        train_ds, validation_data=validation_ds, epochs=params.epochs, callbacks=[stop], shuffle=False, verbose=0
    )  # shuffled it is already
    return {name: [float(value) for value in values] for name, values in fitted.history.items()}


def learn(audio: Audio, train: Clips, validation: Clips, params: Params) -> tuple[keras.Model, History]:
    """Return a network trained on the clips `train`, and its curves; the clips `validation` say when to stop."""
    keras.utils.set_random_seed(params.seed)
    train_spectrogram_ds = make_spec_ds(make_train_ds(audio, train, params))
    validation_spectrogram_ds = make_spec_ds(make_ds(audio, validation, params)).cache()
    model = build_model(train_spectrogram_ds, len(audio.categories))
    return model, fit(model, train_spectrogram_ds, validation_spectrogram_ds, params)


def probabilities(model: keras.Model, spectrogram_ds: tf.data.Dataset) -> Probabilities:
    """Return what `model` says of a dataset in its order, float64[clips, categories], rows sum to 1."""
    logits: Any = model.predict(spectrogram_ds, verbose=0)
    return np.asarray(tf.nn.softmax(logits.astype(np.float64)))
