"""The capture thread of one room: keeps its source open, feeds the `Segmenter`, says whether the room can be heard."""

import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

from monitor.capture.judge import Judge
from monitor.capture.rearm import Rearm
from monitor.capture.segmenter import Segmenter
from monitor.capture.source import AudioSource, SourceEnded
from monitor.errors import SourceError
from monitor.handoff import Inbox, Reports, SegmentQueue
from monitor.records import (
    SAMPLE_RATE_HZ,
    Applied,
    Command,
    EndedBy,
    GateMissed,
    Problem,
    RoomHealth,
    Segment,
    SourceLost,
    SourceStatus,
)

log = structlog.get_logger()

STALLED_S = 5.0
"""A source that gives no samples for so long is closed and opened again."""

DEAF_S = 10.0
"""A room without samples for so long is offline: a deaf room must never say OFF."""

BACK_OFF_S = (1.0, 20.0)
"""Between attempts to open: full jitter under a limit that doubles from the first to the second. Not more: a microphone
that is plugged in again is heard within 30 s."""

_PROBLEMS: dict[SourceStatus, tuple[Problem, EndedBy]] = {
    "lost": ("source_lost", "source_lost"),
    "ended": ("source_ended", "source_ended"),
    "disabled": ("disabled", "disabled"),
    "muted": ("muted", "source_lost"),
    "flat": ("flat", "source_lost"),
    "stopped": ("ok", "stopped"),
}

_FIXES: dict[Problem, str] = {
    "muted": "only zeros: unmute the microphone; one with a noise gate needs rooms.{room}.muted_after_s = 0",
    "flat": "every sample is the same: plug the microphone in again, or see rooms.{room}.device",
    "clipped": "turn the microphone's gain down, or move it away from what is loud",
    "too_quiet": "turn the microphone's gain up, or see rooms.{room}.device",
}


