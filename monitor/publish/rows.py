"""What a row of the history may hold. A file may be damaged in a way that SQLite does not see: that is left out.

The history's door: who reads gets what a row stands for, with times that can be written and rooms that can be topics.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import pydantic
import structlog

from monitor.records import Event, SettingName

log = structlog.get_logger()

T = TypeVar("T")
Row = Mapping[str, Any]

_YEAR_9999: Final = 253_370_764_800.0

At = Annotated[float, pydantic.Field(ge=0, lt=_YEAR_9999)]
"""UTC seconds that can be written as a date, in any zone."""

Seconds = Annotated[float, pydantic.Field(ge=0, lt=_YEAR_9999)]
Many = Annotated[int, pydantic.Field(ge=0, lt=2**53)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Id = Annotated[str, pydantic.Field(max_length=200)]
Room = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9_]{1,32}$")]


def each(read: Callable[[Row], T], rows: Iterable[Row]) -> list[T]:
    """Return what `read` makes of each row; a row of which it makes nothing is left out, and counted in one warning."""
    found: list[T] = []
    faults: list[str] = []
    for row in rows:
        try:
            found.append(read(row))
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            faults.append(f"{'.'.join(map(str, first['loc'])) or 'record'}: {first['msg']}")
        except (ValueError, TypeError, RecursionError) as error:  # no JSON
            faults.append(str(error))
    if faults:
        log.warning("history_rows_unreadable", rows=len(faults), err=faults[0], then="they are left out")
    return found


def event(row: Row) -> Event:
    """Return the event of a row's `record`."""
    found = _EVENT.validate_python(json.loads(row["record"]))
    _AT.validate_python(found.at)
    _AT.validate_python(found.started_at)
    _ROOM.validate_python(found.room)
    return found


def setting(row: Row) -> tuple[tuple[str, SettingName], tuple[str, str]]:
    """Return a setting's key, its value, and the configured one that it overrode."""
    given = (row["room"], row["setting"], row["value"], row["overrode"])
    room, name, value, overrode = _SETTING.validate_python(given)
    if not re.fullmatch(_VALUES[name], value, re.ASCII):
        raise ValueError(f"{value[:40]!r} is no value of {name}")
    return (room, name), (value, overrode)


def until(row: Row) -> tuple[tuple[str, SettingName], tuple[float, float]]:
    """Return a setting's key, when it ends, and the seconds that were asked for."""
    given = (row["room"], row["setting"], row["until_at"], row["asked_s"] or 0.0)
    room, name, at, asked_s = _UNTIL.validate_python(given)
    return (room, name), (at, asked_s)


def care(row: Row) -> tuple[tuple[str, str], float]:
    """Return a room and what was done there, and when."""
    room, kind, at = _CARE.validate_python((row["room"], row["kind"], row["at"]))
    return (room, kind), at


def answer(row: Row) -> tuple[str, str]:
    """Return a room and what somebody said of its latest cry."""
    return _PAIR.validate_python((row["room"], row["value"]))


_VALUES: Final[Mapping[SettingName, str]] = {
    "enabled": "ON|OFF",
    "sensitivity": "low|normal|high",
    "alert_after": "[0-9]{1,3}",
    "snooze": "None|[0-9TZ:.-]{1,40}",
}

_EVENT = pydantic.TypeAdapter(Event)
_AT = pydantic.TypeAdapter(At)
_ROOM = pydantic.TypeAdapter(Room)
_SETTING = pydantic.TypeAdapter(tuple[Room, SettingName, str, str])
_UNTIL = pydantic.TypeAdapter(tuple[Room, SettingName, At, Seconds])
_CARE = pydantic.TypeAdapter(tuple[Room, Literal["fed", "slept", "changed"], At])
_PAIR = pydantic.TypeAdapter(tuple[Room, Id])
