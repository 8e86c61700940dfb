import io
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import synth
from mqtt_broker import DEADLINE_S, Mosquitto, free_port, recording, running
from publish.make import event
from rich.console import Console

from monitor.capture import AudioSource
from monitor.config import RoomConfig, load_config
from monitor.publish import Broker, Messages, Store
from monitor.publish.mqtt import Link
from monitor.publish.reports import LinkReport, LinkUp
from monitor.records import Samples
from monitor.verbs.doctor import doctor

PASSWORD = "hunter22hunter"  # noqa: S105 - of the test's own broker

Doctor = Callable[..., tuple[int, dict[str, tuple[str, str]]]]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that lets one user in, who may use topics below `cry/` only."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    (folder / "acl").write_text("user cry\ntopic readwrite cry/#\n")
    (folder / "acl").chmod(0o600)
    mosquitto = Mosquitto(folder, users={"cry": PASSWORD}, settings=[])
    with (folder / "mosquitto.conf").open("a") as config:
        config.write(f"acl_file {folder / 'acl'}\n")
    with running(mosquitto):
        yield mosquitto


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A room in which a fan runs."""
    return written(tmp_path / "room.wav", synth.noise(5, -45.0))


def written(path: Path, samples: Samples) -> Path:
    soundfile.write(path, samples, 16_000)
    return path


@pytest.fixture
def examine(tmp_path: Path, sound: Path, toy_reason_folder: Path) -> Doctor:
    """Run `doctor` on a good configuration with some changes; return its exit code and each line by what it is of."""

    def run(
        port: int, *changes: str, **more: Callable[[RoomConfig], AudioSource]
    ) -> tuple[int, dict[str, tuple[str, str]]]:
        good = [
            *(f"mqtt.{key}" for key in (f"port={port}", "host=127.0.0.1", "username=cry", f"password={PASSWORD}")),
            *("rooms.nursery.source=file", f"rooms.nursery.path={sound}", "rooms.nursery.speed=0"),
            f"history.path={tmp_path / 'state' / 'history.db'}",
            f"reason.path={toy_reason_folder}",
        ]
        output = io.StringIO()
        console = Console(file=output, soft_wrap=True, highlight=False)
        code = doctor(load_config(None, [*good, *changes]), console=console, **more)
        assert PASSWORD not in output.getvalue()
        findings: dict[str, tuple[str, str]] = {}
        for line in output.getvalue().splitlines():
            verdict, what, told = line[:6].strip(), line[6:31].strip(), line[31:]
            if not verdict:
                assert told.startswith("-> ")
                what = list(findings)[-1]
                verdict, told = findings[what][0], f"{findings[what][1]} {told}"
            findings[what] = (verdict, told)
        return code, findings

    return run


def fails(findings: dict[str, tuple[str, str]]) -> dict[str, str]:
    for what, (verdict, told) in findings.items():
        assert verdict in ("ok", "FAIL")
        assert (verdict == "FAIL") is ("-> " in told), f"{what}: a line that fails says what to do, another does not"
    return {what: told for what, (verdict, told) in findings.items() if verdict == "FAIL"}


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_all_is_well(broker: Mosquitto, examine: Doctor, protocol: str) -> None:
    """With all in order, each check is a line with `ok`, and the exit code is 0."""
    code, findings = examine(broker.port, f"mqtt.protocol={protocol}")
    assert fails(findings) == {}
    assert code == 0
    room = [f"nursery: {what}" for what in ("source", "level", "clipping")]
    models = ["model", "reason model"]
    assert list(findings) == ["configuration", *models, *room, "broker: log-in", "broker: retained", "history", "disk"]
    assert "reason toy on litert" in findings["reason model"][1]
    assert "-45 dBFS, noise floor" in findings["nursery: level"][1]


@pytest.mark.broker
def test_nothing_stays_behind(broker: Mosquitto, examine: Doctor, tmp_path: Path) -> None:
    """The broker holds nothing more afterwards, the service's own topics were not touched, and no history was made."""
    with recording(broker.port, "cry/#", user=("cry", PASSWORD)) as witness:
        assert examine(broker.port)[0] == 0
        told = witness.wait_for(lambda all_: len(all_) >= 2, "said and cleared")
    assert {message.topic.rpartition("/")[0] for message in told} == {"cry/home/doctor"}
    assert [bool(message.payload) for message in told] == [True, False]
    with recording(broker.port, "#", user=("cry", PASSWORD)) as newcomer:
        newcomer.send("cry/mark", b"all that is retained came before this")
        newcomer.wait_for_message("cry/mark")
        assert newcomer.topics() == ["cry/mark"]
    assert not (tmp_path / "state").exists()


