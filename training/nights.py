"""Long recordings through the line that ships (`monitor.offline`), and what of it was right."""

import csv
import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from monitor.capture import Recording
from monitor.detect import Model
from monitor.offline import listen
from monitor.records import Event, Sensitivity

NIGHTS = ("night/night", "extra/night/night_low_snr")
NEGATIVES = "negatives"
HANG_OVER_S = 25.0  # an episode may rightly go on so long after a cry
LATE_S, EARLY_S, AFTER_S = 2.0, 1.0, 5.0

Span = tuple[float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """What a monitor made of a night with `cries` cries."""

    cries: int
    found: int
    episodes: int
    false_episodes: int
    median_latency_s: float | None
    max_latency_s: float | None
    false_at_s: tuple[float, ...]


def read_cries(path: Path) -> list[Span]:
    """Return onset and offset, in seconds, of the rows labelled cry in a night's list."""
    with path.open(newline="", encoding="utf-8") as lines:
        return sorted((float(r["onset_s"]), float(r["offset_s"])) for r in csv.DictReader(lines) if r["label"] == "cry")


def episodes(path: Path, model: Model, sensitivity: Sensitivity) -> list[Span]:
    """Return when episodes began and ended, in seconds, as `cry-monitor replay` says it: gate, detector and all."""
    with Recording(path) as recording:
        said = listen(recording.blocks(), model, sensitivity=sensitivity)
        events = [event for event in said if isinstance(event, Event)]
    ends = {event.episode_id: event.at_s for event in events if event.event_type == "cry_ended"}
    return [(e.at_s, ends[e.episode_id]) for e in events if e.event_type == "cry_started"]


def duration_s(path: Path) -> float:
    """Return how long a recording is."""
    with Recording(path) as recording:
        return float(recording.duration_s)


def judge(spans: Iterable[Span], cries: Sequence[Span]) -> Figures:
    """Compare episodes with cries.

    A cry is found when an episode starts inside it (to 2 s after), or when the episode of a cry that ended at most
    25 s before still runs at its onset: that one has no latency. An episode is false when it starts outside every
    cry (1 s before to 5 s after).
    """
    spans = sorted(spans)
    found, latencies = 0, []
    for number, (onset, offset) in enumerate(cries):
        starts = [start for start, _ in spans if onset <= start <= offset + LATE_S]
        earlier = cries[number - 1] if number else None
        carried = (
            earlier is not None
            and onset - earlier[1] <= HANG_OVER_S
            and any(earlier[0] <= start < onset <= end for start, end in spans)
        )
        found += bool(starts or carried)
        if starts and not carried:
            latencies.append(min(starts) - onset)
    false = [s for s, _ in spans if not any(on - EARLY_S <= s <= off + AFTER_S for on, off in cries)]
    return Figures(
        cries=len(cries),
        found=found,
        episodes=len(spans),
        false_episodes=len(false),
        median_latency_s=round(statistics.median(latencies), 2) if latencies else None,
        max_latency_s=round(max(latencies), 2) if latencies else None,
        false_at_s=tuple(round(start, 1) for start in false),
    )


def measure(data_dir: Path, model: Model, sensitivity: Sensitivity) -> dict[str, Figures]:
    """Return the figures of each public night at `sensitivity`, through the line that ships."""
    return {
        Path(name).name: judge(
            episodes(data_dir / f"{name}.flac", model, sensitivity), read_cries(data_dir / f"{name}.csv")
        )
        for name in NIGHTS
    }


def false_alarms(data_dir: Path, model: Model, sensitivity: Sensitivity) -> tuple[dict[str, int], float]:
    """Return the episodes in each recording that holds no cry, and the hours of all. For figures, never for choices."""
    paths = sorted((data_dir / NEGATIVES).glob("*.ogg"))
    counts = {path.stem: len(episodes(path, model, sensitivity)) for path in paths}
    return counts, sum(map(duration_s, paths)) / 3600
