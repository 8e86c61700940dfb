"""The publish thread: takes reports, writes history, speaks to the broker. An event is stored first and sent anyway."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from monitor.handoff import Reports
from monitor.publish.alert_log import AlertLog
from monitor.publish.bookkeeper import Bookkeeper
from monitor.publish.broker import Broker
from monitor.publish.commands import Commands
from monitor.publish.connection import Connection
from monitor.publish.delivery import Delivery
from monitor.publish.diagnosis import ACCESS_FIX
from monitor.publish.discovery import Discovery
from monitor.publish.door import Door
from monitor.publish.glance import Glance
from monitor.publish.history import History
from monitor.publish.late import LATE_AFTER_S, TOO_LATE_AFTER_S
from monitor.publish.messages import FEEDBACK, Messages
from monitor.publish.picture import Picture, Record
from monitor.publish.reports import Acked, Incoming, LinkDown, LinkUp, SubscriptionRefused
from monitor.publish.room import Now
from monitor.publish.settings import Key
from monitor.publish.store import Store
from monitor.publish.tonight import night_of, noon_of
from monitor.records import AlertHeld, Alerting, Applied, CauseJudged, Command, Event, Level, ReasonHealth, RoomHealth

log = structlog.get_logger()

STOP_BUDGET_S: Final = 3.0
"""For the last words; a service manager waits for it."""

BIRTH_AT_MOST_S: Final = 5.0
"""Home Assistant has begun: all of its devices answer, so each waits for a random part of this."""

_ROOM_FOR_MORE: Final = 100
"""With so few messages waiting, more of the events that an earlier run left are taken up."""

_LONGEST_WAIT_S: Final = 0.5
_READ_FIX: Final = f"{ACCESS_FIX}; till then what others say there is lost"


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
        reopen: Callable[[], Store] | None = None,
        reason_failing: bool = False,
        keep_days: float = 90.0,
        categories: Sequence[str] = (),
        discovery: Discovery | None = None,
        alert_log: AlertLog | None = None,
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
            reopen: Opens the history anew (`History`); None: one that fails for good stays so.
            reason_failing: There is no reason model: `problem` says `reason_model`.
            keep_days: How long the history is kept.
            categories: The causes that the reason model can name: what `feedback` takes beside `not_a_cry`.
            discovery: What Home Assistant is told at each connect; None: nothing.
            alert_log: A file with a line for each alert; None: there is none.
            clock: Monotonic seconds.
            wall: UTC seconds.
            uniform: Chooses a number between two.
        """
        self.glance = Glance.of(messages.rooms)
        self._messages = messages
        self._reports = reports
        self._clock = clock
        self._wall = wall
        self._picture = Picture(messages, settings, model_name=model_name, version=version, now=self._now())
        self._reason_failing = reason_failing
        self._history = History(store, failing=history_failing, keep_days=keep_days, reopen=reopen)
        self._bookkeeper = Bookkeeper(self._history, self._picture)
        self._alert_log = alert_log
        self._discovery = [] if discovery is None else discovery.messages()
        self._door = Door(
            messages=messages,
            commands=Commands(messages, categories),
            picture=self._picture,
            history=self._history,
            deliver=deliver,
            discovery=discovery,
        )
        self._uniform = uniform
        self._announce_at_s: float | None = None
        self._born_s = 0.0
        self._night: object = None
        self._connection = Connection(broker, messages.status("offline"), reports.put, clock=clock, uniform=uniform)
        self._begun = False
        self._remembers = False
        self._subscribed = False
        self._delivery = Delivery(messages, self._connection, self._history, clock=clock, wall=wall)

    @property
    def connected(self) -> bool:
        """Whether the broker takes messages now. Any thread."""
        return self._connection.up

    def turn(self) -> None:
        """Take what was reported, and send what can be sent."""
        if not self._begun:
            self._begun = True
            self._begin()
        dead = self._connection.dead
        for report in self._reports.take_all(self._connection.wait_s(_LONGEST_WAIT_S)):
            self._take(report)
            self._send()  # one by one: state gives way to newer state only where the broker cannot keep up
        if (end := self._connection.overdue(dead=dead)) is not None:
            self._on_down(end)
        now = self._now()
        self._history.tick(now.monotonic_s, now.at)
        self._take_up(now)
        self._turn_of_the_night(now)
        due = self._picture.tick(
            now,
            store_failing=self._history.failing,
            reason_failing=self._reason_failing,
            outbox=len(self._delivery),
        )
        self._delivery.put(due)
        self._delivery.put(self._bookkeeper.tick(now))
        if self._announce_at_s is not None and now.monotonic_s >= self._announce_at_s:
            self._announce_again(now)
        self._connection.try_again()
        self._send()

    def finish(self) -> None:
        """Say the last words within 3 s: what is left, every room deaf, `offline`. A broker that is away is left so."""
        deadline_s = self._clock() + STOP_BUDGET_S
        for report in self._reports.take_all(0.0):
            self._take(report)
            self._send()
        self._delivery.put(self._picture.stop(self._now()))
        while self._connection.up and self._delivery and self._clock() < deadline_s:
            self._send()
            for report in self._reports.take_all(min(0.2, max(0.0, deadline_s - self._clock()))):
                if isinstance(report, Acked | LinkDown):  # nothing new is begun any more
                    self._take(report)
        if self._delivery:
            log.warning("stopped_with_unsent", messages=len(self._delivery), events=len(self._delivery.ages))
        elif self._connection.up:
            self._connection.part(max(0.0, deadline_s - self._clock()))

    def close(self) -> None:
        """Leave the broker (without last words its will speaks) and the history. Blocks at most 0.2 s."""
        self._connection.hang_up()
        self._bookkeeper.write(self._clock())
        self._history.close(self._clock())
        if self._alert_log is not None:
            self._alert_log.close()

    def _now(self) -> Now:
        return Now(self._clock(), self._wall())

    def _begin(self) -> None:
        """Take up what an earlier run left, before anything new is said; a history that fails now is asked again."""
        now = self._now()
        self._history.tick(now.monotonic_s, now.at)
        self._take_up(now)
        if not self._remembers:
            self._door.remember()
        self._turn_of_the_night(now)
        self._delivery.put(self._bookkeeper.tick(now))

    def _take_up(self, now: Now) -> None:
        """Take up an earlier run's notes, once, and the events that no broker has, as far as there is room for them."""
        if self._history.open and not self._remembers:
            self._remembers = True
            self._delivery.put(self._door.remember())
            self._night = None  # it is counted from the history
        if len(self._delivery) > _ROOM_FOR_MORE:
            return
        for event in self._history.take_up(max_age_s=TOO_LATE_AFTER_S, now_s=now.monotonic_s, now_at=now.at):
            self._delivery.ages.happened(event.event_id, now.monotonic_s, age_s=now.at - event.at)
            self._delivery.put([self._messages.event(event)])
            if event.ended_by == "interrupted":
                log.info("episode_interrupted", room=event.room, episode_id=event.episode_id)

    def _turn_of_the_night(self, now: Now) -> None:
        """Begin another night at noon, and where the clock was set; the history knows what has been of it."""
        night = night_of(now.at)
        if night != self._night:
            self._night = night
            self._delivery.put(self._picture.begin_night(night, self._history.night(noon_of(night))))

    def _take(self, report: object) -> None:
        match report:
            case Event() | CauseJudged() | Alerting() | RoomHealth() | Level() | Applied():
                self._on_record(report)
            case AlertHeld():
                self._history.held(report, self._clock())
                self._log_alert(report)
            case ReasonHealth():
                self._reason_failing = report.failures > 0
            case LinkUp() if self._connection.came_up(report):
                self._on_up()
            case LinkDown():
                self._on_down(report)
            case Acked() if self._connection.is_current(report.link):
                self._delivery.acked(report)
            case Incoming() if self._connection.is_current(report.link):
                self._on_incoming(report)
            case SubscriptionRefused() if self._connection.is_current(report.link):
                log.warning("mqtt_subscription_refused", topic=report.topic_filter, err=report.reason, fix=_READ_FIX)

    def _on_record(self, record: Record) -> None:
        now = self._now()
        match record:
            case Event():
                self.glance = self.glance.after(record)
                self._history.append(record, now.monotonic_s)
                self._delivery.ages.happened(record.event_id, now.monotonic_s)
            case CauseJudged():
                self._history.judged(record, now.monotonic_s)
            case Applied():
                self._history.keep_setting(record, now.monotonic_s)
            case Level():
                self._bookkeeper.hear(record)
                episode_id = self._picture.running_episode(record.room)
                if episode_id is not None:
                    self._history.touch(episode_id, record.at, now.monotonic_s)
                if not self._connection.up:
                    return  # telemetry of a minute ago is nothing
            case RoomHealth():
                self.glance = self.glance.after(record)
        self._delivery.put(self._picture.handle(record, now))
        if isinstance(record, Event) and record.event_type == "alert":
            self._send()  # first: the disk may be slow
            self._log_alert(record)
            self._bookkeeper.recount()

    def _log_alert(self, record: Event | AlertHeld) -> None:
        if self._alert_log is not None:
            self._alert_log.write(record)

    def _on_up(self) -> None:
        self._subscribed = False
        self._announce_at_s = None
        first, last = self._picture.announce(self._now(), outbox=len(self._delivery))
        self._delivery.came_up([*self._discovery, *first], last)

    def _announce_again(self, now: Now) -> None:
        """Say all of it anew to a Home Assistant that has begun; what is in flight stays so, and is sent once.

        It comes back to a broker later than we do, and what was said into that gap is lost there. So an alert that the
        broker took shortly before, and that nobody has answered, is said again where the waiting events would stand.
        """
        self._announce_at_s = None
        if self._connection.up:
            first, last = self._picture.announce(now, outbox=len(self._delivery))
            alerts = [
                message
                for message in self._delivery.alerts_since(self._born_s - LATE_AFTER_S)
                if message.event is not None
                and message.event.episode_id == self._picture.alerting_episode(message.event.room)
            ]
            self._delivery.put([*self._discovery, *first, *alerts, *last])

    def _on_down(self, report: LinkDown) -> None:
        if self._connection.went_down(report):
            self._delivery.went_down()

    def _on_incoming(self, incoming: Incoming) -> None:
        self._connection.took_incoming()
        now = self._now()
        if self._door.is_birth(incoming):
            self._announce_at_s = now.monotonic_s + self._uniform(0.0, BIRTH_AT_MOST_S)
            self._born_s = now.monotonic_s
        self._delivery.put(self._door.take(incoming, now))
        if self._messages.room_of(incoming.topic, f"{FEEDBACK}/set") is not None:
            self._bookkeeper.recount()

    def _send(self) -> None:
        status = self._messages.status("online").topic
        if status in self._delivery.send() and not self._subscribed:
            self._subscribed = True
            self._connection.subscribe(self._door.subscriptions)
