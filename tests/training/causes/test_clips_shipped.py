from collections import Counter
from pathlib import Path

import soundfile

from training.data import read_clips

CATEGORIES = {"belly_pain", "burping", "discomfort", "hungry", "other", "tired"}


def test_the_clips_of_the_tests_are_what_their_readme_says(repository: Path) -> None:
    """Two clips a category, 16 kHz, mono, 2 to 8 s, no household twice, each in the table with its corpus name."""
    folder = repository / "tests/data/causes"
    clips = read_clips(folder)
    assert Counter(clip.label for clip in clips) == dict.fromkeys(CATEGORIES, 2)
    assert len({clip.source for clip in clips}) == len(clips)
    rows = [
        line.split("`") for line in (folder / "README.md").read_text(encoding="utf-8").splitlines() if "| `" in line
    ]
    assert sorted(row[1] for row in rows) == sorted(clip.file for clip in clips)
    for file, original in ((row[1], row[3]) for row in rows):
        _, time, reason = Path(file).stem.split("-")
        assert f"-{time}-" in original
        assert original.rpartition(".")[0].endswith(f"-{reason}")
        sound = soundfile.info(folder / file)
        assert (sound.samplerate, sound.channels) == (16000, 1)
        assert 2 <= sound.duration <= 8
    assert {path.name for path in folder.glob("LICENSE-*")} == {"LICENSE-ODbL-1.0.txt", "LICENSE-DbCL-1.0.txt"}
