"""What the broker and the network can do to us: none of it holds up a turn, and each is said once."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
import structlog
from mqtt_broker import Mosquitto, Recorder, missing, recording, running, wait_until
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from publish.make import Service, event, health
from pydantic import SecretStr

from monitor.publish import Broker, Messages
from monitor.publish.connection import Connection
from monitor.publish.reports import LinkReport

STATUS = "cry/home/status"
EVENT = "cry/home/nursery/event"


@contextmanager
def listener(answer: bytes = b"") -> Iterator[int]:
    """Listen on a port, say `answer` to who comes, and then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = []

        def accept() -> None:
            try:
                while True:
                    accepted.append(server.accept()[0])
                    accepted[-1].sendall(answer)
            except OSError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in accepted:
                connection.close()


def lost(logs: list[structlog.typing.EventDict]) -> list[structlog.typing.EventDict]:
    """Return the lines about a connection that is lost or never came."""
    return [line for line in logs if line["event"] == "mqtt_lost"]


def connected(logs: list[structlog.typing.EventDict]) -> list[structlog.typing.EventDict]:
    """Return the lines about a connection that came to be."""
    return [line for line in logs if line["event"] == "mqtt_connected"]


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def longest_turn_s(service: Service, turns: int) -> float:
    """Run turns in this thread; return how long the longest took."""
    longest = 0.0
    for _ in range(turns):
        began_s = time.monotonic()
        service.publisher.turn()
        longest = max(longest, time.monotonic() - began_s)
    return longest


def test_a_broker_that_says_nothing_holds_up_no_turn() -> None:
    """TCP opens and then nothing comes: each turn stays under 1 s, and the stop gives up at once."""
    with listener() as port:
        service = Service(port=port)
        service.tell(health(), event())
        assert longest_turn_s(service, 4) < 1.0
        began_s = time.monotonic()
        service.publisher.finish()
        service.publisher.close()
        assert time.monotonic() - began_s < 0.5


def test_a_name_that_never_resolves_holds_up_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that hangs costs a thread of the client's, never one of ours; with 4 such tries we wait for an end."""
    answered = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        answered.wait(60.0)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    before = threading.active_count()
    try:
        service = Service(broker=Broker("broker.invalid"), retry_s=0.0)
        service.tell(health(), event())
        with structlog.testing.capture_logs() as logs:
            for _ in range(6):
                assert longest_turn_s(service, 2) < 1.0
                service.clock.move_on(61)
        assert threading.active_count() - before == 4
        assert longest_turn_s(service, 2) > 0.1, "with nothing to do it turns without a pause"
        assert [line["failures"] for line in lost(logs)] == [1]
        assert "no answer within 60 s" in lost(logs)[0]["err"]
        service.publisher.finish()
        service.publisher.close()
    finally:
        answered.set()


# paho 2.1 dies of some of it, 2.2 does not.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_of_another_kind_is_no_broker() -> None:
    """Whatever comes from the port, also what kills the client's thread, is a lost connection, tried again."""
    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9, b"\x20\x00", b"\x20\x03\x00\x00\xff", b"\xff" * 64):
        with listener(answer) as port, structlog.testing.capture_logs() as logs:
            service = Service(port=port)
            for _ in range(100):
                service.publisher.turn()
                if lost(logs):
                    break
            service.publisher.close()
        assert len(lost(logs)) == 1, answer


@pytest.mark.broker
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_client_that_dies_without_a_word_is_noticed(broker: Mosquitto) -> None:
    """A fault in the client's thread tells nobody: that the thread is gone is a lost connection all the same."""

    def die(_report: LinkReport) -> None:
        raise RuntimeError

    connection = Connection(Broker("127.0.0.1", broker.port), Messages("cry", "home", []).status("offline"), die)
    connection.try_again()
    assert connection.overdue(dead=False) is None
    wait_until(lambda: connection.dead, "the thread is gone")
    end = connection.overdue(dead=True)
    assert end is not None
    assert connection.went_down(end)
    assert not connection.went_down(end), "one connection ends once"
    connection.hang_up()


