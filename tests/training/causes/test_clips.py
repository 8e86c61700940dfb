import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import synth
import toy_causes

from training.causes import clips
from training.data import DataError

COLUMNS = ("file", "source", "label", "category", "age", "gender", "platform", "may_train")


def write_list(folder: Path, rows: Sequence[tuple[str, ...]]) -> None:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([COLUMNS, *rows])


def test_only_cries_of_a_named_cause_are_read(tmp_path: Path) -> None:
    """Of a list, cries with a category are clips; `unknown`, no category and other sounds are none."""
    write_list(
        tmp_path,
        [
            ("a.flac", "h1", "cry", "tired", "04", "f", "ios", "yes"),
            ("b.flac", "h2", "cry", "hungry", "26", "m", "android", "yes"),
            ("c.flac", "h3", "cry", "unknown", "", "", "", "yes"),
            ("d.flac", "h4", "cry", "", "", "", "", "yes"),
            ("e.flac", "h5", "background", "hungry", "", "", "", "yes"),
        ],
    )
    found = clips.read_clips(tmp_path)
    assert [(clip.path.name, clip.source, clip.category) for clip in found] == [
        ("a.flac", "h1", "tired"),
        ("b.flac", "h2", "hungry"),
    ]
    assert (found[0].age, found[0].gender, found[0].phone) == ("04", "f", "ios")
    assert clips.categories_of(found) == ["hungry", "tired"]


def test_what_is_kept_for_validation_teaches_nothing_that_ships(tmp_path: Path) -> None:
    """A clip whose licence forbids it, and one of a listed source, are judged and may not teach."""
    rows = [(f"{home}.flac", home, "cry", "tired" if home == "h1" else "hungry", "", "", "", may) for home, may in
            (("h1", "yes"), ("h2", "no"), ("h3", "yes"))]  # fmt: skip
    write_list(tmp_path, rows)
    (tmp_path / "validation_sources.txt").write_text("h3\n", encoding="utf-8")
    assert [clip.may_teach for clip in clips.read_clips(tmp_path)] == [True, False, False]


def test_a_file_name_that_names_no_household_is_known_as_a_guess(tmp_path: Path) -> None:
    """Files of other makes count as a household each, and are counted: who judges by them must say so."""
    for category in ("calm", "shrill"):
        (tmp_path / category).mkdir()
        for name in ("baby1_001", "h00c0ffee-1"):
            soundfile.write(tmp_path / category / f"{name}.wav", synth.cry(1.0), 16_000)
    assert clips.guessed_households(clips.read_clips(tmp_path)) == 2


def test_folders_are_the_categories(tmp_path: Path) -> None:
    """However many folders there are, each is a category, and a household is what the corpus's names begin with."""
    for number in range(8):
        (tmp_path / f"cause_{number}").mkdir()
        name = f"0c8f14a9-6999-485b-97a2-913c1cbf099c-143{number}-1.7-m-26-hu.wav"
        soundfile.write(tmp_path / f"cause_{number}" / name, synth.cry(1.0), 8_000)
    found = clips.read_clips(tmp_path)
    assert clips.categories_of(found) == [f"cause_{number}" for number in range(8)]
    assert {clip.source for clip in found} == {"0c8f14a9-6999-485b-97a2-913c1cbf099c"}
    assert {(clip.age, clip.gender) for clip in found} == {("26", "m")}


@pytest.mark.parametrize("categories", [0, 1])
def test_one_category_is_refused_with_the_way_out(categories: int, tmp_path: Path) -> None:
    """Nothing can be told from nothing: the error names the folder, what it holds, and what to give instead."""
    toy_causes.write(tmp_path / "data", toy_causes.pitches(toy_causes.EIGHT[:categories]))
    (tmp_path / "data").mkdir(exist_ok=True)
    with pytest.raises(DataError, match=rf"data holds cries of {categories} categories, two are the least.*--data"):
        clips.read_clips(tmp_path / "data")


def test_a_list_without_a_column_names_it(tmp_path: Path) -> None:
    """A list of another make is an error that names file and column, no traceback."""
    (tmp_path / "metadata.csv").write_text("file,label\na.flac,cry\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"metadata\.csv has no column 'category'"):
        clips.read_clips(tmp_path)


def test_a_clip_is_its_last_eight_seconds(tmp_path: Path) -> None:
    """A shorter sound has zeros in front, of a longer one the end counts: as a room's memory would hold it."""
    for seconds in (3.0, 11.0):
        sound = synth.noise(seconds, -20.0)
        soundfile.write(tmp_path / "a.wav", sound, 16_000)
        heard = clips.waveform(tmp_path / "a.wav")
        kept = min(len(sound), clips.CLIP_SAMPLES)
        assert heard.shape == (clips.CLIP_SAMPLES,)
        assert np.array_equal(heard[-kept:], sound[-kept:].astype(np.float32) / 32768)
        assert not heard[:-kept].any()
