"""Golden waveforms: sounds made by rule, and what the live model says of them, for `monitor.detect.check_model`."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.detect.model import Function

TOLERANCE = 1e-4  # at export; another processor's kernels differ more, so the monitor allows 1e-2


def waveforms(window_samples: int, sample_rate_hz: int = 16000) -> npt.NDArray[np.float32]:
    """Return eight sounds, float32[8, window_samples] in [-1, 1): cries, noise, hum, an alarm, silence.

    No recording is among them, so they may stand in any repository.
    """
    noise = np.random.default_rng(8).normal(size=window_samples)
    time_s = np.arange(window_samples) / sample_rate_hz
    sounds = [
        0.3 * _cry(time_s, pitch_hz=450.0),
        0.1 * _cry(time_s, pitch_hz=520.0) + 0.003 * noise,
        0.01 * _cry(time_s, pitch_hz=400.0) + 0.001 * noise,  # quiet, in a quiet room
        0.2 * noise,
        0.001 * noise,
        0.3 * np.sin(2 * np.pi * 100.0 * time_s),  # hum
        0.5 * np.sign(np.sin(2 * np.pi * 1000.0 * time_s)) * (time_s % 0.5 < 0.25),  # an alarm
        np.zeros(window_samples),
    ]
    return np.clip(np.stack(sounds), -1.0, 1.0 - 2**-15).astype(np.float32)


def write(path: Path, function: Function, sounds: npt.NDArray[np.float32]) -> None:
    """Write `sounds`, and what `function`, the live model, says of them, to `path`, as `check_model` reads it."""
    arrays: dict[str, Any] = {"waveform": sounds, **function(sounds)}
    np.savez_compressed(path, **arrays)


def _cry(time_s: npt.NDArray[np.float64], pitch_hz: float) -> npt.NDArray[np.float64]:
    """Return a wail of peak about 1: harmonics whose pitch rises and falls once a second, then a breath."""
    voiced = np.minimum(time_s % 1.0 / 0.8, 1.0)  # 0..1 over the wail, then 1 during the breath
    pitch = pitch_hz * (1.0 + 0.25 * np.sin(np.pi * voiced))
    angle = 2 * np.pi * np.cumsum(pitch) * (time_s[1] - time_s[0])
    voice = np.sum([np.sin(k * angle) / k for k in range(1, 9)], axis=0)
    return np.asarray(0.6 * voice * np.sqrt(np.maximum(np.sin(np.pi * voiced), 0.0)))
