"""`test-alert`: does an alert come through, from the service over the broker to whoever listens?"""

from monitor.assembly import broker_of
from monitor.config import Loaded
from monitor.publish import Messages, Rehearsal


def test_alert(loaded: Loaded, room: str | None) -> int:
    """Ask the running service for a test alert, and wait up to 10 s for it; blocks.

    Args:
        loaded: Its broker, node and rooms apply.
        room: A room's id; None: the first one.

    Raises:
        DeliveryError: The broker is away or refuses us, the service does not run, or no alert comes.
    """
    config = loaded.config
    room = room or next(iter(config.rooms))
    messages = Messages(config.mqtt.topic_prefix, config.node.id, list(config.rooms))
    with Rehearsal(broker_of(config.mqtt), messages) as rehearsal:
        rehearsal.log_in()
        took_s = rehearsal.alert(room)
    print(f"{room}: the test alert came on {messages.event_topic(room)} after {took_s:.1f} s")  # noqa: T201 - the result
    return 0
