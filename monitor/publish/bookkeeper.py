"""Keeps count of what was heard, and says now and then what came of it: `figures`. Used by the publish thread alone."""

from typing import Final

from monitor.publish.figures import Figures
from monitor.publish.history import History
from monitor.publish.messages import Message
from monitor.publish.minutes import MINUTE_S, Minutes
from monitor.publish.picture import Picture
from monitor.publish.room import Now
from monitor.records import Level

COUNTED_AGAIN_S: Final = 10.0
"""A history that cannot be counted now is asked again so soon."""

FIGURES_EVERY_S: Final = 3_600.0
"""Hours grow slowly; an alert, and an answer to one, are told at once."""


class Bookkeeper:
    """Writes to the history once a minute, not with each record: its disk may be a card.

    Args:
        history: Where minutes go and counts come from; 0.2 s for another's lock.
        picture: Says the figures.
    """

    def __init__(self, history: History, picture: Picture) -> None:
        self._history = history
        self._picture = picture
        self._minutes = Minutes()
        self._write_at_s: float | None = None
        self._figures_at_s = float("-inf")
        self._opened = 0

    def hear(self, level: Level) -> None:
        """Count what was heard."""
        self._minutes.add(level)

    def recount(self) -> None:
        """Take note that an alert was sent, or answered: the next `tick` says the figures."""
        self._figures_at_s = float("-inf")

    def tick(self, now: Now) -> list[Message]:
        """Write down what is due, and return what must be said. Call it each second, after all that is urgent."""
        if self._write_at_s is None:
            self._write_at_s = now.monotonic_s + MINUTE_S
        elif now.monotonic_s >= self._write_at_s:
            self._write_at_s = now.monotonic_s + MINUTE_S
            if not self._history.behind:  # while other writes wait it is gathered here, and is one of them afterwards
                self.write(now.monotonic_s)
        if self._history.opened != self._opened:
            self._opened = self._history.opened
            self.recount()
        if now.monotonic_s < self._figures_at_s:
            return []
        self._figures_at_s = now.monotonic_s + FIGURES_EVERY_S
        counts = self._history.counts()
        if counts is None:
            self._figures_at_s = now.monotonic_s + COUNTED_AGAIN_S
            return []
        rooms = {count.room for count in counts}
        return self._picture.count({room: Figures.of(c for c in counts if c.room == room) for room in rooms})

    def write(self, now_s: float) -> None:
        """Write down what was heard so far: at the stop all that is left."""
        if heard := self._minutes.take():
            self._history.keep_minutes(heard, now_s)
