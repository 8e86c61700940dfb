import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from training import train
from training.__main__ import COMPARED, app
from training.augment import Augmenter
from training.data import DataError
from training.params import Params, TrainParams


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_best_seed_is_marked(tmp_path: Path, data_dir: Path, made: Callable[..., Augmenter]) -> None:
    """`compare` leaves the figures of all seeds in the folder of the best, and in no other."""
    runs = [tmp_path / "cry-1", tmp_path / "cry-2"]
    for seed, run in enumerate(runs, start=1):
        train.train(Params(train=TrainParams(steps=1, batch=4, seed=seed)), made(4), run, Console(quiet=True))
        (run / COMPARED).write_text("{}", encoding="utf-8")
    done = CliRunner().invoke(app, ["compare", *map(str, runs), "--data", str(data_dir)])
    assert done.exit_code == 0, done.output
    marked = [run for run in runs if (run / COMPARED).is_file()]
    assert len(marked) == 1
    said = json.loads((marked[0] / COMPARED).read_text(encoding="utf-8"))
    assert f"cry-{said['chosen']}" == marked[0].name
    assert set(said["figures"]) == {"1", "2"}


def test_an_unfinished_run_is_named(tmp_path: Path, data_dir: Path) -> None:
    """A run without weights cannot be compared, and the error says how to end it."""
    done = CliRunner().invoke(app, ["compare", str(tmp_path / "cry-1"), "--data", str(data_dir)])
    assert isinstance(done.exception, DataError)
    assert "cry-1" in str(done.exception)


def test_what_an_evaluation_lacks_is_said_first(tmp_path: Path, data_dir: Path) -> None:
    """`all` on clips alone ends before it trains: there is nothing to judge by."""
    done = CliRunner().invoke(app, ["all", "--run", str(tmp_path / "cry"), "--data", str(data_dir)])
    assert isinstance(done.exception, DataError)
    assert list(tmp_path.glob("cry-*")) == []
