"""From lists or folders of clips to rows, from rows to a split that shares no source, from files to samples."""

import csv
import dataclasses
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from monitor.capture import Recording
from monitor.records import SAMPLE_RATE_HZ, Samples

LISTS = ("metadata.csv", "extra/metadata.csv", "more/metadata.csv")
VALIDATION_LIST = "validation_sources.txt"
CRY = "cry"
UNVERIFIED = "unverified"  # neither cry nor other: left out of training and of every figure
KEPT_BACK_LISTS = ("extra/", "more/")
KEPT_BACK_OF = 10  # one source in ten
VALIDATION_OF = 5  # of a folder without lists: one source in five
SOUNDS = (".wav", ".flac", ".ogg")
# How the file names of donateacry begin: a phone's own number, here and there cut to eight digits.
HOUSEHOLD = re.compile(r"(?:h[0-9a-f]{8}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})(?=-)")

Waveform = npt.NDArray[np.float32]


class DataError(Exception):
    """The data folder does not hold what it should; the message names the path and the way out."""


@dataclasses.dataclass(frozen=True, slots=True)
class Clip:
    """One row of a list: a file of one sound, its label, and where it was recorded."""

    file: str
    corpus: str
    source: str  # household, speaker or recording: what a split must never divide
    label: str
    may_train: bool
    licence: str

    @property
    def is_cry(self) -> bool:
        """Whether the clip is labelled as a cry (somewhere in it: labels are weak)."""
        return self.label == CRY


class Split(NamedTuple):
    """Clips to learn from and clips to choose and judge by. No source is in both."""

    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]


def read_clips(data_dir: Path) -> list[Clip]:
    """Return the rows of all lists in `data_dir`; without lists, the sounds of its folders, which are their labels.

    Raises:
        DataError: one of several lists is not there, or there is neither a list nor a sound.
    """
    if not any((data_dir / name).is_file() for name in LISTS):
        return _in_folders(data_dir)
    clips = []
    for name in LISTS:
        path = data_dir / name
        if not path.is_file():
            raise DataError(f"no list of clips at {path}: give the folder that holds {LISTS[0]} with --data")
        with path.open(newline="", encoding="utf-8") as lines:
            clips += [
                Clip(
                    file=row["file"],
                    corpus=row["corpus"],
                    source=row["source"],
                    label=row["label"],
                    may_train=row["may_train"] == "yes",
                    licence=row["licence"],
                )
                for row in csv.DictReader(lines)
            ]
    return clips


def _in_folders(data_dir: Path) -> list[Clip]:
    """Return the clips `label/*.wav`; a file is a source of its own, but for those of one household in donateacry."""
    paths = sorted(path for path in data_dir.glob("*/*") if path.suffix.lower() in SOUNDS)
    if not paths:
        raise DataError(f"no sounds in {data_dir}: give with --data a folder that holds {LISTS[0]}, or label/*.wav")
    return [
        Clip(
            file=path.relative_to(data_dir).as_posix(),
            corpus=data_dir.name,
            source=found[0] if (found := HOUSEHOLD.match(path.stem)) else path.stem,
            label=path.parent.name,
            may_train=True,
            licence="",
        )
        for path in paths
    ]


def twins(data_dir: Path) -> list[tuple[str, str]]:
    """Return pairs of files that are one recording: with its full band, and with nothing above 4 kHz."""
    with (data_dir / "extra/metadata.csv").open(newline="", encoding="utf-8") as lines:
        return [(row["file"], row["twin_of"]) for row in csv.DictReader(lines) if row["twin_of"]]


def validation_sources(data_dir: Path) -> frozenset[str]:
    """Return the sources that no model may learn from: those listed, or of a folder without lists one in five.

    Raises:
        DataError: there are lists of clips, but none of sources.
    """
    path = data_dir / VALIDATION_LIST
    if path.is_file():
        return frozenset(path.read_text(encoding="utf-8").splitlines())
    if any((data_dir / name).is_file() for name in LISTS):
        raise DataError(f"no list of validation sources at {path}: give the folder that holds it with --data")
    return frozenset(clip.source for clip in _in_folders(data_dir) if _drawn(clip.source, VALIDATION_OF))


def split(clips: Iterable[Clip], held_out: frozenset[str]) -> Split:
    """Return the two sides: `held_out` sources validate, the others train where their licence lets them.

    Clips of unverified label are on neither side; nor are clips that may not train and are not held out.
    """
    known = [clip for clip in clips if clip.label != UNVERIFIED]
    return Split(
        train=tuple(clip for clip in known if clip.may_train and clip.source not in held_out),
        validation=tuple(clip for clip in known if clip.source in held_out),
    )


def sides(data_dir: Path) -> Split:
    """Return what `data_dir` has to learn from and to judge by.

    Raises:
        DataError: one of the sides lacks cries, or lacks other sounds.
    """
    found = split(read_clips(data_dir), validation_sources(data_dir))
    for side, clips in found._asdict().items():
        if len({clip.is_cry for clip in clips}) < 2:
            fix = f"name it {CRY!r} in {LISTS[0]} or as a folder, with more than a few sources"
            raise DataError(
                f"{data_dir} has no cry, or nothing but cries, for {side}: a cry is what is labelled so; {fix}"
            )
    return found


def check_for_evaluation(data_dir: Path) -> None:
    """See that there is all that an evaluation needs.

    Raises:
        DataError: `data_dir` is no more than clips: no lists, no nights.
    """
    for name in (*LISTS, "night/night.csv"):
        if not (data_dir / name).is_file():
            fix = "a folder of sounds alone is for `train` and `compare`"
            raise DataError(f"no {name} in {data_dir}: an evaluation needs the lists and the nights; {fix}")


