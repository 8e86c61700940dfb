"""The publish thread: takes reports, writes history, speaks to the broker. An event is stored first and sent anyway."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from monitor.handoff import Outbox, Reports
from monitor.publish.broker import Broker
from monitor.publish.commands import Refusal, parse_command
from monitor.publish.connection import EVERY, Connection
from monitor.publish.glance import Glance
from monitor.publish.history import History
from monitor.publish.late import TOO_LATE_AFTER_S, Ages, delivery
from monitor.publish.messages import Message, Messages
from monitor.publish.picture import Now, Picture
from monitor.publish.reports import Acked, Incoming, LinkDown, LinkUp, SubscriptionRefused
from monitor.publish.settings import Key
from monitor.publish.store import Store
from monitor.records import Applied, CauseJudged, Command, Event, Level, ReasonHealth, RoomHealth

log = structlog.get_logger()

STOP_BUDGET_S: Final = 3.0
"""For the last words; a service manager waits for it."""

_LONGEST_WAIT_S: Final = 0.5


class Publisher:
    """Runs in a `monitor.threads.Loop`: `turn`, and after an orderly stop `finish`, and `close`.

    `turn` blocks at most 0.5 s for reports and 0.2 s for the history, never for the network.

    Attributes:
        glance: What is known of the rooms; replaced as a whole by this thread, read by any.
    """

    def __init__(  # noqa: PLR0913 - everything it needs is given, each by name
        self,
        *,
        messages: Messages,
        settings: Mapping[Key, str],
        broker: Broker,
        model_name: str,
        version: str,
        reports: Reports[object],
        deliver: Callable[[Command], bool],
        store: Store | None,
        history_failing: bool = False,
        reason_failing: bool = False,
        keep_days: float = 90.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Build it in the main thread; nothing is opened or begun before the first `turn`.

        Args:
            messages: Builds what is said for this node and its rooms.
            settings: The value that each setting of each room has now (`Store.settle`).
            broker: Where to.
            model_name: For the health topic.
            version: For the health topic.
            reports: Filled by capture, detect and the MQTT client's thread.
            deliver: Gives a valid command to its owner, without blocking; False: its inbox is full.
            store: The history; None for none. It is closed by `close`.
            history_failing: The history should be there and could not be opened: `problem` says `store`.
            reason_failing: There is no reason model: `problem` says `reason_model`.
            keep_days: How long the history is kept.
            clock: Monotonic seconds.
            wall: UTC seconds.
            uniform: Chooses a number between two.
        """
        self.glance = Glance.of(messages.rooms)
        self._messages = messages
        self._reports = reports
        self._deliver = deliver
        self._clock = clock
        self._wall = wall
        self._picture = Picture(messages, settings, model_name=model_name, version=version, now=self._now())
        self._reason_failing = reason_failing
        self._history = History(store, failing=history_failing, keep_days=keep_days)
        self._outbox: Outbox[Message] = Outbox()
        self._connection = Connection(broker, messages.status("offline"), reports.put, clock=clock, uniform=uniform)
        self._recovered = False
        self._subscribed = False
        self._ages = Ages()
        self._sent: dict[int, int] = {}  # by the client's message id: the outbox's
        self._lost = 0
        self._refused = 0

    @property
    def connected(self) -> bool:
        """Whether the broker takes messages now. Any thread."""
        return self._connection.up

    def turn(self) -> None:
        """Take what was reported, and send what can be sent."""
        if not self._recovered:
            self._recovered = True
            self._recover()
        dead = self._connection.dead
        for report in self._reports.take_all(self._connection.wait_s(_LONGEST_WAIT_S)):
            self._take(report)
            self._send()  # one by one: state gives way to newer state only where the broker cannot keep up
        if (end := self._connection.overdue(dead=dead)) is not None:
            self._on_down(end)
        now = self._now()
        self._history.tick(now.monotonic_s, now.at)
        due = self._picture.tick(
            now,
            store_failing=self._history.failing,
            reason_failing=self._reason_failing,
            outbox=len(self._outbox),
        )
        self._put(due)
        self._connection.try_again()
        self._send()

    def finish(self) -> None:
        """Say the last words within 3 s: what is left, every room deaf, `offline`. A broker that is away is left so."""
        deadline_s = self._clock() + STOP_BUDGET_S
        for report in self._reports.take_all(0.0):
            self._take(report)
            self._send()
        self._put(self._picture.stop(self._now()))
        while self._connection.up and self._outbox and self._clock() < deadline_s:
            self._send()
            for report in self._reports.take_all(min(0.2, max(0.0, deadline_s - self._clock()))):
                if isinstance(report, Acked | LinkDown):  # nothing new is begun any more
                    self._take(report)
        if self._outbox:
            log.warning("stopped_with_unsent", messages=len(self._outbox), events=len(self._ages))
        elif self._connection.up:
            self._connection.part(max(0.0, deadline_s - self._clock()))

    def close(self) -> None:
        """Leave the broker (without last words its will speaks) and the history. Blocks at most 0.2 s."""
        self._connection.hang_up()
        self._history.close(self._clock())

    def _now(self) -> Now:
        return Now(self._clock(), self._wall())

    def _recover(self) -> None:
        """Take up what an earlier run left: an episode without an end, events that no broker has."""
        now = self._now()
        for event in self._history.recover(max_age_s=TOO_LATE_AFTER_S, now_at=now.at):
            self._ages.happened(event.event_id, now.monotonic_s, age_s=now.at - event.at)
            self._put([self._messages.event(event)])
            if event.ended_by == "interrupted":
                log.info("episode_interrupted", room=event.room, episode_id=event.episode_id)

    def _take(self, report: object) -> None:
        match report:
            case Event() | CauseJudged() | RoomHealth() | Level() | Applied():
                self._on_record(report)
            case ReasonHealth():
                self._reason_failing = report.failures > 0
            case LinkUp() if self._connection.came_up(report):
                self._on_up()
            case LinkDown():
                self._on_down(report)
            case Acked() if self._connection.is_current(report.link):
                self._on_ack(report)
            case Incoming() if self._connection.is_current(report.link):
                self._on_incoming(report)
            case SubscriptionRefused() if self._connection.is_current(report.link):
                log.warning("mqtt_subscription_refused", err=report.reason, fix="settings cannot be changed over MQTT")

    def _on_record(self, record: Event | CauseJudged | RoomHealth | Level | Applied) -> None:
        now = self._now()
        match record:
            case Event():
                self.glance = self.glance.after(record)
                self._history.append(record, now.monotonic_s)
                self._ages.happened(record.event_id, now.monotonic_s)
            case CauseJudged():
                self._history.judged(record, now.monotonic_s)
            case Applied():
                self._history.keep_setting(record, now.monotonic_s)
            case Level():
                episode_id = self._picture.running_episode(record.room)
                if episode_id is not None:
                    self._history.touch(episode_id, record.at, now.monotonic_s)
                if not self._connection.up:
                    return  # telemetry of a minute ago is nothing
            case RoomHealth():
                self.glance = self.glance.after(record)
        self._put(self._picture.handle(record, now))

    def _on_up(self) -> None:
        self._sent.clear()
        self._subscribed = False
        first, last = self._picture.announce(self._now(), outbox=len(self._outbox))
        self._outbox.announce(first, last)

    def _on_down(self, report: LinkDown) -> None:
        if self._connection.went_down(report):
            self._sent.clear()
            self._outbox.requeue()

    def _on_ack(self, ack: Acked) -> None:
        message = self._outbox.ack(self._sent.pop(ack.mid, 0))
        if message is None:
            return
        if ack.refusal is not None:
            self._refused += 1
            if self._refused % EVERY == 1:
                fix = "allow this topic in the broker's access list"
                log.warning("mqtt_refused", topic=message.topic, err=ack.refusal, times=self._refused, fix=fix)
        elif message.event is not None:
            now = self._now()
            self._history.delivered(message.event.event_id, now.at, now.monotonic_s)
        self._forget(message)

    def _on_incoming(self, incoming: Incoming) -> None:
        self._connection.took_incoming()
        if incoming.dropped_before:
            log.warning("commands_dropped", messages=incoming.dropped_before, err="they came faster than we read them")
        room = self._messages.room_of(incoming.topic, "availability")
        if room is not None:
            if incoming.retained and incoming.size and room not in self._messages.rooms:
                log.info("room_cleared", room=room)
                self._put(self._messages.forget(room))
            return
        command = parse_command(
            self._messages, incoming.topic, incoming.payload, retained=incoming.retained, size=incoming.size
        )
        if isinstance(command, Refusal):
            log.warning("command_refused", topic=command.topic, err=str(command))
        elif not self._deliver(command):
            log.warning("command_refused", topic=incoming.topic, err="too many commands wait", fix="try again later")

    def _put(self, messages: list[Message]) -> None:
        for message in messages:
            lost = self._outbox.put(message)
            if lost is not None:
                self._lost += 1
                self._forget(lost)
                if self._lost % EVERY == 1:
                    log.warning("message_lost", topic=lost.topic, times=self._lost, err="1 000 others wait")

    def _send(self) -> None:
        while self._connection.up and (taken := self._outbox.take()) is not None:
            number, message = taken
            due = self._by_the_late_rule(message)
            if due is None:
                self._outbox.ack(number)
                continue
            mid = self._connection.send(due)
            if mid is None:
                return  # the end of the connection is on its way to us, and puts the message back
            self._sent[mid] = number
            if message.topic == self._messages.status("online").topic and not self._subscribed:
                self._subscribed = True
                self._connection.subscribe(self._messages.subscriptions)

    def _by_the_late_rule(self, message: Message) -> Message | None:
        """Return what to send: a late event says so, one that is too late is not sent at all."""
        if message.event is None:
            return message
        event = message.event
        now_s = self._clock()
        age_s = self._ages.age_s(event.event_id, now_s)
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
            self._ages.forget(message.event.event_id)
