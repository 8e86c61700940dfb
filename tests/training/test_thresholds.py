from pathlib import Path

import numpy as np
import pytest
from made_evaluation import RULE, write_data

from training import data, peer, thresholds
from training.data import Clip
from training.params import WindowParams
from training.thresholds import Target

PARAMS = WindowParams()
HOUR = round(3600 / PARAMS.hop_s)


def stream(*bursts: float) -> np.ndarray:
    """Return an hour of scores: silence, and a burst of six windows at each of these heights, minutes apart."""
    scores = np.full(HOUR, 0.01, np.float32)
    for number, height in enumerate(bursts):
        scores[200 * (number + 1) : 200 * (number + 1) + 6] = height
    return scores


def test_thresholds_keep_to_the_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an hour of sound each sensitivity lets as many bursts through as its target: the lowest `enter` that does."""
    monkeypatch.setitem(thresholds.TARGETS, "low", Target(4, 6, 0.3))
    monkeypatch.setitem(thresholds.TARGETS, "normal", Target(3, 5, 1.0))
    monkeypatch.setitem(thresholds.TARGETS, "high", Target(2, 4, 4.0))
    chosen = thresholds.choose([stream(0.91, 0.71, 0.61, 0.51, 0.41)], 1.0, PARAMS)
    assert {name: rule.enter for name, rule in chosen.items()} == {"low": 0.925, "normal": 0.725, "high": 0.425}
    assert all(rule.exit < rule.enter for rule in chosen.values())


def test_an_episode_without_end_is_no_quiet_hour() -> None:
    """A threshold so low that one episode lasts all hour long does not pass for one false alarm."""
    restless = np.maximum(stream(*[0.91] * 20), 0.3)
    assert thresholds.episodes(restless, RULE.model_copy(update={"enter": 0.2, "exit": 0.1}), PARAMS) == 1
    assert thresholds.choose([restless], 1.0, PARAMS)["normal"].enter == pytest.approx(0.925)


def test_where_none_keeps_to_the_target_the_highest_is_taken() -> None:
    """Sound that scores 1 all the time gets the highest threshold, and the table shows what it costs."""
    assert thresholds.choose([stream(*[1.0] * 20)], 1.0, PARAMS)["low"].enter == thresholds.ENTERS[0]


def test_a_stream_holds_each_clip_of_its_label_in_every_rendering() -> None:
    """Clips are joined label by label with a breath between, as recorded and as rooms and codecs would give them."""
    rows = [
        Clip(f"{i}", "made", f"{i}", label, may_train=True, licence="") for i, label in enumerate(("cat", "toy", "cat"))
    ]
    sounds = [np.full(16000, 1000 + i, np.int16) for i in range(3)]
    made = thresholds.streams(rows, sounds)
    assert len(made) == 2 * len(thresholds.RENDERINGS)
    assert all(len(sound) == (2 if "cat" in name else 1) * (16000 + 6400) for name, sound in made.items())
    plain = made["cat, as recorded"]
    assert set(np.unique(plain)) == {0, 1000, 1002}


def test_only_what_is_kept_back_is_heard(tmp_path: Path) -> None:
    """No training clip and no validation clip chooses a threshold."""
    rows, _ = thresholds.load(write_data(tmp_path), tmp_path / "cache")
    assert [clip.file for clip in rows] == ["odd_h.flac"]


def test_kept_back_sounds_are_of_neither_side(tmp_path: Path) -> None:
    """What is kept back shares no source with validation, and holds no cry."""
    held_out = data.validation_sources(write_data(tmp_path))
    for clip in data.kept_back(data.read_clips(tmp_path), held_out):
        assert clip.source not in held_out
        assert not clip.is_cry


def test_the_peer_has_one_threshold() -> None:
    """The peer is reported at the threshold that alarms give it."""
    assert (peer.ENTER, peer.NEED, peer.OF) == (0.3, 3, 5)
