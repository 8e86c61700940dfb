from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from training import data, peer, teacher

HOP_S, WINDOW_S = 0.4875, 0.975


def test_three_of_five_windows_start_its_episode() -> None:
    """The peer's episode starts with the third window of five over 0.3, and lasts to the last that kept it on."""
    scores = np.array([0, 0.4, 0, 0.4, 0.4, 0, 0] + [0] * 60, np.float32)
    at = 4 * HOP_S + WINDOW_S
    assert peer.episodes(scores) == [pytest.approx((at, at + HOP_S))]  # 3 of 5 still at the next window


@pytest.mark.parametrize(("pause", "episodes"), [(30, 1), (60, 2)])
def test_a_pause_of_twenty_seconds_ends_it(pause: int, episodes: int) -> None:
    """A cry that comes back within 20 s belongs to the same episode."""
    cry = [0.9] * 5
    assert len(peer.episodes(np.array(cry + [0.0] * pause + cry, np.float32))) == episodes


def test_silence_is_no_episode() -> None:
    """Nothing heard, nothing said."""
    assert peer.episodes(np.zeros(10, np.float32)) == []


def test_its_scores_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sound gets its own scores, in order, and the second time the peer need not listen."""
    monkeypatch.setattr(teacher, "load", lambda _: None)
    monkeypatch.setattr(teacher, "peer_scores", lambda _, sound: np.full(2, sound[0], np.float32))
    sounds = [np.full(20, i, np.int16) for i in range(5)]
    with ThreadPoolExecutor(1) as pool:
        first = peer.listen(tmp_path / "peer.tflite", sounds, tmp_path / "cache", pool)()
        monkeypatch.setattr(teacher, "peer_scores", lambda *_: pytest.fail("it listened again"))
        again = peer.listen(tmp_path / "peer.tflite", sounds, tmp_path / "cache", pool)()
    assert [scores[0] for scores in first] == [scores[0] for scores in again] == [0, 1, 2, 3, 4]


def test_an_absent_peer_is_named(tmp_path: Path) -> None:
    """Without the peer's file its own process says which path was looked for, and so does the evaluation."""
    with peer.workers() as pool, pytest.raises(data.DataError, match=r"nowhere\.tflite"):
        peer.listen(tmp_path / "nowhere.tflite", [np.zeros(20, np.int16)], tmp_path, pool)()
