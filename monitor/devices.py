"""Which device a setting means: a number, a whole name, or a part of one. The same for every kind of source."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.errors import SourceError

BLOCK_MS = 240
"""Sound that a device hands over at once. Measured, pipe and reader: 5.5 CPU s/h at 300 ms, 14 at 90 ms."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that sound can come from.

    Attributes:
        index: Its number now; it changes when others come and go.
        name: What the sound system calls it.
        description: What people call it; may be empty or the same.
        rates_hz: Sample rates at which it opens; empty where it does not open, or was not tried.
        default: Whether it is the system's default.
        note: What else whoever chooses should know.
    """

    index: int
    name: str
    description: str = ""
    rates_hz: tuple[int, ...] = ()
    default: bool = False
    note: str = ""

    @property
    def is_monitor(self) -> bool:
        """Whether it hears what a loudspeaker plays, and no room."""
        return self.name.endswith(".monitor")


def choose(devices: Sequence[Device], wanted: str) -> Device:
    """Return the device that `wanted` means: its index, else its whole name, else the only one that has it as a part.

    Case does not matter. A loudspeaker's monitor is meant only where nothing else fits.

    Raises:
        SourceError: None or several fit; the sentence names them.
    """
    folded = wanted.casefold()
    by_index = [device for device in devices if wanted == str(device.index)]
    whole = [device for device in devices if folded in _names(device)]
    part = [device for device in devices if folded in device.name.casefold() or folded in device.description.casefold()]
    microphones = [device for device in part if not device.is_monitor]
    for fitting in (by_index, whole, microphones, part):
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise SourceError(f'device "{wanted}"', f"several fit: {_listed(fitting)}", "write more of the name")
    there = f"there are: {_listed(devices)}" if devices else "there is none at all"
    raise SourceError(f'device "{wanted}"', f"there is no such one; {there}", "see cry-monitor list-devices")


def _names(device: Device) -> tuple[str, ...]:
    name = device.name.casefold()
    return name, name.removesuffix(".monitor"), device.description.casefold()


def _listed(devices: Sequence[Device]) -> str:
    return ", ".join(f"{device.name} [{device.index}]" for device in devices)
