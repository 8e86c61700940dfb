"""The three layers over the defaults, each read into the same shape: a flat list of values, each with its origin.

The file is read by pydantic-settings. Its environment source is not used: it passes over variables that it does not
know (a misspelt one would be a setting without effect), and forgets which variable gave a value.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_settings import TomlConfigSettingsSource

from monitor.config.keys import ENV_NESTED, ENV_PREFIX, KeyPath
from monitor.config.models import Config
from monitor.config.values import Given
from monitor.errors import ConfigError

CONFIG_VARIABLE = "CRY_CONFIG"
"""Names the file; the one CRY_ variable that is no setting."""

IMPLICIT_FILES = (Path("cry-monitor.toml"), Path("/etc/cry-monitor/config.toml"))
"""Where a file is looked for when none is named."""

DEEPEST = 8
"""Levels of tables that are looked into: more than any key has; `a.a.a...` in a file cannot overrun the stack."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value as given: where it goes, and the layer it came from (`file x.toml`, `environment CRY_...`, `--set`)."""

    path: KeyPath
    value: object
    layer: str


def choose_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one named (whether it exists or not), else the first that exists, else none."""
    if path is not None:
        return path
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    return next((implicit for implicit in IMPLICIT_FILES if _exists(implicit)), None)


def read_file(path: Path) -> list[Leaf]:
    """Read a TOML file.

    Raises:
        ConfigError: It is absent, cannot be read, or is no TOML.
    """
    try:
        # The source would pass over an absent file in silence, so it is opened here first.
        with path.open("rb"):
            pass
        data = TomlConfigSettingsSource(Config, path).toml_data
    except FileNotFoundError as error:
        raise ConfigError([f"{path}: no such file; name one that exists with --config or {CONFIG_VARIABLE}"]) from error
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except tomllib.TOMLDecodeError as error:  # it says line and column
        raise ConfigError([f"{path}: is no valid TOML: {error}"]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}: is no valid TOML: not UTF-8 (at line {line}); save it as UTF-8"]) from error
    except RecursionError as error:
        raise ConfigError([f"{path}: is no valid TOML: nested too deeply"]) from error
    except ValueError as error:  # a number too long to convert, a date that is none, a NUL in the file's name
        raise ConfigError([f"{path}: is no valid TOML: {error}"]) from error
    return list(_leaves(data, (), f"file {path}"))


def read_environment(environ: Mapping[str, str]) -> list[Leaf]:
    """Read every variable that starts with CRY_, in the order of their names."""
    return [
        Leaf(tuple(name.removeprefix(ENV_PREFIX).lower().split(ENV_NESTED)), Given(value), f"environment {name}")
        for name, value in sorted(environ.items())
        if name.startswith(ENV_PREFIX) and name != CONFIG_VARIABLE
    ]


def read_overrides(overrides: Sequence[str]) -> list[Leaf]:
    """Read `key.path=value` texts, in the order given; one without `=` is left to the caller."""
    pairs = [override.partition("=") for override in overrides if "=" in override]
    return [Leaf(tuple(key.strip().split(".")), Given(value), "--set") for key, _, value in pairs]


def _leaves(table: Mapping[str, object], prefix: KeyPath, layer: str) -> Iterator[Leaf]:
    """Flatten nested tables; an empty one (`[rooms.attic]`) is a value too, since it brings a room into being."""
    for key, value in table.items():
        path = (*prefix, key)
        if isinstance(value, dict) and value and len(path) < DEEPEST:
            yield from _leaves(value, path, layer)
        else:
            yield Leaf(path, value, layer)


def _exists(path: Path) -> bool:
    """Whether there is a file; one that cannot be looked at counts, so that it is reported and not passed over."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
