"""What the broker still holds of a room: seen and cleared beside the service, which must not run."""

from collections.abc import Sequence
from typing import Final

from monitor.errors import DeliveryError
from monitor.publish.broker import Broker
from monitor.publish.diagnosis import ACCESS_FIX, REACH_FIX
from monitor.publish.messages import ONLINE, Message, Messages
from monitor.publish.reports import Incoming
from monitor.publish.visitor import Visitor

_END: Final = b"end"


class Sweep(Visitor):
    """Looks, clears, parts. One thread uses it, in this order; each call blocks.

    Args:
        broker: Where to, and as whom; the client id gets `_forget` at its end.
        messages: Knows the topics.

    Attributes:
        status: The topic of the service's status.
        service_runs: Whether it says `online`, as `look` saw it; so it does after a power cut that ended service and
            broker together, too.
    """

    def __init__(self, broker: Broker, messages: Messages) -> None:
        super().__init__(broker, messages, "forget")
        self.status = messages.status(ONLINE).topic
        self.service_runs = False

    def look(self, room: str) -> list[str]:
        """Log in, and return the topics of the room, configured or not, that the broker holds.

        Raises:
            DeliveryError: Nobody answers, or we are refused.
        """
        self.log_in()
        end = Message(self.messages.probe(self.token, _END).topic, _END, retain=False, qos=1)
        wanted = (end.topic, self.status, *(message.topic for message in self.messages.forget(room)))
        held: dict[str, bytes] = {}

        def is_end(incoming: Incoming) -> bool:
            held[incoming.topic] = incoming.payload
            return incoming.topic == end.topic

        self.link.subscribe(wanted)
        # What is retained comes before what is said after we asked for it.
        if self.link.publish(end) is None:
            raise DeliveryError(self.address, "the connection broke off", REACH_FIX)
        self.wait_for(Incoming, f"{end.topic} does not come back", ACCESS_FIX, fits=is_end)
        self.service_runs = held.get(self.status) == ONLINE.encode()
        return [topic for topic in wanted if held.get(topic) and topic not in (end.topic, self.status)]

    def clear(self, said: Sequence[Message]) -> int:
        """Say one after the other, each once the broker has the one before; return how many.

        Raises:
            DeliveryError: One is refused, or the connection is gone; the rest is not said.
        """
        for message in said:
            self.publish(message)
        return len(said)
