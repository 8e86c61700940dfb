"""What the disk can do to the history, and never to an alert."""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from e2e.faults import event_ids, restless, stored
from e2e.heard import EVENT, STATE, payloads, wait_for, wait_for_event
from e2e.service import Service
from mqtt_broker import Mosquitto, Received, Recorder, missing

pytestmark = [pytest.mark.broker, pytest.mark.slow]

IN_TIME_S = 1.0
"""An alert is told so long after it is decided, at most: 0.2 s of ours, and what a busy machine adds."""


def on_a_disk_of_its_own(folder: Path, options: str) -> tuple[str, ...]:
    """Return a program that runs another where `folder` is a small disk in memory, which nobody else sees."""
    asked = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", folder], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        missing(f"the right to mount: {asked.stderr.strip()}; it", "a container with CAP_SYS_ADMIN")
    script = f'mount -t tmpfs -o {options} none "$0" && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, str(folder))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where the small disk is to be."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


ROOM_ENOUGH = "size=8m"
"""SQLite's log beside the history takes up to 4 MB before it is written over."""


def service_with(disk: Path, broker: Mosquitto, options: str) -> Service:
    """Return a service whose history alone is on a small disk."""
    return Service(
        disk.parent,
        port=broker.port,
        rooms={"nursery": restless()},
        environ={"CRY_HISTORY__PATH": str(disk / "history.db")},
        inside=on_a_disk_of_its_own(disk, options),
    )


def alerts_come_in_time(service: Service, recorder: Recorder) -> None:
    """Wait for two alerts more, and see that each is told as soon as it is decided."""
    for _ in range(2):
        decided, told = len(service.logged("alert")), alerts(recorder.received)
        service.wait_for_line("alert", count=decided + 1)
        began_s = time.monotonic()
        one_more(recorder, told)
        assert time.monotonic() - began_s < IN_TIME_S


def one_more(recorder: Recorder, told: int) -> None:
    """Wait for more than these alerts."""
    wait_for(recorder, lambda all_: alerts(all_) > told, "the alert")


def alerts(received: list[Received]) -> int:
    """Return how many alerts there are."""
    return sum(event["event_type"] == "alert" for event in payloads(received, EVENT))


def problem(recorder: Recorder, value: str) -> None:
    """Wait until the newest `state` names this problem."""
    wait_for(recorder, lambda all_: [s["problem"] for s in payloads(all_, STATE)][-1:] == [value], value)


def holds_all(service: Service, disk: Path, recorder: Recorder) -> None:
    """See that each event that was told, from the first on, is in the history."""
    inside = Path(f"/proc/{service.pid}/root{disk}")
    service.signal(signal.SIGSTOP)  # a copy of both files at one instant
    try:
        for suffix in ("", "-wal"):
            (disk.parent / f"copy{suffix}").write_bytes((inside / f"history.db{suffix}").read_bytes())
        told = event_ids(recorder.received)
    finally:
        service.signal(signal.SIGCONT)
    kept = [row["event_id"] for row in stored(disk.parent / "copy")]
    assert set(told[:-1]) <= set(kept), "the last one may be told before it is written"


def test_a_full_disk_costs_history_and_no_alert(broker: Mosquitto, recorder: Recorder, disk: Path) -> None:
    """`problem: store`, one warning, alerts in time; with room again the events that waited are in the history."""
    with service_with(disk, broker, ROOM_ENOUGH) as service:
        wait_for_event(recorder, "cry_ended")
        filler = Path(f"/proc/{service.pid}/root{disk}/filler")
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}"], stderr=subprocess.DEVNULL, check=False)
        service.wait_for_line("history_failed")
        problem(recorder, "store")
        alerts_come_in_time(service, recorder)
        filler.unlink()
        service.wait_for_line("history_works_again")
        problem(recorder, "ok")
        holds_all(service, disk, recorder)
        service.stop()
        (line,) = service.logged("history_failed")
        assert "full" in line["err"]


def test_a_disk_that_cannot_be_written_is_tried_again(broker: Mosquitto, recorder: Recorder, disk: Path) -> None:
    """Read-only at the start: one warning, alerts in time; writable again, the history has all since the start."""
    with service_with(disk, broker, f"{ROOM_ENOUGH},ro") as service:
        service.wait_for_line("history_off")
        problem(recorder, "store")
        alerts_come_in_time(service, recorder)
        inside = ("nsenter", "--mount", "--target", str(service.pid))
        subprocess.run([*inside, "mount", "-o", "remount,rw", disk], check=True)
        service.wait_for_line("history_works_again")
        problem(recorder, "ok")
        holds_all(service, disk, recorder)
        service.stop()
        assert len([line for line in service.lines if line["level"] == "warning"]) == 1


def test_garbage_in_the_history_is_set_aside(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """Before a start and while it runs: alerts in time, the file set aside and said once, a new one begun in 15 s."""
    service = Service(tmp_path, port=broker.port, rooms={"nursery": restless()})
    service.history.write_bytes(os.urandom(40_960))
    with service:
        service.wait_for_line("history_set_aside")
        wait_for_event(recorder, "cry_ended")
        service.stop()
    assert {row["event_id"] for row in stored(service.history)} == set(event_ids(recorder.received))
    fill(service.history)
    with service:
        recorder.clear()
        wait_for_event(recorder, "cry_started")
        began_s = time.monotonic()
        with service.history.open("r+b") as file:
            file.write(os.urandom(service.history.stat().st_size))
        alerts_come_in_time(service, recorder)
        service.wait_for_line("history_works_again")
        assert time.monotonic() - began_s < 15.0
        alerts_come_in_time(service, recorder)
        service.stop()
        warnings = [line["event"] for line in service.lines if line["level"] == "warning"]
        assert warnings == ["history_failed", "history_set_aside"]
    assert len([path for path in tmp_path.glob("home.db.damaged-*") if path.stat().st_size > 40_000]) == 2
    with closing(sqlite3.connect(service.history)) as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
    assert len(stored(service.history)) >= 4


def fill(history: Path) -> None:
    """Write so much into a history that what is done to the file cannot all stand in its log beside it, too."""
    with closing(sqlite3.connect(history, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.executemany("INSERT INTO care VALUES ('attic', 'fed', ?)", [(time.time() + n,) for n in range(20_000)])
        db.execute("COMMIT")
