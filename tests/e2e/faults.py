"""What the tests of faults and their benchmark share: a service that tells much, killed, and what came of it."""

import json
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.heard import wait_for
from e2e.service import REPOSITORY, Line, Service, room
from mqtt_broker import Mosquitto, Received, Recorder, wait_until

CRYING = REPOSITORY / "monitor" / "recordings" / "crying.flac"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the events of a service that was killed.

    Attributes:
        stored: Events in the history.
        lost: Their ids, where the subscriber never got them.
        again: How often one came again.
        interrupted: Kills in the middle of an episode.
    """

    stored: int
    lost: set[str]
    again: int
    interrupted: int


def restless(*, speed: float = 20.0) -> Line:
    """Return a room that cries each 37 s of sound, for ever: three events and more each time."""
    return room(CRYING, speed=speed, loop=True)


def event_ids(received: Iterable[Received]) -> list[str]:
    """Return the ids of the events in the order in which they came."""
    return [json.loads(message.payload)["event_id"] for message in received if message.topic.endswith("/event")]


def stored(history: Path) -> list[dict[str, Any]]:
    """Return the events in the history, as they were written."""
    with closing(sqlite3.connect(history)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM events ORDER BY rowid")]


def pass_s(seconds: float) -> None:
    """Let time pass: for a fault whose length is what is tested."""
    end_s = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end_s, "time passes", seconds + 1.0)


def kill_in_episodes(folder: Path, broker: Mosquitto, *, kills: int, seed: int) -> Outcome:
    """Kill a service so often at random instants while children cry; start it once more, and count what arrived."""
    instants = random.Random(seed)  # noqa: S311 - no secret
    rooms = {"nursery": restless(), "attic": restless(speed=17.0)}
    with closing(Recorder(broker.port, session="keeper")) as keeper:
        service = Service(folder, port=broker.port, rooms=rooms)
        for _ in range(kills):
            with service:
                service.wait_for_line("cry_started")
                pass_s(instants.uniform(0.0, 1.0))
                service.signal(signal.SIGKILL)
                assert service.wait() == -signal.SIGKILL
        told = len(keeper.received)
        with service:
            wait_for(
                keeper, lambda all_: b"online" in [m.payload for m in all_[told:]], "online, after all that waited"
            )
            service.stop()
        wait_for(keeper, lambda all_: all_[-1].payload == b"offline", "the last word")
        came = Counter(event_ids(keeper.received))
    ids = {row["event_id"] for row in stored(service.history)}
    ended = sum(json.loads(row["record"])["ended_by"] == "interrupted" for row in stored(service.history))
    return Outcome(len(ids), ids - set(came), came.total() - len(came), ended)
