"""Does an alert come through? Asked by a person, beside the service: the whole way there and back, over the broker."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from monitor.errors import DeliveryError
from monitor.publish.broker import Broker
from monitor.publish.commands import PRESS
from monitor.publish.messages import ONLINE, Message, Messages
from monitor.publish.reports import Incoming
from monitor.publish.visitor import ANSWER_S, Visitor

_START_FIX: Final = "start it: systemctl start cry-monitor, or cry-monitor run"
CLOCKS_APART_S: Final = 2.0
"""So much the service's clock may be behind ours: what it says of an earlier time is no answer to us."""

_LOG_FIX: Final = "see the service's log; it answers for rooms of its own configuration only"


class Rehearsal(Visitor):
    """Asks for a test alert, and waits for it. One thread uses it; each call blocks.

    Args:
        broker: Where to, and as whom; the client id gets `_test` at its end.
        messages: Knows the topics.
        wall: UTC seconds.
    """

    def __init__(self, broker: Broker, messages: Messages, *, wall: Callable[[], float] = time.time) -> None:
        super().__init__(broker, messages, "test")
        self._wall = wall

    def alert(self, room: str, *, within_s: float = ANSWER_S) -> float:
        """Let the service make a test alert for `room`; return after how many seconds it came.

        Raises:
            DeliveryError: The broker refuses something, the service does not run, or no alert comes.
        """
        event, status = self.messages.event_topic(room), self.messages.status(ONLINE).topic
        self.link.subscribe((status, event))
        self._service_runs(status, within_s)
        began_s, asked_at = time.monotonic(), self._wall()
        self.publish(Message(self.messages.set_topic(room, "test_alert"), PRESS.encode(), retain=False, qos=1))
        self.wait_for(
            Incoming,
            f"the service runs, and no test alert comes on {event}",
            _LOG_FIX,
            fits=lambda incoming: incoming.topic == event and _answers(incoming.payload, asked_at),
            within_s=within_s,
        )
        return time.monotonic() - began_s

    def _service_runs(self, status: str, within_s: float) -> None:
        """Look at the retained status; a broker that holds none has never heard of the service."""
        fault = f"the service does not run: nothing on {status}"
        told = self.wait_for(
            Incoming, fault, _START_FIX, fits=lambda incoming: incoming.topic == status, within_s=within_s
        )
        if told.payload != ONLINE.encode():
            raise DeliveryError(self.address, f"the service does not run: {status} says offline", _START_FIX)


def _answers(payload: bytes, asked_at: float) -> bool:
    """Whether it is a test alert that was made since, and not the late answer to somebody who asked before."""
    try:
        event = json.loads(payload)
        if event["event_type"] != "alert" or event["test"] is not True or event["late"] is not False:
            return False
        return datetime.fromisoformat(event["at"]).timestamp() >= asked_at - CLOCKS_APART_S
    except (KeyError, TypeError, ValueError):
        return False
