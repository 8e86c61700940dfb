"""What is known of one room: does it hear, does it cry, is its alert on. No thread, no I/O, no clock."""

from dataclasses import dataclass

from monitor.publish.figures import Figures  # noqa: TC001 - the name of an attribute, as the others
from monitor.publish.messages import OnOff, RoomState
from monitor.publish.tonight import Tally, night_of
from monitor.records import Event, Problem, RoomHealth


@dataclass(frozen=True, slots=True)
class Now:
    """One instant on both clocks: monotonic seconds for ages and timers, UTC seconds for what a reader sees."""

    monotonic_s: float
    at: float


@dataclass(frozen=True, slots=True)
class _Loss:
    """Deafness that detect told of before capture did; it stands until capture reports it, or newer samples."""

    problem: Problem | None
    heard_monotonic_s: float | None


class Room:
    """What is known of one room, and what was last said of it.

    Attributes:
        health: Capture's last word.
        episode: The running episode's last event.
        latest_id: The id of the running, else the latest episode.
        alerting: Whether detect's alert is on; it shows only while the room cries.
        owed_until_s: A `state` waits until then (monotonic) for a `cry_ended` that is on its way.
        tally: The night so far.
        shown: The last `state`; None: nothing was said yet.
        shown_monotonic_s: When it was said.
        tonight: The last `tonight`, as bytes.
        figures: What is said in `figures`; None: it was not counted yet.
    """

    def __init__(self, room: str, now: Now) -> None:
        self.health = RoomHealth(
            room=room,
            source="opening",
            hearing=False,
            problem="ok",
            level_dbfs=float("-inf"),
            noise_floor_dbfs=float("-inf"),
            heard_monotonic_s=None,
            segments_dropped=0,
        )
        self.episode: Event | None = None
        self.latest_id: str | None = None
        self.alerting = False
        self.owed_until_s: float | None = None
        self.tally = Tally(night_of(now.at))
        self.shown: RoomState | None = None
        self.shown_monotonic_s = now.monotonic_s
        self.tonight = b""
        self.figures: Figures | None = None
        self._loss: _Loss | None = None
        self._crying: OnOff | None = None
        self._since = now.at

    @property
    def hearing(self) -> bool:
        """Whether real samples come."""
        return self.health.hearing and self._loss is None

    @property
    def problem(self) -> Problem:
        """The room's own problem."""
        return (self._loss and self._loss.problem) or self.health.problem

    def lose(self, problem: Problem | None) -> None:
        """Take note that the room is deaf, before capture says so."""
        self._loss = _Loss(problem, self.health.heard_monotonic_s)

    def heard(self, health: RoomHealth) -> None:
        """Take capture's word; an older one does not undo a loss."""
        self.health = health
        if self._loss and (not health.hearing or health.heard_monotonic_s != self._loss.heard_monotonic_s):
            self._loss = None

    def end_episode(self) -> None:
        """Take note that nobody cries any more: the alert goes off with it."""
        self.episode, self.owed_until_s, self.alerting = None, None, False

    def state(self, problem: Problem, changed_at: float) -> RoomState:
        """Return what there is to say now; where `crying` has changed, it did so at `changed_at`."""
        crying: OnOff | None = None
        if self.hearing:
            crying = "ON" if self.episode else "OFF"
        if crying != self._crying:
            self._crying, self._since = crying, changed_at
        episode = self.episode if crying == "ON" else None
        return RoomState(
            crying=crying,
            alert="ON" if episode and self.alerting else "OFF",
            hearing="ON" if self.hearing else "OFF",
            episode_id=episode.episode_id if episode else None,
            since=self._since,
            confidence=episode.confidence if episode else None,
            reason=episode.reason if episode else None,
            reasons=episode.reasons if episode else {},
            level_dbfs=self.health.level_dbfs,
            problem=problem,
        )


def differ(before: RoomState | None, after: RoomState) -> bool:
    """Return whether `after` says something that `before` did not: level, confidence and `since` alone do not."""

    def essence(state: RoomState) -> tuple[object, ...]:
        cause = (state.episode_id, state.reason, dict(state.reasons))
        return (state.crying, state.alert, state.hearing, cause, state.problem)

    return before is None or essence(before) != essence(after)
