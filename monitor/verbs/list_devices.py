"""`list-devices`: every device that a room can listen to, at which rates it opens, and which is the default."""

import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from monitor.capture import microphones, pulse_sources
from monitor.config import Loaded
from monitor.devices import Device
from monitor.errors import SourceError

WIDE = 200
"""Columns where nobody's terminal sets a limit: names stay on one line."""


def list_devices(_: Loaded, console: Console | None = None, errors: Console | None = None) -> int:
    """Print a table, whatever is configured; blocks for some seconds, since each device is opened at each rate.

    Returns:
        1 where there is no device at all.
    """
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    errors = errors or Console(file=sys.stderr, highlight=False, soft_wrap=True)
    table = Table("source", "index", "device", "opens at", "", box=None, pad_edge=False)
    for source, listed in (("microphone", microphones), ("pulse", pulse_sources)):
        for device in _found(source, listed, errors):
            table.add_row(source, str(device.index), _name(device), _rates(device), _note(device))
    if not table.row_count:
        errors.print("no device that a room could listen to; plug a microphone in")
        return 1
    console.print(table)
    console.print("\nA part of the name will do as `device`; an index changes with the plugs.")
    return 0


def _found(source: str, listed: Callable[[], list[Device]], errors: Console) -> list[Device]:
    try:
        return listed()
    except SourceError as error:
        errors.print(f'source = "{source}": {error}')
        return []


def _name(device: Device) -> str:
    return f"{device.name} ({device.description})" if device.description else device.name


def _rates(device: Device) -> str:
    return (
        ", ".join(f"{rate_hz / 1000:g}" for rate_hz in device.rates_hz) + " kHz" if device.rates_hz else "does not open"
    )


def _note(device: Device) -> str:
    notes = ["default"] if device.default else []
    if device.is_monitor:
        notes.append("what a loudspeaker plays")
    return ", ".join([*notes, *([device.note] if device.note else [])])
