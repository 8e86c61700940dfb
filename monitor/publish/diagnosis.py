"""Why the broker was lost or never found, in a person's words, what to do, and whether only a person can do it.

Pure. The log of the service, `doctor` and `test-alert` all say what stands here; docs/security.md has it as a table.
"""

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from monitor.publish.broker import Broker

_BUSY: Final = frozenset({0x88, 0x89, 0x97, 0x9F})
"""CONNACK: unavailable, busy, quota, rate. All other codes are about us."""

_PROTOCOL: Final = 0x84
_CLIENT_ID: Final = 0x85
_LOG_IN: Final = frozenset({0x86, 0x87, 0x8A, 0x8C})

# OpenSSL's X509_V_ERR_...
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_NOBODY_VOUCHES: Final = frozenset({2, 18, 19, 20, 21, 24, 27})
_OTHER_NAME: Final = frozenset({62, 64})

# What a broker's alert is called by Python's ssl.
_NO_CERTIFICATE: Final = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
_NO_COMMON_GROUND: Final = "SSLV3_ALERT_HANDSHAKE_FAILURE"
_OURS_EXPIRED: Final = "SSLV3_ALERT_CERTIFICATE_EXPIRED"
_OURS_REFUSED: Final = frozenset(
    {
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    }
)
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
_OLD_TLS: Final = frozenset({"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE"})

REACH_FIX: Final = "see that the broker runs, and mqtt.host, mqtt.port and mqtt.tls"
ACCESS_FIX: Final = "allow it to this user in the broker's access list, see docs/security.md"
PORT_FIX: Final = "see mqtt.port, usually 8883 with TLS and 1883 without, and mqtt.tls"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One fault.

    Attributes:
        fault: What is wrong, for a reader.
        fix: What the reader can do; empty: nothing, it is tried again.
        lasting: Only a person can mend it, so trying soon is useless. What a clock that is set mends is not lasting: a
            machine without a battery for its clock has the wrong date until the network gave it the right one.
    """

    fault: str
    fix: str = ""
    lasting: bool = False


def of_refusal(code: int, name: str, broker: Broker) -> Diagnosis:
    """Return why the broker would not have us: its reason code of MQTT 5 (3.1.1's as paho maps them) and its name."""
    if code in _BUSY:
        return Diagnosis(f"the broker cannot take us now: {name}")
    if code == _PROTOCOL:
        other = "3.1.1" if broker.protocol == "5" else "5"
        return lasting(f"the broker does not speak MQTT {broker.protocol}", f'set mqtt.protocol = "{other}"')
    if code == _CLIENT_ID:
        return lasting(f"the broker refuses the client id {broker.client_id}", "set another mqtt.client_id")
    if code not in _LOG_IN:
        return lasting(f"the broker refuses us: {name}", "see the broker's log")
    fault = f"the broker does not let {broker.username or broker.client_id} in: {name}"
    if broker.username is None:
        return lasting(fault, "it wants a log-in (mqtt.username, mqtt.password_file), or another mqtt.client_id")
    return lasting(fault, "see mqtt.username, mqtt.password_file and the broker's list of users; and mqtt.client_id")


def of_error(error: BaseException, broker: Broker, *, connected: bool, now_at: float) -> Diagnosis:
    """Return what an error of the connection means.

    Args:
        error: As the socket, the name look-up or TLS raised it.
        broker: Where to.
        connected: The broker had let us in before.
        now_at: UTC seconds, as this machine's clock has it.
    """
    text = str(error) or type(error).__name__
    match error:
        case _ if connected:
            return Diagnosis(text)
        case ssl.SSLCertVerificationError():
            found = _of_certificate(error, broker, now_at)
        case ssl.SSLError() if reason := getattr(error, "reason", None):  # absent where Python itself raised it
            found = _of_tls(reason, broker, now_at)
        case ConnectionRefusedError():
            found = Diagnosis(f"nobody listens there: {text}", REACH_FIX)
        case ConnectionError() | ssl.SSLError():
            spoken = "TLS" if broker.tls else "no TLS"
            found = Diagnosis(f"the broker hangs up on us, who speak {spoken}, without an answer: {text}", PORT_FIX)
        case socket.gaierror():
            found = Diagnosis(
                f"no name server knows {broker.host}: {text}", "see mqtt.host, and this machine's network"
            )
        case _:
            found = Diagnosis(text, REACH_FIX)
    return found


def lasting(fault: str, fix: str) -> Diagnosis:
    """Return a fault that only a person can mend."""
    return Diagnosis(fault, fix, lasting=True)


def _of_certificate(error: ssl.SSLCertVerificationError, broker: Broker, now_at: float) -> Diagnosis:
    code, text = error.verify_code, error.verify_message
    if code in (_EXPIRED, _NOT_YET_VALID):
        fault = "has expired" if code == _EXPIRED else "is not valid yet"
        return Diagnosis(
            f"the broker's certificate {fault}, by this machine's clock ({_clock(now_at)})",
            "renew the broker's certificate or its authority's; or set this machine's clock, if that time is wrong",
        )
    if code in _NOBODY_VOUCHES:
        known = "this system's list" if broker.ca_file is None else broker.ca_file
        return lasting(
            f"nobody in {known} vouches for the broker's certificate: {text}",
            "set mqtt.ca_file to the certificate of the authority that signed the broker's",
        )
    if code in _OTHER_NAME:
        return lasting(
            f"the broker's certificate is not for {broker.host}",
            "set mqtt.host to a name that stands in the certificate, or make one for this name",
        )
    return lasting(f"the broker's certificate is not valid: {text}", "see the certificate, and mqtt.ca_file")


def _of_tls(reason: str, broker: Broker, now_at: float) -> Diagnosis:
    words = reason.replace("_", " ").lower()
    if reason == _OURS_EXPIRED:
        return Diagnosis(
            f"our certificate has expired, by the broker's clock; ours says {_clock(now_at)}",
            "renew mqtt.cert_file; or set the clock of this machine or the broker's, whichever is wrong",
        )
    if reason in (_NO_CERTIFICATE, _NO_COMMON_GROUND) and broker.cert_file is None:
        sure = "" if reason == _NO_CERTIFICATE else "perhaps "
        fix = "set mqtt.cert_file and mqtt.key_file to a certificate of this client"
        fix += "" if reason == _NO_CERTIFICATE else "; or see the broker's log: its own certificate, its ciphers"
        return lasting(f"{sure}the broker wants a certificate from us: {words}", fix)
    if reason in _OURS_REFUSED | {_NO_CERTIFICATE, _NO_COMMON_GROUND}:
        fix = "see mqtt.cert_file: an authority that the broker trusts (mosquitto: cafile) must have signed it"
        return lasting(f"the broker does not take our certificate: {words}", fix)
    if reason in _NO_TLS:
        return lasting(f"what answers there speaks no TLS: {words}", PORT_FIX)
    if reason in _OLD_TLS:
        return lasting(
            f"the broker's TLS is too old for this machine: {words}", "let the broker speak TLS 1.2 or newer"
        )
    # An end in the middle, and whatever else OpenSSL may say: perhaps a broker that is being started.
    return Diagnosis(f"TLS with the broker fails: {words}", PORT_FIX)


def _clock(now_at: float) -> str:
    return datetime.fromtimestamp(now_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
