import json
from pathlib import Path

import pytest
from toy_causes import EIGHT, Done
from typer.testing import CliRunner

from training.__main__ import app
from training.causes import predict
from training.data import DataError
from training.markdown import figure

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_each_file_gets_a_cause_and_what_it_is_worth(done: Done) -> None:
    """A line for each file has its likeliest cause and every probability; the last says what that is worth."""
    files = [str(path) for path in sorted(done.data.glob("*/h*0001-0.wav"))[:2]]
    said = CliRunner().invoke(app, ["predict", *files, "--run", str(done.run)])
    assert said.exit_code == 0, said.output + repr(said.exception)
    *answers, worth = said.output.splitlines()
    for file, answer in zip(files, answers, strict=True):
        cause, shares = answer.removeprefix(f"{file}: ").removesuffix(")").split(" (")
        told = {name: float(share) for name, share in (part.split() for part in shares.split(", "))}
        assert set(told) == set(EIGHT)
        assert cause == max(told, key=lambda name: told[name])
        assert sum(told.values()) == pytest.approx(1.0, abs=0.005)
    metrics = json.loads((done.run / "metrics.json").read_text(encoding="utf-8"))
    assert figure(metrics["protocols"]["households_apart"]["uar"]) in worth
    assert "0.125" in worth


def test_without_a_run_it_says_how_to_make_one(tmp_path: Path) -> None:
    """A folder that holds no network is one error, with the command that makes one."""
    with pytest.raises(DataError, match="training reproduce --run"):
        predict.load(tmp_path)
