"""Three ways to divide clips into those to learn from and those to judge by, and what each makes of one network."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedKFold

from training.causes import figures, notebook
from training.causes.clips import CauseClip, categories_of, commonest
from training.causes.figures import FOLDS, Causes, Fold, Probabilities
from training.causes.notebook import Audio, History, Params
from training.data import DataError
from training.intervals import Clips, Estimate

VALIDATION = 0.2  # of the clips (or households) to learn from: they say when to stop
LEAST = 2  # of whatever is divided


class Split(NamedTuple):
    """Numbers of clips; a number that stands there twice is a clip and its copy."""

    train: Clips
    validation: Clips  # what the training stops by
    test: Clips


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What a protocol found.

    Attributes:
        test: int64[n], the clips that were judged.
        told: int64[n], the causes that the network named.
        always: int64[n], what one says who does not listen: the commonest cause of the clips learnt from.
        probabilities: float64[n, categories].
        shared_recordings, shared_households: The share of judged clips whose recording, household was learnt from too.
        figures, always_figures: accuracy, uar and macro_f1 with intervals over households.
        histories: The curves of each training.
    """

    test: Clips
    told: Causes
    always: Causes
    probabilities: Probabilities
    shared_recordings: float
    shared_households: float
    figures: dict[str, Estimate]
    always_figures: dict[str, Estimate]
    histories: tuple[History, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Protocol:
    """A way to divide clips; what it means in plain words is in the report."""

    name: str
    title: str
    splits: Callable[[Sequence[CauseClip], int], list[Split]]


def copies_first(clips: Sequence[CauseClip], seed: int) -> list[Split]:
    """Copy each category's clips until it has as many as the commonest, then divide at random: the notebook's way."""
    truth = _truth(clips)
    return [_at_random(copies(np.arange(len(clips)), truth), clips, seed)]


def random_split(clips: Sequence[CauseClip], seed: int) -> list[Split]:
    """Divide at random: no clip is on both sides, but a household may be."""
    return [_at_random(np.arange(len(clips)), clips, seed)]


def households_apart(clips: Sequence[CauseClip], seed: int) -> list[Split]:
    """Divide into folds that share no household: each clip is judged once, by a network that never heard its home.

    Raises:
        DataError: the clips of a category are all of one household.
    """
    sources = np.array([clip.source for clip in clips])
    splits = figures.folds(_truth(clips), [clip.source for clip in clips], seed, fold_count(clips))
    return [with_validation(fold, sources, seed) for fold in splits]


def copies_apart(clips: Sequence[CauseClip], seed: int) -> list[Split]:
    """Divide as `households_apart`, and then copy among those learnt from: what the notebook's network is worth."""
    truth = _truth(clips)
    return [Split(copies(one.train, truth), *one[1:]) for one in households_apart(clips, seed)]


def copies(numbers: Clips, truth: Causes) -> Clips:
    """Return `numbers` with those of each rarer category again and again, until all have as many as the commonest."""
    of_each = [numbers[truth[numbers] == category] for category in np.unique(truth[numbers])]
    return np.concatenate([np.resize(of, max(map(len, of_each))) for of in of_each])


ALL = (
    Protocol("copies_first", "copies made before a random split", copies_first),
    Protocol("random_split", "random split", random_split),
    Protocol("households_apart", "households kept apart", households_apart),
)
EXPORTED = Protocol("copies_apart", "households kept apart, copies among those learnt from", copies_apart)
"""As the notebook's network is made, and judged as it will be used: how far a service may believe it."""


def fold_count(clips: Sequence[CauseClip]) -> int:
    """Return into how many folds the households can be divided, five at most, each category enough for all of them.

    Raises:
        DataError: the clips of a category are all of one household.
    """
    homes = {name: {clip.source for clip in clips if clip.category == name} for name in categories_of(clips)}
    rarest = min(homes, key=lambda name: len(homes[name]))
    if len(homes[rarest]) < LEAST:
        raise DataError(
            f"all clips of {rarest!r} are of one household, {next(iter(homes[rarest]))}: nothing can be learnt of it"
            " and then tried on others; add clips of another household, or leave the category out"
        )
    return min(FOLDS, len(homes[rarest]))


def measure(
    protocol: Protocol, clips: Sequence[CauseClip], audio: Audio, params: Params, told: Callable[[str], None]
) -> tuple[Result, keras.Model]:
    """Train a network for each split of `protocol` and judge it; return also the last of the networks.

    `told` hears what begins, once for each of the splits.

    Raises:
        DataError: the clips cannot be divided so.
    """
    splits, histories, answers, always = protocol.splits(clips, params.seed), [], [], []
    for number, split in enumerate(splits, start=1):
        told(protocol.title if len(splits) == 1 else f"{protocol.title}, fold {number} of {len(splits)}")
        keras.backend.clear_session()  # what the network before this one left
        model, history = notebook.learn(audio, split.train, split.validation, params)
        histories.append(history)
        test_spectrogram_ds = notebook.make_spec_ds(notebook.make_ds(audio, split.test, params))
        answers.append(notebook.probabilities(model, test_spectrogram_ds))
        known = commonest([clips[clip] for clip in _learnt_from(split)])
        always.append(np.full(len(split.test), audio.categories.index(known)))
    return _result(clips, audio.labels, splits, np.concatenate(answers), np.concatenate(always), histories), model


def _result(
    clips: Sequence[CauseClip],
    truth: Causes,
    splits: Sequence[Split],
    probabilities: Probabilities,
    always: Causes,
    histories: Sequence[History],
) -> Result:
    test = np.concatenate([split.test for split in splits])
    told, sources = probabilities.argmax(axis=1), [clips[clip].source for clip in test]
    return Result(
        test=test,
        told=told,
        always=always,
        probabilities=probabilities,
        shared_recordings=_shared(splits, np.array([str(clip.path) for clip in clips])),
        shared_households=_shared(splits, np.array([clip.source for clip in clips])),
        figures=figures.with_intervals(truth[test], told, sources),
        always_figures=figures.with_intervals(truth[test], always, sources),
        histories=tuple(histories),
    )


def _shared(splits: Sequence[Split], names: np.ndarray[tuple[int], np.dtype[np.str_]]) -> float:
    """Return the share of judged clips whose name is among those learnt from."""
    return float(np.concatenate([np.isin(names[split.test], names[_learnt_from(split)]) for split in splits]).mean())


def _learnt_from(split: Split) -> Clips:
    return np.concatenate([split.train, split.validation])


def _truth(clips: Sequence[CauseClip]) -> Causes:
    categories = categories_of(clips)
    return np.array([categories.index(clip.category) for clip in clips], np.int64)


def _at_random(numbers: Clips, clips: Sequence[CauseClip], seed: int) -> Split:
    """Divide `numbers`, copies and all: one in five is judged, fewer parts where a category has fewer clips."""
    truth = _truth(clips)
    counts = np.bincount(truth[numbers])
    rarest = clips[int(np.flatnonzero(truth == counts.argmin())[0])]
    if counts.min() < LEAST:
        raise DataError(
            f"{rarest.category!r} has but one clip, {rarest.path}: nothing can be learnt of it and then judged;"
            " add clips to it, or remove its folder"
        )
    parts = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=seed)
    train, test = next(iter(parts.split(numbers, truth[numbers])))
    fold = with_validation(Fold(train, test), np.arange(len(numbers)), seed)
    return Split(*(numbers[side] for side in fold))


def with_validation(fold: Fold, groups: np.ndarray[tuple[int], np.dtype[np.str_ | np.int64]], seed: int) -> Split:
    """Cut the validation clips from those to learn from; no group is on both sides."""
    if len(set(groups[fold.train])) < LEAST:
        raise DataError(
            "all that is left to learn from is of one household, or one clip, and nothing to say when to stop:"
            " add clips of other households"
        )
    cut = GroupShuffleSplit(1, test_size=VALIDATION, random_state=seed)
    train, validation = next(iter(cut.split(fold.train, groups=groups[fold.train])))
    return Split(fold.train[train], fold.train[validation], fold.test)
