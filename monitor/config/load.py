"""The four layers become one frozen `Config`; everything that is wrong with them is reported at once."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from monitor.config import problems
from monitor.config.keys import ROOM, KeyPath, all_keys, dotted, find, is_path
from monitor.config.layers import Leaf, choose_file, read_environment, read_file, read_overrides
from monitor.config.models import Config
from monitor.config.secrecy import Exposed, exposed
from monitor.errors import ConfigError

log = structlog.get_logger()

PASSWORD: KeyPath = ("mqtt", "password")
PASSWORD_FILE: KeyPath = ("mqtt", "password_file")
HISTORY: KeyPath = ("history", "path")

PASSWORD_BYTES = 65_535
"""MQTT's own bound; no more than this is read, so that a wrong file (`/dev/zero`) cannot hang the start."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `load_config` found.

    Attributes:
        config: The merged settings.
        layers: For every key path (`mqtt.port`): `default`, `file <path>`, `environment CRY_...` or `--set`.
        file: The file that was read; None where there was none.
        exposed: Files with a secret in them that other users can read: worth a warning.
    """

    config: Config
    layers: Mapping[str, str]
    file: Path | None
    exposed: tuple[Exposed, ...] = ()


def load_config(
    path: Path | None = None, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Loaded:
    """Merge defaults < file < environment < `overrides` (`key.path=value`). Reads files; starts nothing.

    Args:
        path: The file named by `--config`; without it the first of `$CRY_CONFIG`, `./cry-monitor.toml`,
            `/etc/cry-monitor/config.toml`, none.
        overrides: Values of `--set`, the last one wins.
        environ: The environment; `CRY_ROOMS__NURSERY__DEVICE` is `rooms.nursery.device`.

    Raises:
        ConfigError: With every problem found in any layer.
    """
    file = choose_file(path, environ)
    found: list[str] = []
    leaves: list[Leaf] = []
    file_read = True
    try:
        leaves += read_file(file) if file else []
    except ConfigError as error:
        found += error.problems
        file_read = False
    leaves += read_environment(environ) + read_overrides(overrides)
    if not all("=" in override for override in overrides):
        found.append("--set: a value has no =; write --set KEY=VALUE, such as --set mqtt.port=8883")

    faults = [problems.misplaced(leaf) for leaf in leaves]
    found += [fault for fault in faults if fault]
    given = {leaf.path: leaf for leaf, fault in zip(leaves, faults, strict=True) if not fault}
    found += _one_password(given)

    values = {key: leaf.value for key, leaf in given.items()}
    found += _resolve_paths(values, Path.cwd() if file is None else file.absolute().parent, environ)
    found += _read_password(values, given)
    try:
        config = Config(**_nested(values))
    except ValidationError as error:
        found += _sentences(error, given, file_read=file_read)
    if found:
        raise ConfigError(found)
    return Loaded(config, _layers(config, given), file, tuple(_exposed(config, given, file)))


def tell_exposed(loaded: Loaded) -> None:
    """Log each file with a secret that other users can read; call it when logging is set up."""
    for found in loaded.exposed:
        log.warning("secret_exposed", key=found.key, file=str(found.file), err=found.fault, fix=found.fix)


def _one_password(given: dict[KeyPath, Leaf]) -> list[str]:
    """Let the later layer win between `password` and `password_file`; both in one layer is a mistake."""
    password, file = given.get(PASSWORD), given.get(PASSWORD_FILE)
    if password is None or file is None:
        return []
    order = ["file", "environment", "--set"]
    difference = order.index(password.layer.split(" ")[0]) - order.index(file.layer.split(" ")[0])
    if difference == 0:
        del given[PASSWORD]
        return [f"mqtt.password ({password.layer}): stands beside mqtt.password_file; remove one of them"]
    del given[PASSWORD_FILE if difference > 0 else PASSWORD]
    return []


def _resolve_paths(values: dict[KeyPath, object], base: Path, environ: Mapping[str, str]) -> list[str]:
    """Make every path absolute: at the configuration file's folder, the history's in the state folder."""
    for key, value in values.items():
        field = find(key)
        if key != HISTORY and isinstance(field, FieldInfo) and is_path(field) and isinstance(value, str) and value:
            values[key] = str(base / value)
    history = values.setdefault(HISTORY, "history.db")
    if isinstance(history, str) and history and not Path(history).is_absolute():
        try:
            values[HISTORY] = str(_state_folder(environ) / history)
        except RuntimeError:
            return ["history.path: there is no home folder to put it in; set an absolute path, or $XDG_STATE_HOME"]
    return []


def _state_folder(environ: Mapping[str, str]) -> Path:
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd lists all, ours is the first
    if given:
        return Path(given)
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if state.is_absolute():  # the XDG specification: a relative one is to be ignored
        return state / "cry-monitor"
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return home / ".local" / "state" / "cry-monitor"


def _read_password(values: dict[KeyPath, object], given: Mapping[KeyPath, Leaf]) -> list[str]:
    """Put the content of `password_file` in the place of `password`."""
    name = values.get(PASSWORD_FILE)
    if not isinstance(name, str) or not name:
        return []
    file = Path(name)
    try:
        with file.open("rb") as stream:
            content = stream.read(PASSWORD_BYTES + 3)
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        fault = "is not UTF-8 text"
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    except ValueError as error:  # a NUL in the name
        fault = f"cannot be read: {error}"
    else:
        values[PASSWORD] = text
        fault = "is empty" if not text else "is too long" if len(text.encode()) > PASSWORD_BYTES else ""
    if not fault:
        return []
    values.pop(PASSWORD, None)
    return [problems.unreadable(PASSWORD_FILE, given[PASSWORD_FILE], file, fault)]


def _exposed(config: Config, given: Mapping[KeyPath, Leaf], file: Path | None) -> Iterator[Exposed]:
    """Every file that holds a secret and that others can read."""
    password = given.get(PASSWORD)
    inline = file if password is not None and password.layer.startswith("file ") else None
    holds = {dotted(PASSWORD): inline, dotted(PASSWORD_FILE): config.mqtt.password_file}
    holds["mqtt.key_file"] = config.mqtt.key_file
    for key, path in holds.items():
        found = None if path is None else exposed(key, path)
        if found is not None:
            yield found


def _nested(values: Mapping[KeyPath, object]) -> dict[str, Any]:
    """The flat values as tables in tables; `misplaced` has seen to it that no value stands where a table must."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        table = tree
        for part in path[:-1]:
            table = table.setdefault(part, {})
        if value == {} and not isinstance(find(path), FieldInfo):
            table.setdefault(path[-1], {})
        else:
            table[path[-1]] = value
    return tree


def _sentences(error: ValidationError, given: Mapping[KeyPath, Leaf], *, file_read: bool) -> list[str]:
    found = []
    # A context is needed for our own messages only, the input never: `given` has it as it was written.
    for detail in error.errors(include_url=False, include_input=False):
        path = tuple(str(part) for part in detail["loc"])
        layer = problems.layer_of(path, given)
        if path[-1:] == ("[key]",):
            found.append(problems.bad_room(path, layer))
        # What depends on a second key cannot be judged while the file that may set it is unreadable.
        elif file_read or (path in given and detail["type"] != "value_error"):
            found.append(problems.invalid(path, given.get(path), layer, detail))
    return found


def _layers(config: Config, given: Mapping[KeyPath, Leaf]) -> dict[str, str]:
    """The layer of every key of `config`, in the order of the models."""
    layers = {}
    for key, _ in all_keys():
        for room in config.rooms if ROOM in key else [ROOM]:
            path = tuple(room if part == ROOM else part for part in key)
            leaf = given.get(path)
            if leaf is None and path == PASSWORD:
                leaf = given.get(PASSWORD_FILE)
            layers[dotted(path)] = leaf.layer if leaf else "default"
    return layers
