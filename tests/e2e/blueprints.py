"""A Home Assistant with the project's blueprints in its folder, two phones, and automations made from the former."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from e2e.home_assistant import HomeAssistant
from e2e.phone import Phone
from e2e.service import REPOSITORY

BLUEPRINTS = REPOSITORY / "homeassistant" / "blueprints"
MEDIA = REPOSITORY / "homeassistant" / "media"

ABOUT = ("automation", "blueprint", "template", "script", "notify")
"""Where Home Assistant would say that a blueprint of ours is wrong."""


@dataclass(frozen=True, slots=True)
class Family:
    """A house and those who live there."""

    house: HomeAssistant
    anna: Phone
    ben: Phone

    def use(self, name: str, node: str, *, room: str = "nursery", **inputs: object) -> None:
        """Make an automation from a blueprint for a room, in place of all others; `inputs` besides the entities."""
        self.house.automate(automation(name, node, room, inputs))

    def forget(self) -> None:
        """Forget what the phones got."""
        self.anna.forget()
        self.ben.forget()

    def tell(self, *automations: str, from_s: float = 3.5) -> None:
        """Print what the phones showed, and the traces of these automations that did something: for the guide.

        It begins `from_s` before the first notification, with what led to it.
        """
        told = [(at, f"{phone.name}: {what}") for phone in (self.anna, self.ben) for at, what in phone.story]
        for name in automations:
            for run in self.house.runs(name):
                if run["script_execution"] != "failed_conditions":
                    at = datetime.fromisoformat(run["timestamp"]["start"]).timestamp()
                    told.append((at, f"    {name} runs: {run['trigger']}"))
        first = min(at for at, what in told if "RINGS" in what or "shows" in what)
        told = sorted(line for line in told if line[0] > first - from_s)
        lines = [
            textwrap.fill(f"{at - told[0][0]:5.1f} s  {what}", 112, subsequent_indent=" " * 9).replace("\xa0", " ")
            for at, what in told
        ]
        print("\n" + "\n".join(lines))  # noqa: T201 - the guide's

    def complaints(self) -> list[str]:
        """Return what Home Assistant's log says against the blueprints."""
        return [line for about in ABOUT for line in self.house.log_warnings(f".{about}") if "libturbojpeg" not in line]


def automation(name: str, node: str, room: str, inputs: Mapping[str, object]) -> dict[str, object]:
    """Return an automation from a blueprint as the page writes it."""
    entities = {
        "cry_alert": {"cry": "event", "alert": "binary_sensor"},
        "dead_man": {"hearing": "binary_sensor", "problem": "sensor", "cry": "event"},
        "bedtime_drill": {"drill": "button", "cry": "event", "crying": "binary_sensor"},
    }[name]
    ids = {key: f"{platform}.cry_{node}_{room}_{key}" for key, platform in entities.items()}
    path = f"cry_monitor/{name}.yaml"
    return {
        "id": f"{name}_{room}",
        "alias": f"{name} {room}",
        "use_blueprint": {"path": path, "input": {**ids, **inputs}},
    }


@contextmanager
def family(folder: Path, broker_port: int, configuration: Mapping[str, object] | None = None) -> Iterator[Family]:
    """Start the house with its blueprints, and register the phones."""
    shutil.copytree(BLUEPRINTS, folder / "blueprints")
    house = HomeAssistant(
        folder, broker_port=broker_port, configuration={"mobile_app": {}, "media_source": {}, **(configuration or {})}
    )
    with ExitStack() as stack:
        stack.enter_context(house)
        yield Family(house, *(stack.enter_context(Phone(house, name)) for name in ("Anna's phone", "Ben")))
