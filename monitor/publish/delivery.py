"""Messages on their way to the broker: what waits, what is in flight, what came too late, and what was lost."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from monitor.handoff import Outbox
from monitor.publish.connection import EVERY, Connection
from monitor.publish.diagnosis import ACCESS_FIX
from monitor.publish.history import History
from monitor.publish.late import Ages, delivery
from monitor.publish.messages import Message, Messages
from monitor.publish.reports import Acked
from monitor.records import Event

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Said:
    """An alert that a broker has: when it happened and when it was taken, monotonic."""

    event: Event
    happened_s: float
    delivered_s: float


class Delivery:
    """Hands messages to the connection while it is up. Used by the publish thread alone; never waits for the network.

    Args:
        messages: Makes an event again that is late.
        connection: Where to.
        history: Notes what was delivered, and what came too late for it.
        clock: Monotonic seconds.
        wall: UTC seconds.
    """

    def __init__(
        self,
        messages: Messages,
        connection: Connection,
        history: History,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.ages = Ages()
        self._messages = messages
        self._connection = connection
        self._history = history
        self._clock = clock
        self._wall = wall
        self._outbox: Outbox[Message] = Outbox()
        self._sent: dict[int, int] = {}  # by the client's message id: the outbox's
        self._alerts: dict[str, _Said] = {}  # by room: the newest that a broker has
        self._lost = 0
        self._refused: Counter[str] = Counter()  # by topic; all of them are ours

    def __len__(self) -> int:
        return len(self._outbox)

    def put(self, messages: Iterable[Message]) -> None:
        """Let messages wait for their turn; when 1 000 do, the least of them is lost, which is logged."""
        for message in messages:
            lost = self._outbox.put(message)
            if lost is not None:
                self._lost += 1
                self._forget(lost)
                if self._lost % EVERY == 1:
                    log.warning("message_lost", topic=lost.topic, times=self._lost, err="1 000 others wait")

    def send(self) -> list[str]:
        """Hand over what the broker can take now; return the topics."""
        topics: list[str] = []
        while self._connection.up and (taken := self._outbox.take()) is not None:
            number, message = taken
            due = self._by_the_late_rule(message)
            if due is None:
                self._outbox.ack(number)
                continue
            mid = self._connection.send(due)
            if mid is None:
                break  # the end of the connection is on its way to us, and puts the message back
            self._sent[mid] = number
            topics.append(message.topic)
        return topics

    def came_up(self, first: Iterable[Message], last: Iterable[Message]) -> None:
        """Begin a connection: `first`, then every event that waits, then `last`."""
        self._sent.clear()
        self._outbox.announce(first, last)

    def went_down(self) -> None:
        """Put back what was in flight."""
        self._sent.clear()
        self._outbox.requeue()

    def alerts_since(self, since_s: float) -> list[Message]:
        """Return of each room the newest alert that a broker took at `since_s` (monotonic) or later, to say it again.

        It keeps its id and its age: the late rule holds for it as for any.
        """
        recent = [said for said in self._alerts.values() if said.delivered_s >= since_s]
        for said in recent:
            self.ages.happened(said.event.event_id, said.happened_s)
        return [self._messages.event(said.event) for said in recent]

    def acked(self, ack: Acked) -> None:
        """Take note that the broker has a message, or will not take it; an unknown id is no error."""
        message = self._outbox.ack(self._sent.pop(ack.mid, 0))
        if message is None:
            return
        if ack.refusal is not None:
            self._refused[message.topic] += 1
            times = self._refused[message.topic]
            if times % EVERY == 1:
                log.warning("mqtt_refused", topic=message.topic, err=ack.refusal, times=times, fix=ACCESS_FIX)
        elif message.event is not None:
            self._delivered(message.event)
        self._forget(message)

    def _delivered(self, event: Event) -> None:
        now_s = self._clock()
        self._history.delivered(event.event_id, self._wall(), now_s)
        before = self._alerts.get(event.room)
        if event.event_type == "alert" and not event.test and (before is None or before.event != event):
            self._alerts[event.room] = _Said(event, now_s - self.ages.age_s(event.event_id, now_s), now_s)

    def _by_the_late_rule(self, message: Message) -> Message | None:
        """Return what to send: a late event says so, one that is too late is not sent at all."""
        if message.event is None:
            return message
        event = message.event
        now_s = self._clock()
        age_s = self.ages.age_s(event.event_id, now_s)
        match delivery(age_s):
            case "in_time":
                return message
            case "late":
                return self._messages.late(message)
            case "never":
                log.warning(
                    "event_kept_in_history_only",
                    room=event.room,
                    event_id=event.event_id,
                    event_type=event.event_type,
                    age_s=round(age_s),
                )
                self._history.expired(event.event_id, now_s)
                self._forget(message)
                return None

    def _forget(self, message: Message) -> None:
        if message.event is not None:
            self.ages.forget(message.event.event_id)
