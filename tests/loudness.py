"""A cry model that a test can reason about: a window's score is its level. It keeps the contract of `detect.Model`.

That the real model keeps the same contract is what `tests/detect/test_model.py` shows, with the same checks over both.
"""

import numpy as np

from monitor.detect import Manifest, Model
from monitor.detect.model import Scores, Waveforms

WINDOW_SAMPLES = 24_000
HOP_SAMPLES = 7_680

MANIFEST = Manifest.model_validate(
    {
        "format": 1,
        "name": "cry",
        "version": "loudness",
        "sample_rate_hz": 16_000,
        "window_samples": WINDOW_SAMPLES,
        "hop_samples": HOP_SAMPLES,
        "signature": "serving_default",
        "input": "waveform",
        "outputs": {"cry": [1]},
        "sensitivity": {
            "low": {"enter": 0.9, "exit": 0.6, "need": 3, "of": 5},
            "normal": {"enter": 0.6, "exit": 0.4, "need": 3, "of": 5},
            "high": {"enter": 0.3, "exit": 0.2, "need": 2, "of": 5},
        },
        "files": {},
    }
)


def score(waveforms: Waveforms) -> Scores:
    """0 at -60 dBFS and below, 1 at 0 dBFS: linear in dB between."""
    rms = np.sqrt(np.mean(waveforms.astype(np.float64) ** 2, axis=1))
    level_dbfs = 20 * np.log10(np.maximum(rms, 1e-5))
    return {"cry": np.clip(1 + level_dbfs / 60, 0, 1).astype(np.float32)[:, None]}


MODEL = Model(MANIFEST, "litert", score)
