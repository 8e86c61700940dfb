"""The values that cross threads: frozen, slotted, each owning a copy of what it holds; and the words they share.

Three clocks, one suffix each: `_s` positions (`at_s`, `started_s`) count samples since the source opened, `at` and
`started_at` are UTC seconds since the epoch, `monotonic_s` is this process's monotonic clock.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
"""Inside the process sound has one format: this rate, mono, int16."""

RING_S = 8
"""Seconds of sound that a room remembers; the longest `Segment`."""

Samples = NDArray[np.int16]

Gate = Literal["open", "closed", "probe"]
EndedBy = Literal["quiet", "source_lost", "source_ended", "disabled", "stopped", "interrupted"]
EventType = Literal["cry_started", "cry_ongoing", "cry_ended", "alert", "acknowledged", "drill_passed", "drill_failed"]
SourceStatus = Literal["opening", "ok", "lost", "ended", "disabled", "muted", "flat", "stopped"]
Problem = Literal[
    "ok",
    "source_lost",
    "source_ended",
    "disabled",
    "muted",
    "flat",
    "clipped",
    "too_quiet",
    "reason_model",
    "store",
]
SettingName = Literal["enabled", "sensitivity", "alert_after", "snooze"]
ActionName = Literal["acknowledge", "feedback", "test_alert", "drill", "fed", "slept", "changed"]
AlertCause = Literal["first", "repeat", "hard_limit", "test"]
HeldBy = Literal["snooze", "acknowledged", "not_a_cry"]
Sensitivity = Literal["low", "normal", "high"]

UNSURE = "unsure"
"""The `reason` of a cry whose cause cannot be told."""

NONE = "None"
"""What a setting or a note says where there is nothing to say; Home Assistant shows it as unknown."""

NOT_A_CRY = "not_a_cry"
"""What a person answers where there was none; no model may call a cause so."""


def time_of(at: float) -> str:
    """Return UTC seconds as every reader sees a time: RFC 3339 with milliseconds and Z."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Segment:
    """What capture hands to detect each hop while the gate is open, and each second while it is closed.

    Attributes:
        room: The room's id.
        samples: int16, shape (n,), n <= 128 000 (8 s), newest last; empty when the gate is closed.
        end_sample: Samples since the source opened, this segment's last one included.
        at: UTC time of the last sample, seconds since the epoch.
        level_dbfs: RMS level of the last second; full scale square wave = 0.
        noise_floor_dbfs: The slow floor that the level path compares with.
        gate: `open`, `closed` (no samples: time goes on) or `probe` (one window, through a closed gate).
    """

    room: str
    samples: Samples = field(repr=False, compare=False)
    end_sample: int
    at: float
    level_dbfs: float
    noise_floor_dbfs: float
    gate: Gate

    @property
    def at_s(self) -> float:
        """Seconds since the source opened."""
        return self.end_sample / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class SourceLost:
    """A marker in the segment queue, never dropped: this room hears nothing from here on."""

    room: str
    ended_by: EndedBy
    end_sample: int
    at: float


