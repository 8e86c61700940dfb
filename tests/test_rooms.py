"""The arrows between the rooms of the house."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"capture", "detect", "publish"}

# Who may import whom inside `monitor`; a room's own files are its own affair.
LEAVES = {"records", "errors"}
SHARED = {"handoff", "threads", "config", "service", "devices", "resample", *LEAVES}
ALLOWED: dict[str, set[str]] = {
    "records": set(),
    "errors": set(),
    "devices": LEAVES,
    "resample": LEAVES,
    "microphone": {"devices", "resample", *LEAVES},
    "handoff": LEAVES,
    "threads": LEAVES,
    "config": LEAVES,
    "service": LEAVES,
    "capture": SHARED,
    "detect": SHARED,
    "publish": SHARED,
    "offline": {"capture", "detect", *SHARED},
    "broker": LEAVES,
    "line": {"publish", *SHARED},
    "assembly": {*ROOMS, "line", *SHARED},
    "app": {"detect", "assembly", "line", *SHARED},
    "verbs": {*ROOMS, "app", "assembly", "offline", "broker", *SHARED},
    "cli": {"verbs", *SHARED},
    "__main__": {"cli"},
    "__init__": set(),
}

ONE_IMPORTER = {
    "ai_edge_litert": "monitor/detect/runtime.py",
    "tensorflow": "monitor/detect/runtime.py",
    "webrtcvad": "monitor/capture/gate.py",
    "soundfile": "monitor/capture/recording.py",
    "soxr": "monitor/resample.py",
    "sounddevice": "monitor/microphone.py",
    "paho": "monitor/publish/mqtt.py",
    "sqlite3": "monitor/publish/database.py",
    "amqtt": "monitor/broker.py",
    "matplotlib": "monitor/verbs/timeline.py",
}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "monitor":
                yield from (f"monitor.{alias.name}" for alias in node.names if not alias.name.startswith("__"))


@pytest.mark.parametrize("path", sorted((ROOT / "monitor").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    """No room imports another, nobody imports `training`, and what is shared imports no room."""
    here = path.relative_to(ROOT / "monitor").parts[0].removesuffix(".py")
    for module in imports(path):
        assert module.split(".")[0] != "training", f"{path} imports {module}"
        parts = module.split(".")
        if parts[0] == "monitor" and len(parts) > 1:
            assert parts[1] == here or parts[1] in ALLOWED[here], f"{path} must not import {module}"
            if parts[1] in ROOMS and parts[1] != here:
                inside = len(parts) > 2
                assert not inside, f"{path} imports {module}; outsiders come through the door, monitor.{parts[1]}"


def test_each_foreign_library_has_one_importer() -> None:
    """PortAudio, webrtcvad, LiteRT and TensorFlow, paho, sqlite3, soundfile, amqtt and matplotlib: one file each."""
    found: dict[str, set[str]] = {library: set() for library in ONE_IMPORTER}
    for path in (ROOT / "monitor").rglob("*.py"):
        for module in imports(path):
            if module.split(".")[0] in found:
                found[module.split(".")[0]].add(str(path.relative_to(ROOT)))
    assert found == {library: {path} for library, path in ONE_IMPORTER.items()}
