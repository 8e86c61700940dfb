"""Training, readable top to bottom: sounds, network, steps, checkpoints. Started again, it goes on where it was."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training import data, mining, network, teacher
from training.augment import Augmenter, Batch, Mined
from training.params import Params, TrainParams

SETTINGS = "params.json"
BOARD = "board"  # for TensorBoard
WEIGHTS = "average.weights.h5"
AHEAD = 3  # batches made while the network learns from one


class State(tf.train.Checkpoint):  # type: ignore[misc]
    """All that a killed run needs to go on: the learner, its optimiser, the average, the step."""

    def __init__(self, params: Params, classes: int) -> None:
        self.model = network.build(params, classes)
        self.average = keras.models.clone_model(self.model)
        self.average.set_weights(self.model.get_weights())
        self.optimizer = keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                0.0,
                max(1, params.train.steps - params.train.warmup_steps),
                warmup_target=params.train.peak_rate,
                warmup_steps=params.train.warmup_steps,
            ),
            weight_decay=params.train.weight_decay,
            global_clipnorm=1.0,
        )
        self.optimizer.build(self.model.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64)
        super().__init__(model=self.model, average=self.average, optimizer=self.optimizer, step=self.step)


def prepare(data_dir: Path, teacher_path: Path, cache_dir: Path, params: Params) -> Augmenter:
    """Return the training sounds, ready to draw from. The first time this decodes, codes and listens: minutes.

    Raises:
        DataError: there is not enough to learn from.
    """
    clips = data.sides(data_dir).train
    plain = data.load(clips, data_dir, cache_dir, lossy=False)
    lossy = data.load(clips, data_dir, cache_dir, lossy=True)
    heard = teacher.cached(teacher_path, plain, cache_dir)
    return Augmenter(clips, plain, lossy, heard, params)


def train(params: Params, augmenter: Augmenter, run_dir: Path, console: Console) -> keras.Model:
    """Train until `params.train.steps`, from the last checkpoint in `run_dir` if there is one.

    The run folder receives every setting (params.json), the last two checkpoints, the averaged weights, and for
    TensorBoard loss and learning rate at each checkpoint (board).

    Returns:
        the model with averaged weights.

    Raises:
        DataError: the run was begun with other settings.
    """
    _begin(run_dir, params)
    keras.utils.set_random_seed(params.train.seed)
    state = State(params, len(augmenter.classes))
    checkpoints = tf.train.CheckpointManager(state, str(run_dir / "checkpoints"), max_to_keep=2)
    if checkpoints.restore_or_initialize():
        console.print(f"going on from step {int(state.step)}")
    learn = tf.function(_learn, jit_compile=False)
    board = tf.summary.create_file_writer(str(run_dir / BOARD))
    losses = []
    first = int(state.step)
    for batch in _progress(_stages(augmenter, state, params, run_dir), params, first, console):
        losses.append(learn(state, *map(tf.constant, batch), params.train))
        step = int(state.step)
        if step % params.train.checkpoint_steps == 0 or step == params.train.steps:
            loss, losses = float(np.mean(losses)), []
            checkpoints.save(checkpoint_number=step)
            with board.as_default(step):
                tf.summary.scalar("loss", loss)
                tf.summary.scalar("learning rate", state.optimizer.learning_rate)
            board.flush()
            console.print(f"step {step} loss {loss:.4f}")
    shipping = network.shipping(state.average, params, augmenter.classes)
    shipping.save_weights(run_dir / WEIGHTS)
    return shipping


def load(run_dir: Path) -> tuple[keras.Model, Params]:
    """Return the averaged model of a finished run, and its settings.

    Raises:
        DataError: the run has not finished.
    """
    if not (run_dir / WEIGHTS).is_file():
        raise data.DataError(f"no trained weights at {run_dir / WEIGHTS}: run `train --run {run_dir}` to its end")
    params = _settings(run_dir)
    model = network.build(params)
    model.load_weights(run_dir / WEIGHTS)
    return model, params


def is_finished(run_dir: Path, params: Params) -> bool:
    """Return whether the run has been trained to its end with these settings."""
    return (run_dir / WEIGHTS).is_file() and _settings(run_dir) == params


def _settings(run_dir: Path) -> Params:
    return Params.from_dict(json.loads((run_dir / SETTINGS).read_text(encoding="utf-8")))


def _begin(run_dir: Path, params: Params) -> None:
    """Write down the settings of a new run; of one that was begun they must be the same."""
    if (run_dir / SETTINGS).is_file():
        if _settings(run_dir) != params:
            raise data.DataError(f"{run_dir} was begun with other settings: give another folder with --run")
        return
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / SETTINGS).write_text(json.dumps(params.as_dict(), indent=2) + "\n", encoding="utf-8")


def limit_threads(threads: int) -> None:
    """Keep TensorFlow to `threads` cores; call before anything runs. One more is busy making batches."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _learn(
    state: State,
    waveforms: tf.Tensor,
    targets: tf.Tensor,
    weights: tf.Tensor,
    heard: tf.Tensor,
    odds: tf.Tensor,
    params: TrainParams,
) -> tf.Tensor:
    """Take one step; return the loss. The average follows the batch statistics too, so it needs no second pass."""
    model = state.model
    with tf.GradientTape() as tape:
        said = model(waveforms, training=True)
        loss = tf.reduce_mean(weights * keras.losses.binary_crossentropy(targets, said["cry"]))
        each = keras.ops.binary_crossentropy(heard, said["teacher"])
        loss += params.teacher_weight * tf.reduce_mean(tf.reduce_sum(each, axis=-1))
        loss += params.odds_weight * tf.reduce_mean(tf.square(odds - said["teacher_odds"]))
    state.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    # Early on the weights of a moment ago are worthless: the average starts short and grows to its full length.
    step = tf.cast(state.step, tf.float32)
    keep = tf.minimum(params.average_decay, (1.0 + step) / (10.0 + step))
    for slow, fast in zip(state.average.variables, model.variables, strict=True):
        if slow.dtype == "float32":
            slow.assign(keep * slow + (1.0 - keep) * fast)
    state.step.assign_add(1)
    return loss


def _stages(augmenter: Augmenter, state: State, params: Params, run_dir: Path) -> Iterator[Batch]:
    """Yield the batches from the state's step on; the average searches for hard negatives every `mine_every` steps.

    What it found stays in the run folder, so that a run that is started again draws the same.
    """
    steps, every = params.train.steps, params.train.mine_every
    first = int(state.step)
    while first < steps:
        begin = first - first % every
        mined = mining.cached(augmenter, state.average, run_dir / f"mined-{begin}.npz", begin) if begin else None
        yield from _batches(augmenter, first, min(begin + every, steps), mined)
        first = begin + every


def _batches(augmenter: Augmenter, first: int, last: int, mined: Mined | None = None) -> Iterator[Batch]:
    """Yield the batches of steps first..last - 1, made ahead on one thread (at most AHEAD wait)."""
    with ThreadPoolExecutor(1, thread_name_prefix="augment") as maker:
        waiting = [maker.submit(augmenter.batch, step, mined) for step in range(first, min(first + AHEAD, last))]
        for step in range(first, last):
            ready = waiting.pop(0)
            if step + AHEAD < last:
                waiting.append(maker.submit(augmenter.batch, step + AHEAD, mined))
            yield ready.result()


def _progress(batches: Iterator[Any], params: Params, first: int, console: Console) -> Iterator[Any]:
    """Pass batches on under a progress bar; without a terminal the lines of `train` must do."""
    columns = TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield from bar.track(batches, total=params.train.steps, completed=first)
