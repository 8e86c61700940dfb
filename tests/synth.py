"""Sound made by code: what most tests listen to. Levels are RMS in dBFS, arrays int16 at 16 kHz."""

import numpy as np

from monitor.records import SAMPLE_RATE_HZ, Samples


def _at_level(wave: np.ndarray[tuple[int, ...], np.dtype[np.float64]], level_dbfs: float) -> Samples:
    rms = np.sqrt(np.mean(wave**2)) or 1.0
    return np.clip(wave / rms * 10 ** (level_dbfs / 20) * 32768, -32768, 32767).astype(np.int16)


def noise(seconds: float, level_dbfs: float = -60.0, seed: int = 1) -> Samples:
    """White noise: a quiet room, or a noise machine."""
    return _at_level(np.random.default_rng(seed).normal(size=round(seconds * SAMPLE_RATE_HZ)), level_dbfs)


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.int16)


def hum(seconds: float, level_dbfs: float = -50.0) -> Samples:
    """Mains hum: 50 Hz and its harmonics, steady."""
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return _at_level(np.sum([np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 6)], axis=0), level_dbfs)


def cry(seconds: float, level_dbfs: float = -25.0, pitch_hz: float = 450.0) -> Samples:
    """A harmonic cry: one wail a second, its pitch rising and falling, 0.8 s of sound and 0.2 s of breath."""
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    phase_in_wail = t % 1.0
    pitch = pitch_hz * (1.0 + 0.25 * np.sin(np.pi * np.minimum(phase_in_wail / 0.8, 1.0)))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
    wave = np.sum([np.sin(k * phase) / k**0.7 for k in range(1, 9)], axis=0)
    envelope = np.clip(np.minimum(phase_in_wail / 0.05, (0.8 - phase_in_wail) / 0.1), 0.0, 1.0)
    return _at_level(wave * envelope, level_dbfs)


def over(room: Samples, *sounds: tuple[float, Samples]) -> Samples:
    """Add sounds to a room's own, each at its second."""
    mixed = room.astype(np.int32)
    for at_s, sound in sounds:
        start = round(at_s * SAMPLE_RATE_HZ)
        mixed[start : start + len(sound)] += sound
    return np.clip(mixed, -32768, 32767).astype(np.int16)
