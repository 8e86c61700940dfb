"""The validation clips again, as other rooms and microphones would give them: soft, dull, echoing, under other sounds.

Every condition does the same to cries and to other sounds. The model and the peer hear the same samples.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.fft
import scipy.signal

from monitor.detect.model import Threshold
from monitor.records import SAMPLE_RATE_HZ, Samples
from training import augment, clips, data, hearing, intervals
from training.clips import Judged
from training.data import Clip, Waveform
from training.hearing import Ears, Heard
from training.progress import Told

Sounds = Sequence[Samples]
Change = Callable[[Waveform, int], Waveform]  # of the clip with this number

LEVELS_DB = (0, -10, -20, -35)
EDGE_HZ = 3800
RT60_S = (0.2, 0.5, 0.8)
SNRS_DB = (20, 10, 5, 0, -5)
STEADY = {"white-noise machine": 0.0, "fan": -6.0}  # slope of the noise, dB an octave
HELD_OUT = ("music", "speech")  # labels: what is added comes from validation clips of another source
MACHINE_DBFS = -35.0
OVER_MACHINE_DB = (20, 15, 10, 5, 0)
SEED = 66
LOUDEST = 0.99


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """What is done to every clip: a kind, how much of it, and the change itself."""

    kind: str
    amount: float
    unit: str
    change: Change


def conditions(others: Sequence[Clip], sounds: Sounds) -> list[Condition]:
    """Return all conditions; what is added to clip n comes from the `sounds` of the validation clips `others`."""
    made = [Condition("level", db, "dB", _louder(db)) for db in LEVELS_DB]
    made += [Condition("low-pass", EDGE_HZ, "Hz", _dull)]
    made += [Condition("echo, T60", seconds, "s", _echo(seconds)) for seconds in RT60_S]
    for name, slope in STEADY.items():
        made += [Condition(name, db, "dB", _under(_noise(slope), db)) for db in SNRS_DB]
    for label in HELD_OUT:
        made += [Condition(label, db, "dB", _under(_borrowed(label, others, sounds), db)) for db in SNRS_DB]
    made += [Condition("machine at -35 dBFS", db, "dB", _over_machine(db)) for db in OVER_MACHINE_DB]
    return made


def measure(judged: Judged, sounds: Sounds, ears: Ears, rule: Threshold, told: Told) -> list[dict[str, Any]]:
    """Return a row a condition: its kind and amount, the AUC, and the share of cries and of others that set either off.

    Args:
        judged: the clips, and what was heard in them unchanged: the row of level 0.
        sounds: their samples.
        ears: both models.
        rule: the threshold of the model; the peer's is its usual one.
        told: hears each condition's name.
    """
    rows = []
    every = intervals.draws(judged.sources)
    cries = [clip.source for clip in judged.clips if clip.is_cry]
    for condition in conditions(judged.clips, sounds):
        told(f"{condition.kind} {condition.amount:g} {condition.unit}")
        plain = condition.kind == "level" and not condition.amount
        heard = judged.heard if plain else ears.both([_changed(condition.change, s, i) for i, s in enumerate(sounds)])
        row: dict[str, Any] = {"kind": condition.kind, "amount": condition.amount, "unit": condition.unit}
        for who, best, on in _both(heard, rule):
            row[f"auc_{who}"] = intervals.bootstrap(
                lambda c, best=best: clips.auc(best[c], judged.cry[c]),  # type: ignore[misc]  # mypy loses the default
                len(best),
                every,
            )
            row[f"found_{who}"] = intervals.share(on[judged.cry], cries)
            row[f"set_off_{who}"] = round(float(on[~judged.cry].mean()), 4)
        rows.append(row)
    return rows


def at_level(sounds: Sounds, db: float) -> list[Samples]:
    """Return the clips at `db` to what they were, as the condition `level` has them."""
    return [_changed(_louder(db), sound, number) for number, sound in enumerate(sounds)]


def _both(heard: Heard, rule: Threshold) -> Iterator[tuple[str, hearing.Scores, clips.Mask]]:
    """Yield who hears, the best score of each clip, and which clips start an episode."""
    yield "model", hearing.best(heard.ours), hearing.started(heard.ours, rule)
    yield "peer", hearing.best(heard.peers), hearing.peer_started(heard.peers)


def _changed(change: Change, samples: Samples, number: int) -> Samples:
    """Return the clip after a change, made softer where it would clip."""
    wave = change(data.to_float(samples), number)
    peak = float(np.abs(wave).max()) if len(wave) else 0.0
    return data.to_int16(wave * np.float32(min(1.0, LOUDEST / max(peak, 1e-9))))


def _louder(db: float) -> Change:
    return lambda wave, _: wave * np.float32(10 ** (db / 20))


def _dull(wave: Waveform, _: int) -> Waveform:
    hertz = (np.arange(len(wave) // 2 + 1) * SAMPLE_RATE_HZ / len(wave)).astype(np.float32)
    return np.asarray(scipy.fft.irfft(scipy.fft.rfft(wave) * augment.low_pass(hertz, EDGE_HZ), len(wave)), np.float32)


def _echo(rt60_s: float) -> Change:
    """Return what adds a tail as strong as the direct sound, two or three metres from the cot; another room a clip."""

    def change(wave: Waveform, number: int) -> Waveform:
        rng = np.random.default_rng((SEED, number))
        tail = rng.normal(size=round(rt60_s * SAMPLE_RATE_HZ))
        tail *= 10 ** (-3.0 * np.arange(len(tail)) / SAMPLE_RATE_HZ / rt60_s)
        room = np.sqrt(0.5) * tail / np.sqrt(np.square(tail).sum())
        room[0] = np.sqrt(0.5)
        return np.asarray(scipy.signal.fftconvolve(wave, room)[: len(wave)], np.float32)

    return change


def _noise(slope_db_per_octave: float) -> Change:
    """Return what gives a steady noise as long as a clip, the same at every level."""
    return lambda wave, number: augment.coloured_noise(
        np.random.default_rng((SEED, number)), len(wave), slope_db_per_octave
    )


def _borrowed(label: str, others: Sequence[Clip], sounds: Sounds) -> Change:
    """Return what gives a sound of `label` from another source, as long as a clip, the same at every level."""

    def change(wave: Waveform, number: int) -> Waveform:
        rng = np.random.default_rng((SEED, number))
        fit = [i for i, clip in enumerate(others) if clip.label == label and clip.source != others[number].source]
        sound = data.to_float(sounds[int(rng.choice(fit))])
        return np.resize(np.roll(sound, int(rng.integers(len(sound)))), len(wave))

    return change


def _under(other: Change, snr_db: float) -> Change:
    """Return what puts another sound under a clip, so many dB softer: both levels are those of the active parts."""

    def change(wave: Waveform, number: int) -> Waveform:
        added = other(wave, number)
        gain_db = augment.active_level_dbfs(wave) - snr_db - augment.active_level_dbfs(added)
        return wave + added * np.float32(10 ** (gain_db / 20))

    return change


def _over_machine(over_db: float) -> Change:
    """Return what sets a clip so many dB over a white-noise machine at -35 dBFS."""
    noise = _noise(0.0)

    def change(wave: Waveform, number: int) -> Waveform:
        gain_db = MACHINE_DBFS + over_db - augment.active_level_dbfs(wave)
        machine = noise(wave, number) * np.float32(10 ** (MACHINE_DBFS / 20))
        return wave * np.float32(10 ** (gain_db / 20)) + machine

    return change
