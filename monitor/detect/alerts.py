"""When a room alerts, and what holds an alert back: a pure state machine beside the room's episode tracker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from monitor.detect.episodes import EpisodeTracker, Moment
from monitor.records import NONE, NOT_A_CRY, AlertCause, AlertHeld, Alerting, Applied, Command, Event, HeldBy, time_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When an alert is due, in seconds of crying; the table of `Alerts` says how."""

    after_s: float = 0.0
    repeat_after_s: float = 120.0
    hard_limit_s: float = 600.0


NEVER = AlertRule(math.inf, math.inf, math.inf)
"""For a recording: alerts are the service's."""


@dataclass(slots=True)
class _Story:
    """What came of one episode's alerts so far.

    Attributes:
        next_limit_s: The multiple of the hard limit that comes next.
        due_s: Seconds of crying when an alert was last due, sent or held.
        waits: One was held since the last that was sent.
    """

    episode_id: str
    next_limit_s: float
    due_s: float | None = None
    sent: bool = False
    waits: bool = False
    acknowledged: bool = False
    not_a_cry: bool = False


class Alerts:
    """One room's alerts; one thread uses it, nothing in it blocks, time is an argument.

    *Crying seconds* are the running episode's `duration_s`: pauses count, the hang-over does not. At most one alert is
    due in a step; where several rules fit, the first row of the table gives its cause.

    | cause        | due when the crying seconds reach                                                              |
    | ------------ | ---------------------------------------------------------------------------------------------- |
    | `hard_limit` | `hard_limit_s`, always; each further multiple of it, where something holds then                |
    | `first`      | `after_s`, where none was due before in this episode                                           |
    | `repeat`     | `repeat_after_s` more than when one was last due, sent or held                                 |
    | `first`, or  | anything: nothing holds any more, and one was held since the last that was sent. `first` where |
    | `repeat`     | none of this episode was sent, else `repeat`                                                   |

    A due alert is sent, or `AlertHeld` says once what held it: the first of these that applies.

    | held by        | from                                      | until                                              |
    | -------------- | ----------------------------------------- | -------------------------------------------------- |
    | `snooze`       | `snooze` of 1 to 720 min                  | its end on the monotonic clock; `snooze` 0         |
    | `acknowledged` | `acknowledge`                             | the episode's end                                  |
    | `not_a_cry`    | `feedback` `not_a_cry` on the running cry | the episode's end; another answer for the same cry |

    Nothing holds `hard_limit`: `alert_after`, which may be longer, neither. An episode that ends before anything is due
    says nothing of alerts.

    `Alerting` is on from any alert that is sent (no test) until the episode ends, or until the next of: it is
    acknowledged, answered `not_a_cry`, snoozed. A hard limit thus turns it on again, and then it can be acknowledged
    again; else a cry is acknowledged once. Off is said before the episode's `cry_ended`, on after its alert, so that
    nobody sees an alert where nobody cries.

    In a step: commands, then snoozes that end, then what is heard, then what is due. So a hold that begins holds what
    is due in the same step, and a cry that ends in it is not alerted of any more.

    Args:
        tracker: The room's episodes; it makes the events, too.
        rule: `alert_after` changes its `after_s`.
    """

    def __init__(self, tracker: EpisodeTracker, rule: AlertRule) -> None:
        self._tracker = tracker
        self._room = tracker.room
        self._rule = rule
        self._story: _Story | None = None
        self._on = False
        self._snoozed_until_s: float | None = None

    def resume(self, until_at: float, asked_s: float, now_s: float, wall_at: float) -> list[Applied]:
        """Take up a snooze that an earlier run left; one that is over ends at the next `tick`.

        Args:
            until_at: Its end, UTC.
            asked_s: Its length: no more is left, wherever the wall clock was set meanwhile.
            now_s: Monotonic seconds.
            wall_at: UTC now.
        """
        left_s = min(max(until_at - wall_at, 0.0), asked_s)
        self._snoozed_until_s = now_s + left_s
        return [self._snoozed(wall_at + left_s, left_s)] if until_at - wall_at > left_s else []

    def obey(self, command: Command, now: Moment, now_s: float, wall_at: float) -> list[Event | Alerting | Applied]:
        """Do what somebody asked for; what is due because of it, `due` says.

        Args:
            command: Any that is about alerts; others change nothing.
            now: The newest sound; it may be old, where the microphone is gone.
            now_s: Monotonic seconds: a snooze is counted by them.
            wall_at: UTC now: a snooze's end and a test are dated by it, as both may come without any sound.
        """
        match command.setting:
            case "alert_after":
                self._rule = replace(self._rule, after_s=int(command.value))
                return [Applied(self._room, "alert_after", command.value)]
            case "snooze":
                return self._snooze(int(command.value) * 60.0, now, now_s, wall_at)
            case "acknowledge":
                return self._acknowledge(command.value or None, now)
            case "feedback":
                return self._answered(command, now)
            case "test_alert":
                return [self._tracker.of_no_cry("alert", replace(now, at=wall_at), cause="test")]
        return []

    def tick(self, now_s: float) -> list[Applied]:
        """End a snooze whose time is over by `now_s` (monotonic)."""
        if self._snoozed_until_s is None or now_s < self._snoozed_until_s:
            return []
        self._snoozed_until_s = None
        return [self._snoozed()]

    def follow(self, said: Sequence[T], now: Moment) -> list[T | Alerting]:
        """Return what the tracker said up to `now`, with the alert's end before the end of its episode."""
        told: list[T | Alerting] = []
        for record in said:
            if isinstance(record, Event) and record.event_type == "cry_started" and record.episode_id is not None:
                self._story = _Story(record.episode_id, self._rule.hard_limit_s)
            elif isinstance(record, Event) and record.event_type == "cry_ended":
                told += self._turn(now, on=False)
                self._story = None
            told.append(record)
        return told

    def due(self, now: Moment) -> list[Event | AlertHeld | Alerting]:
        """Return the alert that is due now, or what says that it is held; nothing in most steps."""
        story = self._story
        if story is None:
            return []
        crying_s, held_by = self._tracker.crying_s, self._held_by(story)
        cause = self._cause(story, crying_s, held_by)
        if cause is None:
            return []
        story.due_s = crying_s
        if held_by is not None and cause != "hard_limit":
            story.waits = True
            at_s = now.at_s
            return [AlertHeld(self._room, story.episode_id, now.at, at_s, crying_s, cause, held_by)]
        story.sent, story.waits = True, False
        return [*self._tracker.alert(cause, now), *self._turn(now, on=True)]

    def _cause(self, story: _Story, crying_s: float, held_by: HeldBy | None) -> AlertCause | None:
        if crying_s >= story.next_limit_s:
            is_first = story.next_limit_s == self._rule.hard_limit_s
            story.next_limit_s = (crying_s // self._rule.hard_limit_s + 1) * self._rule.hard_limit_s
            if is_first or held_by is not None:
                return "hard_limit"
        if story.due_s is None:
            return "first" if crying_s >= self._rule.after_s else None
        if story.waits and held_by is None:
            return "repeat" if story.sent else "first"
        return "repeat" if crying_s >= story.due_s + self._rule.repeat_after_s else None

    def _held_by(self, story: _Story) -> HeldBy | None:
        if self._snoozed_until_s is not None:
            return "snooze"
        if story.acknowledged:
            return "acknowledged"
        return "not_a_cry" if story.not_a_cry else None

    def _snooze(self, for_s: float, now: Moment, now_s: float, wall_at: float) -> list[Event | Alerting | Applied]:
        if not for_s:
            self._snoozed_until_s = None
            return [self._snoozed()]
        self._snoozed_until_s = now_s + for_s
        return [self._snoozed(wall_at + for_s, for_s), *self._turn(now, on=False)]

    def _acknowledge(self, by: str | None, now: Moment) -> list[Event | Alerting | Applied]:
        story = self._story
        if story is None or (story.acknowledged and not self._on):
            return []
        story.acknowledged = True
        return [*self._tracker.acknowledged(by, now), *self._turn(now, on=False)]

    def _answered(self, command: Command, now: Moment) -> list[Event | Alerting | Applied]:
        story = self._story
        if story is None or command.episode_id not in (None, story.episode_id):
            return []
        story.not_a_cry = command.value == NOT_A_CRY
        return [*self._turn(now, on=False)] if story.not_a_cry else []

    def _turn(self, now: Moment, *, on: bool) -> list[Alerting]:
        changed, self._on = on != self._on, on
        return [Alerting(self._room, on, now.at)] if changed else []

    def _snoozed(self, until_at: float | None = None, asked_s: float | None = None) -> Applied:
        value = NONE if until_at is None else time_of(until_at)
        return Applied(self._room, "snooze", value, until_at, asked_s)