class Capture:
    """The turns of one `capture-<room>` thread; see `threads.Turns`.

    Args:
        room: The room's id.
        source: Where its sound comes from.
        segmenter: Its core.
        judge: Says whether samples are a room's sound at all.
        queue: Where segments go.
        inbox: `enabled` commands, and `GateMissed`.
        reports: Where publish is told.
        enabled: Whether it starts with its source open.
        rearm: Turns the room on again that a command switched off; None: nothing does.
        clock: Monotonic seconds.
        wall: UTC seconds.
        jitter: `random.uniform`.
    """

    def __init__(
        self,
        *,
        room: str,
        source: AudioSource,
        segmenter: Segmenter,
        judge: Judge,
        queue: SegmentQueue,
        inbox: Inbox,
        reports: Reports[Any],
        enabled: bool = True,
        rearm: Rearm | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._room = room
        self._source = source
        self._segmenter = segmenter
        self._judge = judge
        self._queue = queue
        self._inbox = inbox
        self._reports = reports
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        self._status: SourceStatus = "opening" if enabled else "disabled"
        self._rearm = rearm or Rearm()
        if not enabled:
            self._rearm.resume(clock(), wall())
            if self._rearm.runs:
                self._applied("OFF")  # until when may be another time than was told: it is never too far away
        self._is_open = False
        self._is_fresh = False
        self._failures = 0
        self._retry_s = clock()
        self._heard_s: float | None = None
        self._silent_since_s = self._stalled_since_s = clock()
        self._opened_at = 0.0
        self._opened_sample = 0
        self._unsent: deque[Segment] = deque()
        self._told: tuple[SourceStatus, Problem, float] | None = None
        self._said_off = False

    def turn(self) -> None:
        """Obey commands, keep the source open, read it once; blocks at most about 1 s."""
        waits = self._status in ("ended", "disabled") or (not self._is_open and self._clock() < self._retry_s)
        for command in self._inbox.drain(timeout_s=0.5 if waits else 0.0):
            self._obey(command)
        if self._rearm.is_due(self._clock()):
            self._enable()
            log.info("room_rearmed", room=self._room)
            self._applied("ON")
        if self._unsent:
            self._send()
        elif self._status not in ("ended", "disabled"):
            if not self._is_open and self._clock() >= self._retry_s:
                self._open()
            if self._is_open:
                self._read()
            if self._status != "ended" and self._clock() - self._silent_since_s >= DEAF_S:
                self._deaf("lost")
        self._tell()

    def finish(self) -> None:
        """Say that the room is heard no more; one that was deaf before stays deaf for its own cause."""
        if self._status in ("ok", "opening"):
            self._deaf("stopped")

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _obey(self, command: Command | GateMissed) -> None:
        if isinstance(command, GateMissed):
            self._segmenter.open_gate()
            return
        if command.value == "OFF":
            was_on = self._status != "disabled"
            if was_on:
                self._close()
                self._deaf("disabled")
                log.info("room_disabled", room=self._room)
            if was_on or self._rearm.runs:  # else it is off by its configuration: nobody switched it, and it stays off
                self._rearm.start(self._clock(), self._wall())
        elif self._status == "disabled":
            self._enable()
            log.info("room_enabled", room=self._room)
        self._applied(command.value)

    def _enable(self) -> None:
        self._rearm.stop()
        self._status, self._retry_s = "opening", self._clock()
        self._silent_since_s = self._clock()

    def _applied(self, value: str) -> None:
        self._reports.put(Applied(self._room, "enabled", value, self._rearm.until_at, self._rearm.asked_s))

    def _open(self) -> None:
        try:
            self._source.open()
        except SourceError as error:
            self._failed(error)
            return
        self._is_open = self._is_fresh = True
        self._stalled_since_s = self._clock()
        self._opened_at = self._wall()

    def _read(self) -> None:
        try:
            pcm = self._source.read()
        except SourceEnded:
            self._close()
            self._deaf("ended")
            log.info("source_ended", room=self._room)
            return
        except SourceError as error:
            self._failed(error)
            return
        now_s = self._clock()
        if not len(pcm):
            if now_s - self._stalled_since_s >= STALLED_S:
                self._failed(SourceError(self._room, f"no samples for {STALLED_S:.0f} s", "it is opened again"))
            return
        if self._is_fresh:
            self._is_fresh = False
            if self._heard_s is not None:
                self._segmenter.skip(now_s - self._heard_s - len(pcm) / SAMPLE_RATE_HZ)
            self._opened_sample = self._segmenter.end_sample
            log.info("source_heard", room=self._room)
        self._failures = 0
        self._heard_s = self._silent_since_s = self._stalled_since_s = now_s
        segments = self._segmenter.feed(pcm, self._time_of(len(pcm)))
        self._judge.hear(pcm)
        deaf = self._judge.deaf
        if deaf is not None:
            if self._status != deaf:
                self._deaf(deaf)
            return
        if self._status in ("muted", "flat"):
            log.info("source_heard", room=self._room)
        self._status, self._said_off = "ok", False
        self._unsent += segments
        self._send()

    def _time_of(self, n: int) -> float:
        """UTC time of the newest of `n` samples just read; a file's time runs with its samples at every speed."""
        if self._source.live:
            return self._wall()
        return self._opened_at + (self._segmenter.end_sample - self._opened_sample + n) / SAMPLE_RATE_HZ

    def _send(self) -> None:
        while self._unsent:
            # What a file holds can wait: it is never lost to a full queue.
            if not self._source.live and not self._queue.wait_for_room(self._room, timeout_s=0.5):
                return
            self._queue.put(self._unsent.popleft())

    def _failed(self, error: SourceError) -> None:
        self._close()
        low_s, high_s = BACK_OFF_S
        delay_s = self._jitter(0.0, min(high_s, low_s * 2**self._failures))
        self._failures += 1
        self._retry_s = self._clock() + delay_s
        if self._failures == 1 or self._failures % 100 == 0:
            log.warning("source_lost", room=self._room, err=str(error), failures=self._failures)

    def _close(self) -> None:
        self._is_open = False
        self._source.close()

    def _deaf(self, status: SourceStatus) -> None:
        """Tell publish first and detect second: availability goes offline before the episode's end is said."""
        self._status = status
        if self._said_off and status == "lost":
            return
        self._said_off = True
        self._tell()
        _, ended_by = _PROBLEMS[status]
        at = self._wall() if self._source.live else self._time_of(0)
        self._queue.put(SourceLost(self._room, ended_by, self._segmenter.end_sample, at))

    def _tell(self) -> None:
        now_s = self._clock()
        problem = _PROBLEMS[self._status][0] if self._status in _PROBLEMS else self._judge.problem
        before = self._told
        if before is not None and before[:2] == (self._status, problem) and now_s - before[2] < 1.0:
            return
        if problem in _FIXES and (before is None or before[1] != problem):
            log.warning(problem, room=self._room, fix=_FIXES[problem].format(room=self._room))
        self._told = (self._status, problem, now_s)
        self._reports.put(
            RoomHealth(
                room=self._room,
                source=self._status,
                hearing=self._status == "ok",
                problem=problem,
                level_dbfs=self._segmenter.level_dbfs,
                noise_floor_dbfs=self._segmenter.noise_floor_dbfs,
                heard_monotonic_s=self._heard_s,
                segments_dropped=self._queue.dropped.get(self._room, 0),
                overflows=self._source.overflows,
            )
        )
