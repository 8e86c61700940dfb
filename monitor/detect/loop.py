"""The inference worker: carries records between the segment queue, the `Detector` and those who are told."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from monitor.detect.detector import Detector, Said
from monitor.detect.drill import DrillIgnored
from monitor.errors import InferenceError
from monitor.handoff import Inbox, Reports, SegmentQueue
from monitor.records import AlertHeld, Command, Event, GateMissed, ReasonHealth, Segment, SourceLost

log = structlog.get_logger()

FAILURES = 5
"""Failed batches in a row that end the process: a model that is broken says `offline`, not OFF."""

EVERY = 100
"""A failed reason model is a WARNING the first time, and then each 100th."""

_DRILL_FIX = (
    "see that the speaker plays, and that the microphone is plugged in and reaches the cot; then cry-monitor doctor"
)


class Detect:
    """The turns of the `detect` thread; see `threads.Turns`.

    Args:
        detector: The core.
        queue: Where segments come from.
        inbox: Commands for this thread.
        gates: Each room's capture inbox: a missed cry asks it to open its gate.
        reports: Where publish is told.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        detector: Detector,
        queue: SegmentQueue,
        inbox: Inbox,
        gates: Mapping[str, Inbox],
        reports: Reports[Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._detector = detector
        self._queue = queue
        self._inbox = inbox
        self._gates = gates
        self._reports = reports
        self._clock = clock

    def turn(self) -> None:
        """Score what waits; blocks at most 1 s, and for the inference.

        Raises:
            InferenceError: The model failed five times in a row.
        """
        self._step(self._queue.take(timeout_s=1.0))

    def finish(self) -> None:
        """Score what still waits, then end every episode."""
        while items := self._queue.take(timeout_s=0.0):
            self._step(items)
        self._tell(self._detector.close())

    def close(self) -> None:
        """Nothing to give back."""

    def _step(self, items: list[Segment | SourceLost]) -> None:
        commands = [command for command in self._inbox.drain() if isinstance(command, Command)]
        for attempt in range(1, FAILURES + 1):
            try:
                said = self._detector.step(items, commands, self._clock())
                break
            except InferenceError as error:
                log.warning("inference_failed", attempt=attempt, err=str(error))
                if attempt == FAILURES:
                    raise
        self._tell(said)
        _log_ignored(commands, said)

    def _tell(self, said: list[Said]) -> None:
        for record in said:
            match record:
                case GateMissed():
                    log.info("gate_missed", room=record.room, score=round(record.score, 3))
                    self._gates[record.room].put(record)
                    continue
                case DrillIgnored():
                    log.warning("drill_ignored", room=record.room, err=record.why, fix="ask again when it is over")
                    continue
                case Event():
                    _log_event(record)
                case AlertHeld():
                    log.info(
                        "alert_held",
                        room=record.room,
                        episode_id=record.episode_id,
                        cause=record.cause,
                        due=record.due,
                        crying_s=round(record.crying_s, 1),
                    )
                case ReasonHealth():
                    _log_reason_health(record)
            self._reports.put(record)


def _log_ignored(commands: Sequence[Command], said: Sequence[Said]) -> None:
    """Say of an `acknowledge` why nothing came of it."""
    heard = {record.room for record in said if isinstance(record, Event) and record.event_type == "acknowledged"}
    for command in commands:
        if command.setting == "acknowledge" and command.room not in heard:
            log.warning("acknowledge_ignored", room=command.room, err="no cry runs there that nobody has answered")


def _log_event(event: Event) -> None:
    if event.event_type == "alert":
        log.info(
            "alert",
            room=event.room,
            episode_id=event.episode_id,
            cause=event.cause,
            crying_s=round(event.duration_s, 1),
            test=event.test,
        )
    elif event.event_type == "acknowledged":
        crying_s = round(event.duration_s, 1)
        log.info("acknowledged", room=event.room, episode_id=event.episode_id, by=event.by, crying_s=crying_s)
    elif event.event_type in ("drill_passed", "drill_failed"):
        _log_drill(event)
    else:
        # A cry is exactly one line of the log: its end and its middle are published, and in the history.
        say = log.info if event.event_type == "cry_started" else log.debug
        say(
            event.event_type,
            room=event.room,
            episode_id=event.episode_id,
            score=round(event.confidence, 3),
            level_dbfs=round(event.level_dbfs, 1),
            duration_s=round(event.duration_s, 1),
        )


def _log_drill(event: Event) -> None:
    snr_db = None if event.snr_db is None else round(event.snr_db, 1)
    heard = {"level_dbfs": None if snr_db is None else round(event.level_dbfs, 1), "snr_db": snr_db}
    if event.delay_s is not None:
        log.info("drill_passed", room=event.room, **heard, delay_s=round(event.delay_s, 1))
        return
    err = "no cry was recognised" if snr_db is not None else "nothing was heard at all"
    log.warning("drill_failed", room=event.room, **heard, err=err, fix=_DRILL_FIX)


def _log_reason_health(health: ReasonHealth) -> None:
    if not health.failures:
        log.info("reason_model_works_again")
    elif health.failures % EVERY == 1:
        fix = "causes are unsure until it answers again; try the other model.runtime"
        log.warning("reason_model_failed", err=health.err, failures=health.failures, fix=fix)
