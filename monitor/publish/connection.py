"""The broker as the publish thread sees it: there or away, and when it is tried again. Never waits for it."""

import random
import time
from collections.abc import Callable
from typing import Final

import structlog

from monitor.errors import DeliveryError
from monitor.publish.backoff import FIGHT, SHORT_CONNECTION_S, next_delay_s
from monitor.publish.broker import Broker
from monitor.publish.messages import Message
from monitor.publish.mqtt import Link
from monitor.publish.reports import LinkDown, LinkReport, LinkUp

log = structlog.get_logger()

ATTEMPT_S: Final = 60.0
"""A try that says nothing for so long is given up. paho itself allows 5 s for each address and for TLS, 15 s for the
broker's answer; only a name look-up can take longer, and nobody can cut one short."""

ABANDONED_AT_MOST: Final = 4
"""Tries given up whose thread still hangs in a look-up; with so many no other is begun, or they would pile up."""

LOOK_AGAIN_S: Final = 1.0
"""How often it is seen whether one of these has ended meanwhile."""

EVERY: Final = 100
"""A failure is a WARNING the first time, each of its kind once until a connection stands, and then each 100th."""


class Connection:
    """Owns one `Link` after another. Used by the publish thread alone; only `part` blocks.

    Attributes:
        up: Whether the broker takes messages now.
    """

    def __init__(
        self,
        broker: Broker,
        will: Message,
        report: Callable[[LinkReport], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.up = False
        self._broker = broker
        self._will = will
        self._report = report
        self._clock = clock
        self._uniform = uniform
        self._link: Link | None = None
        self._number = 0
        self._began_s = 0.0
        self._next_try_s = float("-inf")
        self._failures = 0
        self._short_in_a_row = 0
        self._said: set[tuple[str, bool]] = set()
        self._abandoned: list[Link] = []

    def wait_s(self, longest_s: float) -> float:
        """Return how long there is nothing to do here, at most `longest_s`."""
        if self._link is not None:
            return longest_s
        return min(longest_s, max(0.0, self._next_try_s - self._clock()))

    @property
    def dead(self) -> bool:
        """Whether the client's thread has ended. Ask before the waiting reports are taken: its last word is there."""
        return self._link is not None and self._link.ended

    def overdue(self, *, dead: bool) -> LinkDown | None:
        """Return the end of a connection that told of none itself; ask after the waiting reports are taken.

        Args:
            dead: What `dead` said before: a thread that said its last word and ended is no silent death.
        """
        if self._link is None:
            return None
        if dead:
            return LinkDown(self._number, "the MQTT client died without a word", lasting=False, connected_for_s=None)
        if not self.up and self._clock() - self._began_s >= ATTEMPT_S:
            return LinkDown(self._number, f"no answer within {ATTEMPT_S:.0f} s", lasting=False, connected_for_s=None)
        return None

    def try_again(self) -> None:
        """Begin a connection where none is and it is time for one."""
        if self._link is not None or self._clock() < self._next_try_s:
            return
        self._abandoned = [link for link in self._abandoned if not link.ended]
        if len(self._abandoned) >= ABANDONED_AT_MOST:
            self._next_try_s = self._clock() + LOOK_AGAIN_S
            return
        self._number += 1
        self._began_s = self._clock()
        try:
            self._link = Link(self._number, self._broker, self._will, self._report, self._clock)
        except DeliveryError as error:
            fault = f"{error.subject}: {error.fault}"
            self._failed(LinkDown(self._number, fault, lasting=True, connected_for_s=None, fix=error.fix))

    def is_current(self, number: int) -> bool:
        """Return whether `number` is of the connection that we have, not of an earlier one."""
        return self._link is not None and number == self._number

    def came_up(self, report: LinkUp) -> bool:
        """Take note that the broker has let us in; return False for an earlier connection's report."""
        if not self.is_current(report.link):
            return False
        self.up = True
        log.info("mqtt_connected", host=self._broker.host, port=self._broker.port, failures=self._failures)
        return True

    def went_down(self, report: LinkDown) -> bool:
        """Take note of an end and choose when to try again; return False for an earlier connection's report."""
        if self._link is None or not self.is_current(report.link):
            return False
        if not self._link.ended:
            self._link.drop()
            self._abandoned.append(self._link)
        self._link = None
        self._failed(report)
        return True

    def send(self, message: Message) -> int | None:
        """Hand over one message; return the id of its `Acked`, or None: the connection is gone, or is not up."""
        return self._link.publish(message) if self._link is not None and self.up else None

    def took_incoming(self) -> None:
        """Say that one `Incoming` waits no more."""
        if self._link is not None:
            self._link.took_incoming()

    def subscribe(self, filters: tuple[str, ...]) -> None:
        """Ask for what matches `filters`."""
        if self._link is not None:
            self._link.subscribe(filters)

    def part(self, timeout_s: float) -> None:
        """Disconnect in order, and wait up to `timeout_s` for the end."""
        link, self._link, self.up = self._link, None, False
        if link is not None:
            link.disconnect()
            if not link.wait_ended(timeout_s):
                self._abandoned.append(link)

    def hang_up(self) -> None:
        """Leave whatever is there without a word: the broker then says `offline` for us. Never blocks."""
        links = [*self._abandoned, *([self._link] if self._link is not None else [])]
        self._link, self.up, self._abandoned = None, False, []
        for link in links:
            link.drop()

    def _failed(self, report: LinkDown) -> None:
        self.up = False
        if report.connected_for_s is not None:
            short = report.connected_for_s < SHORT_CONNECTION_S
            self._short_in_a_row = self._short_in_a_row + 1 if short else 0
            if not short:
                self._failures = 0
                self._said.clear()
        self._failures += 1
        delay_s = next_delay_s(
            lasting=report.lasting,
            short_in_a_row=self._short_in_a_row,
            failures=self._failures,
            uniform=self._uniform,
        )
        self._next_try_s = self._clock() + delay_s
        # Another fault has another fix: a broker that is back, and now refuses us, is news.
        fix = _fix(report)
        news = (fix, self._short_in_a_row >= FIGHT)
        if self._failures % EVERY == 1 or news not in self._said:
            self._said.add(news)
            log.warning(
                "mqtt_lost",
                host=self._broker.host,
                port=self._broker.port,
                err=report.reason,
                fix=fix,
                failures=self._failures,
                again_in_s=round(delay_s, 1),
            )


def _fix(report: LinkDown) -> str:
    if report.fix:
        return report.fix
    if report.connected_for_s is not None and report.connected_for_s < SHORT_CONNECTION_S:
        return "see that no other client has the same mqtt.client_id"
    return "it is tried again; messages wait"