@pytest.mark.broker
def test_a_running_service_is_not_thrown_out(broker: Mosquitto, examine: Doctor) -> None:
    """A client that has the service's own client id stays connected."""
    mqtt = load_config(None, [f"mqtt.password={PASSWORD}"]).config.mqtt
    service = Broker(host="127.0.0.1", port=broker.port, username="cry", password=mqtt.password, client_id="cry_home")
    reports: queue.SimpleQueue[LinkReport] = queue.SimpleQueue()
    link = Link(1, service, Messages("cry", "home", ["nursery"]).status("offline"), reports.put)
    assert isinstance(reports.get(timeout=DEADLINE_S), LinkUp)
    assert examine(broker.port, "mqtt.client_id=cry_home")[0] == 0
    assert reports.empty()
    link.disconnect()
    assert link.wait_ended(DEADLINE_S)


@pytest.mark.broker
def test_a_wrong_password_is_told_without_it(broker: Mosquitto, examine: Doctor) -> None:
    """A refused log-in fails with the keys to look at; what was tried is shown nowhere."""
    wrong = "letmein-letmein"
    code, findings = examine(broker.port, f"mqtt.password={wrong}")
    assert code == 1
    assert list(fails(findings)) == ["broker: log-in", "broker: retained"]
    assert "mqtt.password_file" in findings["broker: log-in"][1]
    assert wrong not in str(findings)


@pytest.mark.broker
def test_a_forbidden_topic_is_told(broker: Mosquitto, examine: Doctor) -> None:
    """A broker that lets us in but not write is told of, with the access list to look at."""
    code, findings = examine(broker.port, "mqtt.topic_prefix=nursery")
    assert code == 1
    assert list(fails(findings)) == ["broker: retained"]
    assert "access list" in findings["broker: retained"][1]


def test_no_broker_is_told(examine: Doctor) -> None:
    """Where no broker is, that fails, with the keys to look at; all else is checked all the same."""
    code, findings = examine(free_port())
    assert code == 1
    assert list(fails(findings)) == ["broker: log-in", "broker: retained"]
    assert "mqtt.port" in findings["broker: log-in"][1]


@pytest.mark.parametrize(
    ("samples", "failing", "fix"),
    [
        (synth.silence(4), "level", "unmute"),
        (synth.noise(4, -85.0), "level", "gain up"),
        (synth.noise(4, 0.0), "clipping", "gain down"),
    ],
    ids=["silence", "quiet", "clipped"],
)
def test_a_sound_that_is_no_room_fails(
    examine: Doctor, tmp_path: Path, samples: Samples, failing: str, fix: str
) -> None:
    """Silence, a level that no room has and a clipped one fail, each with what to do."""
    path = written(tmp_path / "odd.wav", samples)
    _, findings = examine(free_port(), f"rooms.nursery.path={path}")
    assert [what for what in fails(findings) if what.startswith("nursery")] == [f"nursery: {failing}"]
    assert fix in findings[f"nursery: {failing}"][1]


def test_a_source_that_cannot_be_opened_fails(examine: Doctor, tmp_path: Path) -> None:
    """A source that is not there fails by name; the level then was not tried, and other rooms are checked."""
    code, findings = examine(
        free_port(),
        f"rooms.attic.path={tmp_path / 'absent.wav'}",
        "rooms.attic.source=file",
    )
    assert code == 1
    attic = [f"attic: {what}" for what in ("source", "level", "clipping")]
    assert [what for what in fails(findings) if not what.startswith("broker")] == attic
    assert "absent.wav" in findings["attic: source"][1]
    assert findings["nursery: level"][0] == "ok"


class DeafSource:
    """A device that opens and gives nothing, as a microphone that the kernel has lost; the time passes in no time."""

    live = True

    def __init__(self) -> None:
        self.closed = 0

    def open(self) -> None:
        """Open."""

    def read(self) -> Samples:
        """Give nothing."""
        return np.zeros(0, np.int16)

    def close(self) -> None:
        """Count."""
        self.closed += 1


