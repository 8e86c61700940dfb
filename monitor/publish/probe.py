"""Is the broker there, does it let us in, and does it keep what it should? Asked once, by a person, beside the service.

A connection of its own: another client id (two with the same one throw each other out), and a will that clears the
throwaway topic, so that nothing stays behind even when this process is killed.
"""

import dataclasses
import queue
import time
import uuid
from types import TracebackType
from typing import Final, Self, TypeVar

from monitor.errors import DeliveryError
from monitor.publish.broker import Broker
from monitor.publish.messages import Message, Messages
from monitor.publish.mqtt import Link
from monitor.publish.reports import Acked, Incoming, LinkDown, LinkReport, LinkUp, SubscriptionRefused

ANSWER_S: Final = 10.0
"""How long a person waits for each answer. paho gives up an address after 5 s, so that its own reason comes first."""

LOGIN_FIX: Final = "see mqtt.username, mqtt.password_file and mqtt.client_id, and the broker's list of users"
REACH_FIX: Final = "see that the broker runs, and mqtt.host, mqtt.port and mqtt.tls"
TOPIC_FIX: Final = "allow this user to read and write below the prefix in the broker's access list"

R = TypeVar("R", bound=LinkReport)


class Probe:
    """Logs in, lets a retained message come back, clears it, parts. One thread uses it, in this order; each blocks.

    Args:
        broker: Where to, and as whom; the client id gets `_doctor` at its end.
        messages: Knows the topics.
    """

    def __init__(self, broker: Broker, messages: Messages) -> None:
        self._broker = dataclasses.replace(broker, client_id=f"{broker.client_id}_doctor")
        self._address = f"{broker.host}:{broker.port}"
        self._token = uuid.uuid4().hex
        self._messages = messages
        self._reports: queue.SimpleQueue[LinkReport] = queue.SimpleQueue()
        self._link: Link | None = None
        self._left_behind = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Part in order; without a word where the topic may not be clear, so that the will clears it."""
        if self._link is not None:
            (self._link.drop if self._left_behind else self._link.disconnect)()
            self._link.wait_ended(ANSWER_S)

    def log_in(self) -> float:
        """Connect and log in; return how many seconds it took.

        Raises:
            DeliveryError: Nobody answers, or we are refused.
        """
        began_s = time.monotonic()
        self._link = Link(1, self._broker, self._said(b""), self._reports.put)
        self._wait_for(LinkUp, "the broker does not answer", REACH_FIX)
        return time.monotonic() - began_s

    def retained_comes_back(self) -> float:
        """Publish a retained message, ask for it as a newcomer does, clear it; return how many seconds that took.

        Raises:
            DeliveryError: It is refused, or does not come back.
        """
        link = self._link
        if link is None or link.ended:
            raise DeliveryError("", "not tried: we are not logged in", REACH_FIX)
        began_s = time.monotonic()
        said = self._said(self._token.encode())
        self._left_behind = True
        self._publish(link, said)
        link.subscribe((said.topic,))
        fix = f"{TOPIC_FIX}; and see that the broker keeps retained messages"
        incoming = self._wait_for(Incoming, f"{said.topic} does not come back", fix)
        if not incoming.retained or incoming.payload != said.payload:
            raise DeliveryError(self._address, f"{said.topic} comes back, but not as it was retained", fix)
        self._publish(link, self._said(b""))
        self._left_behind = False
        return time.monotonic() - began_s

    def _said(self, payload: bytes) -> Message:
        return self._messages.probe(self._token, payload)

    def _publish(self, link: Link, message: Message) -> None:
        if link.publish(message) is None:
            raise DeliveryError(self._address, "the connection broke off", REACH_FIX)
        acked = self._wait_for(Acked, f"the broker does not acknowledge {message.topic}", TOPIC_FIX)
        if acked.refusal is not None:
            raise DeliveryError(self._address, f"the broker refuses {message.topic}: {acked.refusal}", TOPIC_FIX)

    def _wait_for(self, kind: type[R], fault: str, fix: str) -> R:
        """Return the next report of this kind; an end of the connection and a refusal come instead of it."""
        deadline_s = time.monotonic() + ANSWER_S
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                report = self._reports.get(timeout=left_s)
            except queue.Empty:
                break
            if isinstance(report, kind):
                return report
            if isinstance(report, LinkDown):
                raise DeliveryError(self._address, report.reason, LOGIN_FIX if report.refused else REACH_FIX)
            if isinstance(report, SubscriptionRefused):
                raise DeliveryError(self._address, f"the broker lets us read nothing: {report.reason}", TOPIC_FIX)
        raise DeliveryError(self._address, f"{fault} within {ANSWER_S:.0f} s", fix)