@dataclass(frozen=True, slots=True)
class Score:
    """One window's score: `end_sample` is the window's end, `score` 0..1."""

    end_sample: int
    score: float


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a cry's story, from detect to publish; see `docs/mqtt.md` for what each field means to a reader.

    `at_s` and `started_s` are positions in the source, `at` and `started_at` the same instants in UTC. Of no cry
    (`episode_id` None) are a test and a drill's result; `snr_db` and `delay_s` are of the latter alone.

    Attributes:
        sensitivity: The room's when it was decided; None in what an older release wrote. Kept, not published.
        lead_s: Seconds before `started_s` at which it first sounded like crying. Kept, not published.
    """

    event_type: EventType
    event_id: str
    episode_id: str | None
    room: str
    at: float
    at_s: float
    started_at: float
    started_s: float
    duration_s: float
    confidence: float
    peak: float
    mean: float
    level_dbfs: float
    model: str
    ended_by: EndedBy | None = None
    reason: str = UNSURE
    reasons: dict[str, float] = field(default_factory=dict)
    cause: AlertCause | None = None
    by: str | None = None
    test: bool = False
    snr_db: float | None = None
    delay_s: float | None = None
    sensitivity: Sensitivity | None = None
    lead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class AlertHeld:
    """An alert that was due and is not sent: kept in the history and said in the log, never published.

    Attributes:
        due: Why it was due.
        cause: What held it.
        crying_s: Seconds of crying by then.
    """

    room: str
    episode_id: str
    at: float
    at_s: float
    crying_s: float
    due: AlertCause
    cause: HeldBy


@dataclass(frozen=True, slots=True)
class Alerting:
    """Whether a room's alert is on: said on change. On from an episode's first alert until it ends or is held."""

    room: str
    on: bool
    at: float


@dataclass(frozen=True, slots=True)
class CauseJudged:
    """The cause of a running episode was judged, and no event says so: it is `unsure`. Events to come carry it."""

    room: str
    episode_id: str
    reason: str
    reasons: dict[str, float]
    at: float


@dataclass(frozen=True, slots=True)
class ReasonHealth:
    """How the reason model does, from detect to publish: on each failure, and on the first answer after one.

    Attributes:
        failures: In a row; 0: it answers again.
        err: What it failed with.
    """

    failures: int
    err: str = ""


@dataclass(frozen=True, slots=True)
class GateMissed:
    """A probe scored over the threshold behind a closed gate: detect asks capture to open it, pre-roll included."""

    room: str
    score: float
    at_s: float


@dataclass(frozen=True, slots=True)
class RoomHealth:
    """What capture knows of a room: on every change, and each second.

    Attributes:
        hearing: Whether real samples arrive and the room is enabled.
        heard_monotonic_s: When the last samples came, on the monotonic clock; None before the first.
        segments_dropped: Segments replaced in the queue since the start.
        overflows: Times since the start that the source lost samples because nobody fetched them.
    """

    room: str
    source: SourceStatus
    hearing: bool
    problem: Problem
    level_dbfs: float
    noise_floor_dbfs: float
    heard_monotonic_s: float | None
    segments_dropped: int
    overflows: int = 0


@dataclass(frozen=True, slots=True)
class Level:
    """Telemetry of a room, each 5 s: the level, the gate, and the newest window's score (None: none yet).

    Attributes:
        heard_s: Seconds of real samples since the last one; what was lost, muted or switched off is not in it.
        top_dbfs: The highest level since the last one.
        top_score: The highest score since the last one; None: no window was scored.
        model: Who scored.
        sensitivity: The room's now.
    """

    room: str
    dbfs: float
    gate: Gate
    score: float | None
    at: float
    heard_s: float = 0.0
    top_dbfs: float = float("-inf")
    top_score: float | None = None
    model: str = ""
    sensitivity: Sensitivity = "normal"


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody asked for, parsed and valid; drained by the thread that owns the state it changes.

    Attributes:
        setting: A setting to change, or something to do.
        value: `enabled` ON or OFF; `sensitivity`; `alert_after` whole seconds; `snooze` whole minutes, 0 ends it;
            `acknowledge` who, or nothing; `feedback` a category or `not_a_cry`; nothing for `test_alert` and `drill`.
        episode_id: Of `feedback`: which cry is meant; None: the running, else the latest one.
        at: Of `fed`, `slept` and `changed`: when it was, UTC.
    """

    room: str
    setting: SettingName | ActionName
    value: str
    episode_id: str | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """The owner of a setting says that it now has this value.

    Attributes:
        value: As its topic says it; of `snooze` the end, RFC 3339 in UTC, or `None`.
        until_at: When it changes by itself (a snooze's end; when a room that is off turns on again), UTC; None: never.
        asked_s: Seconds that were asked for then: after a restart no more than this is left, wherever the clock stands.
    """

    room: str
    setting: SettingName
    value: str
    until_at: float | None = None
    asked_s: float | None = None
