"""What others say to us, and what becomes of it: commands go to their owners, what is told of a child is kept here."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from monitor.publish.commands import Commands, Refusal
from monitor.publish.discovery import Discovery
from monitor.publish.history import UNREADABLE, History
from monitor.publish.messages import FEEDBACK, ONLINE, Message, Messages
from monitor.publish.picture import Picture
from monitor.publish.reports import Incoming
from monitor.publish.room import Now
from monitor.records import NONE, Command, time_of

log = structlog.get_logger()

_TRY_LATER = "try again later"


class Door:
    """Used by the publish thread alone; blocks at most 0.2 s for the history.

    Args:
        messages: Knows our topics and rooms.
        commands: Knows what may be said to them.
        picture: Says what was told.
        history: Keeps what was told.
        deliver: Gives a command to its owner, without blocking; False: its inbox is full.
        discovery: What Home Assistant is told; None: nothing.
    """

    def __init__(
        self,
        *,
        messages: Messages,
        commands: Commands,
        picture: Picture,
        history: History,
        deliver: Callable[[Command], bool],
        discovery: Discovery | None,
    ) -> None:
        self._messages = messages
        self._commands = commands
        self._picture = picture
        self._history = history
        self._deliver = deliver
        self._discovery = discovery

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The filters of all that we listen to."""
        birth = None if self._discovery is None else self._discovery.birth_topic
        return (*self._messages.subscriptions, *(() if birth is None else (birth,)))

    def is_birth(self, incoming: Incoming) -> bool:
        """Return whether Home Assistant says that it has just started; a retained word is one from before."""
        ours = self._discovery is not None and incoming.topic == self._discovery.birth_topic
        return ours and incoming.payload == ONLINE.encode() and not incoming.retained

    def take(self, incoming: Incoming, now: Now) -> list[Message]:
        """Return what must be said because of a message."""
        if incoming.dropped_before:
            log.warning("commands_dropped", messages=incoming.dropped_before, err="they came faster than we read them")
        if self._discovery is not None and incoming.topic == self._discovery.birth_topic:
            return []
        room = self._messages.room_of(incoming.topic, "availability")
        if room is not None:
            gone = incoming.retained and incoming.size and room not in self._messages.rooms
            return self._forget(room) if gone else []
        command = self._commands.parse(
            incoming.topic, incoming.payload, now_at=now.at, retained=incoming.retained, size=incoming.size
        )
        match command:
            case Refusal():
                log.warning("command_refused", topic=command.topic, err=str(command))
                return []
            case Command(setting="fed" | "slept" | "changed"):
                return self._on_care(command, now)
            case Command(setting="feedback"):
                return self._on_feedback(incoming.topic, command, now)
            case Command():
                self._hand_over(incoming.topic, command)
                return []

    def remember(self) -> list[Message]:
        """Take up what was told before this start, and return what says it; it is said at each connect, too."""
        said: list[Message] = []
        for room in self._messages.rooms:  # else an answer to a cry of before would stand at the broker
            said += self._picture.note(room, FEEDBACK, NONE)
        feedback, care = self._history.notes()
        for room, value in feedback.items():
            said += self._picture.note(room, FEEDBACK, value)
        for (room, kind), at in care.items():
            said += self._picture.note(room, f"care/{kind}", time_of(at))
        return said

    def _forget(self, room: str) -> list[Message]:
        log.info("room_cleared", room=room)
        # Home Assistant first: what finds the room the next time, should this be the last word, is its availability.
        device = [] if self._discovery is None else [self._discovery.forget(room)]
        return [*device, *self._messages.forget(room)]

    def _hand_over(self, topic: str, command: Command) -> bool:
        taken = self._deliver(command)
        if not taken:
            log.warning("command_refused", topic=topic, err="too many commands wait", fix=_TRY_LATER)
        return taken

    def _on_care(self, command: Command, now: Now) -> list[Message]:
        at = now.at if command.at is None else command.at
        self._history.keep_care(command.room, command.setting, at, now.monotonic_s)
        name = f"care/{command.setting}"
        before, told = self._picture.noted(command.room, name), time_of(at)
        # What is told afterwards of an earlier time is kept, and is not the last time.
        return self._picture.note(command.room, name, told if before is None else max(before, told))

    def _on_feedback(self, topic: str, command: Command, now: Now) -> list[Message]:
        latest = self._picture.latest_episode(command.room) or self._history.find_episode(command.room, None)
        episode_id = latest
        if command.episode_id not in (None, latest):
            episode_id = self._history.find_episode(command.room, command.episode_id)
        if episode_id is None or episode_id == UNREADABLE:
            fault = "no episode with that id" if command.episode_id else "there was no cry yet"
            fix = "see the event's episode_id"
            if episode_id == UNREADABLE:
                fault, fix = "the history cannot be read, so nobody knows the cry", "cry-monitor doctor"
            log.warning("command_refused", topic=topic, err=f"{topic}: {fault}", fix=fix)
            return []
        if not self._hand_over(topic, replace(command, episode_id=episode_id)):
            return []
        self._history.keep_feedback(command.room, episode_id, command.value, now.at, now.monotonic_s)
        # What is said is the answer to the latest cry; one to another is kept.
        return self._picture.note(command.room, FEEDBACK, command.value) if episode_id == latest else []
