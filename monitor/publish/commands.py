"""What others may say to us: bytes from the broker in, a valid `Command` or a `Refusal` out. Nothing else gets past."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Final

from monitor.publish.messages import FEEDBACK, Messages
from monitor.records import NOT_A_CRY, ActionName, Command, SettingName

PAYLOAD_CAP_BYTES = 256
"""No command is longer; more of a payload is not kept, only its size."""

PRESS: Final = "PRESS"
"""What a button of Home Assistant sends."""

ALERT_AFTER_AT_MOST_S: Final = 600
SNOOZE_AT_MOST_MIN: Final = 720
NAME_AT_MOST: Final = 64
"""Characters of a person's name, and of an episode's id."""

CARE_OLDEST_S: Final = 86_400.0
"""Who notes a feed the day after remembers it no better than this."""

CARE_AHEAD_S: Final = 60.0
"""A phone's clock may be a little before ours."""

_SHOWN_CHARACTERS = 40
_TOPIC_SHOWN_CHARACTERS = 160

_WHOLE = re.compile("0|[1-9][0-9]{0,3}", re.ASCII)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message on a `/set` topic changes nothing: facts, and the sentence made of them."""

    topic: str
    value: str
    fault: str
    fix: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.value} {self.fault} ({self.fix})"


@dataclass(frozen=True, slots=True)
class _Said:
    """The text of a payload, where it came from, and when."""

    room: str
    text: str
    now_at: float


_Parse = Callable[[_Said], Command | None]


@dataclass(frozen=True, slots=True)
class _Topic:
    """A `/set` topic of a room: what its text means (None: nothing), and what one may send."""

    parse: _Parse
    fix: str


def _one_of(setting: SettingName, values: Sequence[str], said: _Said) -> Command | None:
    return Command(said.room, setting, said.text) if said.text in values else None


def _whole(setting: SettingName, most: int, said: _Said) -> Command | None:
    fits = _WHOLE.fullmatch(said.text) and int(said.text) <= most
    return Command(said.room, setting, said.text) if fits else None


def _press(action: ActionName, said: _Said) -> Command | None:
    return Command(said.room, action, "") if said.text in ("", PRESS) else None


def _acknowledge(said: _Said) -> Command | None:
    if _is_name(said.text) and said.text != PRESS:
        return Command(said.room, "acknowledge", said.text)
    return _press("acknowledge", said)


def _care(kind: ActionName, said: _Said) -> Command | None:
    if said.text in ("", PRESS):
        return Command(said.room, kind, "", at=said.now_at)
    if not _RFC3339.fullmatch(said.text):
        return None
    try:
        at = datetime.fromisoformat(said.text.upper()).timestamp()
    except (ValueError, OverflowError):  # the 31st of February; year 1, east of Greenwich
        return None
    fits = said.now_at - CARE_OLDEST_S <= at <= said.now_at + CARE_AHEAD_S
    return Command(said.room, kind, "", at=at) if fits else None


def _feedback(values: Sequence[str], said: _Said) -> Command | None:
    value, episode_id = said.text, None
    if value.startswith("{"):
        try:
            given = json.loads(value)
        except (ValueError, RecursionError):
            return None
        if set(given) != {"value", "episode_id"}:
            return None
        value, episode_id = given["value"], given["episode_id"]
        if not (isinstance(episode_id, str) and _is_name(episode_id)):
            return None
    return Command(said.room, "feedback", value, episode_id=episode_id) if value in values else None


def _is_name(text: str) -> bool:
    return text.isprintable() and len(text) <= NAME_AT_MOST and bool(text.strip())


_PRESS_FIX = f"send nothing, or {PRESS}"
_CARE_FIX = f"{_PRESS_FIX}, or an RFC 3339 time of the last 24 h such as 2026-11-24T22:00:00Z"
_SENSITIVITIES = ("low", "normal", "high")


class Commands:
    """Knows every `/set` topic of a room. Immutable; any thread.

    Args:
        messages: Knows our topics and rooms.
        categories: The causes that the reason model can name; none: `feedback` takes `not_a_cry` alone.
    """

    def __init__(self, messages: Messages, categories: Sequence[str] = ()) -> None:
        self.answers: Final = (NOT_A_CRY, *categories)
        self._messages = messages
        answers = ", ".join(self.answers)
        self.topics: Final[Mapping[str, _Topic]] = MappingProxyType(
            {
                "enabled": _Topic(partial(_one_of, "enabled", ("ON", "OFF")), "send ON or OFF"),
                "sensitivity": _Topic(partial(_one_of, "sensitivity", _SENSITIVITIES), "send low, normal or high"),
                "alert_after": _Topic(
                    partial(_whole, "alert_after", ALERT_AFTER_AT_MOST_S),
                    f"send whole seconds, 0 to {ALERT_AFTER_AT_MOST_S}",
                ),
                "snooze": _Topic(
                    partial(_whole, "snooze", SNOOZE_AT_MOST_MIN),
                    f"send whole minutes, 0 (ends it) to {SNOOZE_AT_MOST_MIN}",
                ),
                FEEDBACK: _Topic(
                    partial(_feedback, self.answers),
                    f'send one of {answers}, or {{"value": ..., "episode_id": ...}}',
                ),
                "acknowledge": _Topic(
                    _acknowledge, f"{_PRESS_FIX}, or a person's name of at most {NAME_AT_MOST} characters"
                ),
                "test_alert": _Topic(partial(_press, "test_alert"), _PRESS_FIX),
                "drill": _Topic(partial(_press, "drill"), _PRESS_FIX),
                "care/fed": _Topic(partial(_care, "fed"), _CARE_FIX),
                "care/slept": _Topic(partial(_care, "slept"), _CARE_FIX),
                "care/changed": _Topic(partial(_care, "changed"), _CARE_FIX),
            }
        )

    def parse(
        self, topic: str, payload: bytes, *, now_at: float, retained: bool = False, size: int | None = None
    ) -> Command | Refusal:
        """Return the command that `payload` on `topic` means, or why it means none. Never raises. Any thread.

        Args:
            topic: Where it came in.
            payload: What came, or its first `PAYLOAD_CAP_BYTES`.
            now_at: UTC seconds; what a button of care means.
            retained: Whether the broker had kept it: a switch pressed last week must not act today.
            size: The payload's whole size in bytes, where `payload` was cut.
        """
        size = len(payload) if size is None else size
        refuse = partial(Refusal, _shown_topic(topic), _shown(payload, size))
        if retained:
            return refuse("is retained, and an old command must not act again", "publish it without the retain flag")
        for name, known in self.topics.items():
            room = self._messages.room_of(topic, f"{name}/set")
            if room is None:
                continue
            if room not in self._messages.rooms:
                return refuse("is for a room that is not configured", f"rooms: {', '.join(self._messages.rooms)}")
            try:
                text = payload.decode() if size == len(payload) else None
            except UnicodeDecodeError:
                text = None
            command = None if text is None else known.parse(_Said(room, text, now_at))
            return command or refuse(f"is no value of {name}", known.fix)
        return refuse("is for no setting that a room has", f"settings: {', '.join(self.topics)}")


def _shown(payload: bytes, size: int) -> str:
    shown = repr(payload[:_SHOWN_CHARACTERS])[1:]
    return f"{shown}... ({size} bytes)" if size > _SHOWN_CHARACTERS else shown


def _shown_topic(topic: str) -> str:
    shown = topic if len(topic) <= _TOPIC_SHOWN_CHARACTERS else topic[:_TOPIC_SHOWN_CHARACTERS] + "..."
    return shown if shown.isprintable() else repr(shown)[1:-1]
