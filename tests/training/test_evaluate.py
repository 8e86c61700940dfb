import io
import json
from pathlib import Path
from typing import Any

import pytest
from made_evaluation import CLIPS, MadeEars, make, score, write_data
from PIL import Image
from rich.console import Console

from training import card, data, evaluate, pictures, plots, progress
from training.clips import Judged


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def evaluation(sounds: Path) -> dict[str, Any]:
    return make(sounds)


def test_the_peer_stands_beside_the_model_in_every_table(evaluation: dict[str, Any]) -> None:
    """Clips, hard sound, noise, nights and false alarms each have the peer's figure from the same run."""
    metrics = evaluation["metrics"]
    assert set(metrics["clips"]["auc"]) == {"model", "peer", "lead"}
    assert set(metrics["hard"]["rows"]) == set(metrics["nights"]["both"]) == {"low", "normal", "high", "peer"}
    assert set(metrics["negatives"]["rows"]) == {"low", "normal", "high", "peer"}
    assert all({"auc_model", "auc_peer", "found_model", "found_peer"} < set(row) for row in metrics["robustness"])


def test_it_can_be_written_down(evaluation: dict[str, Any]) -> None:
    """An evaluation is plain values: it comes back from JSON as it went."""
    assert json.loads(json.dumps(evaluation)) == evaluation


def test_a_model_that_wavers_is_not_judged(sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the same clips score something else the second time there are no figures, but an error."""
    ears = MadeEars()
    samples = [data.read_samples(sounds / file) for file, *_ in CLIPS[:2]]
    judged = Judged(tuple(data.read_clips(sounds)[:2]), ears.both(samples))
    evaluate._heard_the_same(judged, samples, ears)  # noqa: SLF001 - a whole evaluation for this costs seconds
    monkeypatch.setattr(ears, "function", lambda waves: {"cry": score(waves)["cry"] / 2})
    with pytest.raises(data.DataError, match=r"cry_a\.flac"):
        evaluate._heard_the_same(judged, samples, ears)  # noqa: SLF001 - the same


def test_a_night_is_found_through_the_whole_line(evaluation: dict[str, Any]) -> None:
    """The made-up nights' cries are found, by gate, detector and tracker."""
    night = evaluation["metrics"]["nights"]["both"]["normal"]
    assert (night["cries"], night["found"], night["false_episodes"]) == (2, 2, 0)


def test_every_plot_is_small_and_none_is_missing(evaluation: dict[str, Any], sounds: Path, tmp_path: Path) -> None:
    """The card names each plot that is drawn, and each is a PNG of less than 60 kB."""
    plots.curves(evaluation, tmp_path)
    pictures.timeline(evaluation["evidence"]["timelines"]["night"], 0.5, "night", tmp_path / "night.png")
    pictures.mistakes(evaluation["evidence"]["clips"], sounds, tmp_path)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {part.split(")")[0] for part in card.WORDS.read_text(encoding="utf-8").split("](plots/")[1:]}
    for path in tmp_path.iterdir():
        assert path.stat().st_size < 60_000
        with Image.open(path) as image:
            assert min(image.size) > 200


def test_the_worst_are_of_different_sources() -> None:
    """One laughing baby does not fill all three places."""
    clips = [{"source": source, "file": file} for source, file in (("a", "1"), ("a", "2"), ("b", "3"), ("c", "4"))]
    assert [clip["file"] for clip in pictures.worst(clips)] == ["1", "3", "4"]


MADE = {"version": "2026.11.9", "steps": 10, "weights": "69 593", "kilobytes": 752, "seed": 20, "seeds": {}}


def test_the_card_says_what_was_looked_at(evaluation: dict[str, Any]) -> None:
    """Figures carry their intervals, and thresholds say which sounds chose them, whichever it was."""
    text = card.text(evaluation, MADE)
    assert "| AUC | 1.000 (1.000 to 1.000) |" in text
    assert "chosen on sound that is kept back" in text
    assert "these figures flatter" in card.text(evaluation | {"thresholds_from": "validation clips"}, MADE)


def test_the_card_shows_the_seeds(evaluation: dict[str, Any]) -> None:
    """Every seed that was tried stands on the card with its intervals, and which one ships."""
    figure = {"value": 0.98, "low": 0.96, "high": 0.99}
    compared = {"chosen": "21", "figures": {"20": {"AUC": figure}, "21": {"AUC": figure}}}
    text = card.text(evaluation, MADE | {"seeds": compared})
    assert "Seed 21 ships" in text
    assert "| 20 | 0.980 (0.960 to 0.990) |" in text
    assert "### Seeds" not in card.text(evaluation, MADE)


def test_the_card_shows_what_did_not_help(
    evaluation: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line of tried.txt stands on the card; where there is none, the section is left out."""
    monkeypatch.setattr(card, "TRIED", tmp_path / "tried.txt")
    card.TRIED.write_text("# a remark\n", encoding="utf-8")
    assert "did not help" not in card.text(evaluation, MADE)
    card.TRIED.write_text("# a remark\nTwice the width: 0.001 AUC.\n", encoding="utf-8")
    assert "## Tried, and did not help\n\n- Twice the width: 0.001 AUC.\n\n## Limits" in card.text(evaluation, MADE)


def test_progress_is_plain_lines_where_there_is_no_terminal() -> None:
    """Each step is one line without control characters; on a terminal there is a bar."""
    plain, shown = io.StringIO(), io.StringIO()
    for file, terminal in ((plain, False), (shown, True)):
        with progress.progress(2, Console(file=file, force_terminal=terminal, width=80)) as told:
            told("clips")
            told("nights")
    assert [line.split("  ")[-2:] for line in plain.getvalue().splitlines()] == [["1/2", "clips"], ["2/2", "nights"]]
    assert "2/2" in shown.getvalue()
    assert "\x1b" not in plain.getvalue()
