"""The bedtime drill: is the cry that somebody plays heard? A pure state machine between a room's tracker and alerts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from monitor.detect.episodes import EpisodeTracker, Moment
from monitor.records import SAMPLE_RATE_HZ, CauseJudged, Event, Segment

DRILL_S = 15.0
"""A drill lasts so long from its command, on the monotonic clock: a deaf room sends no samples to count."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DrillIgnored:
    """A drill was asked for where none can begin: a line of the log, never published."""

    room: str
    why: str


@dataclass(slots=True)
class _Run:
    """The running drill, or the last one.

    Attributes:
        began_s: When it was asked for, monotonic.
        began_sample: The newest sample that was heard by then.
        floor_dbfs: The room's noise floor then; None: nothing was ever heard, the first in the drill counts.
        level_dbfs: The loudest so far; None: nothing was heard.
        heard_s: Seconds from its beginning to when sound last came.
        decided: Its result is said.
        end_sample: The newest sample that was heard when its time was over; None: it runs.
    """

    began_s: float
    began_sample: int
    floor_dbfs: float | None
    level_dbfs: float | None = None
    heard_s: float = 0.0
    decided: bool = False
    end_sample: int | None = None


class Drill:
    """One room's drills; one thread uses it, nothing in it blocks, time is an argument.

    A drill *runs* for `DRILL_S`, decided or not. Its *end*, like its beginning, is the newest sample heard by then. A
    crying window is one that the tracker counts as crying: `exit` or more, `enter` or more where it opens an episode.

    | what happens                                                        | what follows                           |
    | ------------------------------------------------------------------- | -------------------------------------- |
    | `drill` while a drill runs, or an episode, told or withheld         | `DrillIgnored`                         |
    | the first episode opens while it runs                               | `drill_passed`                         |
    | its time is over, and none has opened                               | `drill_failed`                         |
    | an episode opens: its first crying window ended by the beginning,   | it is told, as ever                    |
    | or its last one begins at the end or later                          |                                        |
    | any other episode opens: its crying may be the played one           | it is withheld, and all that is of it  |
    | a crying window of a withheld episode begins at the end or later    | all of it is said at once, in order    |
    | it is over without one: quiet, a source that is lost, a stop        | it is dropped                          |
    | the service stops in a drill                                        | no result                              |

    So a drill that its room could not hear fails when its time is over, whatever became of the source. Alerts see an
    episode when it is said: nothing is due, acknowledged or answered before, then all that its crying seconds make due
    is due at once. They count from its start, the played part included. Settings change as ever in a drill.

    Args:
        tracker: The room's episodes; it makes the events, too.
    """

    def __init__(self, tracker: EpisodeTracker) -> None:
        self._tracker = tracker
        self._run: _Run | None = None
        self._floor_dbfs: float | None = None
        self._withheld: list[Event | CauseJudged] = []

    def begin(self, now: Moment, now_s: float) -> list[DrillIgnored]:
        """Begin a drill at `now_s` (monotonic), or return why there can be none."""
        why = None
        if self._run is not None and self._run.end_sample is None:
            why = "a drill runs there"
        elif self._withheld:
            why = "the cry of the last drill is not over yet"
        elif self._tracker.crying:
            why = "a cry runs there"
        if why is not None:
            return [DrillIgnored(self._tracker.room, why)]
        self._run = _Run(now_s, now.end_sample, self._floor_dbfs)
        return []

    def tick(self, now: Moment, now_s: float, wall_at: float) -> list[Event]:
        """End a drill whose time is over by `now_s` (monotonic); `now`: the newest sound, `wall_at`: UTC now."""
        run = self._run
        if run is None or run.end_sample is not None or now_s - run.began_s < DRILL_S:
            return []
        run.end_sample = now.end_sample
        return [] if run.decided else [self._result("drill_failed", run, replace(now, at=wall_at))]

    def hear(self, segment: Segment, now_s: float) -> None:
        """Take note of how loud the room is, before what the tracker makes of it."""
        run = self._run
        if run is not None:
            run.floor_dbfs = segment.noise_floor_dbfs if run.floor_dbfs is None else run.floor_dbfs
            run.level_dbfs = max(segment.level_dbfs, -math.inf if run.level_dbfs is None else run.level_dbfs)
            run.heard_s = now_s - run.began_s
        self._floor_dbfs = segment.noise_floor_dbfs

    def follow(self, said: Sequence[T], now: Moment) -> list[T | Event | CauseJudged]:
        """Return what is to be told of what the tracker said up to `now`, and of what it said before."""
        told: list[T | Event | CauseJudged] = []
        for record in said:
            if isinstance(record, Event) and record.event_type == "cry_started":
                told += self._passed(now)
                if not self._is_real(record.started_s, record.duration_s):
                    self._withheld = [record]
                    continue
            elif self._withheld and isinstance(record, Event | CauseJudged):
                self._withheld.append(record)
                if isinstance(record, Event) and record.event_type == "cry_ended":
                    told += self._released() if self._is_real(record.started_s, record.duration_s) else []
                    self._withheld = []
                continue
            told.append(record)
        if isinstance(first := next(iter(self._withheld), None), Event):
            told += self._released() if self._is_real(first.started_s, self._tracker.crying_s) else []
        return told

    def _released(self) -> list[Event | CauseJudged]:
        released, self._withheld = self._withheld, []
        return released

    def _is_real(self, started_s: float, crying_s: float) -> bool:
        """Whether an episode, so far as it has gone, holds crying that was not played in the drill."""
        run, window_samples = self._run, self._tracker.rule.window_samples
        if run is None:
            return True
        first_ends = round(started_s * SAMPLE_RATE_HZ) + window_samples
        last_begins = round((started_s + crying_s) * SAMPLE_RATE_HZ) - window_samples
        return first_ends <= run.began_sample or (run.end_sample is not None and last_begins >= run.end_sample)

    def _passed(self, now: Moment) -> list[Event]:
        run = self._run
        if run is None or run.decided or run.end_sample is not None:
            return []
        run.decided = True
        return [self._result("drill_passed", run, now, delay_s=run.heard_s)]

    def _result(
        self, kind: Literal["drill_passed", "drill_failed"], run: _Run, now: Moment, *, delay_s: float | None = None
    ) -> Event:
        level_dbfs, snr_db = -math.inf, None
        if run.level_dbfs is not None and run.floor_dbfs is not None:
            level_dbfs, snr_db = run.level_dbfs, run.level_dbfs - run.floor_dbfs
        heard = replace(now, level_dbfs=level_dbfs)
        return self._tracker.of_no_cry(kind, heard, snr_db=snr_db, delay_s=delay_s)
