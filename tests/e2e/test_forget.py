"""What the service writes is its owner's alone, and none of it stays once it is forgotten."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.heard import STATUS, wait_for_event, wait_for_text
from e2e.service import Service, cry_monitor, room
from mqtt_broker import Mosquitto, Recorder, recording

pytestmark = pytest.mark.broker


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """The umask that a service is started with."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("umask", [0o000, 0o022], indirect=True)
def test_a_room_of_a_service_that_died_is_forgotten(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, long_crying: Path
) -> None:
    """Each file is 0600 and each folder 0700; while the service runs nothing goes, after its end every byte."""
    state = tmp_path / "var" / "state"
    environ = {"CRY_HISTORY__PATH": f"{state / 'history.db'}", "CRY_LOG__ALERTS": f"{state / 'alerts.jsonl'}"}
    names = ("zq7marker", "attic")
    rooms = {name: room(long_crying, speed=20.0) for name in names}
    service = Service(tmp_path / "service", port=broker.port, rooms=rooms, environ=environ)
    forget: list[str | Path] = ["forget", "--room", names[0], "--yes", "--config", service.config]
    forget += [word for key in ("HISTORY__PATH", "LOG__ALERTS") for word in ("--set", setting(key, environ))]
    with service:
        for name in names:
            wait_for_event(recorder, "alert", f"cry/home/{name}/event")
            recorder.send(f"cry/home/{name}/care/fed/set", b"")
            recorder.wait_for_message(f"cry/home/{name}/care/fed")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (state.parent, *state.parent.rglob("*"))}
        files = {"history.db", "history.db-wal", "history.db-shm", "alerts.jsonl"}
        assert modes == {"var": 0o700, "state": 0o700, **dict.fromkeys(files, 0o600)}
        refused = cry_monitor(*forget)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "systemctl stop cry-monitor" in refused.stderr
        service.signal(signal.SIGKILL)
        service.wait()
    wait_for_text(recorder, STATUS, "offline")
    assert (state / "history.db-wal").exists()
    done = cry_monitor(*forget)
    assert (done.returncode, done.stderr) == (0, "")
    assert [file.name for file in state.iterdir() if names[0].encode() in file.read_bytes()] == []
    assert {file.name for file in state.iterdir()} == {"history.db", "alerts.jsonl"}
    assert stat.S_IMODE((state / "alerts.jsonl").stat().st_mode) == 0o600
    with recording(broker.port) as newcomer:
        newcomer.send("fence", b"")
        held = newcomer.wait_for(lambda all_: all_[-1].topic == "fence")
    assert {m.topic.split("/")[2] for m in held if m.topic.startswith("cry/home/")} == {
        "attic",
        "health",
        "status",
        "summary",
    }
    with service:
        service.wait_for_line("mqtt_connected")
        service.stop()
    assert all("err" not in line for line in service.lines if line["event"].startswith("history"))


def setting(key: str, environ: dict[str, str]) -> str:
    return f"{key.lower().replace('__', '.')}={environ[f'CRY_{key}']}"
