"""One sentence for each thing that is wrong: key, value as given, layer, fault, fix. No secret ever enters one."""

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from monitor.config.keys import (
    ENV_PREFIX,
    KeyPath,
    dotted,
    env_name,
    expected,
    find,
    nearest,
    siblings,
)
from monitor.config.layers import Leaf
from monitor.config.secrecy import STARS, has_login, is_secret

SHOWN = 80
"""Characters of a value that an error repeats; the file holds the rest."""


def misplaced(leaf: Leaf) -> str | None:
    """The sentence for a value at a key that does not exist or that takes no value; None where it can be tried."""
    stands = find(leaf.path)
    if stands is None:
        return _sentence(leaf.path, leaf, _unknown(leaf))
    if stands == "table" and leaf.value != {}:
        inside = ", ".join(siblings((*leaf.path, "?")))
        # Its value is not repeated: one variable with a whole table in it may well hold a password.
        example = "a table for each room" if leaf.path == ("rooms",) else f"set the keys in it: {inside}"
        return f"{show_key(leaf.path)} ({leaf.layer}): is a table and takes no value; {example}"
    return None


def invalid(path: KeyPath, leaf: Leaf | None, layer: str, error: ErrorDetails) -> str:
    """The sentence for a value that the models refuse."""
    if error["type"] == "value_error":  # raised by a validator of ours, which knows the fix
        return _sentence(path, leaf, str(error["ctx"]["error"]), layer)
    if path == ("rooms",):
        return _sentence(path, None, "must name 1 to 64 rooms; [rooms.nursery] alone is enough", layer)
    field = find(path)
    if not isinstance(field, FieldInfo):
        return _sentence(path, leaf, error["msg"], layer)
    return _sentence(path, leaf, f"must be {expected(field)}. {field.description}", layer)


def bad_room(path: KeyPath, layer: str) -> str:
    """The sentence for a room's id that cannot stand in a topic."""
    suggestion = re.sub(r"[^a-z0-9_]+", "_", path[1].lower()).strip("_")[:32] or "nursery"
    fix = f"a room's id must be 1 to 32 of a-z, 0-9 and _, such as {suggestion}; its `name` may be any text"
    return _sentence(path[:2], None, fix, layer)


def unreadable(path: KeyPath, leaf: Leaf, file: Path, fault: str) -> str:
    """The sentence for a file that a setting names and that cannot be used."""
    shown = str(file) if str(file).isprintable() else ascii(str(file))
    return _sentence(path, leaf, f"{shown} {fault}; make it readable for this user, or remove the key")


def show_key(path: KeyPath) -> str:
    """A key path on one line, whatever stands in it."""
    text = dotted(path)
    return text if text.isprintable() else ascii(text)


def show_value(path: KeyPath, value: object) -> str:
    """A value as given, on one line and not too long; stars for a secret."""
    if is_secret(path):
        return STARS
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        shown = f'"{value}"' if isinstance(value, str) and value.isprintable() else repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, which Python does not print
        return "(too long to show)"
    if has_login(shown):
        return STARS
    return shown if len(shown) <= SHOWN else shown[:SHOWN] + "..."


def layer_of(path: KeyPath, given: Mapping[KeyPath, Leaf]) -> str:
    """The layer that a key, or the table it stands in, came from."""
    for depth in range(len(path), 0, -1):
        for key, leaf in given.items():
            if key[:depth] == path[:depth]:
                return leaf.layer
    return "default"


def _unknown(leaf: Leaf) -> str:
    from_environment = leaf.layer.startswith(f"environment {ENV_PREFIX}")
    meant = nearest(leaf.path)
    hint = f"; did you mean {env_name(meant) if from_environment else dotted(meant)}?" if meant else ""
    return f"unknown key{hint} (known there: {', '.join(siblings(leaf.path))})"


def _sentence(path: KeyPath, leaf: Leaf | None, fault: str, layer: str = "") -> str:
    value = "" if leaf is None or leaf.value == {} else f" = {show_value(path, leaf.value)}"
    return f"{show_key(path)}{value} ({leaf.layer if leaf else layer}): {fault}"
