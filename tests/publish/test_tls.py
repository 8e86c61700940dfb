"""Every way in which TLS or the log-in can fail, with a real broker: one line in a person's words, with its fix."""

import re
import socket
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog
from certificates import Authority
from mqtt_broker import Mosquitto, find, running, wait_until
from publish.make import T0, Service, event, health

from monitor.errors import DeliveryError
from monitor.publish import Broker, Messages, Probe
from monitor.publish.backoff import LONGEST_S
from monitor.publish.diagnosis import of_error, of_refusal

Line = structlog.typing.EventDict

SOON_S = 0.1
"""What these tests take for 1 to 8 s."""

# The client's library leaves the socket of a failed handshake to the collector, which warns of it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


class House(NamedTuple):
    """Two authorities, of which the broker and we know the first."""

    ours: Authority
    other: Authority


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("certificates")
    return House(Authority(folder), Authority(folder, "other"))


def tls(house: House, name: str, *more: str, days: int = 2, names: str = "IP:127.0.0.1") -> list[str]:
    """Return a listener's settings, with a certificate of our authority."""
    crt, key = house.ours.sign(name, days=days, names=names)
    return [f"certfile {crt}", f"keyfile {key}", *more]


def known(house: House, name: str) -> list[str]:
    """Return the settings of a broker that wants a certificate of each client."""
    return tls(house, name, "require_certificate true", f"cafile {house.ours.crt}")


def only_loss(broker: Broker) -> Line:
    """Let a service fail to connect; return its one line, which `doctor` says as well."""
    with structlog.testing.capture_logs() as logs, Service(broker=broker, retry_s=SOON_S):
        wait_until(lambda: [line for line in logs if line["event"] == "mqtt_lost"], "the failure is noticed")
    (line,) = [line for line in logs if line["event"].startswith("mqtt_")]
    assert line["log_level"] == "warning"
    with Probe(broker, Messages("cry", "home", ["nursery"])) as probe, pytest.raises(DeliveryError) as raised:
        probe.log_in()
    assert raised.value.fault.split(": ")[0] == line["err"].split(": ")[0]
    assert raised.value.fix == line["fix"]
    return line


@pytest.mark.broker
def test_an_authority_of_the_home(tmp_path: Path, house: House) -> None:
    """With `ca_file` we trust a broker that no public authority vouches for, and speak to it encrypted."""
    with running(Mosquitto(tmp_path, settings=tls(house, "trusted"))) as mosquitto:
        encrypted = Broker("127.0.0.1", mosquitto.port, tls=True, ca_file=house.ours.crt)
        with Service(broker=encrypted) as service:
            wait_until(lambda: service.publisher.connected, "connected")
            service.tell(health(), event())


@pytest.mark.broker
def test_an_unknown_authority(tmp_path: Path, house: House) -> None:
    """A broker that nobody vouches for whom we know: `mqtt.ca_file`, 60 s; the system's list and a wrong file alike."""
    with running(Mosquitto(tmp_path, settings=tls(house, "broker"))) as mosquitto:
        for ca_file, where in ((None, "this system's list"), (house.other.crt, str(house.other.crt))):
            line = only_loss(Broker("127.0.0.1", mosquitto.port, tls=True, ca_file=ca_file))
            assert line["err"].startswith(f"nobody in {where} vouches for the broker's certificate")
            assert "mqtt.ca_file" in line["fix"]
            assert line["again_in_s"] == LONGEST_S


@pytest.mark.broker
def test_an_expired_certificate(tmp_path: Path, house: House) -> None:
    """An expired certificate may be a wrong clock: both are named with the time, and it is tried again soon."""
    with running(Mosquitto(tmp_path, settings=tls(house, "expired", days=-1))) as mosquitto:
        line = only_loss(Broker("127.0.0.1", mosquitto.port, tls=True, ca_file=house.ours.crt))
    assert re.search(r"certificate has expired, by this machine's clock \(\d{4}-\d\d-\d\d \d\d:\d\d UTC\)", line["err"])
    assert "clock" in line["fix"]
    assert "renew" in line["fix"]
    assert line["again_in_s"] == SOON_S


@pytest.mark.broker
def test_another_name(tmp_path: Path, house: House) -> None:
    """A certificate for another host, by name and by address: `mqtt.host`, 60 s."""
    settings = tls(house, "elsewhere", names="DNS:broker.lan,IP:192.0.2.1")
    with running(Mosquitto(tmp_path, settings=settings)) as mosquitto:
        for host in ("127.0.0.1", "localhost"):
            line = only_loss(Broker(host, mosquitto.port, tls=True, ca_file=house.ours.crt))
            assert line["err"] == f"the broker's certificate is not for {host}"
            assert "mqtt.host" in line["fix"]
            assert line["again_in_s"] == LONGEST_S


@pytest.mark.broker
def test_a_broker_that_wants_our_certificate(tmp_path: Path, house: House) -> None:
    """None, one of another authority and an expired one are told apart; the right one is let in."""
    broker = Broker("127.0.0.1", 0, tls=True, ca_file=house.ours.crt)
    with running(Mosquitto(tmp_path, settings=known(house, "knowing"))) as mosquitto:

        def with_ours(files: tuple[Path, Path] | None) -> Broker:
            crt, key = files or (None, None)
            return Broker(broker.host, mosquitto.port, tls=True, ca_file=broker.ca_file, cert_file=crt, key_file=key)

        for files, fault, again_in_s in (
            (None, "the broker wants a certificate from us", LONGEST_S),
            (house.other.sign("strange"), "the broker does not take our certificate", LONGEST_S),
            (house.ours.sign("old", days=-1), "our certificate has expired, by the broker's clock", SOON_S),
        ):
            line = only_loss(with_ours(files))
            assert line["err"].startswith(fault)
            assert "mqtt.cert_file" in line["fix"]
            assert line["again_in_s"] == again_in_s
        with Service(broker=with_ours(house.ours.sign("client"))) as service:
            wait_until(lambda: service.publisher.connected, "connected")


