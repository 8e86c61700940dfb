"""`check-config`: the settings as they will be used, each with the layer that it came from."""

import json
from itertools import groupby
from pathlib import Path

from pydantic import SecretStr

from monitor.config import Loaded
from monitor.service import STARS, redact

COLUMN = 40
"""Where the layers stand, if the value leaves room."""


def check_config(loaded: Loaded) -> int:
    """Print the merged settings as TOML; what is wrong with them was raised before this is called."""
    lines = [f"# {'no configuration file' if loaded.file is None else loaded.file}"]
    for table, keys in groupby(loaded.layers, lambda key: key.rpartition(".")[0]):
        lines += ["", f"[{table}]"]
        lines += [_line(loaded, table, key.rpartition(".")[2], loaded.layers[key]) for key in keys]
    print("\n".join(lines))  # noqa: T201 - the result
    return 0


def _line(loaded: Loaded, table: str, key: str, layer: str) -> str:
    value: object = loaded.config
    for part in [*table.split("."), key]:
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    setting = f"# {key} is not set" if value is None else f"{key} = {_toml(value)}"
    return f"{setting:<{COLUMN}}  # {layer}"


def _toml(value: object) -> str:
    if isinstance(value, SecretStr):
        return f'"{STARS}"'
    if isinstance(value, str | Path):
        # JSON's strings are TOML's, but for DEL, which TOML wants escaped.
        return json.dumps(redact(str(value)), ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
