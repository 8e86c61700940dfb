"""The blueprints for Home Assistant as files: what a real one would say is in `tests/e2e/test_blueprint_*.py`."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import soundfile
import yaml  # type: ignore[import-untyped]  # no types of it are installed

from monitor.publish.components import of_a_room
from monitor.records import EventType, Problem

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "homeassistant"
GUIDE = (FOLDER / "README.md").read_text(encoding="utf-8")
FILES = sorted((FOLDER / "blueprints" / "automation" / "cry_monitor").glob("*.yaml"))
ROOM = of_a_room("cry/home", "home", "nursery", ["hungry"])

pytestmark = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


class Input(str):
    """A use of an input."""

    __slots__ = ()


class Loader(yaml.SafeLoader):  # type: ignore[misc]  # the same
    """YAML with Home Assistant's `!input`."""


Loader.add_constructor("!input", lambda loader, node: Input(loader.construct_scalar(node)))


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a safe one, see above
    return loaded


def inputs(blueprint: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs, those of sections among them."""
    flat: dict[str, Any] = {}
    for key, value in blueprint["blueprint"]["input"].items():
        flat |= value.get("input", {key: value})
    return flat


def uses(value: object) -> set[str]:
    if isinstance(value, Input):
        return {str(value)}
    if isinstance(value, dict):
        return set().union(*map(uses, value.values()))
    return set().union(*map(uses, value)) if isinstance(value, list) else set()


def test_each_input_is_declared_and_used(path: Path) -> None:
    """No input is used that is not asked for, and none is asked for in vain; each has a name and a selector."""
    blueprint = load(path)
    assert blueprint["blueprint"]["domain"] == "automation"
    assert re.fullmatch(r"20\d\d\.\d+\.\d+", blueprint["blueprint"]["homeassistant"]["min_version"])
    assert uses({key: value for key, value in blueprint.items() if key != "blueprint"}) == inputs(blueprint).keys()
    assert all({"name", "selector"} <= one.keys() for one in inputs(blueprint).values())


def test_the_guide_has_each_input_with_its_default(path: Path) -> None:
    """The table of a blueprint in the guide is its inputs, in their order."""
    section = re.search(rf"^## [^\n]*`{path.stem}\.yaml`\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    assert section
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section[1], re.MULTILINE)
    assert [key for key, _ in rows] == list(inputs(load(path)))
    for key, default in rows:
        stands = inputs(load(path))[key].get("default", "")
        assert default == (", ".join(map(str, stands)) if isinstance(stands, list) else str(stands)).replace(
            "True", "yes"
        )


def test_each_entity_and_event_that_is_named_exists(path: Path) -> None:
    """What is asked for, pressed or waited for is a component or an event of ours, and no end of an id means two."""
    text = path.read_text(encoding="utf-8")
    for platform, key in re.findall(r"`(\w+)\.cry_\.\.\._(\w+)`", text):
        assert ROOM[key]["platform"] == platform
        assert inputs(load(path))[key]["selector"]["entity"]["filter"][0]["domain"] == platform
    options = inputs(load(path)).get("buttons", {}).get("selector", {}).get("select", {}).get("options", [])
    ids = [str(one["default_entity_id"]) for one in ROOM.values()]
    for key in (option["value"] for option in options):
        found = [one for one in ids if re.match(rf"button\..*_{key}(_minutes)?$", one)]
        assert found == [f"button.cry_home_nursery_{key}"]
    assert set(re.findall(r"\b(?:cry_started|cry_ongoing|cry_ended|drill_\w+)\b", text)) <= {*get_args(EventType)}
    assert set(re.findall(r"is_state\(problem, '(\w+)'\)", text)) <= {*get_args(Problem)}


def test_the_cry_that_is_played_is_short(path: Path) -> None:
    """The default of the drill is in the media folder, and too short to be a cry past a drill's end."""
    default = inputs(load(path)).get("media", {}).get("default", "")
    if default:
        name = default.removeprefix("media-source://media_source/local/")
        assert soundfile.info(FOLDER / "media" / name).duration <= 6
