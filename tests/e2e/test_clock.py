"""A clock that is set while a child cries: nothing is late, lost or held back by it."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from e2e.faults import stored
from e2e.heard import EVENT, ROOM, payloads, wait_for, wait_for_event
from e2e.service import Line, Service, room
from mqtt_broker import Mosquitto, Received, Recorder, missing

pytestmark = [pytest.mark.broker, pytest.mark.slow]


class Faketime:
    """A wall clock that a test can set while a process runs; the monotonic clock goes on as ever."""

    def __init__(self, folder: Path) -> None:
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            missing("libfaketime", "faketime")
        self._file = folder / "ahead"
        self.set(0)
        # Where it is evening, so that no night ends while the clock is set.
        hours_west = (time.gmtime().tm_hour - 20) % 24
        self.environ = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # it lets waits of a second take several
            "TZ": f"XXX{hours_west if hours_west <= 12 else hours_west - 24}",
        }

    def set(self, hours: int) -> None:
        """Let the clock be so many hours ahead of the true time, within a second."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{hours:+d}h")
        fresh.rename(self._file)


def test_a_clock_that_is_set_changes_no_alert(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, long_crying: Path
) -> None:
    """By an hour, forth and back, in a cry: alerts in time and not late, a snooze holds, the night counts one cry."""
    clock = Faketime(tmp_path)
    rooms = {"nursery": room(long_crying, **{"alert.repeat_after_s": 20})}
    with Service(tmp_path, port=broker.port, rooms=rooms, environ=clock.environ) as service:
        wait_for_event(recorder, "alert")
        clock.set(1)
        service.wait_for(lambda lines: any(ahead(line) for line in lines if line["event"] == "alert"), "the clock")
        more_alerts(recorder)
        recorder.send(f"{ROOM}/snooze/set", b"1")
        wait_for(recorder, snoozes, "the snooze")
        clock.set(0)
        service.wait_for(lambda lines: any(not ahead(line) for line in held(lines)), "a snooze that holds, set back")
        recorder.send(f"{ROOM}/snooze/set", b"0")
        more_alerts(recorder)
        service.stop()
        assert {line["level"] for line in service.lines} == {"info"}
    wait_for(recorder, lambda all_: all_[-1].payload == b"offline", "the last word")
    events = payloads(recorder.received, EVENT)
    assert [event["late"] for event in events] == [False] * len(events)
    assert {event["event_id"] for event in events} == {row["event_id"] for row in stored(service.history)}
    assert all(row["delivered_at"] is not None and not row["expired"] for row in stored(service.history))
    nights = payloads(recorder.received, f"{ROOM}/tonight")
    assert (nights[-1]["episodes"], nights[-1]["alerts"]) == (1, len(alerts(recorder.received)))
    assert len({night["night"] for night in nights}) == 1


def more_alerts(recorder: Recorder) -> None:
    """Wait for two more alerts."""
    told = len(alerts(recorder.received))
    wait_for(recorder, lambda all_: len(alerts(all_)) >= told + 2, "two more alerts")


def alerts(received: list[Received]) -> list[dict[str, str]]:
    """Return the alerts that were told."""
    return [event for event in payloads(received, EVENT) if event["event_type"] == "alert"]


def held(lines: list[Line]) -> list[Line]:
    """Return the lines about alerts that were held back."""
    return [line for line in lines if line["event"] == "alert_held"]


def snoozes(received: list[Received]) -> list[str]:
    """Return the ends of a snooze that were told."""
    told = [message.payload.decode() for message in received if message.topic == f"{ROOM}/snooze"]
    return [end for end in told if end != "None"]


def ahead(line: Line) -> bool:
    """Return whether a line of the log is of our future."""
    return datetime.fromisoformat(line["ts"]) - datetime.now(UTC) > timedelta(minutes=55)
