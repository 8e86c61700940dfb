import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

CLIPS = Path("tests/data/causes")
CURATED = "donateacry_corpus_cleaned_and_updated_data"


def steps(readme: str) -> list[str]:
    """The commands of the README's four steps, without what stands behind them."""
    block = re.search(r"in four steps.*?:\n\n((?:    .*\n)+)", readme)
    assert block
    return [line.split("  #")[0].strip() for line in block[1].splitlines()]


@pytest.mark.slow
def test_the_four_steps_of_the_readme(repository: Path, tmp_path: Path) -> None:
    """Clone, install, prepare data/, run: each line of the README works as it stands, one after the other.

    The packages are those that run this test instead of a download, and the corpus comes from a folder instead of the
    network; nothing else differs.
    """
    clone, install, prepare, run = steps((repository / "README.md").read_text(encoding="utf-8"))
    env = os.environ | {"REPOSITORY": repository.as_uri(), "PIP_NO_INDEX": "1", "PYTHON": sys.executable}
    home = tmp_path / "cry-monitor"

    def shell(line: str, folder: Path = home) -> str:
        done = subprocess.run(["bash", "-ec", line], cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    shell(f"{clone} && pwd", tmp_path)
    assert install == "scripts/setup dev"
    shell(f"{sys.executable} -m venv --without-pip .venv")
    (borrowed,) = home.glob(".venv/lib/python*/site-packages")
    (borrowed / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    shell(install)

    for category in CLIPS.iterdir():
        if category.is_dir():
            shutil.copytree(repository / category, tmp_path / "corpus" / CURATED / category.name)
    for clip in (tmp_path / "corpus").glob("*/*/*.flac"):  # the corpus has wav
        shell(f"{sys.executable} -c 'import soundfile, sys; soundfile.write(sys.argv[2], *soundfile.read(sys.argv[1]))'"
              f" {clip} {clip.with_suffix('.wav')} && rm {clip}", tmp_path)  # fmt: skip
    assert "12 of 12 files written, in 6 categories" in shell(f"{prepare} --from {tmp_path / 'corpus'}")

    assert run.endswith("reproduce --data data")
    shell(f"{run} --epochs 1")
    report = home / "runs/notebook/report.html"
    assert "hungry" in report.read_text(encoding="utf-8")
    metrics = json.loads((home / "runs/notebook/metrics.json").read_text(encoding="utf-8"))
    assert list(metrics["clips"]) == ["belly_pain", "burping", "discomfort", "hungry", "other", "tired"]
