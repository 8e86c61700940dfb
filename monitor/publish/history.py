"""The store as the publish thread uses it: written first, sent anyway. The one place that catches `StoreError`.

A store that fails is `problem: store` and never keeps an alert back: what could not be written waits here and is tried
again, at most once a second, so that a locked file (0.2 s for each write) cannot hold up a burst of events.

A file that is damaged in use, or could not be opened at the start, is opened anew beside the work. What runs then wins
over what such a file says: a room that hears must not be off after the next restart because of a row that nobody could
read. The settings of now, the running episodes and the events that no broker has are put into it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import structlog

from monitor.errors import StoreDamagedError, StoreError, StoreRefusedError
from monitor.publish.figures import Count
from monitor.publish.minutes import Minute
from monitor.publish.ongoing import Ongoing
from monitor.publish.store import Store
from monitor.publish.tonight import Night
from monitor.records import AlertHeld, Applied, CauseJudged, Event

log = structlog.get_logger()

EVERY: Final = 100
"""A failure is a WARNING the first time, and then each 100th."""

UNREADABLE: Final = ""
"""An episode's id where it cannot be looked up; no episode has it."""

REOPEN_S: Final = 10.0
"""A file that cannot be opened is tried again so often, and one that was opened anew is not given up sooner."""

CHECK_S: Final = 10.0
"""How often the file's head is looked at."""

WHOLE_EACH: Final = 30
"""Each so many looks are at the whole of it."""

_REST_S: Final = 1.0
_WAITING_AT_MOST: Final = 1_000
_AT_ONCE: Final = 200
"""So many writes that waited are done in one go: an alert may wait behind them."""

FORGET_EVERY_S: Final = 86_400.0
"""How often what is too old is looked for; while there is more of it, some goes each second."""

FORGET_AGAIN_S: Final = 10.0
"""Forgetting that fails is tried again so soon: on a full disk it is what makes room."""

T = TypeVar("T")


