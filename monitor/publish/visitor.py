"""A connection beside the service, for a person who waits: logs in, speaks, listens, parts.

Another client id (two with the same one throw each other out), and a will that clears the throwaway topic, so that
nothing stays behind even when this process is killed.
"""

import dataclasses
import queue
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar

from monitor.errors import DeliveryError
from monitor.publish.broker import Broker
from monitor.publish.diagnosis import ACCESS_FIX, REACH_FIX
from monitor.publish.messages import Message, Messages
from monitor.publish.mqtt import Link
from monitor.publish.reports import Acked, LinkDown, LinkReport, LinkUp, SubscriptionRefused

ANSWER_S: Final = 10.0
"""How long a person waits for each answer. paho gives up an address after 5 s, so that its own reason comes first."""

CAP_BYTES: Final = 65_536
"""An event is short; what is longer is none."""


R = TypeVar("R", bound=LinkReport)


class Visitor:
    """Logs in, and parts at the end. One thread uses it; each call blocks.

    Args:
        broker: Where to, and as whom; the client id gets `_<purpose>` at its end.
        messages: Knows the topics.
        purpose: What it is for.
    """

    def __init__(self, broker: Broker, messages: Messages, purpose: str) -> None:
        self.address = f"{broker.host}:{broker.port}"
        self.messages = messages
        self.token = uuid.uuid4().hex
        self.left_behind = False
        self._broker = dataclasses.replace(broker, client_id=f"{broker.client_id}_{purpose}")
        self._reports: queue.SimpleQueue[LinkReport] = queue.SimpleQueue()
        self._link: Link | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Part in order; without a word where the topic may not be clear, so that the will clears it."""
        if self._link is not None:
            (self._link.drop if self.left_behind else self._link.disconnect)()
            self._link.wait_ended(ANSWER_S)

    def log_in(self) -> float:
        """Connect and log in; return how many seconds it took.

        Raises:
            DeliveryError: Nobody answers, or we are refused.
        """
        began_s = time.monotonic()
        will = self.messages.probe(self.token, b"")
        self._link = Link(1, self._broker, will, self._reports.put, cap_bytes=CAP_BYTES)
        self.wait_for(LinkUp, "the broker does not answer", REACH_FIX)
        return time.monotonic() - began_s

    @property
    def link(self) -> Link:
        """The connection.

        Raises:
            DeliveryError: There is none.
        """
        if self._link is None or self._link.ended:
            raise DeliveryError("", "not tried: we are not logged in", REACH_FIX)
        return self._link

    def publish(self, message: Message) -> None:
        """Say one thing, and wait until the broker has it.

        Raises:
            DeliveryError: It is refused, or the connection is gone.
        """
        mid = self.link.publish(message)
        if mid is None:
            raise DeliveryError(self.address, "the connection broke off", REACH_FIX)
        fault = f"the broker does not acknowledge {message.topic}"
        acked = self.wait_for(Acked, fault, ACCESS_FIX, fits=lambda acked: acked.mid == mid)
        if acked.refusal is not None:
            raise DeliveryError(self.address, f"the broker refuses {message.topic}: {acked.refusal}", ACCESS_FIX)

    def wait_for(
        self,
        kind: type[R],
        fault: str,
        fix: str,
        *,
        fits: Callable[[R], bool] = lambda _: True,
        within_s: float = ANSWER_S,
    ) -> R:
        """Return the next report of this kind that fits; others are let go.

        Raises:
            DeliveryError: It does not come in time (`fault`, `fix`), the connection ends, or we may not listen.
        """
        deadline_s = time.monotonic() + within_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                report = self._reports.get(timeout=left_s)
            except queue.Empty:
                break
            if isinstance(report, kind) and fits(report):
                return report
            if isinstance(report, LinkDown):
                raise DeliveryError(self.address, report.reason, report.fix or REACH_FIX)
            if isinstance(report, SubscriptionRefused):
                fault = f"the broker does not let us read {report.topic_filter}: {report.reason}"
                raise DeliveryError(self.address, fault, ACCESS_FIX)
        raise DeliveryError(self.address, f"{fault} within {within_s:.0f} s", fix)