@pytest.mark.broker
def test_tls_and_none(tmp_path: Path, house: House, broker: Mosquitto) -> None:
    """TLS on a port without it, and a port of TLS spoken to without: `mqtt.port` and `mqtt.tls`, tried again soon."""
    with running(Mosquitto(tmp_path, settings=tls(house, "encrypted"))) as encrypted:
        for wrong in (Broker("127.0.0.1", encrypted.port), Broker("127.0.0.1", broker.port, tls=True)):
            line = only_loss(wrong)
            assert f"hangs up on us, who speak {'TLS' if wrong.tls else 'no TLS'}" in line["err"]
            assert "mqtt.port" in line["fix"]
            assert "mqtt.tls" in line["fix"]
            assert line["again_in_s"] == SOON_S


@pytest.mark.broker
def test_a_renewed_certificate_needs_no_restart(tmp_path: Path, house: House) -> None:
    """The broker's expired certificate is renewed: the service that failed connects by itself."""
    settings = tls(house, "renewed", days=-1)
    mosquitto = Mosquitto(tmp_path, settings=settings)
    encrypted = Broker("127.0.0.1", mosquitto.port, tls=True, ca_file=house.ours.crt)
    with (
        running(mosquitto),
        structlog.testing.capture_logs() as logs,
        Service(broker=encrypted, retry_s=SOON_S) as service,
    ):
        wait_until(lambda: [line for line in logs if line["event"] == "mqtt_lost"], "the failure is noticed")
        mosquitto.stop()
        tls(house, "renewed")
        mosquitto.start()
        wait_until(lambda: service.publisher.connected, "connected")


def test_a_server_that_speaks_something_else(house: House) -> None:
    """What answers in clear is named as no TLS, for good; the error is OpenSSL's own."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        broker = Broker(tls=True, ca_file=house.ours.crt)
        context = broker.tls_context()
        with pytest.raises(ssl.SSLError) as raised:
            context.wrap_socket(ours, server_hostname="localhost")
    found = of_error(raised.value, broker, connected=False, now_at=T0)
    assert found.fault.startswith("what answers there speaks no TLS")
    assert found.lasting


def test_a_certificate_of_tomorrow() -> None:
    """A clock that is behind makes a good certificate not valid yet: told with the time, tried again soon."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 9, "certificate is not yet valid"
    found = of_error(error, Broker(tls=True), connected=False, now_at=T0)
    assert found.fault == "the broker's certificate is not valid yet, by this machine's clock (2026-09-21 14:13 UTC)"
    assert not found.lasting


@pytest.mark.parametrize(
    ("code", "broker", "named", "lasting"),
    [
        (0x84, Broker(), 'mqtt.protocol = "3.1.1"', True),
        (0x84, Broker(protocol="3.1.1"), 'mqtt.protocol = "5"', True),
        (0x85, Broker(), "mqtt.client_id", True),
        (0x87, Broker(), "wants a log-in (mqtt.username", True),
        (0x87, Broker(username="cry"), "mqtt.password_file", True),
        (0x86, Broker(username="cry"), "mqtt.password_file", True),
        (0x9D, Broker(), "broker's log", True),
        (0x89, Broker(), "", False),
    ],
)
def test_each_refusal_has_its_key(code: int, broker: Broker, named: str, *, lasting: bool) -> None:
    """What the broker answers to our CONNECT leads to the key; a busy broker is only waited for."""
    found = of_refusal(code, "its name", broker)
    assert named in found.fix
    assert found.lasting is lasting


def test_what_breaks_a_standing_connection_blames_no_key() -> None:
    """After the broker has let us in, an error is about the network, not about the settings."""
    found = of_error(ConnectionResetError(104, "reset"), Broker(tls=True), connected=True, now_at=T0)
    assert (found.fix, found.lasting) == ("", False)


@pytest.mark.broker
def test_no_failed_handshake_leaves_a_file_open(tmp_path: Path, house: House) -> None:
    """A certificate that stays expired for a night does not use the process up."""
    with running(Mosquitto(tmp_path, settings=tls(house, "forever", days=-1))) as mosquitto:
        files = len(list(Path("/proc/self/fd").iterdir()))
        encrypted = Broker("127.0.0.1", mosquitto.port, tls=True, ca_file=house.ours.crt)
        with structlog.testing.capture_logs() as logs, Service(broker=encrypted, retry_s=0.0):
            wait_until(lambda: len([line for line in logs if line["event"] == "mqtt_lost"]) == 2, "101 failures", 60.0)
        wait_until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= files, "no try leaves a file open")


def test_a_locked_key_is_an_error_and_no_question(house: House, tmp_path: Path) -> None:
    """OpenSSL would ask for the key's password on the terminal; a service must not wait for an answer."""
    crt, key = house.ours.sign("lockable")
    locked = tmp_path / "locked.key"
    command: list[str | Path] = [find("openssl"), "ec", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(DeliveryError, match=r"locked\.key"):
        Broker(tls=True, cert_file=crt, key_file=locked).tls_context()
    plain = Broker(tls=True, cert_file=crt, key_file=key)
    assert plain.tls_context().verify_mode is ssl.CERT_REQUIRED
