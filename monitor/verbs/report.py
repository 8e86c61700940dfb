"""`report`: how a night was, and this home's own figures, read beside a running service."""

import json
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from monitor.config import Loaded
from monitor.publish import (
    Count,
    Figures,
    Minute,
    Past,
    PastAlert,
    PastEpisode,
    night_of,
    noon_of,
    open_past,
)
from monitor.verbs.history import length

QUIET_S: Final = 6 * 3_600.0
"""A night that began at noon is the one to tell of from 18:00 on, or from its first cry: at breakfast and at lunch the
last one is meant."""

TEST: Final = "test"


@dataclass(frozen=True, slots=True)
class RoomNight:
    """One room's night, as the history has it."""

    night: date
    room: str
    cries: Sequence[PastEpisode] = ()
    alerts: Sequence[PastAlert] = ()
    minutes: Sequence[Minute] = ()
    counts: Sequence[Count] = ()

    @property
    def crying_s(self) -> float:
        """Seconds of crying, from each cry's first sound to its last."""
        return sum(map(crying_s, self.cries))

    @property
    def longest_s(self) -> float:
        """The longest cry."""
        return max(map(crying_s, self.cries), default=0.0)

    @property
    def settle_s(self) -> float | None:
        """The median of the cries that ended in quiet; None where none did."""
        settled = [crying_s(cry) for cry in self.cries if cry.ended_by == "quiet"]
        return statistics.median(settled) if settled else None

    @property
    def sent(self) -> list[PastAlert]:
        """Alerts that were sent."""
        return [alert for alert in self.alerts if alert.held_by is None]

    @property
    def held(self) -> list[PastAlert]:
        """Alerts that were held back."""
        return [alert for alert in self.alerts if alert.held_by is not None]

    @property
    def heard_s(self) -> float:
        """Seconds really heard."""
        return sum(minute.heard_s for minute in self.minutes)


def crying_s(cry: PastEpisode) -> float:
    """Return how long a cry was, from its first sound to its last."""
    return cry.lead_s + cry.duration_s


def report(loaded: Loaded, *, night: date | None, png: Path | None, jsonl: bool, console: Console | None = None) -> int:
    """Print each room's night and its own figures: a table on a terminal, else one JSON object a room.

    Args:
        loaded: Its `history.path` and rooms apply; a room that is configured no more is there where it has something.
        night: The date of its evening; None: the latest that has anything.
        png: Draw the night into this file, too.
        jsonl: JSON on a terminal, too.
        console: Where the table goes.

    Raises:
        StoreError: The history cannot be read.
        PictureError: The picture cannot be drawn.
    """
    path = loaded.config.history.path
    with open_past(path) as past:
        if past is None:
            print(f"no history yet: {path} does not exist", file=sys.stderr)  # noqa: T201 - for the person
            return 0
        if night is None:
            at = past.latest_at(quiet_s=QUIET_S)
            night = night_of(time.time() if at is None else at)
        rooms = nights(past, night, loaded.config.rooms)
    console = console or Console(highlight=False)
    if jsonl or not console.is_terminal:
        for room in rooms:
            print(json.dumps(_json(room)))  # noqa: T201 - the result
    else:
        console.print(f"The night of {night}, from noon to noon\n")
        console.print(_table(rooms))
        console.print("\nSince installation; a night is 8 h heard")
        for room in rooms:
            for line in in_words(room.room, room.counts):
                console.print(line)
    if png is not None:
        from monitor.verbs.timeline import draw  # noqa: PLC0415 - matplotlib takes a second, and need not be there

        draw(rooms, png)
    return 0


def nights(past: Past, night: date, configured: Iterable[str]) -> list[RoomNight]:
    """Return the night of each room, the configured ones first.

    Raises:
        StoreError: The history cannot be read.
    """
    since_at, until_at = noon_of(night), noon_of(night + timedelta(days=1))
    counts = past.counts()
    cries = [cry for cry in past.episodes(since_at=since_at) if since_at <= cry.started_at < until_at]
    alerts = [one for one in past.alerts(since_at=since_at) if one.at < until_at and one.cause != TEST]
    minutes = past.minutes(since_at=since_at, until_at=until_at)
    found = {*(one.room for one in cries), *(one.room for one in alerts), *(one.room for one in minutes)}
    return [
        RoomNight(
            night,
            room,
            [cry for cry in cries if cry.room == room],
            [alert for alert in alerts if alert.room == room],
            [minute for minute in minutes if minute.room == room],
            [count for count in counts if count.room == room],
        )
        for room in dict.fromkeys([*configured, *sorted(found)])
    ]


def in_words(room: str, counts: Sequence[Count]) -> list[str]:
    """Return a room's figures as sentences: all of it, then each model and sensitivity where there are several."""
    lines = [f"{room}: {_sentence(Figures.of(counts))}"]
    if len(counts) > 1:
        lines += [f"  {one.model}, {one.sensitivity}: {_sentence(Figures.of([one]))}" for one in counts]
    return lines


def _sentence(figures: Figures) -> str:
    if figures.per_night_high is None or figures.per_night is None or figures.per_night_low is None:
        return "nothing heard yet"
    hours = f"{figures.heard_h:.0f}" if figures.heard_h >= 10 else f"{figures.heard_h:.1f}"  # noqa: PLR2004 - two digits
    alarms = "false alarm" if figures.not_a_cry == 1 else "false alarms"
    said = f"{figures.not_a_cry} {alarms} reported in {hours} h heard: "
    if figures.not_a_cry:
        said += f"{_plain(figures.per_night)} a night, 95 % interval "
        said += f"{_plain(figures.per_night_low)} to {_plain(figures.per_night_high)}"
    else:
        said += f"under {_plain(figures.per_night_high)} a night (95 %)"
    if not figures.alerts:
        return f"{said}; no alert"
    if not figures.unanswered:
        return f"{said}; each of {figures.alerts} alerts was answered"
    return f"{said}; {figures.unanswered} of {figures.alerts} alerts were not answered, and may have been false"


def _json(room: RoomNight) -> Mapping[str, object]:
    return {
        "night": room.night.isoformat(),
        "room": room.room,
        "episodes": len(room.cries),
        "crying_minutes": round(room.crying_s / 60, 2),
        "longest_s": round(room.longest_s, 1),
        "settle_s": None if room.settle_s is None else round(room.settle_s, 1),
        "alerts": len(room.sent),
        "alerts_held": len(room.held),
        "heard_h": round(room.heard_s / 3_600, 2),
        "figures": {
            **Figures.of(room.counts).as_json(),
            "by": [
                {"model": one.model, "sensitivity": one.sensitivity, **Figures.of([one]).as_json()}
                for one in room.counts
            ],
        },
    }


def _table(rooms: Sequence[RoomNight]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("room", no_wrap=True)
    for name in ("cries", "crying", "longest", "settled in", "alerts", "held back", "heard"):
        table.add_column(name, justify="right", no_wrap=True)
    for room in rooms:
        table.add_row(
            room.room,
            str(len(room.cries)),
            length(room.crying_s),
            length(room.longest_s),
            "" if room.settle_s is None else length(room.settle_s),
            str(len(room.sent)),
            str(len(room.held)),
            f"{room.heard_s / 3_600:.1f} h",
        )
    return table


def _plain(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".")
