"""A room's episode of crying, as a pure state machine: scores in, events out."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from monitor.detect.reasons import Judgement
from monitor.records import (
    RING_S,
    SAMPLE_RATE_HZ,
    UNSURE,
    AlertCause,
    CauseJudged,
    EndedBy,
    Event,
    EventType,
    Score,
)

HANG_OVER_S = 20.0
"""An episode ends so long after the last window that reached `exit`."""

ONGOING_EVERY_S = 60.0

JUDGED_AFTER_S = RING_S
"""A cause is first judged when there is so much of the episode; then each time that the cry is said to go on."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When an episode starts and how long it lasts; see `detect.model.Threshold`."""

    enter: float
    exit: float
    need: int
    of: int
    window_samples: int
    hop_samples: int


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is decided: the newest sample heard, its UTC time, and the level there."""

    end_sample: int
    at: float
    level_dbfs: float

    @property
    def at_s(self) -> float:
        """Seconds since the source opened."""
        return self.end_sample / SAMPLE_RATE_HZ


@dataclass(slots=True)
class _Episode:
    episode_id: str
    start_sample: int
    started_at: float
    last_crying_sample: int
    next_ongoing_sample: int
    peak: float = 0.0
    total: float = 0.0
    count: int = 0
    judgement: Judgement | None = None

    @property
    def crying_s(self) -> float:
        return (self.last_crying_sample - self.start_sample) / SAMPLE_RATE_HZ

    def add(self, score: float) -> None:
        self.peak = max(self.peak, score)
        self.total += score
        self.count += 1


class EpisodeTracker:
    """One room's episode; one thread uses it, nothing in it blocks.

    Args:
        room: The room's id, to be read as `room`.
        rule: May be replaced at any time by assigning `rule`.
        model: The label that events carry.
        new_id: Gives a fresh unique id at each call.
    """

    def __init__(self, room: str, rule: Rule, model: str, new_id: Callable[[], str]) -> None:
        self.rule = rule
        self.room = room
        self._model = model
        self._new_id = new_id
        self._recent: deque[Score] = deque()
        self._episode: _Episode | None = None

    @property
    def crying(self) -> bool:
        """Whether an episode runs, hang-over included."""
        return self._episode is not None

    @property
    def crying_s(self) -> float:
        """Seconds of crying in the running episode, the hang-over excluded; 0 where none runs."""
        return 0.0 if self._episode is None else self._episode.crying_s

    def update(self, score: Score, now: Moment) -> list[Event]:
        """Hear one window's score. Windows that do not follow each other begin the N of M anew."""
        if self._recent and score.end_sample != self._recent[-1].end_sample + self.rule.hop_samples:
            self._recent.clear()
        self._recent.append(score)
        while len(self._recent) > self.rule.of:
            self._recent.popleft()
        events = self._end_if_quiet(score.end_sample, now)
        episode = self._episode
        if episode is None:
            return [*events, *self._start_if_enough(now)]
        episode.add(score.score)
        if score.score >= self.rule.exit:
            episode.last_crying_sample = score.end_sample
        return events

    def wants_judgement(self, now: Moment, window_samples: int) -> bool:
        """Whether the cause is due to be judged, and the `window_samples` that end at `now` hold some of the cry."""
        episode = self._episode
        if episode is None or episode.last_crying_sample <= now.end_sample - window_samples:
            return False
        if episode.judgement is None:
            return now.end_sample - episode.start_sample >= JUDGED_AFTER_S * SAMPLE_RATE_HZ
        return self._ongoing_is_due(episode, now)

    def judge(self, judgement: Judgement, now: Moment) -> list[Event | CauseJudged]:
        """Let the running episode's events to come carry `judgement`; say so, where its first one is not said anyway.

        A cause that can be told is an event at once, beside the rhythm of the others.
        """
        episode = self._episode
        if episode is None:
            return []
        first, episode.judgement = episode.judgement is None, judgement
        if not first or self._ongoing_is_due(episode, now):
            return []
        if judgement.reason == UNSURE:
            return [CauseJudged(self.room, episode.episode_id, judgement.reason, judgement.reasons, now.at)]
        return [self._ongoing(episode, now)]

    def pass_time(self, now: Moment) -> list[Event]:
        """Let time go on to `now`, after all that was scored up to there; nothing was where the gate is closed."""
        return [*self._end_if_quiet(now.end_sample, now), *self._ongoing_if_due(now)]

    def close(self, ended_by: EndedBy, now: Moment) -> list[Event]:
        """End a running episode whatever the scores say; nothing where none runs."""
        self._recent.clear()
        return self._end(ended_by, now)

    def alert(self, cause: AlertCause, now: Moment) -> list[Event]:
        """Return the alert of the running episode; nothing where none runs."""
        episode = self._episode
        return [] if episode is None else [self._event("alert", episode, now, self._confidence, cause=cause)]

    def acknowledged(self, by: str | None, now: Moment) -> list[Event]:
        """Return that somebody (`by`, where we know who) goes to the running cry; nothing where none runs."""
        episode = self._episode
        return [] if episode is None else [self._event("acknowledged", episode, now, self._confidence, by=by)]

    def of_no_cry(
        self,
        kind: EventType,
        now: Moment,
        *,
        cause: AlertCause | None = None,
        snr_db: float | None = None,
        delay_s: float | None = None,
    ) -> Event:
        """Return an event of no cry at all: somebody asked for it."""
        return Event(
            event_type=kind,
            event_id=self._new_id(),
            episode_id=None,
            room=self.room,
            at=now.at,
            at_s=now.at_s,
            started_at=now.at,
            started_s=now.at_s,
            duration_s=0.0,
            confidence=0.0,
            peak=0.0,
            mean=0.0,
            level_dbfs=now.level_dbfs,
            model=self._model,
            cause=cause,
            test=True,
            snr_db=snr_db,
            delay_s=delay_s,
        )

    def _start_if_enough(self, now: Moment) -> list[Event]:
        over = [score for score in self._recent if score.score >= self.rule.enter]
        if len(over) < self.rule.need:
            return []
        start_sample = over[0].end_sample - self.rule.window_samples
        self._episode = _Episode(
            episode_id=self._new_id(),
            start_sample=start_sample,
            started_at=now.at - (now.end_sample - start_sample) / SAMPLE_RATE_HZ,
            last_crying_sample=over[-1].end_sample,
            next_ongoing_sample=now.end_sample + round(ONGOING_EVERY_S * SAMPLE_RATE_HZ),
        )
        for score in self._recent:
            if score.end_sample >= over[0].end_sample:
                self._episode.add(score.score)
        return [self._event("cry_started", self._episode, now, max(score.score for score in over))]

    def _ongoing_if_due(self, now: Moment) -> list[Event]:
        episode = self._episode
        if episode is None or not self._ongoing_is_due(episode, now):
            return []
        episode.next_ongoing_sample += round(ONGOING_EVERY_S * SAMPLE_RATE_HZ)
        return [self._ongoing(episode, now)]

    @staticmethod
    def _ongoing_is_due(episode: _Episode, now: Moment) -> bool:
        return now.end_sample >= episode.next_ongoing_sample

    def _ongoing(self, episode: _Episode, now: Moment) -> Event:
        return self._event("cry_ongoing", episode, now, self._confidence)

    @property
    def _confidence(self) -> float:
        return max((score.score for score in self._recent), default=0.0)

    def _end_if_quiet(self, end_sample: int, now: Moment) -> list[Event]:
        quiet_samples = HANG_OVER_S * SAMPLE_RATE_HZ
        if self._episode is None or end_sample - self._episode.last_crying_sample < quiet_samples:
            return []
        return self._end("quiet", now)

    def _end(self, ended_by: EndedBy, now: Moment) -> list[Event]:
        episode, self._episode = self._episode, None
        if episode is None:
            return []
        return [self._event("cry_ended", episode, now, episode.peak, ended_by=ended_by)]

    def _event(
        self,
        kind: EventType,
        episode: _Episode,
        now: Moment,
        confidence: float,
        *,
        ended_by: EndedBy | None = None,
        cause: AlertCause | None = None,
        by: str | None = None,
    ) -> Event:
        judgement = episode.judgement or Judgement()
        return Event(
            event_type=kind,
            event_id=self._new_id(),
            episode_id=episode.episode_id,
            room=self.room,
            at=now.at,
            at_s=now.at_s,
            started_at=episode.started_at,
            started_s=episode.start_sample / SAMPLE_RATE_HZ,
            duration_s=episode.crying_s,
            confidence=confidence,
            peak=episode.peak,
            mean=min(episode.peak, episode.total / episode.count),  # a sum of equal scores may round upwards
            level_dbfs=now.level_dbfs,
            model=self._model,
            ended_by=ended_by,
            reason=judgement.reason,
            reasons=judgement.reasons,
            cause=cause,
            by=by,
        )
