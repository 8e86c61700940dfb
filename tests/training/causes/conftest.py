"""One run of the whole experiment on made-up cries of eight causes, for every test that looks at what a run leaves."""

import pytest
import toy_causes
from toy_causes import EIGHT, Done
from typer.testing import CliRunner


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Run `training reproduce --export` for one epoch, two households a cause."""
    from training.__main__ import app  # noqa: PLC0415 - TensorFlow's settings stand in the conftest above

    folder = tmp_path_factory.mktemp("causes")
    data = toy_causes.write(folder / "data", toy_causes.pitches(EIGHT))
    run, exported = folder / "run", folder / "exported"
    arguments = ["--data", str(data), "--run", str(run), "--export", str(exported), "--epochs", "1"]
    said = CliRunner().invoke(app, ["reproduce", *arguments])
    assert said.exit_code == 0, said.output + repr(said.exception)
    return Done(data, run, exported, said.output)
