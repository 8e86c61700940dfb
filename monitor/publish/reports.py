"""What the MQTT client's thread tells the publish thread: small, frozen, in the order in which it happened.

Each carries the number of its connection, so that the last words of an old one are never taken for the new one's.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The broker has let us in."""

    link: int


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The connection is over, or never came to be.

    Attributes:
        reason: Why, for a reader.
        lasting: Only a person can mend it: a wrong password, an unknown CA, another client with our id. Trying soon
            is useless.
        connected_for_s: How long it stood; None where it never did.
        fix: What the reader can do; empty where nobody knows.
    """

    link: int
    reason: str
    lasting: bool
    connected_for_s: float | None
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Acked:
    """The broker has the message with this id (QoS 0: it has left us); `refusal` says why it would not take it."""

    link: int
    mid: int
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The broker will not tell us what others say on these topics: perhaps settings cannot be changed over MQTT."""

    link: int
    topic_filter: str
    reason: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message for us.

    Attributes:
        payload: Its first bytes: a stranger's 300 kB do not wait in our queue.
        size: How many bytes there were.
        dropped_before: How many messages were dropped before this one, because too many waited.
    """

    link: int
    topic: str
    payload: bytes = field(repr=False)
    size: int
    retained: bool
    dropped_before: int = 0


LinkReport = LinkUp | LinkDown | Acked | SubscriptionRefused | Incoming
