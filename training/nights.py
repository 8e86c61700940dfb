"""Long recordings through the line that ships (`monitor.offline`) and through the peer, and what of it was right."""

import csv
import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from monitor.capture import Recording
from monitor.detect import Model
from monitor.offline import listen
from monitor.records import Event, Sensitivity
from training import data, intervals, peer
from training.hearing import Ears
from training.peer import Span

NIGHTS = ("night/night", "extra/night/night_low_snr")
NEGATIVES = "negatives"
HANG_OVER_S = 25.0  # an episode may rightly go on so long after a cry
LATE_S, EARLY_S, AFTER_S = 2.0, 1.0, 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """What a monitor made of a night with `cries` cries, or of several: by the rules of shared/tools/night_score.py."""

    hours: float
    cries: int
    found: int
    episodes: int
    false_at_s: tuple[float, ...]
    false_on_s: float  # in an episode, outside every cry (1 s before to 25 s after)
    latencies_s: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, with those that follow from others, for JSON."""
        late = self.latencies_s
        return {
            "hours": round(self.hours, 4),
            "cries": self.cries,
            "found": self.found,
            "found_share": intervals.binomial(self.found, self.cries) if self.cries else None,
            "episodes": self.episodes,
            "false_episodes": len(self.false_at_s),
            "false_per_hour": intervals.per_hour(len(self.false_at_s), self.hours),
            "false_on_s_per_hour": round(self.false_on_s / self.hours, 1),
            "median_latency_s": round(statistics.median(late), 2) if late else None,
            "max_latency_s": round(max(late), 2) if late else None,
            "false_at_s": [round(start, 1) for start in self.false_at_s],
        }


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


def judge(spans: Iterable[Span], cries: Sequence[Span], hours: float) -> Figures:
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
    allowed = [(on - EARLY_S, off + HANG_OVER_S) for on, off in cries]
    return Figures(
        hours=hours,
        cries=len(cries),
        found=found,
        episodes=len(spans),
        false_at_s=tuple(s for s, _ in spans if not any(on - EARLY_S <= s <= off + AFTER_S for on, off in cries)),
        false_on_s=sum(end - start - overlap_s(start, end, allowed) for start, end in spans),
        latencies_s=tuple(latencies),
    )


def together(nights: Sequence[Figures]) -> Figures:
    """Return the figures of several nights as one."""
    return Figures(
        hours=sum(night.hours for night in nights),
        cries=sum(night.cries for night in nights),
        found=sum(night.found for night in nights),
        episodes=sum(night.episodes for night in nights),
        false_at_s=tuple(at for night in nights for at in night.false_at_s),
        false_on_s=sum(night.false_on_s for night in nights),
        latencies_s=tuple(late for night in nights for late in night.latencies_s),
    )


def overlap_s(start: float, end: float, spans: Sequence[Span]) -> float:
    """Return how much of [start, end] the union of `spans` covers."""
    covered, reached = 0.0, start
    for first, last in sorted(spans):
        begin, until = max(first, reached), min(last, end)
        if until > begin:
            covered, reached = covered + until - begin, until
    return covered


def measure(data_dir: Path, name: str, model: Model, ears: Ears) -> tuple[dict[str, Figures], dict[str, Any]]:
    """Return the figures of the night `name` at each sensitivity and of the peer, and what draws its timeline."""
    path, cries = data_dir / f"{name}.flac", read_cries(data_dir / f"{name}.csv")
    spans: dict[str, list[Span]] = {who: episodes(path, model, who) for who in model.manifest.sensitivity}
    heard = ears.both([data.read_samples(path)])
    spans["peer"] = peer.episodes(heard.peers[0])
    hours = duration_s(path) / 3600
    timeline = {
        "cries": cries,
        "episodes": spans["normal"],
        "episodes_peer": spans["peer"],
        "scores": [round(float(score), 3) for score in heard.ours[0]],
        "scores_peer": [round(float(score), 3) for score in heard.peers[0]],
        "hours": hours,
    }
    return {who: judge(found, cries, hours) for who, found in spans.items()}, timeline


def negatives(data_dir: Path) -> list[Path]:
    """Return the recordings that hold no cry."""
    return sorted((data_dir / NEGATIVES).glob("*.ogg"))


def false_alarms(path: Path, model: Model, ears: Ears) -> dict[str, tuple[int, int]]:
    """Return the episodes in a recording that holds no cry, at each sensitivity and of the peer: all, and in a laugh.

    For figures, never for choices.
    """
    with path.with_suffix(".csv").open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if "laugh" in row["label"]]
    laughs = [(float(row["onset_s"]), float(row["offset_s"]) + LATE_S) for row in rows]
    spans: dict[str, list[Span]] = {who: episodes(path, model, who) for who in model.manifest.sensitivity}
    spans["peer"] = peer.episodes(ears.peers([data.read_samples(path)])[0])
    return {
        who: (len(found), sum(any(first <= start <= last for first, last in laughs) for start, _ in found))
        for who, found in spans.items()
    }
