import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from training import train
from training.augment import Augmenter, Batch, Mined
from training.data import DataError
from training.params import Params, TrainParams


# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 will drop: its fault, and harmless so far.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_killed_run_goes_on(tmp_path: Path, made: Callable[..., Augmenter]) -> None:
    """Started again, a run goes on at the step of its last checkpoint, and ends as finished."""
    augmenter, run = made(4), tmp_path / "run"
    whole = Params(train=TrainParams(steps=3, batch=4, checkpoint_steps=1))

    def killed_at_2(step: int, mined: Mined | None = None) -> Batch:
        if step == 2:
            raise KeyboardInterrupt
        return augmenter.batch(step, mined)

    broken = made(4)
    broken.batch = killed_at_2  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train.train(whole, broken, run, Console(quiet=True))
    assert not train.is_finished(run, whole)
    train.train(whole, augmenter, run, Console(quiet=True))
    assert train.is_finished(run, whole)
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
    other = dataclasses.replace(whole, train=dataclasses.replace(whole.train, steps=4))
    with pytest.raises(DataError, match="other settings"):
        train.train(other, augmenter, run, Console(quiet=True))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_seed_repeats(tmp_path: Path, made: Callable[..., Augmenter]) -> None:
    """Two runs of one seed on the same batches end with the same weights, bit by bit; another seed with others."""
    settings = [TrainParams(steps=2, batch=4, seed=seed) for seed in (1, 1, 2)]
    runs = [
        train.train(Params(train=one), made(4), tmp_path / str(number), Console(quiet=True)).get_weights()
        for number, one in enumerate(settings)
    ]
    assert all(np.array_equal(first, again) for first, again in zip(*runs[:2], strict=True))
    assert not all(np.array_equal(first, other) for first, other in zip(*runs[1:], strict=True))
