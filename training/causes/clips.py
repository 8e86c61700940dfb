"""The cries whose cause somebody named: from a list or from folders, with what is known of each baby."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.records import RING_S, SAMPLE_RATE_HZ
from training import data
from training.data import DataError, Waveform

CLIP_SAMPLES = RING_S * SAMPLE_RATE_HZ
"""A cause is judged on 8 s: as long as a room remembers."""

UNKNOWN = ("", "unknown")  # what a list says of a cry whose cause nobody named
CODED = re.compile(r"-(?P<gender>[mf])-(?P<age>\d\d)-[a-z]{2}$")  # how the corpus ends a file's name
LEAST_CATEGORIES = 2


@dataclass(frozen=True, slots=True)
class CauseClip:
    """One cry and what its caregiver took for its cause.

    Attributes:
        path: The recording.
        source: The household: what no split may divide.
        category: The cause.
        age, gender, phone: As the corpus codes them; empty where it does not say.
        is_household_known: Whether `source` is said somewhere; otherwise each file counts as a household of its own.
        may_teach: Whether what ships may learn from it: its licence lets it, and it is not kept for validation.
    """

    path: Path
    source: str
    category: str
    age: str = ""
    gender: str = ""
    phone: str = ""
    is_household_known: bool = True
    may_teach: bool = True


def read_clips(data_dir: Path) -> list[CauseClip]:
    """Return the cries with a cause: those of the list in `data_dir`, or without one of its folders `category/*.wav`.

    Raises:
        DataError: there are fewer than two categories; a cause cannot be told from no other.
    """
    listed = data_dir / data.LISTS[0]
    clips = _of_list(listed) if listed.is_file() else _of_folders(data_dir)
    if len(categories_of(clips)) < LEAST_CATEGORIES:
        raise DataError(
            f"{data_dir} holds cries of {len(categories_of(clips))} categories, two are the least: give with --data "
            f"a folder with category/*.wav (`training fetch` makes one), or with {data.LISTS[0]}"
        )
    return clips


def categories_of(clips: Sequence[CauseClip]) -> list[str]:
    """Return the categories, sorted: the order of a model's answers."""
    return sorted({clip.category for clip in clips})


def guessed_households(clips: Sequence[CauseClip]) -> int:
    """Return of how many clips nobody says which household they are of: one may be on both sides of a split."""
    return sum(not clip.is_household_known for clip in clips)


def commonest(clips: Sequence[CauseClip]) -> str:
    """Return the category of most clips: what answers best for one who does not listen."""
    return Counter(clip.category for clip in clips).most_common(1)[0][0]


def waveform(path: Path, samples: int = CLIP_SAMPLES) -> Waveform:
    """Return the last `samples` of a recording, float32[samples] in [-1, 1), with zeros in front of a shorter one.

    Raises:
        AudioFileError: there is no such file, or it is no sound.
    """
    heard = data.read_samples(path)[-samples:]
    return data.to_float(np.pad(heard, (samples - len(heard), 0)))


def waveforms(clips: Sequence[CauseClip]) -> Waveform:
    """Return the sound of `clips`, float32[clips, CLIP_SAMPLES]: 0.5 MB each."""
    return np.stack([waveform(clip.path) for clip in clips])


def _of_list(path: Path) -> list[CauseClip]:
    held = path.parent / data.VALIDATION_LIST
    held_out = frozenset(held.read_text(encoding="utf-8").splitlines() if held.is_file() else ())
    with path.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    try:
        return [
            CauseClip(
                path=path.parent / row["file"],
                source=row["source"],
                category=row["category"],
                age=row["age"],
                gender=row["gender"],
                phone=row["platform"],
                may_teach=row["may_train"] == "yes" and row["source"] not in held_out,
            )
            for row in rows
            if row["label"] == data.CRY and row["category"] not in UNKNOWN
        ]
    except KeyError as error:
        raise DataError(f"{path} has no column {error}: see which there are in its README") from error


def _of_folders(data_dir: Path) -> list[CauseClip]:
    clips = []
    for path in sorted(path for path in data_dir.glob("*/*") if path.suffix.lower() in data.SOUNDS):
        household, coded = data.HOUSEHOLD.match(path.stem), CODED.search(path.stem)
        clips.append(
            CauseClip(
                path=path,
                source=household[0] if household else path.stem,
                category=path.parent.name,
                age=coded["age"] if coded else "",
                gender=coded["gender"] if coded else "",
                is_household_known=household is not None,
            )
        )
    return clips
