"""docs/security.md says what the code does."""

import re
import socket
import ssl
from pathlib import Path

import pytest

from monitor.config import Config
from monitor.publish import Broker
from monitor.publish.backoff import LONGEST_S, next_delay_s
from monitor.publish.diagnosis import Diagnosis, of_error, of_refusal

REPOSITORY = Path(__file__).parents[2]
DOC = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the table below a heading, its own heads left out."""
    (table,) = re.findall(rf"^## {re.escape(heading)}.*?^\| --- .*?\n(.*?)(?:\n\n|\Z)", DOC, re.MULTILINE | re.DOTALL)
    return [[cell.strip() for cell in row.strip("|\n").split("|")] for row in table.splitlines()]


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "as OpenSSL has it"
    return error


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def found(*errors: BaseException, broker: Broker | None = None) -> list[Diagnosis]:
    return [of_error(error, broker or Broker(tls=True), connected=False, now_at=0.0) for error in errors]


FAULTS = {
    "nobody listens": found(ConnectionRefusedError(), socket.gaierror(), TimeoutError()),
    "the broker says that it is busy": [of_refusal(0x89, "Server busy", Broker())],
    "nobody whom we know vouches": found(certificate(18), certificate(19), certificate(20)),
    "it has expired": found(certificate(9), certificate(10)),
    "it is for another name": found(certificate(62), certificate(64)),
    "the broker wants a certificate": found(
        alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        alert("SSLV3_ALERT_HANDSHAKE_FAILURE"),
        alert("TLSV1_ALERT_UNKNOWN_CA"),
        alert("SSLV3_ALERT_BAD_CERTIFICATE"),
    ),
    "ours has expired": found(alert("SSLV3_ALERT_CERTIFICATE_EXPIRED")),
    "TLS on a port without it": [
        *found(ConnectionResetError(104, "reset"), ssl.SSLEOFError(8, "EOF occurred in violation of protocol")),
        *found(ConnectionResetError(104, "reset"), broker=Broker()),
    ],
    "what answers there speaks something else": found(alert("WRONG_VERSION_NUMBER"), alert("HTTP_REQUEST")),
    "a wrong password": [of_refusal(code, "Not authorized", Broker(username="cry")) for code in (0x86, 0x87)],
    "the client id is refused": [of_refusal(0x85, "Client identifier not valid", Broker())],
    "the broker does not speak this MQTT": [of_refusal(0x84, "Unsupported protocol version", Broker())],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_keys_and_its_back_off(fault: str) -> None:
    """What the table says of a fault is what the log says: a key that it names, and when it is tried again."""
    (row,) = [row for row in rows("What goes wrong") if row[0].startswith(fault)]
    _, keys, again = row
    for diagnosis in FAULTS[fault]:
        assert diagnosis.fault
        assert again == (f"{LONGEST_S:.0f} s" if diagnosis.lasting else "1 to 8 s"), diagnosis
        named = re.findall(r"`(mqtt\.\w+)`", keys)
        assert not named or any(key in diagnosis.fix for key in named) or "clock" in diagnosis.fix, diagnosis


def test_every_fault_of_the_table_is_tried() -> None:
    """No row stands there for itself; the last is a file's, of which test_connection.py tells."""
    told = [row[0] for row in rows("What goes wrong")]
    assert told[-1].startswith("a file of TLS")
    assert len(told) - 1 == len(FAULTS)


def test_the_numbers_are_those_of_the_code() -> None:
    """1 to 8 s is what the back-off chooses from, whatever the failures."""
    chosen: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        chosen.append((low, high))
        return high

    for failures in (1, 2, 3, 99):
        next_delay_s(lasting=False, short_in_a_row=0, failures=failures, uniform=uniform)
    assert {low for low, _ in chosen} == {1.0}
    assert max(high for _, high in chosen) == 8.0


def test_the_top_ten_are_ten_and_each_names_what_holds_it() -> None:
    """Each row of OWASP's list is there, and every file that it names exists."""
    table = rows("OWASP IoT Top Ten")
    assert [row[0].split()[0] for row in table] == [f"I{number}" for number in range(1, 11)]
    for row in table:
        files = re.findall(r"`([\w./-]+)`", row[-1])
        assert files, row
        assert [file for file in files if not (REPOSITORY / file).exists()] == []


def test_every_file_that_the_page_names_is_there() -> None:
    """Links lead somewhere, and so do the tests that are named in the text."""
    links = {link for link in re.findall(r"\]\(([^)#]+)\)", DOC) if "://" not in link}
    assert links
    assert [link for link in links if not (REPOSITORY / "docs" / link).exists()] == []
    assert [file for file in re.findall(r"`(tests/[^`:]+)`", DOC) if not (REPOSITORY / file).exists()] == []


def test_the_defaults_are_as_the_page_says() -> None:
    """By itself it knows no broker but this machine's, and no password; TLS is for the owner to switch on."""
    mqtt = Config().mqtt
    assert (mqtt.host, mqtt.username, mqtt.password, mqtt.tls) == ("localhost", None, None, False)
