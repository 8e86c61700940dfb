import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = "training/notebooks/baby_cry_classification.ipynb"
RUN = """
import json, sys, types
jupyter, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
display.Audio, display.display = (lambda samples, rate: samples), (lambda shown: None)
jupyter.display, jupyter.get_ipython, jupyter.version_info = display, (lambda: None), (9, 0)
sys.modules |= {"IPython": jupyter, "IPython.display": display}
space = {"__name__": "__main__"}
for number, cell in enumerate(json.load(open(sys.argv[1], encoding="utf-8"))["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), space)
"""


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    path = Path(__file__).parents[3] / NOTEBOOK
    return list(json.loads(path.read_text(encoding="utf-8"))["cells"])


def test_the_notebook_has_no_outputs(cells: list[dict[str, Any]]) -> None:
    """What a cell printed on one machine is not kept: no pictures, no figures, no paths."""
    for cell in cells:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.slow
def test_every_cell_runs(repository: Path, tmp_path: Path) -> None:
    """The notebook runs from its first cell to its last on the clips in this repository.

    Without Jupyter: its kernel and client would bring forty packages for one test, and what they add here, playing a
    sound, is replaced. The cells are plain Python by intent; so they run in one process, as in a kernel.
    """
    environment = os.environ | {
        "NOTEBOOK_DATA": str(repository / "tests/data/causes"),
        "NOTEBOOK_EPOCHS": "1",
        "TMPDIR": str(tmp_path),
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": str(repository),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(repository / NOTEBOOK)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "households kept apart: 0% of the clips that judge were learnt from" in done.stdout
    assert "manifest.json" in done.stdout