def is_kept_back(clip: Clip) -> bool:
    """Whether a clip without a cry is kept from training, to choose thresholds on: a tenth of the extra sources."""
    return not clip.is_cry and clip.file.startswith(KEPT_BACK_LISTS) and _drawn(clip.source, KEPT_BACK_OF)


def _drawn(source: str, one_in: int) -> bool:
    """Return whether a source is among those drawn: always the same."""
    return hashlib.sha256(source.encode()).digest()[0] % one_in == 0


def kept_back(clips: Iterable[Clip], held_out: frozenset[str]) -> list[Clip]:
    """Return sounds without a cry that neither teach nor validate.

    These are the clips that `is_kept_back` names, and those whose licence keeps them out of training.
    """
    known = [c for c in clips if c.label != UNVERIFIED and not c.is_cry and c.source not in held_out]
    return [clip for clip in known if is_kept_back(clip) or not clip.may_train]


def read_samples(path: Path) -> Samples:
    """Return a recording as int16[n], mono, 16 kHz, whatever its rate and channels: as the monitor reads it.

    Raises:
        AudioFileError: there is no such file, or it is no sound.
    """
    with Recording(path) as recording:
        return np.concatenate(list(recording.blocks()))


def to_int16(waveform: Waveform) -> Samples:
    """Return int16[n] of float32[n] in [-1, 1); what is louder clips."""
    return np.asarray(np.clip(np.rint(waveform * 32768.0), -32768, 32767), np.int16)


def to_float(samples: Samples) -> Waveform:
    """Return float32[n] in [-1, 1) of int16[n]: the model's scale."""
    return samples.astype(np.float32) / np.float32(32768.0)


def coded(samples: Samples, name: str) -> Samples:
    """Return the sound after a lossy codec, int16[n]; which one follows from `name`, so that a run can be repeated.

    Two thirds Opus at about 20 to 60 kbit/s, as most of the negatives were stored; one third a telephone, GSM full
    rate at 8 kHz, as most of the cries came in. Both classes go through both, so neither betrays the class.
    """
    choice = hashlib.sha256(name.encode()).digest()
    file = io.BytesIO()
    if choice[0] % 3:
        quality = (0.80, 0.86, 0.92)[choice[1] % 3]
        soundfile.write(file, samples, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=quality)
        file.seek(0)
        sound, rate = soundfile.read(file, dtype="float32")
        back = soxr.resample(sound, rate, SAMPLE_RATE_HZ) if rate != SAMPLE_RATE_HZ else sound
    else:
        narrow = soxr.resample(to_float(samples), SAMPLE_RATE_HZ, 8000)
        soundfile.write(file, narrow, 8000, format="WAV", subtype="GSM610")
        file.seek(0)
        sound, _ = soundfile.read(file, dtype="float32")
        back = soxr.resample(sound, 8000, SAMPLE_RATE_HZ)
    # A codec may add or drop a few samples at the end.
    return np.resize(np.pad(to_int16(back), (0, max(0, len(samples) - len(back)))), len(samples))


@dataclasses.dataclass(frozen=True, slots=True)
class Sounds:
    """Many clips in one array: what training holds in memory (or maps from a cache)."""

    flat: Samples
    ends: npt.NDArray[np.int64]

    def __getitem__(self, index: int) -> Samples:
        """Return clip `index`, int16[n], a view."""
        return self.flat[(self.ends[index - 1] if index else 0) : self.ends[index]]

    def __len__(self) -> int:
        """Return how many clips there are."""
        return len(self.ends)


def load(clips: Sequence[Clip], data_dir: Path, cache_dir: Path, *, lossy: bool) -> Sounds:
    """Return the sounds of `clips`, decoded once and kept in `cache_dir`; `lossy` gives their `coded` copies."""
    key = hashlib.sha256("\n".join([digest(data_dir), str(lossy), *(c.file for c in clips)]).encode()).hexdigest()[:16]
    flat_path, ends_path = cache_dir / f"sounds-{key}.npy", cache_dir / f"sounds-{key}-ends.npy"
    if not ends_path.is_file():  # written last: both are whole
        sounds = [read_samples(data_dir / clip.file) for clip in clips]
        if lossy:
            sounds = [coded(sound, clip.file) for sound, clip in zip(sounds, clips, strict=True)]
        cache_dir.mkdir(parents=True, exist_ok=True)
        np.save(flat_path, np.concatenate(sounds))
        np.save(ends_path, np.cumsum([len(sound) for sound in sounds]))
    return Sounds(np.load(flat_path, mmap_mode="r"), np.load(ends_path))


def validation(data_dir: Path) -> tuple[tuple[Clip, ...], list[Samples]]:
    """Return the validation clips and their sounds, int16[n] each."""
    clips = sides(data_dir).validation
    return clips, [read_samples(data_dir / clip.file) for clip in clips]


def real_windows(data_dir: Path, window_samples: int) -> Waveform:
    """Return the first window of every validation clip, float32[n, window_samples]: to compare forms of a model on."""
    starts = [sound[:window_samples] for sound in validation(data_dir)[1]]
    return np.stack([to_float(np.pad(start, (0, window_samples - len(start)))) for start in starts])


def digest(data_dir: Path) -> str:
    """Return the SHA-256 of the lists, without lists that of all sounds: which edition of the data this is."""
    total = hashlib.sha256()
    paths = [data_dir / name for name in (*LISTS, VALIDATION_LIST) if (data_dir / name).is_file()]
    if not (data_dir / LISTS[0]).is_file():
        paths += [data_dir / clip.file for clip in _in_folders(data_dir)]
    for path in paths:
        total.update(path.relative_to(data_dir).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()
