"""The broker's password stands nowhere but where it was put: not in the log, `ps`, a message, an answer or a file."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.heard import STATUS, wait_for_event, wait_for_text
from e2e.service import Service, cry_monitor, room
from mqtt_broker import Mosquitto, recording, running

pytestmark = pytest.mark.broker

MARK = "kuckuck4711"
PASSWORD = f"""it's "{MARK}" \\ ü"""
"""With what a traceback, JSON or TOML would quote; `MARK` is left of it by any quoting."""


@pytest.fixture
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker that lets in who has the password, in a folder of its own, where it may stand."""
    folder = tmp_path_factory.mktemp("closed")
    with running(Mosquitto(folder, users={"cry": PASSWORD, "witness": "w"})) as mosquitto:
        yield mosquitto


@pytest.fixture(params=["file", "environment"])
def password(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The two ways in which the password can be given, as the environment has them."""
    if request.param == "environment":
        return {"CRY_MQTT__PASSWORD": PASSWORD}
    file = tmp_path_factory.mktemp("secret") / "mqtt-password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    return {"CRY_MQTT__PASSWORD_FILE": str(file)}


def command_lines() -> bytes:
    """Return what `ps` shows of every process."""
    found = b""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += process.read_bytes()
        except OSError:  # it has ended meanwhile
            continue
    return found


def test_a_night_shows_it_nowhere(
    closed: Mosquitto, password: dict[str, str], tmp_path: Path, crying: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logged in, at level `debug`, with each verb that speaks to the broker or prints the settings beside it."""
    told = {"CRY_LOG__LEVEL": "debug", "CRY_LOG__ALERTS": str(tmp_path / "alerts.jsonl"), "CRY_MQTT__USERNAME": "cry"}
    for name, value in {**told, **password}.items():
        monkeypatch.setenv(name, value)
    with (
        recording(closed.port, user=("witness", "w")) as recorder,
        Service(tmp_path, port=closed.port, rooms={"nursery": room(crying)}) as service,
    ):
        wait_for_text(recorder, STATUS, "online")
        assert MARK.encode() not in command_lines()
        wait_for_event(recorder, "cry_ended")
        verbs = ("check-config", "doctor", "test-alert", "history")
        said = "".join(f"{done.stdout}{done.stderr}" for verb in verbs if (done := verb_of(service, verb)))
        service.stop()
    assert "**********" in said, "check-config shows that there is one"
    assert MARK not in said
    assert service.lines
    assert MARK not in json.dumps(service.lines, ensure_ascii=False) + service.errors
    assert not [message for message in recorder.received if MARK.encode() in message.payload + message.topic.encode()]
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    # Nothing else was written: no sound, no log.
    written = {file.name.removesuffix("-wal").removesuffix("-shm") for file in files}
    assert written == {"home.toml", "home.stderr", "home.db", "alerts.jsonl"}
    assert not [file for file in files if MARK.encode() in file.read_bytes()]


def verb_of(service: Service, verb: str) -> subprocess.CompletedProcess[str]:
    """Run another command with the service's configuration."""
    return cry_monitor(verb, "--config", service.config)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_refused_log_in_does_not_repeat_it(
    tmp_path: Path, crying: Path, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password: the log, `doctor` and `test-alert` say that it is refused, and not what it was."""
    for name, value in {"CRY_LOG__LEVEL": "debug", "CRY_MQTT__USERNAME": "cry", "CRY_MQTT__PASSWORD": PASSWORD}.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with (
        running(Mosquitto(folder, users={"cry": "another"})) as mosquitto,
        Service(tmp_path, port=mosquitto.port, rooms={"nursery": room(crying)}, protocol=protocol) as service,
    ):
        line = service.wait_for_line("mqtt_lost")
        asked = [cry_monitor(verb, "--config", service.config) for verb in ("doctor", "test-alert")]
        service.stop()
    assert line["err"] == "the broker does not let cry in: Not authorized"
    assert line["again_in_s"] == 60.0
    for done in asked:
        assert done.returncode == 1
        assert line["err"] in done.stdout + done.stderr
        assert "mqtt.password_file" in done.stdout + done.stderr
        assert MARK not in done.stdout + done.stderr
    assert MARK not in json.dumps(service.lines, ensure_ascii=False) + service.errors


DIES = """
import sys
from pathlib import Path
from monitor.config import load_config
from monitor.detect import Model, load_model
from monitor.verbs.run import run

loaded = load_config(Path(sys.argv[2]))

def load(folder, runtime):
    def function(waveforms):
        password = loaded.config.mqtt.password.get_secret_value()
        raise RuntimeError(f"a bug that quotes {password}, and {password!r}, and {password.encode()!r}")
    model = load_model(folder, runtime)
    return Model(model.manifest, model.runtime, function)

sys.exit(run(loaded, load))
"""


def test_a_traceback_does_not_repeat_it(tmp_path: Path, crying: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug that has the password in its words is logged with its traceback, and stars in the place of the password."""
    monkeypatch.setenv("CRY_MQTT__PASSWORD", PASSWORD)
    rooms = {"nursery": room(crying)}
    with Service(tmp_path, port=1, rooms=rooms, command=("-c", DIES)) as service:
        assert service.wait() == 1
    (died,) = [line for line in service.lines if "a bug that quotes" in line.get("err", "")][:1]
    assert "Traceback" in died["exception"]
    assert "**********" in died["exception"]
    assert MARK not in json.dumps(service.lines, ensure_ascii=False) + service.errors
