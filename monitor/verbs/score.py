"""`score`: every window of a recording through the model; no gate, no episodes."""

import json
from collections.abc import Iterator
from pathlib import Path

from monitor.capture import Recording
from monitor.config import Loaded
from monitor.offline import score_windows
from monitor.records import SAMPLE_RATE_HZ, UNSURE, Samples
from monitor.verbs.files import each_recording, load_cry_model


def score(loaded: Loaded, files: list[Path], *, jsonl: bool) -> int:
    """Print one line for each recording: its highest window score; as JSON, every window's."""
    model = load_cry_model(loaded.config.model)

    def use(path: Path, recording: Recording, blocks: Iterator[Samples]) -> None:
        scores = list(score_windows(blocks, model))
        cry = max(score.score for score in scores)
        line = f"{path.name}  {recording.duration_s:.1f} s  cry {cry:.3f}"
        if jsonl:
            windows = [[round(score.end_sample / SAMPLE_RATE_HZ, 3), round(score.score, 6)] for score in scores]
            line = json.dumps(
                {
                    "file": str(path),
                    "duration_s": round(recording.duration_s, 3),
                    "cry": round(cry, 6),
                    "windows": windows,
                    "reason": UNSURE,
                    "reasons": {},
                }
            )
        print(line, flush=True)  # noqa: T201 - the result

    return each_recording(files, use)
