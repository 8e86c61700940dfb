"""`score`: every window of a recording through the model; no gate, no episodes."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import structlog

from monitor.capture import Recording
from monitor.config import Loaded
from monitor.detect import Judgement, Reasons, reasons_or_none
from monitor.errors import InferenceError
from monitor.offline import score_windows
from monitor.records import SAMPLE_RATE_HZ, Samples, Score
from monitor.verbs.files import each_recording, in_words, load_cry_model

log = structlog.get_logger()


def score(loaded: Loaded, files: list[Path], *, jsonl: bool) -> int:
    """Print one line for each recording: its highest window score, and the cause there; as JSON, every window's."""
    model = load_cry_model(loaded.config.model)
    reasons = reasons_or_none(loaded.config.reason, loaded.config.model.runtime)

    def use(path: Path, recording: Recording, blocks: Iterator[Samples]) -> None:
        scores: list[Score] = []
        cry, likeliest = -1.0, np.zeros(0, np.int16)
        for score, sound in score_windows(blocks, model):
            scores.append(score)
            if score.score > cry:
                cry, likeliest = score.score, sound.copy()
        judgement = _judge(reasons, likeliest)
        line = f"{path.name}  {recording.duration_s:.1f} s  cry {cry:.3f}"
        line += in_words(judgement.reason, judgement.reasons)
        if jsonl:
            windows = [[round(score.end_sample / SAMPLE_RATE_HZ, 3), round(score.score, 6)] for score in scores]
            line = json.dumps(
                {
                    "file": str(path),
                    "duration_s": round(recording.duration_s, 3),
                    "cry": round(cry, 6),
                    "windows": windows,
                    "reason": judgement.reason,
                    "reasons": judgement.reasons,
                }
            )
        print(line, flush=True)  # noqa: T201 - the result

    return each_recording(files, use)


def _judge(reasons: Reasons | None, sound: Samples) -> Judgement:
    """Judge the cause by the 8 s that end with the likeliest window, zeros in front where there is less."""
    if reasons is None:
        return Judgement()
    try:
        return reasons.judge(sound)
    except InferenceError as error:
        log.warning("reason_model_failed", err=str(error))
        return Judgement()
