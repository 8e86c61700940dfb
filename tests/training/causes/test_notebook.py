from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
import toy_causes

from training.causes import clips, notebook
from training.causes.clips import CLIP_SAMPLES
from training.causes.notebook import Audio, Params

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
PARAMS = Params(seed=3, epochs=2, batch=4)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    folder = toy_causes.write(tmp_path_factory.mktemp("data"), {"high": 900.0, "low": 300.0}, households=4)
    return notebook.load(clips.read_clips(folder))


def test_a_clip_is_eight_seconds_with_its_peak_at_one(tmp_path: Path) -> None:
    """Any rate, channels and length become 8 s at 16 kHz, peak 1, with zeros in front."""
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    for category in ("a", "b"):
        (tmp_path / category).mkdir()
        soundfile.write(tmp_path / category / "tone.wav", np.stack([tone, tone], axis=1), 44100)
    waveforms = notebook.load(clips.read_clips(tmp_path)).waveforms.numpy()
    assert waveforms.shape == (2, CLIP_SAMPLES)
    assert waveforms.dtype == np.float32
    assert np.abs(waveforms).max(axis=1) == pytest.approx([1.0, 1.0])
    assert not waveforms[:, : CLIP_SAMPLES - 16100].any()


def test_silence_stays_silence() -> None:
    """A clip without a sound becomes neither noise nor NaN."""
    silence = notebook.normalise(tf.zeros((1, CLIP_SAMPLES)))
    assert not silence.numpy().any()
    assert not notebook.get_spectrogram(silence).numpy().any()


def test_a_spectrogram_is_the_magnitude_of_a_fourier_transform() -> None:
    """A frame is what NumPy's transform of its windowed samples is; the last axis is a channel."""
    waveform = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    spectrogram = notebook.get_spectrogram(tf.constant(waveform)).numpy()
    assert spectrogram.shape == (2, 6, 129, 1)
    frame = np.abs(np.fft.rfft(waveform[1, 256:511] * np.hanning(255), 256))
    assert spectrogram[1, 2, :, 0] == pytest.approx(frame, abs=1e-3)


def test_training_clips_change_each_time_and_others_never(audio: Audio) -> None:
    """Clips are shifted, louder or softer and noisier while training, otherwise as they are and in their order."""
    numbers = np.arange(8)
    train_ds = notebook.make_train_ds(audio, numbers, PARAMS)
    first, second = (np.concatenate([waveform for waveform, _ in train_ds]) for _ in range(2))
    assert first.shape == second.shape == (8, CLIP_SAMPLES)
    assert not np.allclose(np.sort(np.abs(first).max(axis=1)), np.sort(np.abs(second).max(axis=1)))
    ds = notebook.make_ds(audio, numbers, PARAMS)
    assert np.array_equal(np.concatenate([waveform for waveform, _ in ds]), audio.waveforms)
    assert np.array_equal(np.concatenate([label for _, label in ds]), audio.labels)


def test_a_clip_keeps_its_label_while_training(audio: Audio) -> None:
    """Whatever is done to a sound, the label beside it is its own."""
    for waveforms, labels in notebook.make_train_ds(audio, np.arange(8), PARAMS):
        picture = notebook.get_spectrogram(waveforms).numpy().mean(axis=1)[..., 0]
        high = picture[:, 12:18].sum(axis=1) > picture[:, 3:8].sum(axis=1)  # 750 to 1100 Hz, 190 to 480 Hz
        assert np.array_equal(labels.numpy() == audio.categories.index("high"), high)


def test_the_network_is_the_notebooks(audio: Audio) -> None:
    """Its layers are those of the notebook, in their order."""
    ds = notebook.make_spec_ds(notebook.make_ds(audio, np.arange(8), PARAMS))
    model = notebook.build_model(ds, 6)
    layers = " ".join(type(layer).__name__ for layer in model.layers)
    assert layers == "Resizing Normalization Conv2D Conv2D MaxPooling2D Dropout Flatten Dense Dropout Dense"
    assert model.output_shape == (None, 6)


def test_one_seed_gives_one_network(audio: Audio) -> None:
    """Trained twice with a seed it says the same, with another seed something else."""
    train, validation = np.arange(6), np.arange(6, 8)
    said = []
    for seed in (3, 3, 4):
        model, history = notebook.learn(audio, train, validation, Params(seed=seed, epochs=2, batch=4))
        said.append(notebook.probabilities(model, notebook.make_spec_ds(notebook.make_ds(audio, validation, PARAMS))))
        assert set(history) == {"accuracy", "loss", "val_accuracy", "val_loss"}
        keras.backend.clear_session()
    assert said[0] == pytest.approx(said[1], abs=1e-4)
    assert said[0] != pytest.approx(said[2], abs=1e-4)
    assert said[0].sum(axis=1) == pytest.approx([1.0, 1.0])
