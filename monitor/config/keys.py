"""Key paths: which there are, and what may be written there; read off the models, so that nothing is said twice."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from monitor.config.models import Config
from monitor.config.values import TEXT

KeyPath = tuple[str, ...]

ROOM = "<room>"
"""Stands for any room's id in `all_keys`."""

ENV_PREFIX = "CRY_"
ENV_NESTED = "__"


def dotted(path: KeyPath) -> str:
    """`("mqtt", "port")` as people write it: `mqtt.port`."""
    return ".".join(path)


def env_name(path: KeyPath) -> str:
    """`("mqtt", "port")` as the environment has it: `CRY_MQTT__PORT`."""
    return ENV_PREFIX + ENV_NESTED.join(path).upper()


def all_keys(table: type[BaseModel] = Config, prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, FieldInfo]]:
    """Every key that takes a value, in the order of the models; `ROOM` stands for a room's id."""
    for name, field in table.model_fields.items():
        path = (*prefix, name)
        inner = _table(field.annotation)
        if inner is not None:
            yield from all_keys(inner, (*path, ROOM) if _is_rooms(field.annotation) else path)
        else:
            yield path, field


def find(path: KeyPath) -> FieldInfo | Literal["table"] | None:
    """What stands at `path`: a key that takes a value, a table of keys, or nothing."""
    generic = (path[0], ROOM, *path[2:]) if path[:1] == ("rooms",) and path[1:] else path
    for known, field in all_keys():
        if known == generic:
            return field
        if known[: len(generic)] == generic:
            return "table"
    return None


def nearest(path: KeyPath) -> KeyPath | None:
    """The known key that `path` was probably meant to be."""
    if len(path) == 1 and (joined := _joined(path[0])):
        return joined
    wrong = next((depth for depth in range(len(path)) if find(path[: depth + 1]) is None), len(path) - 1)
    close = difflib.get_close_matches(path[wrong], siblings(path[: wrong + 1]), n=1)
    if close:
        mended = (*path[:wrong], close[0], *path[wrong + 1 :])
        return mended if find(mended) else mended[: wrong + 1] if find(mended[: wrong + 1]) else None
    homes = [key for key, _ in all_keys() if key[-1] == path[-1] and ROOM not in key]
    return homes[0] if len(homes) == 1 else None  # a known key in no table or the wrong one: `port` is `mqtt.port`


def _joined(name: str) -> KeyPath | None:
    """`mqtt_host` is `mqtt.host`, `rooms_attic_device` is `rooms.attic.device`: the likeliest slip in a variable."""
    for key, _ in all_keys():
        head, tail = (f"{key[0]}_", "_" + "_".join(key[2:])) if ROOM in key else ("_".join(key), "")
        room = name.removeprefix(head).removesuffix(tail)
        if name == f"{head}{room}{tail}" and bool(room) == (ROOM in key):
            return tuple(room if part == ROOM else part for part in key)
    return None


def siblings(path: KeyPath) -> list[str]:
    """The names that are known in the innermost known table above `path`."""
    for depth in range(len(path) - 1, -1, -1):
        above = path[:depth]
        generic = (above[0], ROOM, *above[2:]) if above[:1] == ("rooms",) and above[1:] else above
        names = {key[depth]: None for key, _ in all_keys() if key[:depth] == generic and len(key) > depth}
        if names:
            return list(names)
    return []


def is_path(field: FieldInfo) -> bool:
    """Whether the key takes a file or a folder."""
    return Path in _alternatives(field.annotation)


def expected(field: FieldInfo) -> str:
    """What a key takes, in words: `a whole number from 1 to 65535`."""
    kinds = _alternatives(field.annotation)
    kind = kinds[0]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{value}"' for value in get_args(kind))
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        low = next(limit.ge for limit in field.metadata if isinstance(limit, Ge))
        high = next(limit.le for limit in field.metadata if isinstance(limit, Le))
        return f"a {'whole ' if kind is int else ''}number from {low} to {high}"
    if kind is Path:
        return "a path"
    pattern = next((hint for rule in field.metadata if (hint := getattr(rule, "pattern", TEXT)) != TEXT), None)
    return f"text of the form {pattern.strip('^$')}" if pattern else "text of 1 to 200 characters on one line"


def _alternatives(annotation: Any) -> list[Any]:  # noqa: ANN401
    """The types that a key takes, `None` and `Annotated` taken off."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (None, Literal, Mapping):
        return [annotation]
    return [kind for part in get_args(annotation) if part is not type(None) for kind in _alternatives(part)]


def _is_rooms(annotation: Any) -> bool:  # noqa: ANN401
    return get_origin(annotation) is Mapping


def _table(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401
    """The table of keys that a field of this type holds, or holds many of."""
    if _is_rooms(annotation):
        annotation = get_args(annotation)[1]
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