def test_a_broker_that_is_away_is_one_warning() -> None:
    """The first failure says host, port, reason and that it is tried again; the next 99 say and leave nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    files = open_files()
    with structlog.testing.capture_logs() as logs:
        with Service(port=port, retry_s=0.0) as service:
            wait_until(lambda: len(lost(logs)) == 2, "the 101st failure", 60.0)
        assert not service.publisher.connected
    wait_until(lambda: open_files() <= files, "no try leaves a file open")
    assert [line["failures"] for line in lost(logs)] == [1, 101]
    assert "refused" in lost(logs)[0]["err"]
    assert lost(logs)[0]["port"] == port


@pytest.mark.parametrize(
    ("broker", "named"),
    [
        (Broker("x" * 64 + ".lan"), "mqtt.host"),
        (Broker(""), "mqtt.host"),
        (Broker(tls=True, ca_file=Path("/absent/ca.pem")), "/absent/ca.pem"),
        (Broker(tls=True, cert_file=Path("/absent/cert.pem")), "mqtt.cert_file"),
    ],
)
def test_settings_that_cannot_be_tried_are_one_warning_with_a_fix(broker: Broker, named: str) -> None:
    """What the client would die of in its own thread is found before, named, and tried again each minute."""
    with structlog.testing.capture_logs() as logs:
        service = Service(broker=broker)
        service.publisher.turn()
        service.publisher.turn()
        service.publisher.close()
    (line,) = lost(logs)
    assert named in f"{line['err']}: {line['fix']}"
    assert line["again_in_s"] == 60.0


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_is_one_clear_line(tmp_path: Path, protocol: Literal["5", "3.1.1"]) -> None:
    """The line says that the login is refused and which keys to look at; 60 s until the next try; no password in it."""
    secret = "correct horse battery staple"  # noqa: S105 - it is what must not show
    with running(Mosquitto(tmp_path, users={"cry": "right"})) as mosquitto, structlog.testing.capture_logs() as logs:
        login = Broker("127.0.0.1", mosquitto.port, protocol=protocol, username="cry", password=SecretStr(secret))
        with Service(broker=login):
            wait_until(lambda: lost(logs), "the refusal is noticed")
    (line,) = lost(logs)
    assert "authori" in line["err"].lower()
    assert "mqtt.password_file" in line["fix"]
    assert line["again_in_s"] == 60.0
    assert secret not in repr(logs)
    assert secret not in repr(login)


@pytest.mark.broker
def test_another_fault_is_said_at_once(tmp_path: Path) -> None:
    """A broker that is away, comes back and refuses us: two lines, the second not after 100 tries."""
    mosquitto = Mosquitto(tmp_path, users={"cry": "right"})
    login = Broker("127.0.0.1", mosquitto.port, username="cry", password=SecretStr("wrong"))
    with structlog.testing.capture_logs() as logs, Service(broker=login):
        wait_until(lambda: lost(logs), "it is away")
        with running(mosquitto):
            wait_until(lambda: len(lost(logs)) > 1, "the refusal is said")
    away, refused = lost(logs)
    assert "nobody listens" in away["err"]
    assert 1 < refused["failures"] < 100
    assert (refused["again_in_s"], "mqtt.password_file" in refused["fix"]) == (60.0, True)


@pytest.mark.broker
def test_the_right_password_lets_us_in(tmp_path: Path) -> None:
    """User and password of the configuration open the broker."""
    with running(Mosquitto(tmp_path, users={"cry": "right"})) as mosquitto:
        login = Broker("127.0.0.1", mosquitto.port, username="cry", password=SecretStr("right"))
        with Service(broker=login), recording(mosquitto.port, user=("cry", "right")) as recorder:
            recorder.wait_for_message(STATUS, b"online")


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_second_client_with_our_id_is_not_fought(broker: Mosquitto, protocol: Literal["5", "3.1.1"]) -> None:
    """Thrown out twice by another with the same client id, we wait 60 s, and say which key to look at."""
    thief = Client(CallbackAPIVersion.VERSION2, client_id="cry_home", protocol=MQTTv5 if protocol == "5" else MQTTv311)
    with (
        structlog.testing.capture_logs() as logs,
        Service(broker=Broker("127.0.0.1", broker.port, protocol=protocol)) as service,
    ):
        wait_until(lambda: service.publisher.connected, "connected")
        thief.connect("127.0.0.1", broker.port)
        thief.loop_start()  # it comes back whenever we throw it out
        wait_until(lambda: any(line["again_in_s"] == 60.0 for line in lost(logs)), "the fight is given up")
        fought = len(lost(logs))
        for _ in range(3):
            came = len(connected(logs))
            service.clock.move_on(61)
            wait_until(lambda came=came: len(connected(logs)) > came, "it is tried again")  # type: ignore[misc]
            wait_until(lambda: not service.publisher.connected, "and thrown out again")
        thief.disconnect()
        thief.loop_stop()
    line = lost(logs)[-1]
    assert line["again_in_s"] == 60.0
    assert "mqtt.client_id" in line["fix"]
    assert len(lost(logs)) == fought <= 2, "a fight of a whole night is no line a minute"


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_ends_in_order_is_found_again(
    broker: Mosquitto, recorder: Recorder, protocol: Literal["5", "3.1.1"]
) -> None:
    """After a connection that stood for over 30 s the next try is soon, and `online` is said again."""
    with Service(broker=Broker("127.0.0.1", broker.port, protocol=protocol)) as service:
        recorder.wait_for_message(STATUS, b"online")
        service.clock.move_on(31)
        broker.stop()
        wait_until(lambda: not service.publisher.connected, "the loss is noticed")
        broker.start()
        wait_until(lambda: service.publisher.connected, "connected again")


@pytest.mark.broker
def test_what_the_broker_forbids_is_said_once(tmp_path: Path) -> None:
    """Each topic that the access list does not allow makes one warning that names it; the rest goes out."""
    rules = tmp_path / "rules"
    rules.write_text(f"topic readwrite +/home/status\ntopic readwrite {EVENT}\ntopic read #\n")
    rules.chmod(0o600)
    with (
        running(Mosquitto(tmp_path, settings=[f"acl_file {rules}"])) as mosquitto,
        recording(mosquitto.port) as recorder,
        structlog.testing.capture_logs() as logs,
        Service(port=mosquitto.port) as service,
    ):
        recorder.wait_for_message(STATUS, b"online")
        for _ in range(3):
            service.tell(health(hearing=False), health())
        service.tell(event())
        recorder.wait_for(lambda all_: any(message.topic == EVENT for message in all_), "the event comes")
    refused = [line for line in logs if line["event"] == "mqtt_refused"]
    topics = [line["topic"] for line in refused]
    assert "cry/home/nursery/state" in topics
    assert len(set(topics)) == len(topics), "each once"
    assert all("access list" in line["fix"] and "authorized" in line["err"] for line in refused)
    assert not {STATUS, EVENT} & set(topics)


@pytest.mark.broker
def test_what_the_broker_forbids_is_dropped_in_silence_by_3_1_1(tmp_path: Path) -> None:
    """That protocol has no word for it: mosquitto acknowledges, and forgets. docs/security.md says so."""
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite +/home/status\ntopic read #\n")
    rules.chmod(0o600)
    with (
        running(Mosquitto(tmp_path, settings=[f"acl_file {rules}"])) as mosquitto,
        recording(mosquitto.port) as recorder,
        structlog.testing.capture_logs() as logs,
    ):
        with Service(broker=Broker("127.0.0.1", mosquitto.port, protocol="3.1.1")) as service:
            service.tell(health(), event())
            recorder.wait_for_message(STATUS, b"online")
        recorder.wait_for_message(STATUS, b"offline")  # the last word: all else was acknowledged
    assert set(recorder.topics()) == {STATUS}
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == []


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_we_may_not_listen_to_is_said_once(tmp_path: Path, protocol: Literal["5", "3.1.1"]) -> None:
    """Each subscription that the broker refuses makes one warning that names its topic; we go on speaking."""
    plugin = next(Path("/usr").glob("lib*/**/mosquitto_dynamic_security.so"), None)
    if plugin is None:
        missing("mosquitto's dynamic-security plugin", "mosquitto")
    rules = tmp_path / "rules.json"
    kinds = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    rules.write_text(json.dumps({"defaultACLAccess": kinds}))
    settings = [f"plugin {plugin}", f"plugin_opt_config_file {rules}"]
    with running(Mosquitto(tmp_path, settings=settings)) as mosquitto, structlog.testing.capture_logs() as logs:

        def refused() -> list[structlog.typing.EventDict]:
            return [line for line in logs if line["event"] == "mqtt_subscription_refused"]

        with Service(broker=Broker("127.0.0.1", mosquitto.port, protocol=protocol)) as service:
            wait_until(lambda: len(refused()) == 3, "each refusal is said")
            assert service.publisher.connected
    assert [line["topic"] for line in refused()] == list(Messages("cry", "home", ["nursery"]).subscriptions)
    assert all("docs/security.md" in line["fix"] for line in refused())
    assert not lost(logs)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.broker
def test_a_client_id_that_the_broker_refuses(tmp_path: Path, protocol: Literal["5", "3.1.1"]) -> None:
    """The line names the id and its key; 60 s until the next try."""
    with (
        running(Mosquitto(tmp_path, settings=["clientid_prefixes only_"])) as mosquitto,
        structlog.testing.capture_logs() as logs,
        Service(broker=Broker("127.0.0.1", mosquitto.port, protocol=protocol)),
    ):
        wait_until(lambda: lost(logs), "the refusal is noticed")
    (line,) = lost(logs)
    assert line["err"] == "the broker does not let cry_home in: Not authorized"
    assert "mqtt.client_id" in line["fix"]
    assert line["again_in_s"] == 60.0


@pytest.mark.broker
@pytest.mark.parametrize("user", [None, "stranger"])
def test_an_unknown_user_is_one_clear_line(tmp_path: Path, user: str | None) -> None:
    """Nobody, and a name that the broker does not know: the line says which of the two; 60 s."""
    password = None if user is None else SecretStr("right")
    with (
        running(Mosquitto(tmp_path, users={"cry": "right"})) as mosquitto,
        structlog.testing.capture_logs() as logs,
        Service(broker=Broker("127.0.0.1", mosquitto.port, username=user, password=password)),
    ):
        wait_until(lambda: lost(logs), "the refusal is noticed")
    (line,) = lost(logs)
    assert line["err"].startswith(f"the broker does not let {user or 'cry_home'} in")
    assert ("wants a log-in" in line["fix"]) is (user is None)
    assert "mqtt.password_file" in line["fix"]
    assert line["again_in_s"] == 60.0


def test_a_machine_without_a_socket_to_give_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network without even a loopback is one warning, tried again; the thread lives."""

    def refuse() -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("paho.mqtt.client._socketpair_compat", refuse)
    with structlog.testing.capture_logs() as logs:
        service = Service(broker=Broker("broker.lan"))
        service.publisher.turn()
        service.publisher.turn()
        service.publisher.close()
    (line,) = lost(logs)
    assert "unreachable" in line["err"]
    assert "loopback" in line["fix"]
