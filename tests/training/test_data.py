from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import data, golden
from training.data import Clip

clips = st.builds(
    Clip,
    file=st.text(max_size=3),
    corpus=st.just("made"),
    source=st.sampled_from("abcdef"),
    label=st.sampled_from(["cry", "background", "unverified", "laugh"]),
    may_train=st.booleans(),
    licence=st.just("CC0"),
)


@given(st.lists(clips), st.frozensets(st.sampled_from("abcdef")))
def test_no_source_is_on_both_sides(rows: list[Clip], held_out: frozenset[str]) -> None:
    """Whatever the clips, training and validation share no source, and training holds only what may be trained on."""
    parts = data.split(rows, held_out)
    assert not {c.source for c in parts.train} & ({c.source for c in parts.validation} | held_out)
    assert all(clip.may_train for clip in parts.train)
    assert all(clip.label != "unverified" for clip in (*parts.train, *parts.validation))


def test_reads_every_list(data_dir: Path) -> None:
    """The held-out sources validate, the rest trains where it may."""
    parts = data.split(data.read_clips(data_dir), data.validation_sources(data_dir))
    assert [clip.file for clip in parts.train] == ["cry_a.flac", "quiet_a.flac", "cry_b.flac", "noise_c.flac"]
    assert [clip.file for clip in parts.validation] == ["cry_f.flac", "noise_g.flac"]


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    """Without data the error says which path was looked for."""
    with pytest.raises(data.DataError, match="nowhere"):
        data.read_clips(tmp_path / "nowhere")


def test_folders_of_sounds_are_labels(tmp_path: Path) -> None:
    """Without lists a folder's name is the label, a household stays together, and some sources validate."""
    homes = [f"0D1AD73E-4C5E-45F3-85C4-{number:012d}" for number in range(20)]
    for name in [f"cry/{home}-{take}.wav" for home in homes for take in "ab"] + ["music/waltz.flac", "notes.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    rows, held_out = data.read_clips(tmp_path), data.validation_sources(tmp_path)
    assert {clip.source for clip in rows} == {*homes, "waltz"}
    assert [clip.label for clip in rows] == ["cry"] * 40 + ["music"]
    assert held_out
    assert held_out < {clip.source for clip in rows}
    before = data.digest(tmp_path)
    (tmp_path / "music/waltz.flac").write_bytes(b"other")
    assert data.digest(tmp_path) != before


@pytest.mark.parametrize("missing", ["cry_a.flac", "noise_g.flac"])
def test_each_side_needs_both_kinds(data_dir: Path, missing: str) -> None:
    """Without a cry to learn from, or without another sound to judge by, the error says what a cry is called."""
    path = data_dir / data.LISTS[0]
    lines = path.read_text(encoding="utf-8").splitlines()
    gone = {"cry_a.flac": ("cry_a.flac", "cry_b.flac")}.get(missing, (missing,))
    path.write_text("\n".join(line for line in lines if not line.startswith(gone)), encoding="utf-8")
    with pytest.raises(data.DataError, match="'cry'"):
        data.sides(data_dir)


def test_an_evaluation_needs_nights(data_dir: Path) -> None:
    """Clips alone cannot be evaluated, and that is said before hours of training."""
    with pytest.raises(data.DataError, match=r"night\.csv"):
        data.check_for_evaluation(data_dir)


def test_one_missing_list_is_named(data_dir: Path) -> None:
    """Where there is one list, all must be there: half the data is no other data."""
    (data_dir / data.LISTS[1]).unlink()
    with pytest.raises(data.DataError, match=r"extra/metadata\.csv"):
        data.read_clips(data_dir)


def test_sounds_are_decoded_once(data_dir: Path, tmp_path: Path) -> None:
    """Sounds come back as they were, from the files and then from the cache."""
    rows = data.split(data.read_clips(data_dir), frozenset()).train
    sounds = [data.load(rows, data_dir, tmp_path / "cache", lossy=False) for _ in range(2)]
    for index, clip in enumerate(rows):
        expected = data.read_samples(data_dir / clip.file)
        assert all(np.array_equal(one[index], expected) for one in sounds)


@pytest.mark.parametrize("name", ["a", "b", "c", "d", "e", "f"])
def test_coding_keeps_length_and_level(name: str) -> None:
    """A lossy copy is as long as the sound and about as loud, whichever codec its name draws."""
    sound = data.to_int16(golden.waveforms(30001)[0])
    copy = data.coded(sound, name)
    assert len(copy) == len(sound)
    assert np.std(copy.astype(float)) == pytest.approx(np.std(sound.astype(float)), rel=0.3)
