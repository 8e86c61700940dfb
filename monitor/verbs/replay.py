"""`replay`: recordings through the same Segmenter and Detector as the service, as fast as it goes."""

import json
from collections.abc import Iterator
from pathlib import Path

import structlog

from monitor.capture import Recording
from monitor.config import Loaded
from monitor.detect import reasons_or_none
from monitor.offline import listen, numbered
from monitor.records import Event, ReasonHealth, Samples
from monitor.verbs.files import each_recording, in_words, load_cry_model

log = structlog.get_logger()


def replay(loaded: Loaded, files: list[Path], *, jsonl: bool) -> int:
    """Print each event of each recording; the first room's settings apply, its source does not."""
    model = load_cry_model(loaded.config.model)
    reasons = reasons_or_none(loaded.config.reason, loaded.config.model.runtime)
    room_id, room = next(iter(loaded.config.rooms.items()))
    make_id = numbered()

    def use(path: Path, _: Recording, blocks: Iterator[Samples]) -> None:
        said = listen(
            blocks,
            model,
            room=room_id,
            sensitivity=room.sensitivity,
            vad_mode=room.gate.vad_mode,
            make_id=make_id,
            reasons=reasons,
        )
        for record in said:
            if isinstance(record, Event):
                print(_json(path, record) if jsonl else _line(path, record), flush=True)  # noqa: T201 - the result
            elif isinstance(record, ReasonHealth) and record.failures == 1:
                log.warning("reason_model_failed", err=record.err)

    return each_recording(files, use)


def _json(path: Path, event: Event) -> str:
    return json.dumps(
        {
            "file": str(path),
            "event_type": event.event_type,
            "episode_id": event.episode_id,
            "at_s": round(event.at_s, 3),
            "started_s": round(event.started_s, 3),
            "duration_s": round(event.duration_s, 3),
            "confidence": round(event.confidence, 4),
            "reason": event.reason,
            "reasons": event.reasons,
        }
    )


def _line(path: Path, event: Event) -> str:
    minutes, seconds = divmod(event.at_s, 60)
    told = f"{path.name}  {minutes:3.0f}:{seconds:04.1f}  {event.event_type:<11}  confidence {event.confidence:.2f}"
    if event.event_type != "cry_started":
        told = f"{told}  {event.duration_s:.1f} s of crying"
    return told + in_words(event.reason, event.reasons)
