"""The gate: is there anything in this room worth the model's time? The only importer of webrtcvad.

It saves power, never correctness: a model behind a gate that is always open gives the same events. What it lets through
is called "cry-like" and means no more than that.
"""

import math
from collections import deque

import numpy as np
import webrtcvad

from monitor.records import SAMPLE_RATE_HZ, Samples

FRAME_SAMPLES = 480
"""30 ms, the longest frame that webrtcvad takes."""

SILENCE_DBFS = -100.0
"""What digital silence counts as."""

OPEN_VOICED = 10
"""Of the last 33 frames (1 s): 30 %."""

OPEN_RISE_DB = 10.0
"""Level over the noise floor that opens the gate without any voice: `webrtcvad` adapts to steady sound."""

LOWEST_FLOOR_DBFS = -75.0
"""Below this the floor is the converter's own; rising 10 dB over it says nothing."""

FLOOR_RISE_DB_PER_S = 0.1
"""Slow, so that a minute of crying does not become the floor."""

FLOOR_FALL_DB_PER_S = 10.0
"""A breath between two wails of a microphone with a noise gate is no new floor; a fan that stops is one in seconds."""

HOLD_S = 2.0
"""The gate closes after so long of neither voice nor level."""


class VoiceGate:
    """Voice and level state of one room, fed in 30 ms frames by one thread.

    Args:
        vad_mode: webrtcvad's aggressiveness, 0..2; measured, 3 passes 2 % of a quiet cry where these pass over 50 %.

    Attributes:
        level_dbfs: RMS of the last second.
        noise_floor_dbfs: The slow floor.
    """

    def __init__(self, vad_mode: int = 1) -> None:
        self._vad = webrtcvad.Vad(vad_mode)
        self.reset()

    def reset(self) -> None:
        """Forget all: a new source, or a gap in the old one."""
        self.level_dbfs = SILENCE_DBFS
        self.noise_floor_dbfs = SILENCE_DBFS
        self._heard_any = False
        self._voiced: deque[bool] = deque(maxlen=33)
        self._power: deque[float] = deque(maxlen=33)
        self._recent: deque[float] = deque(maxlen=10)
        self._hold_frames = 0

    @property
    def is_open(self) -> bool:
        """Whether the newest frame goes through."""
        return self._hold_frames > 0

    def force_open(self) -> None:
        """Open now, for `HOLD_S` at least: the detector heard a cry through a closed gate."""
        self._hold_frames = round(HOLD_S * SAMPLE_RATE_HZ / FRAME_SAMPLES)

    def step(self, frames: Samples) -> None:
        """Hear int16 frames, shape (n, 480)."""
        floats = frames.astype(np.float64) / 32768.0
        means = floats.mean(axis=1)
        # The variance, not the mean square: a converter's constant offset is no sound.
        powers = np.einsum("ij,ij->i", floats, floats) / FRAME_SAMPLES - means * means
        for frame, power in zip(frames, powers.tolist(), strict=True):
            self._voiced.append(self._vad.is_speech(frame.tobytes(), SAMPLE_RATE_HZ))
            self._power.append(power)
            self._recent.append(power)
            recent_dbfs = _dbfs(sum(self._recent) / len(self._recent))
            self._follow_floor(recent_dbfs)
            rise_db = recent_dbfs - max(self.noise_floor_dbfs, LOWEST_FLOOR_DBFS)
            if sum(self._voiced) >= OPEN_VOICED or rise_db >= OPEN_RISE_DB:
                self.force_open()
            elif self._hold_frames:
                self._hold_frames -= 1
        self.level_dbfs = _dbfs(sum(self._power) / len(self._power))

    def _follow_floor(self, level_dbfs: float) -> None:
        if not self._heard_any:
            self._heard_any, self.noise_floor_dbfs = True, level_dbfs
        frame_s = FRAME_SAMPLES / SAMPLE_RATE_HZ
        step_db = level_dbfs - self.noise_floor_dbfs
        self.noise_floor_dbfs += min(max(step_db, -FLOOR_FALL_DB_PER_S * frame_s), FLOOR_RISE_DB_PER_S * frame_s)


def _dbfs(power: float) -> float:
    return max(SILENCE_DBFS, 10.0 * math.log10(max(power, 1e-10)))
