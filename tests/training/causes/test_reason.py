import json
from pathlib import Path

import numpy as np
import pytest
import toy_causes

from monitor.detect import load_reason_model, models_folder
from training.causes import clips, findings, reason, study
from training.data import digest
from training.intervals import Estimate

CRY, SHIPPED, DATA = models_folder() / "cry", models_folder() / "reason", Path("../shared/data")
HOMES = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus of two causes that their pitch tells apart, and the model that was made of it."""
    folder = tmp_path_factory.mktemp("reason")
    data = toy_causes.write(folder / "data", toy_causes.pitches(("calm", "shrill")), HOMES, clips=2)
    tries = {name: row for name, row in study.recipes(CRY).items() if name in (study.SHIPS, *study.BY_BANDS)}
    reason.make(data, CRY, folder / "model", lambda _: None, tries)
    return data, folder / "model"


def test_what_can_be_told_is_told(made: tuple[Path, Path]) -> None:
    """Where pitch tells the cause, households apart, answers count, a cause is named, and it is the right one."""
    data, folder = made
    model = load_reason_model(folder)
    assert model.manifest.categories == ("calm", "shrill")
    assert model.manifest.weight > 0.5
    assert model.manifest.min_confidence is not None
    known = clips.read_clips(data)
    said = model.function(clips.waveforms(known))["reason"]
    assert [model.manifest.categories[cause] for cause in said.argmax(axis=1)] == [clip.category for clip in known]


def test_its_answers_are_probabilities_of_each_sound_alone(made: tuple[Path, Path]) -> None:
    """Rows sum to 1, silence has an answer, and a neighbour in the batch changes none."""
    model = load_reason_model(made[1])
    sounds = np.random.default_rng(5).normal(0, 0.03, (3, 128_000)).astype(np.float32)
    sounds[2] = 0.0
    together = model.function(sounds)
    alone = np.concatenate([model.function(sounds[i : i + 1])["reason"] for i in range(3)])
    assert np.isfinite(together["reason"]).all()
    assert together["reason"].sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert np.abs(together["reason"] - alone).max() < 1e-5
    assert together["embedding"].shape == (3, 320)


def test_the_card_says_what_the_manifest_says(made: tuple[Path, Path]) -> None:
    """Figures, causes and the weight stand in the card as they were measured, and no hole is left in its words."""
    card = (made[1] / "CARD.md").read_text(encoding="utf-8")
    manifest = json.loads((made[1] / "manifest.json").read_text(encoding="utf-8"))
    uar = manifest["metrics"]["tried"][study.SHIPS]["uar"]
    assert f"{uar['value']:.3f} ({uar['low']:.3f} to {uar['high']:.3f})" in card
    assert f"weight of {manifest['weight']:g}" in card
    assert "`calm`" in card
    assert "{" not in card
    for plot in ("confusion", "reliability", "coverage"):
        assert f"plots/{plot}.png" in card
        assert (made[1] / "plots" / f"{plot}.png").stat().st_size > 1_000


def test_calibration_error_is_the_distance_between_sure_and_right() -> None:
    """Answers that are 0.9 sure and always right are 0.1 off, every cause counting alike."""
    truth, sources = np.array([0] * 8 + [1] * 2), [f"h{number}" for number in range(10)]
    said = np.where(np.eye(2)[truth] > 0, 0.9, 0.1)
    found = findings.reliability(said, truth, sources)
    assert found["ece"].value == pytest.approx(0.1)
    assert [row["clips"] for row in found["bins"]] == [10]
    assert found["bins"][0]["right"] == Estimate(1.0, 1.0, 1.0)


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here: the shipped card's figures need it")
@pytest.mark.slow
def test_the_shipped_figures_can_be_had_again() -> None:
    """What ships reaches again, from the same recordings, what its card says: within 0.01, far inside the interval."""
    manifest = json.loads((SHIPPED / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["data"]["lists_sha256"] == digest(DATA)
    tries = {study.SHIPS: study.recipes(CRY)[study.SHIPS]}
    found = study.study(DATA, CRY, lambda _: None, tries)
    said = manifest["metrics"]["tried"][study.SHIPS]
    for name, figure in found.tried[study.SHIPS].figures.items():
        assert figure.value == pytest.approx(said[name]["value"], abs=0.01)
    assert found.belief.weight == pytest.approx(manifest["weight"], abs=0.02)
    assert found.belief.min_confidence == manifest["min_confidence"]
