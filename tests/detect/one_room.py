"""One room, to test what is said when: a `Detector` that hears seconds of crying or of quiet, on a test's clocks."""

from collections.abc import Callable

import numpy as np
from loudness import MANIFEST

from monitor.detect import AlertRule, Detector, Model, Reasons, Said
from monitor.detect.drill import DrillIgnored
from monitor.detect.model import Scores, Waveforms
from monitor.offline import numbered
from monitor.records import (
    SAMPLE_RATE_HZ,
    ActionName,
    AlertHeld,
    Alerting,
    Applied,
    Command,
    EndedBy,
    Event,
    Segment,
    SettingName,
    SourceLost,
)

WALL_AT = 1_700_000_000.0
LOUD = np.full(SAMPLE_RATE_HZ, 8_000, np.int16)
QUIET = np.zeros(SAMPLE_RATE_HZ, np.int16)


def loud_or_not(waveforms: Waveforms) -> Scores:
    return {"cry": (waveforms[:, :1] > 0).astype(np.float32)}


def each_second(need: int, of: int) -> Model:
    """Return a model of which each second is a window of its own; so many of so many that are loud are an episode."""
    threshold = MANIFEST.sensitivity["normal"].model_copy(update={"need": need, "of": of})
    sizes = {"window_samples": SAMPLE_RATE_HZ, "hop_samples": SAMPLE_RATE_HZ, "sensitivity": {"normal": threshold}}
    return Model(MANIFEST.model_copy(update=sizes), "litert", loud_or_not)


EACH_SECOND = each_second(1, 1)
"""The first second that is loud begins an episode: crying seconds are whole numbers."""


class Room:
    """One room's Detector, and all that it said.

    Args:
        make: What makes the detector.
    """

    def __init__(
        self,
        alerts: AlertRule | None = None,
        snoozed_until: float | None = None,
        make: Callable[..., Detector] = Detector,
        model: Model = EACH_SECOND,
        reasons: Reasons | None = None,
    ) -> None:
        self.now_s = 5_000.0
        self.heard_s = 0
        self.loud_s = 0
        self.said: list[Said] = []
        self.detector = make(
            model,
            {"nursery": "normal"},
            numbered(),
            reasons,
            alerts={"nursery": alerts or AlertRule()},
            snoozed_until={} if snoozed_until is None else {"nursery": (snoozed_until, 1_800.0)},
            wall=lambda: self.wall_at,
        )

    @property
    def wall_at(self) -> float:
        return WALL_AT + self.now_s - 5_000.0

    def second(self, *, loud: bool | None) -> None:
        """Let a second pass: loud, quiet, or without a segment (None)."""
        self.now_s += 1
        self.heard_s += 1
        if loud:
            self.loud_s = self.heard_s
        pcm, end_sample = LOUD if loud else QUIET, self.heard_s * SAMPLE_RATE_HZ
        segment = Segment("nursery", pcm, end_sample, self.wall_at, -20.0, -60.0, "open")
        self.said += self.detector.step([] if loud is None else [segment], [], self.now_s)

    def lose(self, ended_by: EndedBy = "source_lost") -> None:
        lost = SourceLost("nursery", ended_by, self.heard_s * SAMPLE_RATE_HZ, self.wall_at)
        self.said += self.detector.step([lost], [], self.now_s)

    def ask(self, setting: SettingName | ActionName, value: str = "", episode_id: str | None = None) -> None:
        self.said += self.detector.step([], [Command("nursery", setting, value, episode_id)], self.now_s)

    def run(self, script: str) -> None:
        """Do what a line says: `cry 20, quiet 5, nothing 3, snooze 2, acknowledge Anna, drill, lose, stop`."""
        for step in script.split(", "):
            match step.split():
                case ["cry" | "quiet" | "nothing" as sound, seconds]:
                    for _ in range(int(seconds)):
                        self.second(loud={"cry": True, "quiet": False, "nothing": None}[sound])
                case ["lose"]:
                    self.lose()
                case ["snooze" | "alert_after" | "acknowledge" | "feedback" as setting, value]:
                    self.ask(setting, value)
                case ["acknowledge" | "test_alert" | "drill" as action]:
                    self.ask(action)
                case ["stop"]:
                    self.said += self.detector.close()

    @property
    def alerts(self) -> list[Event]:
        return [r for r in self.said if isinstance(r, Event) and r.event_type == "alert"]

    @property
    def told(self) -> list[str]:
        """What was said of alerts, as `first 1` (a cause and the crying seconds) or `snooze holds first 1`."""
        lines = []
        for record in self.said:
            if isinstance(record, AlertHeld):
                lines.append(f"{record.cause} holds {record.due} {record.crying_s:.0f}")
            elif isinstance(record, Event) and record.event_type == "alert":
                lines.append(f"{record.cause} {record.duration_s:.0f}")
        return lines

    @property
    def story(self) -> list[str]:
        """What was said, in order: events by their type, the alert's state as ON and OFF, `ignored` for a drill."""
        lines: list[str] = []
        for record in self.said:
            match record:
                case Event():
                    lines.append(record.event_type)
                case Alerting():
                    lines.append("ON" if record.on else "OFF")
                case DrillIgnored():
                    lines.append("ignored")
        return lines

    @property
    def snoozes(self) -> list[Applied]:
        return [r for r in self.said if isinstance(r, Applied) and r.setting == "snooze"]
