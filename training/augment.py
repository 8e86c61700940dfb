"""What a room, a microphone and a codec do to a sound, made up at random: one batch a step, the same for the same step.

Most of it is one multiplication of the window's spectrum (speed, equaliser, low-pass, room), so a batch costs about
0.2 s of one core.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft

from training import teacher
from training.data import Clip, Sounds, is_kept_back, to_float, to_int16
from training.params import AugmentParams, Params

Array = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.complex64]
Rng = np.random.Generator

# Drawing by source, then by how easily a label is taken for a cry: laughs gave the peer nearly all its false alarms.
LABEL_WEIGHTS = {"laugh": 3.0, "child_speech": 2.5, "child_vocal": 4.0, "baby_vocal": 8.0, "cat": 20.0, "everyday": 4.0}
LABEL_WEIGHTS |= {"background": 2.0, "animal": 2.0, "singing": 2.0, "household": 1.5, "alarm": 1.5}
NOISE_S = 60
ROOMS = 64
ACTIVE_DB = 20.0  # a frame this far under the loud ones is a pause


class Mined(NamedTuple):
    """Windows of clips without a cry that a model takes for one."""

    clips: npt.NDArray[np.int64]  # their numbers
    starts: npt.NDArray[np.int64]  # first sample of the window in the clip
    chances: npt.NDArray[np.float64]  # of being drawn; they sum to 1


class Example(NamedTuple):
    """One window, how much of a cry it is, how much that counts, and what the teacher hears."""

    waveform: Array  # float32[window_samples]
    target: float
    weight: float
    heard: teacher.Heard  # float16[521]


class Batch(NamedTuple):
    """What the network learns from at one step."""

    waveforms: Array  # float32[batch, window_samples]
    targets: Array  # float32[batch, 1]
    weights: Array  # float32[batch]
    heard: Array  # float32[batch, classes], what else the teacher hears
    odds: Array  # float32[batch, 521], what it says of every class: `teacher.Odds`


def active_level_dbfs(sound: Array) -> float:
    """Return the rms of the 50 ms frames within 20 dB of the loudest twentieth, in dB to full scale; -120 at least."""
    frames = sound[: len(sound) // 800 * 800].reshape(-1, 800) if len(sound) >= 800 else sound[None]
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    loud = power[power >= np.percentile(power, 95) * 10 ** (-ACTIVE_DB / 10)]
    return float(10 * np.log10(max(loud.mean(), 1e-12)))


def coloured_noise(rng: Rng, samples: int, slope_db_per_octave: float) -> Array:
    """Return noise of rms 1, float32[samples]; slope 0 is white, -3 pink, -6 brown (flat under 40 Hz)."""
    hertz = np.maximum(np.arange(samples // 2 + 1) * 16000 / samples, 40.0)
    spectrum = rng.normal(size=(2, len(hertz))).astype(np.float32)
    spectrum *= (hertz / 1000) ** (slope_db_per_octave / (20 * np.log10(2)))
    noise = scipy.fft.irfft(spectrum[0] + 1j * spectrum[1], samples)
    return np.asarray(noise / noise.std(), np.float32)


def low_pass(hertz: Array, edge_hz: float) -> Array:
    """Return the gain at `hertz` of a low-pass at `edge_hz`: one to zero within a twentieth, as resamplers do."""
    return np.asarray(np.clip((edge_hz * 1.05 - hertz) / (edge_hz * 0.05), 0.0, 1.0), np.float32)


def equaliser(rng: Rng, hertz: Array, points: int, most_db: float) -> Array:
    """Return the gain at `hertz` of a smooth random response: `points` over the octaves, each within `most_db`."""
    knots = np.linspace(np.log2(60.0), np.log2(8000.0), points)
    gains_db = rng.uniform(-most_db, most_db, points)
    return np.asarray(10 ** (np.interp(np.log2(np.maximum(hertz, 1.0)), knots, gains_db) / 20), np.float32)


def missing_band(rng: Rng, hertz: Array, params: AugmentParams) -> Array:
    """Return the gain at `hertz` where one band, of random place, width and depth, is all but gone."""
    low = np.exp2(rng.uniform(*np.log2(params.mask_from_hz)))
    high = low * np.exp2(rng.uniform(*params.mask_octaves))
    gains = np.ones(len(hertz), np.float32)
    gains[(hertz >= low) & (hertz < high)] = 10 ** (-rng.uniform(*params.mask_db) / 20)
    return gains


def room_response(rng: Rng, samples: int, rt60_s: float) -> Spectrum:
    """Return the spectrum of an echo: the direct sound and a tail that falls by 60 dB in `rt60_s`, power 1 in all."""
    tail = rng.normal(size=samples) * 10 ** (-3.0 * np.arange(samples) / 16000 / rt60_s)
    tail *= 10 ** (-rng.uniform(-3.0, 10.0) / 20) / np.sqrt(np.square(tail).sum())
    tail[0] += 1.0
    return np.asarray(scipy.fft.rfft(tail / np.sqrt(np.square(tail).sum())), np.complex64)


class Augmenter:
    """The training sounds and all that may happen to them; only reads after construction, so threads may share it."""

    def __init__(
        self,
        clips: Sequence[Clip],
        plain: Sounds,
        lossy: Sounds,
        heard: Sequence[teacher.Heard],
        params: Params,
    ) -> None:
        """Prepare the draws.

        Args:
            clips: training clips, in the order of the sounds.
            plain: their sounds.
            lossy: the same after a codec.
            heard: what the teacher hears along each clip.
            params: all settings.
        """
        self.plain, self.lossy, self.params = plain, lossy, params
        self.classes = teacher.worth_learning(heard)
        self.cry_heard = [teacher.cry(scores) for scores in heard]
        self.heard = heard
        self.odds = teacher.Odds(heard)
        self.levels_dbfs = np.array([active_level_dbfs(to_float(plain[i])) for i in range(len(plain))])
        loud = self.levels_dbfs > -75.0  # 0.3 % of the clips are all but silent: nothing to learn from by level
        self.cries = np.array([i for i, clip in enumerate(clips) if clip.is_cry and loud[i]])
        drawn = [i for i, clip in enumerate(clips) if not clip.is_cry and not is_kept_back(clip)]
        self.others = np.array([i for i in drawn if loud[i]])
        self.clips = clips
        self.cry_chances = _chances([clips[i] for i in self.cries])
        self.other_chances = _chances([clips[i] for i in self.others])
        window = params.window.window_samples
        self.hertz = (np.arange(window // 2 + 1) * (params.window.sample_rate_hz / window)).astype(np.float32)
        self.lengths = _quick_lengths(window, params.augment.speed)
        self.wild_lengths = _quick_lengths(window, params.augment.wild_speed)
        rng = np.random.default_rng(params.train.seed)
        slopes = params.augment.floor_slope_db_per_octave
        self.noises = [coloured_noise(rng, NOISE_S * params.window.sample_rate_hz, slope) for slope in slopes]
        self.rooms = [room_response(rng, window, rng.uniform(*params.augment.reverb_rt60_s)) for _ in range(ROOMS)]

    def batch(self, step: int, mined: Mined | None = None) -> Batch:
        """Return the batch of `step`; with `mined`, part of the negatives are drawn from there."""
        rng = np.random.default_rng((self.params.train.seed, step))
        made = [self._example(rng, mined) for _ in range(self.params.train.batch)]
        waveforms, targets, weights = (np.array([row[i] for row in made], np.float32) for i in range(3))
        heard = np.stack([row.heard for row in made])
        return Batch(waveforms, targets[:, None], weights, heard[:, self.classes].astype(np.float32), self.odds(heard))

    def negative(self, rng: Rng, index: int, start: int | None) -> Array:
        """Return a window of clip `index` (about `start`, or anywhere) after all that may happen to it."""
        return self._render(rng, index, start, cry=False)[0]

    def _example(self, rng: Rng, mined: Mined | None) -> Example:
        """Return one window and what to learn from it."""
        augment = self.params.augment
        cry = rng.random() < augment.cry_share
        window = self.params.window.window_samples
        if not cry and rng.random() < augment.silence_share:
            silence = self._microphone(rng, np.zeros(window, np.float32), np.inf)
            return Example(silence, 0.0, 1.0, np.zeros(teacher.CLASSES, np.float16))
        if cry:
            return self._render(rng, int(rng.choice(self.cries, p=self.cry_chances)), None, cry=True)
        if mined and rng.random() < augment.mined_share:
            row = rng.choice(len(mined.clips), p=mined.chances)
            start = int(mined.starts[row]) + int(rng.integers(-window // 4, window // 4))
            return self._render(rng, int(mined.clips[row]), start, cry=False)
        return self._render(rng, int(rng.choice(self.others, p=self.other_chances)), None, cry=False)

    def _render(self, rng: Rng, index: int, start: int | None, *, cry: bool) -> Example:
        """Return a window of clip `index`, and what to learn from it: of a mix, what its clean part says."""
        augment, window = self.params.augment, self.params.window.window_samples
        wild = not cry and rng.random() < augment.wild_share
        spectrum, start, length = self._sound(rng, index, start, wild=wild)
        target = teacher.target(self.cry_heard[index], start, length, self.params.target) if cry else 0.0
        heard = self._heard(index, start, length)
        doubt = self.params.target.doubt
        weight = doubt + (1 - doubt) * target if cry else 1.0
        if rng.random() < augment.reverb_share:
            spectrum = spectrum * self.rooms[rng.integers(ROOMS)]
        # Levels belong to the clip, not to the window: a pause stays as quiet as it was.
        level = rng.uniform(*augment.level_dbfs)
        spectrum *= np.float32(10 ** ((level - self.levels_dbfs[index]) / 20))
        if rng.random() < augment.mix_share:
            under = int(rng.choice(self.others, p=self.other_chances))
            other, _, _ = self._sound(rng, under)
            gain_db = level - rng.uniform(*augment.mix_snr_db) - self.levels_dbfs[under]
            spectrum += other * np.float32(10 ** (gain_db / 20))
        equal = self._response(rng)
        wave = scipy.fft.irfft(spectrum * equal, window)
        if not cry and rng.random() < augment.join_share:
            after = int(rng.choice(self.others, p=self.other_chances))
            other, start, length = self._sound(rng, after)
            heard = np.maximum(heard, self._heard(after, start, length))
            gain = np.float32(10 ** ((level + rng.uniform(-10.0, 10.0) - self.levels_dbfs[after]) / 20))
            cut = int(rng.integers(window // 6, window - window // 6))
            wave[cut:] = scipy.fft.irfft(other * equal * gain, window)[cut:]
        return Example(self._microphone(rng, wave, level), target, weight, heard)

    def _response(self, rng: Rng) -> Array:
        """Return a microphone's gain at every frequency; some lack a band."""
        augment = self.params.augment
        gains = equaliser(rng, self.hertz, augment.eq_points, augment.eq_db)
        if rng.random() < augment.mask_share:
            gains *= missing_band(rng, self.hertz, augment)
        return gains

    def _heard(self, index: int, start: int, length: int) -> teacher.Heard:
        """Return the highest score of each class in [start, start + length) of clip `index`, float16[521]."""
        within = teacher.inside(len(self.heard[index]), start, length)
        return np.asarray(self.heard[index][within].max(axis=0))

    def _sound(
        self, rng: Rng, index: int, start: int | None = None, *, wild: bool = False
    ) -> tuple[Spectrum, int, int]:
        """Return the spectrum of a window of clip `index`, at a random speed, and where it was cut.

        The window may begin before the clip or end after it, by a third of its length: cries begin and end.
        """
        augment, window = self.params.augment, self.params.window.window_samples
        sound = (self.lossy if rng.random() < augment.coded_share else self.plain)[index]
        length = int(rng.choice(self.wild_lengths if wild else self.lengths))
        over = window // 3
        if start is None:
            start = int(rng.integers(-over, max(len(sound) - length + over, 1 - over)))
        piece = np.zeros(length, np.float32)
        cut = sound[max(start, 0) : max(start + length, 0)]
        piece[max(-start, 0) : max(-start, 0) + len(cut)] = to_float(cut)
        spectrum = scipy.fft.rfft(piece)
        # Fewer or more bins than the window's: the piece is played faster or slower, and pitch goes with it.
        bins = min(len(spectrum), len(self.hertz))
        out = np.zeros(len(self.hertz), np.complex64)
        out[:bins] = spectrum[:bins] * np.float32(window / length)
        if rng.random() < augment.low_pass_share:
            out *= low_pass(self.hertz, rng.uniform(*augment.low_pass_hz))
        return out, start, length

    def _microphone(self, rng: Rng, wave: Array, level: float) -> Array:
        """Return the window as a 16-bit microphone gives it: with noise, at most 5 dB over the sound's level.

        That is the level before a band went missing.
        """
        augment = self.params.augment
        noise = self.noises[rng.integers(len(self.noises))]
        begin = rng.integers(len(noise) - len(wave))
        levels = augment.loud_floor_dbfs if rng.random() < augment.loud_floor_share else augment.floor_dbfs
        floor = min(rng.uniform(*levels), level - augment.mix_snr_db[0])
        wave = wave + noise[begin : begin + len(wave)] * np.float32(10 ** (floor / 20))
        return to_float(to_int16(wave))


def _quick_lengths(window: int, speed: tuple[float, float]) -> npt.NDArray[np.int64]:
    """Return the even lengths within the `speed` range of a window that transform quickly."""
    slow, fast = (round(window * ratio) for ratio in speed)
    return np.array([n for n in range(slow, fast + 1) if n % 2 == 0 and scipy.fft.next_fast_len(n, real=True) == n])


def _chances(clips: Sequence[Clip]) -> npt.NDArray[np.float64]:
    """Return how often to draw each clip: every source alike, whatever it recorded, times its label's weight."""
    of_source: dict[tuple[str, str], int] = {}
    for clip in clips:
        of_source[clip.source, clip.label] = of_source.get((clip.source, clip.label), 0) + 1
    weights = np.array([LABEL_WEIGHTS.get(c.label, 1.0) / of_source[c.source, c.label] for c in clips])
    return np.asarray(weights / weights.sum())
