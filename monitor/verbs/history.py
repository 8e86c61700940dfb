"""`history`: past episodes and alerts, read beside a running service."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table

from monitor.config import Loaded
from monitor.publish import PastAlert, PastEpisode, past_alerts, past_episodes
from monitor.records import time_of

AGE = re.compile(r"([0-9]{1,5})([mhd])", re.ASCII)
"""`90m`, `12h`, `7d`."""

DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
"""RFC 3339; seconds and offset may be left out by those who type it."""

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def history(loaded: Loaded, *, jsonl: bool, since: datetime | None, console: Console | None = None) -> int:
    """Print the episodes and the alerts, oldest first: a table on a terminal, else one JSON object a line.

    Args:
        loaded: Its `history.path` applies.
        jsonl: JSON on a terminal, too.
        since: Leave out episodes that ended before, and alerts from before.
        console: Where the table goes.

    Raises:
        StoreError: The history cannot be read.
    """
    path = loaded.config.history.path
    since_at = None if since is None else since.timestamp()
    episodes = past_episodes(path, since_at=since_at)
    past: list[PastEpisode | PastAlert] = [*(episodes or []), *(past_alerts(path, since_at=since_at) or [])]
    past.sort(key=_begun_at)  # stable: an episode before an alert of its first instant
    if not past:
        none = f"no history yet: {path} does not exist" if episodes is None else "no episodes"
        print(none, file=sys.stderr)  # noqa: T201 - for the person; what reads the result finds it empty
        return 0
    console = console or Console(highlight=False)
    if jsonl or not console.is_terminal:
        for one in past:
            print(_alert_json(one) if isinstance(one, PastAlert) else _json(one))  # noqa: T201 - the result
    else:
        console.print(_table(past))
    return 0


def parse_since(text: str, now: datetime | None = None) -> datetime:
    """Return the instant that `2026-11-24` (midnight here), an RFC 3339 time or an age (`12h`, `7d`) means.

    Raises:
        ValueError: It is none of these.
    """
    try:
        if age := AGE.fullmatch(text):
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        if DAY.fullmatch(text) or TIME.fullmatch(text):
            # Without an offset it is the time of this machine's own clock.
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February; year 1, east of Greenwich
        pass
    raise ValueError("write a day (2026-11-24), a time (2026-11-24T22:00:00Z), or an age (90m, 12h, 7d)")


def _json(episode: PastEpisode) -> str:
    return json.dumps(
        {
            "episode_id": episode.episode_id,
            "room": episode.room,
            "started_at": time_of(episode.started_at),
            "ended_at": None if episode.ended_at is None else time_of(episode.ended_at),
            "ended_by": episode.ended_by,
            "duration_s": round(episode.duration_s, 2),
            "peak": round(episode.peak, 3),
            "mean": round(episode.mean, 3),
            "reason": episode.reason,
            "model": episode.model,
        }
    )


def _alert_json(alert: PastAlert) -> str:
    return json.dumps(
        {
            "event_type": _event_type(alert),
            "episode_id": alert.episode_id,
            "room": alert.room,
            "at": time_of(alert.at),
            "cause": alert.held_by or alert.cause,
            "due": alert.cause if alert.held_by else None,
            "crying_s": None if alert.crying_s is None else round(alert.crying_s, 2),
        }
    )


def _event_type(alert: PastAlert) -> str:
    return "alert" if alert.held_by is None else "alert_held"


def _begun_at(one: PastEpisode | PastAlert) -> float:
    return one.at if isinstance(one, PastAlert) else one.started_at


def _table(past: list[PastEpisode | PastAlert]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("started", "room", "ended"):
        table.add_column(name, no_wrap=True)
    for name in ("crying", "peak", "mean"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("ended by")
    table.add_column("reason")
    for episode in past:
        if isinstance(episode, PastAlert):
            told = f"{_event_type(episode)}: {episode.held_by or episode.cause}"
            crying = "" if episode.crying_s is None else length(episode.crying_s)
            table.add_row(f"{_here(episode.at):%Y-%m-%d %H:%M:%S}", episode.room, "", crying, "", "", told)
            continue
        started, ended = _here(episode.started_at), episode.ended_at and _here(episode.ended_at)
        table.add_row(
            f"{started:%Y-%m-%d %H:%M:%S}",
            episode.room,
            f"{ended:%H:%M:%S}" if ended else "",
            length(episode.duration_s),
            f"{episode.peak:.2f}",
            f"{episode.mean:.2f}",
            episode.ended_by or "(open)",
            episode.reason,
        )
    return table


def length(seconds: float) -> str:
    """Return minutes and seconds, as `12:05`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _here(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone()
