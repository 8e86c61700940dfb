import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import toy_causes
from PIL import Image
from toy_causes import EIGHT, Done
from typer.testing import CliRunner

from training.__main__ import app
from training.data import DataError
from training.markdown import figure

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
FIGURES = ("accuracy", "uar", "macro_f1")


class Page(HTMLParser):
    """Every tag with its attributes, and every cell of a table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["td"]:
            self.cells.append(data.strip())


def test_a_run_says_what_it_measured(done: Done) -> None:
    """metrics.json has each protocol's figures with intervals, beside one who does not listen, and the cost."""
    metrics = json.loads((done.run / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics["clips"]) == list(EIGHT)
    assert list(metrics["protocols"]) == ["copies_first", "random_split", "households_apart", "copies_apart"]
    for one in metrics["protocols"].values():
        for row in (one, one["always"]):
            for name in FIGURES:
                assert row[name]["low"] <= row[name]["value"] <= row[name]["high"]
        assert sum(map(sum, one["confusion"])) == one["clips"]
        assert set(one["categories"]) == set(EIGHT)
        assert len(one["curves"]) == one["trainings"]
    apart = metrics["protocols"]["households_apart"]
    assert (apart["clips"], apart["trainings"]) == (16, 2)
    assert (apart["shared_recordings"], apart["shared_households"]) == (0, 0)
    assert apart["always"]["accuracy"]["value"] == metrics["chance_uar"] == 0.125
    assert metrics["wall_s"] > 0
    assert metrics["peak_mb"] > 100


def test_the_figures_are_printed(done: Done) -> None:
    """The command line prints each protocol's figures, and where the report is."""
    metrics = json.loads((done.run / "metrics.json").read_text(encoding="utf-8"))
    for one in metrics["protocols"].values():
        assert one["title"] in done.printed
        assert figure(one["uar"]) in done.printed
    assert "report.html" in done.printed


def test_the_report_needs_nothing_beside_it(done: Done) -> None:
    """The page has no script and asks for nothing from elsewhere: its pictures stand in it."""
    text = (done.run / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    sources = [value for name, value in page.attributes if name in {"src", "href", "srcset", "data"}]
    assert len(sources) == 4
    assert all(source and source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in re.sub(r"base64,[^\"]+", "", text)
    assert "url(" not in re.sub(r"base64,[^\"]+", "", text)


def test_the_report_has_the_figures_of_the_run(done: Done) -> None:
    """Every figure of the page's tables is that of metrics.json, in its order."""
    metrics = json.loads((done.run / "metrics.json").read_text(encoding="utf-8"))
    cells = Page((done.run / "report.html").read_text(encoding="utf-8")).cells
    wanted = [
        figure(row[name]) for one in metrics["protocols"].values() for row in (one, one["always"]) for name in FIGURES
    ]
    assert [cell for cell in cells if re.fullmatch(r"\d\.\d{3} \(.*\)", cell)] == wanted
    recalls = [f"{one['categories'][name]['recall']:.2f}" for name in EIGHT for one in metrics["protocols"].values()]
    rows = [cells.index(name) for name in EIGHT]
    assert [cells[row + 2 + 4 * number] for row in rows for number in range(4)] == recalls


def test_the_pictures_are_there(done: Done) -> None:
    """Waveforms, spectrograms, curves and confusions are PNGs, and not empty ones."""
    for name in ("waveforms", "spectrograms", "curves", "confusions"):
        with Image.open(done.run / "plots" / f"{name}.png") as image:
            assert image.width > 500
            assert len(image.getcolors() or []) > 5


def test_a_cause_of_one_household_is_said_at_once(tmp_path: Path) -> None:
    """Before anything is trained the error names the cause that cannot be tried on strangers."""
    data = toy_causes.write(tmp_path / "data", {"high": 900.0, "low": 300.0}, households=1, clips=3)
    said = CliRunner().invoke(app, ["reproduce", "--data", str(data), "--run", str(tmp_path / "run")])
    assert isinstance(said.exception, DataError)
    assert "'high'" in str(said.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["diary.txt", "manifest.json"])
@pytest.mark.parametrize("text", ["mine", '{"name": "cry", "version": "1"}', '{"name": "reason"}', "[1]"])
def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path, done: Done, name: str, text: str) -> None:
    """Where the export would replace what is no model of causes, another model too, it says so before it trains."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    said = CliRunner().invoke(app, ["reproduce", "--data", str(done.data), "--export", str(tmp_path)])
    assert isinstance(said.exception, DataError)
    assert str(tmp_path) in str(said.exception)
    assert (tmp_path / name).read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["Very Tired", "belly-pain", "unsure", "not_a_cry"])
def test_a_folder_that_no_service_takes_for_a_cause_is_named(tmp_path: Path, name: str) -> None:
    """A category that cannot stand in a manifest is refused before anything is trained, with what it may be."""
    data = toy_causes.write(tmp_path / "data", {name: 900.0, "low": 300.0})
    export = str(tmp_path / "out")
    said = CliRunner().invoke(
        app, ["reproduce", "--data", str(data), "--run", str(tmp_path / "run"), "--export", export]
    )
    assert isinstance(said.exception, DataError)
    assert f"category {name!r} cannot be exported: rename its folder" in str(said.exception)
