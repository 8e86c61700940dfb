"""What others may say to us: bytes from the broker in, a valid `Command` or a `Refusal` out. Nothing else gets past.

The values that a setting takes stand beside its topic, in `messages`.
"""

from dataclasses import dataclass

from monitor.publish.messages import SETTING_VALUES, Messages
from monitor.records import Command

PAYLOAD_CAP_BYTES = 256
"""No command is longer; more of a payload is not kept, only its size."""

_SHOWN_CHARACTERS = 40
_TOPIC_SHOWN_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message on a `/set` topic changes nothing: facts, and the sentence made of them."""

    topic: str
    value: str
    fault: str
    fix: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.value} {self.fault} ({self.fix})"


def parse_command(
    messages: Messages,
    topic: str,
    payload: bytes,
    *,
    retained: bool = False,
    size: int | None = None,
) -> Command | Refusal:
    """Return the command that `payload` on `topic` means, or why it means none. Never raises. Any thread.

    Args:
        messages: Knows our topics and rooms.
        topic: Where it came in.
        payload: What came, or its first `PAYLOAD_CAP_BYTES`.
        retained: Whether the broker had kept it: a switch pressed last week must not act today.
        size: The payload's whole size in bytes, where `payload` was cut.
    """
    size = len(payload) if size is None else size
    shown_topic = topic if len(topic) <= _TOPIC_SHOWN_CHARACTERS else topic[:_TOPIC_SHOWN_CHARACTERS] + "..."
    shown_topic = shown_topic if shown_topic.isprintable() else repr(shown_topic)[1:-1]
    shown = repr(payload[:_SHOWN_CHARACTERS])[1:]
    if size > _SHOWN_CHARACTERS:
        shown += f"... ({size} bytes)"

    def refuse(fault: str, fix: str) -> Refusal:
        return Refusal(shown_topic, shown, fault, fix)

    if retained:
        return refuse("is retained, and an old command must not act again", "publish it without the retain flag")
    for setting, values in SETTING_VALUES.items():
        room = messages.room_of(topic, f"{setting}/set")
        if room is None:
            continue
        if room not in messages.rooms:
            return refuse("is for a room that is not configured", f"rooms: {', '.join(messages.rooms)}")
        value = payload.decode("ascii", "replace") if size == len(payload) else None
        if value is None or value not in values:
            return refuse(f"is no value of {setting}", f"send {', '.join(values[:-1])} or {values[-1]}")
        return Command(room, setting, value)
    return refuse("is for no setting that a room has", f"settings: {', '.join(SETTING_VALUES)}")
