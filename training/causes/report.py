"""The report of a run as one page that needs nothing beside it: its words are in report.html.jinja."""

import base64
from pathlib import Path
from typing import Any

import jinja2

from training.markdown import figure

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write(metrics: dict[str, Any], pictures: dict[str, Path], path: Path) -> None:
    """Write the page.

    Args:
        metrics: as they stand in metrics.json.
        pictures: PNG files by the name that the template gives them; they become part of the page.
        path: The page.
    """
    # StrictUndefined: a figure that is absent is a fault, not a gap on the page.
    house = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    house.filters |= {"figure": figure, "percent": percent}
    template = house.from_string(TEMPLATE.read_text(encoding="utf-8"))
    path.write_text(template.render(**metrics, pictures={name: _uri(png) for name, png in pictures.items()}), "utf-8")


def percent(share: float) -> str:
    """Return a share in whole percent, with the space that does not break."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _uri(png: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(png.read_bytes()).decode()
