from pathlib import Path

import numpy as np
import pytest
import toy_causes

from training.causes import clips, notebook, protocols
from training.causes.clips import CauseClip
from training.causes.notebook import Params
from training.data import DataError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SHARED = Path(__file__).parents[4] / "shared" / "data"


def made(**households: int) -> list[CauseClip]:
    """Two clips in each of so many households a category; a household has several categories."""
    return [
        CauseClip(Path(f"{category}-{home}-{number}.wav"), f"home {home}", category)
        for category, count in households.items()
        for home in range(count)
        for number in range(2)
    ]


def test_copies_are_on_both_sides() -> None:
    """Copied before the split, categories are as common as one another, and recordings are on both sides."""
    few = made(hungry=20, tired=3)
    (split,) = protocols.copies_first(few, 0)
    together = np.concatenate(split)
    assert len(together) == 80
    assert len(set(together)) == 46
    assert set(split.train) & set(split.test)


def test_a_random_split_divides_each_clip_once() -> None:
    """Nothing is copied, and one clip in five is judged."""
    (split,) = protocols.random_split(made(hungry=20, tired=5), 0)
    assert sorted(np.concatenate(split)) == list(range(50))
    assert len(split.test) == 10


def test_households_are_never_on_two_sides() -> None:
    """Neither the clips judged nor those that stop the training are of a household learnt from; each is judged once."""
    many = made(hungry=20, tired=7, burping=5)
    splits = protocols.households_apart(many, 0)
    assert len(splits) == 5
    for split in splits:
        homes = [{many[clip].source for clip in side} for side in split]
        assert not homes[0] & homes[1]
        assert not homes[0] & homes[2]
        assert not homes[1] & homes[2]
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(64))


def test_as_many_folds_as_the_rarest_cause_has_households() -> None:
    """Two clips a category, of two households each, are two folds; every category is on both sides."""
    few = [CauseClip(Path(f"{c}{h}.wav"), f"{c} {h}", c) for c in "abcdef" for h in range(2)]
    splits = protocols.households_apart(few, 0)
    assert len(splits) == 2
    assert all({few[clip].category for clip in split.test} == set("abcdef") for split in splits)
    for protocol in protocols.ALL:
        assert all(len(side) for split in protocol.splits(few, 0) for side in split)


@pytest.mark.parametrize(
    ("few", "said"),
    [
        (made(hungry=5, tired=1), "'tired' are of one household, home 0"),
        (made(hungry=2, tired=2), "of one household, or one clip"),
    ],
)
def test_what_cannot_be_kept_apart_is_named(few: list[CauseClip], said: str) -> None:
    """Too few households are an error that says which category, or which household, is alone."""
    with pytest.raises(DataError, match=said):
        protocols.households_apart(few, 0)


def test_one_clip_cannot_be_divided() -> None:
    """A category of one clip is an error at once."""
    with pytest.raises(DataError, match="but one clip"):
        protocols.random_split([*made(hungry=4), CauseClip(Path("t.wav"), "home 9", "tired")], 0)


@pytest.mark.slow
def test_what_can_be_learnt_is_learnt(tmp_path: Path) -> None:
    """Two pitches are told apart in households never heard, and one who does not listen is right by their share."""
    toy_causes.write(tmp_path, {"high": 900.0, "low": 300.0}, households=3, clips=4)
    for number in range(3):
        (tmp_path / "low" / f"h00010000-{number}.wav").unlink()
    toys = clips.read_clips(tmp_path)
    audio = notebook.load(toys)
    told: list[str] = []
    params = Params(epochs=12, batch=4, patience=12)
    result, network = protocols.measure(protocols.ALL[-1], toys, audio, params, told.append)
    assert told == [f"households kept apart, fold {number} of 3" for number in (1, 2, 3)]
    assert result.figures["uar"].value >= 0.9
    assert result.always_figures["accuracy"].value == pytest.approx(12 / 21, abs=1e-4)
    assert result.always_figures["uar"].value == 0.5
    assert (result.shared_recordings, result.shared_households) == (0.0, 0.0)
    assert sorted(result.test) == list(range(21))
    assert network.output_shape == (None, 2)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data (the corpus) is not here: a clone has none")
def test_of_the_corpus_four_in_five_copies_leak() -> None:
    """In the corpus, most clips that the notebook judged by were learnt from; households apart, none are."""
    corpus = clips.read_clips(SHARED)
    sources = np.array([clip.source for clip in corpus])
    (split,) = protocols.copies_first(corpus, 0)
    assert np.isin(split.test, np.concatenate(split[:2])).mean() > 0.8
    for apart in protocols.households_apart(corpus, 0):
        assert not set(sources[apart.test]) & set(sources[np.concatenate(apart[:2])])
