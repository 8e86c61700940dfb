"""The notebook's network as one model from raw samples, so that who loads it needs no second spectrogram code."""

import keras
import tensorflow as tf

from training.causes import notebook
from training.causes.clips import CLIP_SAMPLES
from training.causes.export import EMBEDDING, NAME


@keras.saving.register_keras_serializable(package="cry_monitor")
class Spectrogram(keras.layers.Layer):  # type: ignore[misc]
    """float32[n, samples] in [-1, 1) to float32[n, frames, 129, 1]: what the notebook's datasets give its network.

    Each example by itself: nothing here looks across the batch. No weights.
    """

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        """Return the spectrograms of `waveform`, its peak at 1; of silence zeros."""
        return notebook.get_spectrogram(notebook.normalise(waveform))


def whole(network: keras.Model) -> keras.Model:
    """Return float32[n, CLIP_SAMPLES] to {"reason": float32[n, categories], rows sum to 1, "embedding": float32[n, k]}.

    Args:
        network: as `notebook.build_model` gives it; its weights are shared.
    """
    waveform = keras.Input((CLIP_SAMPLES,), dtype="float32", name="waveform")
    heard = keras.Model(network.inputs, [network.get_layer(notebook.EMBEDDING).output, network.outputs[0]])
    embedding, logits = heard(Spectrogram()(waveform))
    return keras.Model(waveform, {NAME: keras.layers.Softmax()(logits), EMBEDDING: embedding})
