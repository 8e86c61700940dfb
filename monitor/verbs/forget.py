"""`forget`: erases what is kept of a room, on this machine and at the broker."""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from monitor.assembly import broker_of, discovery_of
from monitor.config import Loaded
from monitor.errors import DeliveryError, MonitorError, StoreError
from monitor.publish import Erasure, Found, Messages, Sweep
from monitor.service import redact

_WORDS: Final = {
    "care": ("note of care", "notes of care"),
    "feedback": ("answer", "answers"),
    "minutes": ("minute heard", "minutes heard"),
    "heard": ("sum of minutes heard", "sums of minutes heard"),
    "totals": ("figure since installation", "figures since installation"),
}
"""What a row is to a person, one and several, where its table's name does not say it."""

T = TypeVar("T")

_STOP_FIX: Final = (
    "stop it first: systemctl stop cry-monitor; where it does not run, a power cut left that word: start it and stop it"
)


def forget(loaded: Loaded, room: str, *, before: datetime | None, ask: Callable[[str], bool] | None) -> int:
    """Erase what is kept of a room, and print what that was; blocks for the disk, and up to 10 s for each answer.

    Args:
        loaded: Its history, alert log, node and broker apply.
        room: A room's id, configured or not.
        before: Erase only what was over before; None: everything.
        ask: Asked before anything is erased, for a yes or a no; None: nobody is asked.

    Returns:
        1 where something is left, which is told on standard error, or the answer was no.

    Raises:
        StoreError: The service runs, or the history cannot be written. Nothing is erased.
        DeliveryError: The service runs, as the broker has it. Nothing is erased.
    """
    config = loaded.config
    messages = Messages(config.mqtt.topic_prefix, config.node.id, list(config.rooms))
    erasure = Erasure(
        room,
        history=config.history.path,
        alerts=config.log.alerts,
        before_at=None if before is None else before.timestamp(),
        configured=room in config.rooms,
    )
    of_room = room if before is None else f"{room} before {before.astimezone():%Y-%m-%d %H:%M:%S}"
    left: list[MonitorError] = []
    found = erasure.look()  # first: it knows at once whether the service runs
    with Sweep(broker_of(config.mqtt), messages) as sweep:
        held = _tried(lambda: sweep.look(room), None, left)
        if sweep.service_runs:
            raise DeliveryError(sweep.address, f"the service runs: {sweep.status} says online", _STOP_FIX)
        if not found and not held:
            erasure.rewrite()
            print(f"nothing known of {of_room}")  # noqa: T201 - the result
        elif ask is not None and not ask(_question(of_room, found, held)):
            print("nothing was erased")  # noqa: T201 - the same
            return 1
        else:
            rows = erasure.erase_rows()
            _tried(erasure.rewrite, None, left)
            copies = _tried(erasure.remove_copies, list[Path](), left)
            lines = _tried(erasure.drop_lines, 0, left)
            if held is not None:
                # Availability last: what could not be cleared is found by it the next time.
                *topics, last = messages.forget(room)
                device = [] if room in config.rooms else [discovery_of(config, messages.base, ()).forget(room)]
                cleared = _tried(lambda: sweep.clear([*topics, *device, last]), 0, left)
                held = held if cleared else None
            erased = _parts(Found(rows, copies, lines), held) or ["nothing"]
            print(f"erased of {of_room}:", *erased, sep="\n  ")  # noqa: T201 - the same
    for path in erasure.not_touched():
        print(f"not touched: {path}")  # noqa: T201 - the same
    for error in left:
        told = redact(str(error), config.secrets)
        print(f"left, run it again: {told}", file=sys.stderr)  # noqa: T201 - a sentence for the person at the terminal
    return 1 if left else 0


def _tried(step: Callable[[], T], otherwise: T, left: list[MonitorError]) -> T:
    """Return what a step gives; what keeps it from its work is told at the end, and the others go on."""
    try:
        return step()
    except (StoreError, DeliveryError) as error:
        left.append(error)
        return otherwise


def _words(name: str, count: int) -> str:
    one, many = _WORDS.get(name, (name.removesuffix("s"), name))
    return one if count == 1 else many


def _question(of_room: str, found: Found, held: list[str] | None) -> str:
    return f"Forget {of_room}: erase {', '.join(_parts(found, held))}?"


def _parts(found: Found, held: Sequence[str] | None) -> list[str]:
    """Return what there is, a few words for each kind."""
    counts = {**found.rows, "alert-log lines": found.lines, "retained topics": len(held or ())}
    return [
        *(f"{count} {_words(name, count)}" for name, count in counts.items() if count),
        *(f"{copy} (an older copy, of all rooms)" for copy in found.copies),
    ]
