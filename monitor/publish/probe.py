"""Is the broker there, does it let us in, and does it keep what it should? Asked once, by a person."""

import time

from monitor.errors import DeliveryError
from monitor.publish.broker import Broker
from monitor.publish.diagnosis import ACCESS_FIX
from monitor.publish.messages import Messages
from monitor.publish.reports import Incoming
from monitor.publish.visitor import Visitor


class Probe(Visitor):
    """Logs in, lets a retained message come back, clears it, parts. One thread uses it, in this order; each blocks.

    Args:
        broker: Where to, and as whom; the client id gets `_doctor` at its end.
        messages: Knows the topics.
    """

    def __init__(self, broker: Broker, messages: Messages) -> None:
        super().__init__(broker, messages, "doctor")

    def retained_comes_back(self) -> float:
        """Publish a retained message, ask for it as a newcomer does, clear it; return how many seconds that took.

        Raises:
            DeliveryError: It is refused, or does not come back.
        """
        link = self.link
        began_s = time.monotonic()
        said = self.messages.probe(self.token, self.token.encode())
        self.left_behind = True
        self.publish(said)
        link.subscribe((said.topic,))
        fix = f"{ACCESS_FIX}; and see that the broker keeps retained messages"
        incoming = self.wait_for(Incoming, f"{said.topic} does not come back", fix)
        if not incoming.retained or incoming.payload != said.payload:
            raise DeliveryError(self.address, f"{said.topic} comes back, but not as it was retained", fix)
        self.publish(self.messages.probe(self.token, b""))
        self.left_behind = False
        return time.monotonic() - began_s