def test_a_source_without_samples_fails(examine: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that opens and gives nothing within some seconds fails, and is closed."""
    monkeypatch.setattr("monitor.verbs.doctor.FIRST_SAMPLES_S", 0.1)
    source = DeafSource()
    _, findings = examine(free_port(), open_source=lambda _: source)
    assert "gives no samples" in fails(findings)["nursery: source"]
    assert source.closed == 1


def test_a_room_that_is_off_stays_off(examine: Doctor) -> None:
    """The source of a disabled room is not opened, and that is no fault."""

    def never(_: RoomConfig) -> AudioSource:
        pytest.fail("it was opened")

    _, findings = examine(free_port(), "rooms.nursery.enabled=false", open_source=never)
    assert findings["nursery: source"][0] == "ok"


def test_a_useless_model_fails(examine: Doctor, tmp_path: Path) -> None:
    """A model that cannot be loaded is a line like any other, and the rest is checked."""
    code, findings = examine(free_port(), f"model.path={tmp_path}")
    assert code == 1
    assert "manifest.json" in fails(findings)["model"]
    assert findings["disk"][0] == "ok"


def test_a_useless_reason_model_fails(examine: Doctor, tmp_path: Path) -> None:
    """A reason model that cannot be loaded fails with the key that names another, and the model of cries does not."""
    code, findings = examine(free_port(), f"reason.path={tmp_path}")
    assert code == 1
    assert "manifest.json" in fails(findings)["reason model"]
    assert "reason.path" in fails(findings)["reason model"]
    assert findings["model"][0] == "ok"


def test_an_existing_history_is_tried(examine: Doctor, tmp_path: Path) -> None:
    """An existing history is written to without a trace; a damaged one, and a folder that is none, fail."""
    path = tmp_path / "state" / "history.db"
    store = Store(path)
    store.append(event())
    store.close()
    before = path.read_bytes()
    _, findings = examine(free_port())
    assert findings["history"] == ("ok", f"{path}: can be written; episodes: 1")
    assert path.read_bytes() == before
    path.write_bytes(b"no database" * 1_000)
    assert "damaged" in fails(examine(free_port())[1])["history"]
    # A folder that cannot be written, for root neither.
    assert "cannot be written" in fails(examine(free_port(), "history.path=/proc/history.db")[1])["history"]


def test_an_alert_log_is_tried(examine: Doctor, tmp_path: Path) -> None:
    """Where one is wanted: appended to without a trace, not made where it is missing, and told where it cannot be."""
    path = tmp_path / "alerts.jsonl"

    def found(at: Path) -> tuple[str, str]:
        return examine(free_port(), f"log.alerts={at}")[1]["alert log"]

    assert "alert log" not in examine(free_port())[1]
    assert found(path) == ("ok", f"{path}: not there yet; {tmp_path} can be written")
    assert list(tmp_path.glob("*.jsonl")) == []
    path.write_text("{}\n")
    assert found(path) == ("ok", f"{path}: can be appended to")
    assert path.read_text() == "{}\n"
    for wrong in (tmp_path, tmp_path / "absent" / "alerts.jsonl", Path("/proc/alerts.jsonl")):
        verdict, told = found(wrong)
        assert verdict == "FAIL"
        assert "see that the folder is there" in told


def test_too_little_space_fails(examine: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with less space than the history may need fails, with both figures."""
    monkeypatch.setattr("monitor.verbs.doctor.FREE_BYTES", 10**18)
    assert "MB free, less than" in fails(examine(free_port())[1])["disk"]


def test_the_command_line(repository: Path, tmp_path: Path, sound: Path, toy_reason_folder: Path) -> None:
    """`doctor` prints its lines on standard output, and ends with 1 where one fails."""
    settings = ["rooms.a.source=file", f"rooms.a.path={sound}", "rooms.a.speed=0", f"mqtt.port={free_port()}"]
    settings += [f"reason.path={toy_reason_folder}"]
    chosen = [part for setting in [*settings, f"history.path={tmp_path / 'h.db'}"] for part in ("--set", setting)]
    command = [sys.executable, "-m", "monitor", "doctor", *chosen]
    result = subprocess.run(
        command, cwd=repository, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    assert result.stdout.count("\nFAIL  ") == 2
    assert result.stderr == ""
