import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from training import train
from training.augment import Augmenter
from training.params import Params, TrainParams


# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 will drop: its fault, and harmless so far.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_killed_run_goes_on(tmp_path: Path, made: Callable[..., Augmenter]) -> None:
    """Started again, a run goes on at the step of its last checkpoint and leaves the whole of its log."""
    augmenter = made(4)
    half = Params(train=TrainParams(steps=2, batch=4, checkpoint_steps=1))
    whole = dataclasses.replace(half, train=dataclasses.replace(half.train, steps=3))
    for params in (half, whole):
        train.train(params, augmenter, tmp_path / "run", Console(quiet=True))
    steps = {
        event.step
        for path in (tmp_path / "run" / train.BOARD).iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(path))
        if event.summary.value
    }
    assert steps == {1, 2, 3}
    model, params = train.load(tmp_path / "run")
    assert params == whole
    assert model.count_params() > 0


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_seed_repeats(tmp_path: Path, made: Callable[..., Augmenter]) -> None:
    """Two runs of one seed end with the same weights, bit by bit; another seed with others."""
    settings = [TrainParams(steps=2, batch=4, seed=seed) for seed in (1, 1, 2)]
    runs = [
        train.train(Params(train=one), made(4), tmp_path / str(number), Console(quiet=True)).get_weights()
        for number, one in enumerate(settings)
    ]
    assert all(np.array_equal(first, again) for first, again in zip(*runs[:2], strict=True))
    assert not all(np.array_equal(first, other) for first, other in zip(*runs[1:], strict=True))