class History:
    """Writes to the store, in order, as soon as it can. Used by the publish thread alone.

    Attributes:
        failing: Whether the store cannot be written now, or could not be opened.
        lost: Writes given up because 1 000 others waited, or because the file will never take them.
        opened: How often a file was opened and told what runs.
    """

    def __init__(
        self, store: Store | None, *, failing: bool, keep_days: float, reopen: Callable[[], Store] | None = None
    ) -> None:
        """Open nothing yet.

        Args:
            store: The open file; None: there is none, or it could not be opened.
            failing: It should be there and could not be opened.
            keep_days: How long it is kept.
            reopen: Opens it anew, knowing the configuration (`Store.configure`); None: one that is lost stays so.
        """
        self.failing = failing
        self.lost = 0
        self.opened = 0
        self._store = store
        self._reopen = reopen
        self._keep_days = keep_days
        self._waiting: deque[Callable[[Store], object]] = deque()
        self._failures = 1 if failing else 0  # the first was told at the start
        self._rest_until_s = float("-inf")
        self._open_at_s = float("-inf")
        self._check_at_s = float("-inf")
        self._looks = 0
        self._forget_at_s = float("-inf")
        self._refused = 0
        self._damaged = False
        self._begun = False  # whether the open file has been told what runs
        self._left = True  # whether it may hold events of an earlier run that were not taken up
        self._last_left: str | None = None
        self._found: list[Event] = []
        self._ongoing = Ongoing(asks_settings=store is not None)

    @property
    def open(self) -> bool:
        """Whether the file is open and has been told what runs."""
        return self._begun

    @property
    def behind(self) -> bool:
        """Whether writes wait, or there is nowhere to write: what can wait elsewhere should."""
        return self._store is None or bool(self._waiting)

    def append(self, event: Event, now_s: float) -> None:
        """Write down an event. Blocks at most 0.2 s, as every call here; never raises."""
        self._ongoing.happened(event)
        self._write(lambda store: store.append(event), now_s)

    def touch(self, episode_id: str, last_at: float, now_s: float) -> None:
        """Note that a running episode was still heard of; left out while other writes wait, the next one says more."""
        if not self._waiting:
            self._write(lambda store: store.touch(episode_id, last_at), now_s)

    def judged(self, judged: CauseJudged, now_s: float) -> None:
        """Note the cause of a running episode: its end carries it, should this service die before."""
        self._write(lambda store: store.judge(judged.episode_id, judged.reason, judged.reasons), now_s)

    def delivered(self, event_id: str, at: float, now_s: float) -> None:
        """Note that the broker has the event."""
        self._ongoing.settle(event_id)
        self._write(lambda store: store.mark_delivered(event_id, at), now_s)

    def expired(self, event_id: str, now_s: float) -> None:
        """Note that the event came too late to be sent."""
        self._ongoing.settle(event_id)
        self._write(lambda store: store.mark_expired(event_id), now_s)

    def keep_setting(self, applied: Applied, now_s: float) -> None:
        """Keep a setting that its owner has taken over."""
        self._ongoing.apply(applied)
        self._write(lambda store: store.write_setting(applied), now_s)

    def held(self, held: AlertHeld, now_s: float) -> None:
        """Write down an alert that was not sent."""
        self._write(lambda store: store.append_held(held), now_s)

    def keep_care(self, room: str, kind: str, at: float, now_s: float) -> None:
        """Keep that a child was fed, slept or was changed."""
        self._write(lambda store: store.write_care(room, kind, at), now_s)

    def keep_feedback(self, room: str, episode_id: str, value: str, at: float, now_s: float) -> None:
        """Keep what a person says that a cry was."""
        self._write(lambda store: store.write_feedback(room, episode_id, value, at), now_s)

    def keep_minutes(self, minutes: Sequence[Minute], now_s: float) -> None:
        """Add up what was heard."""
        self._write(lambda store: store.write_minutes(minutes), now_s)

    def find_episode(self, room: str, episode_id: str | None) -> str | None:
        """Return this id where it is an episode of the room, of None the latest; else None, or `UNREADABLE`."""
        unread: str | None = UNREADABLE
        return self._read(lambda store: store.find_episode(room, episode_id), unread)

    def notes(self) -> tuple[dict[str, str], dict[tuple[str, str], float]]:
        """Return each room's last feedback, and when each kind of care was last given in it."""
        nothing: tuple[dict[str, str], dict[tuple[str, str], float]] = ({}, {})
        return self._read(lambda store: (store.last_feedback(), store.last_care()), nothing)

    def night(self, since_at: float) -> Night:
        """Return what is known of the night that began then; nothing where it cannot be read."""
        return self._read(lambda store: store.night(since_at), Night())

    def take_up(self, *, max_age_s: float, now_s: float, now_at: float) -> list[Event]:
        """Return the next events that an earlier run left and no broker has, as they were written; at most 500."""
        if self._begun and self._left and not self._waiting:
            self._write(lambda store: self._find_left(store, max_age_s, now_at), now_s)
        found, self._found = self._found, []
        return found

    def counts(self) -> list[Count] | None:
        """Return what was counted since installation; None where it cannot be read."""
        unread: list[Count] | None = None
        return self._read(lambda store: store.counts(), unread)

    def tick(self, now_s: float, now_at: float) -> None:
        """Try again what waits, look at the file, and forget some of what is older than it may be."""
        if self._store is None or self._damaged:
            self._open_anew(now_s)
        self._drain(now_s)
        self._forget(now_s, now_at)
        if now_s >= self._check_at_s:
            self._check_at_s = now_s + CHECK_S
            self._looks += 1
            self._read(lambda store: store.check(whole=self._looks % WHOLE_EACH == 0), None)

    def close(self, now_s: float) -> None:
        """Try a last time, and close the file."""
        self._rest_until_s = float("-inf")
        for _ in range(_WAITING_AT_MOST // _AT_ONCE):
            self._drain(now_s)
        if self._store is not None:
            self._store.close()
            self._store = None

    def _forget(self, now_s: float, now_at: float) -> None:
        """Forget a part, never among the writes that wait: a fault of it holds up none, and it may make room for them.

        Each part takes some milliseconds, whatever a lower `keep_days` leaves to forget: an alert may wait for it.
        """
        if self._store is None or self._damaged or now_s < self._forget_at_s:
            return
        self._forget_at_s = now_s + FORGET_AGAIN_S
        if self.failing:
            self._read(lambda store: store.make_room(), None)
        try:
            more = self._store.forget_older_than(self._keep_days, now_at)
        except StoreRefusedError as error:
            self._refuse(error)
        except StoreError as error:
            self._failed(error)
        else:
            self._forget_at_s = now_s + (_REST_S if more else FORGET_EVERY_S)

    def _read(self, read: Callable[[Store], T], otherwise: T) -> T:
        if self._store is None or self._damaged:
            return otherwise
        try:
            return read(self._store)
        except StoreError as error:
            self._failed(error)
            return otherwise

    def _write(self, write: Callable[[Store], object], now_s: float) -> None:
        if self._store is None and self._reopen is None:
            return
        if len(self._waiting) >= _WAITING_AT_MOST:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(write)
        self._drain(now_s)

    def _drain(self, now_s: float) -> None:
        if self._store is None or self._damaged or now_s < self._rest_until_s:
            return
        try:
            if not self._begun:
                self._ongoing.tell(self._store)
                self._begun = True
                self.opened += 1
            for _ in range(min(len(self._waiting), _AT_ONCE)):
                try:
                    self._waiting[0](self._store)
                except StoreRefusedError as error:
                    self.lost += 1
                    self._refuse(error)
                self._waiting.popleft()
        except StoreError as error:
            self._rest_until_s = now_s + _REST_S
            self._failed(error)
            return
        if self.failing and not self._waiting:
            log.info("history_works_again", failures=self._failures, lost=self.lost)
            self.failing, self._failures = False, 0

    def _open_anew(self, now_s: float) -> None:
        """Give up the file that we have, and open what is there as at the start: a damaged one is set aside then."""
        if self._reopen is None or now_s < self._open_at_s:
            return
        self._open_at_s = now_s + REOPEN_S
        if self._store is not None:
            self._store.close()
            self._store = None
        try:
            self._store = self._reopen()
        except StoreError as error:
            self._failed(error)
            return
        self._damaged = self._begun = False
        self._left, self._last_left = True, None
        self._rest_until_s = float("-inf")
        self._check_at_s = now_s + CHECK_S

    def _find_left(self, store: Store, max_age_s: float, now_at: float) -> None:
        found = store.undelivered(max_age_s=max_age_s, now_at=now_at, after=self._last_left)
        self._left = bool(found)
        if found:
            self._last_left = found[-1].event_id
        self._found += [event for event in found if self._ongoing.take_up(event)]

    def _refuse(self, error: StoreRefusedError) -> None:
        self._refused += 1
        if self._refused % EVERY == 1:
            log.warning("history_write_refused", err=str(error), times=self._refused, then="it is left out")

    def _failed(self, error: StoreError) -> None:
        self._damaged = self._damaged or isinstance(error, StoreDamagedError)
        self.failing = True
        self._failures += 1
        if self._failures % EVERY == 1:
            log.warning("history_failed", err=str(error), failures=self._failures, lost=self.lost)
