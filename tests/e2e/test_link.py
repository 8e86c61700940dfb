"""The link to the broker as docs/security.md closes it: its commands, access list and configuration, as written."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.heard import EVENT, ROOM, STATUS, is_text, wait_for_event, wait_for_text
from e2e.service import REPOSITORY, Service, cry_monitor, room
from mqtt_broker import Mosquitto, Recorder, find, free_port, recording, running, wait_until

pytestmark = pytest.mark.broker

DOC = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
PASSWORDS = {
    "cry": "of the service",
    "homeassistant": "of the house",
    "dashboard": "of the wall",
    "guest": "of a guest",
}


def block(language: str) -> str:
    """Return a block of the page."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL)
    return str(found)


@dataclass(frozen=True, slots=True)
class Closed:
    """A broker as the page has it, with a second port without TLS for the clients of the test."""

    mosquitto: Mosquitto
    tls_port: int
    folder: Path

    def client(self, user: str) -> AbstractContextManager[Recorder]:
        """Return one of its users, who asks for everything."""
        return recording(self.mosquitto.port, user=(user, PASSWORDS[user]))


def obeyed(house: Recorder, sensitivity: str) -> bool:
    """Set it; return whether that is answered. The service listens a moment after it said `online`."""
    house.send(f"{ROOM}/sensitivity/set", sensitivity.encode())
    return any(is_text(message, f"{ROOM}/sensitivity", sensitivity) for message in house.received)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    """The page's commands for certificates, its mosquitto.conf and its access list; this machine is `broker.lan`."""
    folder = tmp_path_factory.mktemp("closed")
    find("openssl", "openssl")
    commands = block("sh").replace("DNS:broker.lan", "DNS:broker.lan,DNS:localhost")
    strictly = "openssl verify -x509_strict -CAfile ca.crt broker.crt"  # as Python does from 3.13 on
    subprocess.run(["bash", "-ec", f"{commands}{strictly}"], cwd=folder, check=True, capture_output=True)
    port = free_port()
    (folder / "acl").write_text(block("acl"))
    (folder / "acl").chmod(0o600)
    written = block("mosquitto").splitlines()
    ours = ("allow_anonymous false", "password_file /etc/mosquitto/passwd")  # the harness writes these
    assert set(ours) < set(written)
    settings = [
        line.replace("listener 8883", f"listener {port} 127.0.0.1")
        .replace("/etc/mosquitto/certs", str(folder))
        .replace("/etc/mosquitto", str(folder))
        for line in written
        if line not in ours
    ]
    with running(Mosquitto(folder, users=PASSWORDS, settings=settings)) as mosquitto:
        yield Closed(mosquitto, port, folder)


@pytest.fixture
def service(closed: Closed, tmp_path: Path, late_crying: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service with the page's `[mqtt]`, but for the names of this machine; `doctor` and `test-alert` have it too."""
    password = tmp_path / "mqtt-password"
    password.write_text(PASSWORDS["cry"] + "\n")
    password.chmod(0o600)
    mqtt = tomllib.loads(block("toml"))["mqtt"]
    assert (mqtt.pop("host"), mqtt.pop("port")) == ("broker.lan", 8883)
    mqtt |= {"ca_file": str(closed.folder / mqtt["ca_file"]), "password_file": str(tmp_path / mqtt["password_file"])}
    for key, value in mqtt.items():
        monkeypatch.setenv(f"CRY_MQTT__{key.upper()}", str(value).lower() if value is True else value)
    rooms = {"nursery": room(late_crying, speed=8.0)}
    return Service(tmp_path, host="localhost", port=closed.tls_port, rooms=rooms)


def test_the_service_does_all_it_does(closed: Closed, service: Service, quiet: Path) -> None:
    """Under the page's list: events, state, discovery, commands, `doctor` and `test-alert`; nothing is refused."""
    with closed.client("homeassistant") as house, service:
        wait_for_text(house, STATUS, "online")
        assert {f"{ROOM}/state", f"{ROOM}/availability", "cry/home/health", "cry/home/summary"} < set(house.topics())
        for device in ("cry_home", "cry_home_nursery"):
            assert house.wait_for_message(f"homeassistant/device/{device}/config").retain
        wait_until(lambda: obeyed(house, "high"), "a command of Home Assistant is obeyed")
        house.send(f"{ROOM}/care/fed/set", b"")
        house.wait_for(lambda all_: any(m.topic == f"{ROOM}/care/fed" for m in all_), "fed")
        wait_for_event(house, "cry_started")
        wait_for_event(house, "alert")
        before = house.topics().count(STATUS)
        house.send("homeassistant/status", b"online")
        house.wait_for(lambda all_: [m.topic for m in all_].count(STATUS) > before, "all is said again")
        a_room = ("--set", f"rooms.nursery.path={quiet}")  # the story's is too quiet to be one
        for verb, *more in (("doctor", *a_room), ("test-alert",)):
            done = cry_monitor(verb, "--config", service.config, *more)
            assert (done.returncode, done.stderr) == (0, ""), done.stdout
        refused = {"mqtt_refused", "mqtt_subscription_refused", "mqtt_lost", "command_refused", "secret_exposed"}
        assert not refused & {line["event"] for line in service.lines}
        service.stop()


def test_nobody_else_is_let_in(closed: Closed, service: Service) -> None:
    """A guest reads and switches nothing; a dashboard reads, and switches nothing; Home Assistant says no state."""
    with (
        closed.client("homeassistant") as house,
        closed.client("dashboard") as dashboard,
        closed.client("guest") as guest,
        service,
    ):
        wait_for_text(house, STATUS, "online")
        wait_until(lambda: obeyed(house, "low"), "a command of Home Assistant is obeyed")
        house.clear()
        for stranger in (guest, dashboard):
            stranger.send(f"{ROOM}/snooze/set", b"60")
            stranger.send(f"{ROOM}/enabled/set", b"OFF")
        for liar in (guest, dashboard, house):
            liar.send(f"{ROOM}/state", b"{}", retain=True)
            liar.send(EVENT, b"{}")
            liar.send(STATUS, b"offline", retain=True)
        wait_until(lambda: obeyed(house, "high"), "what was sent after it is obeyed")
        said = house.received
        assert not {f"{ROOM}/snooze", f"{ROOM}/enabled", STATUS} & {message.topic for message in said}
        assert b"{}" not in {message.payload for message in said}
        assert {topic.split("/")[0] for topic in dashboard.topics()} == {"cry"}
        guest.send("cry/home/mark", b"")
        assert guest.received == []
        service.stop()
