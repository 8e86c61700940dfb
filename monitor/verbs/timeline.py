"""A night as a picture: each room's cries and alerts, score and level, and when it was not heard. Needs matplotlib."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitor.errors import PictureError
from monitor.publish import MINUTE_S, Minute, PastEpisode
from monitor.verbs.report import RoomNight, crying_s

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

try:
    import matplotlib as mpl
    from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
    from matplotlib.figure import Figure
except ImportError as error:
    raise PictureError("--png", "matplotlib is not installed", "pip install 'cry-monitor[report]'") from error

# Okabe and Ito's colours: told apart by the colour-blind, and each has a shape or a place of its own besides.
CRY, ALERT, HELD, SCORE, LEVEL, DEAF = "#d55e00", "#000000", "#000000", "#0072b2", "#666666", "#bbbbbb"
STYLE: Final = {"font.size": 12, "axes.spines.top": False, "axes.spines.right": False}
WIDTH_IN, ROOM_IN, DPI = 12.0, 4.2, 100

HEARD_S: Final = 30
"""A minute of which less was heard is drawn as one that was not."""

QUIET_DBFS, LOUD_DBFS = -70, 0
"""The axis of the level, widened where a room is quieter: a phone's display is no place for silence at -100."""


def draw(rooms: Sequence[RoomNight], path: Path) -> None:
    """Write the night of these rooms to `path` as a PNG, 1 200 pixels wide.

    Raises:
        PictureError: There is nothing to draw, or the file cannot be written.
    """
    spans = [_span(minute) for room in rooms for minute in room.minutes]
    spans += [_cry(cry) for room in rooms for cry in room.cries]
    spans += [(alert.at, alert.at) for room in rooms for alert in room.alerts]
    if not spans:
        night = f"the night of {rooms[0].night}" if rooms else "that night"
        raise PictureError("--png", f"nothing was heard in {night}", "choose another with --night")
    first_at, last_at = min(begin for begin, _ in spans), max(end for _, end in spans)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, ROOM_IN * len(rooms)), layout="constrained")
        heights = [3, 2] * len(rooms)
        panels = figure.subplots(2 * len(rooms), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        for room, score, level in zip(rooms, panels[::2], panels[1::2], strict=True):
            _draw_score(room, score)
            _draw_level(room, level)
            for axes in (score, level):
                _shade_deaf(room.minutes, axes, first_at, last_at)
            _explain(score, level)
        panels[-1].set_xlim(_x(first_at), _x(last_at))
        locator = AutoDateLocator(tz=_zone(first_at), minticks=5, maxticks=13)
        panels[-1].xaxis.set_major_locator(locator)
        panels[-1].xaxis.set_major_formatter(DateFormatter("%H:%M", tz=_zone(first_at)))
        try:
            path.touch(mode=0o600)  # it shows when a child cried; one that is there keeps its mode
            figure.savefig(path, format="png", dpi=DPI)
        except OSError as error:
            raise PictureError(
                str(path), f"cannot be written: {error.strerror or error}", "name another file"
            ) from error


def _draw_score(room: RoomNight, axes: "Axes") -> None:
    at, score = _steps(room.minutes, [math.nan if m.score is None else m.score for m in room.minutes])
    axes.step(at, score, where="post", color=SCORE, linewidth=1.5, label="highest score of a minute")
    for number, cry in enumerate(room.cries):
        span = [_x(at) for at in _cry(cry)]
        label = None if number else "cry"
        axes.plot(span, [1.12, 1.12], color=CRY, linewidth=12, solid_capstyle="butt", label=label)
    for alerts, marker, filled, label in ((room.sent, "v", True, "alert"), (room.held, "v", False, "alert held back")):
        face = ALERT if filled else "white"
        times = [_x(alert.at) for alert in alerts]
        if times:
            axes.plot(times, [1.3] * len(times), marker, color=HELD, markerfacecolor=face, markersize=9, label=label)
    many = f"{len(room.cries)} {'cry' if len(room.cries) == 1 else 'cries'}"
    crying = f"{room.crying_s / 60:.{0 if room.crying_s >= 600 else 1}f} min of crying"  # noqa: PLR2004 - ten minutes
    axes.set_title(f"{room.room}, night of {room.night:%A %d %B %Y}: {many}, {crying}")
    axes.set(ylim=(0, 1.42), yticks=[0, 0.5, 1], ylabel="like a cry")


def _draw_level(room: RoomNight, axes: "Axes") -> None:
    known = [m.level_dbfs for m in room.minutes if m.level_dbfs is not None]
    low = min([QUIET_DBFS, *(level - 3 for level in known)])
    at, level = _steps(room.minutes, [math.nan if m.level_dbfs is None else m.level_dbfs for m in room.minutes])
    axes.fill_between(at, level, low, step="post", color=LEVEL, linewidth=0, label="loudest second of a minute")
    axes.set(ylim=(low, LOUD_DBFS), ylabel="level, dBFS")


def _steps(minutes: Sequence[Minute], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the corners of steps a minute wide, with a break where minutes are missing."""
    at: list[float] = []
    steps: list[float] = []
    for number, (minute, value) in enumerate(zip(minutes, values, strict=True)):
        at.append(_x(minute.at))
        steps.append(value)
        follows = number + 1 < len(minutes) and minutes[number + 1].at <= minute.at + MINUTE_S
        if not follows:
            at += [_x(minute.at + MINUTE_S)] * 2
            steps += [value, math.nan]
    return at, steps


def _shade_deaf(minutes: Sequence[Minute], axes: "Axes", first_at: float, last_at: float) -> None:
    """Shade the time in which the room was not heard."""
    label: str | None = "not heard"
    for begin_at, end_at in gaps(minutes, first_at, last_at):
        x = (_x(begin_at), _x(end_at))
        axes.axvspan(*x, facecolor="none", edgecolor=DEAF, hatch="///", linewidth=0, label=label)
        label = None


def gaps(minutes: Sequence[Minute], first_at: float, last_at: float) -> list[tuple[float, float]]:
    """Return the spans between these times (UTC seconds) of which less than half a minute in each minute was heard."""
    heard: dict[int, float] = {}
    for minute in minutes:
        heard[minute.at] = heard.get(minute.at, 0.0) + minute.heard_s
    found: list[tuple[float, float]] = []
    at = first_at
    for begin in sorted(at for at, heard_s in heard.items() if heard_s >= HEARD_S):
        if begin - at >= MINUTE_S:
            found.append((at, begin))
        at = max(at, begin + MINUTE_S)
    return [*found, *([(at, last_at)] if last_at - at >= MINUTE_S else [])]


def _cry(cry: PastEpisode) -> tuple[float, float]:
    begin_at = cry.started_at - cry.lead_s
    return begin_at, begin_at + crying_s(cry)


def _span(minute: Minute) -> tuple[float, float]:
    """Return a minute as far as it was heard: the first of a night is heard to its end, the last from its begin."""
    return minute.at + MINUTE_S - minute.heard_s, minute.at + minute.heard_s


def _explain(*panels: "Axes") -> None:
    """Put one legend below the lowest of a room's panels."""
    labelled: dict[str, Artist] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        labelled |= dict(zip(labels, handles, strict=True))
    panels[-1].legend(
        labelled.values(),
        labelled,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.22),
        ncols=len(labelled),
        frameon=False,
        columnspacing=1.4,
        handlelength=1.4,
    )


def _x(at: float) -> float:
    return float(date2num(_here(at)))


def _zone(at: float) -> tzinfo | None:
    return _here(at).tzinfo


def _here(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone()
