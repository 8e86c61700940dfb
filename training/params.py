"""Every number of the experiment, frozen, with its unit in its name; sizes that follow from others are properties."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class MelParams:
    """The log-mel picture that the network looks at. Changing one of these makes another model."""

    sample_rate_hz: int = 16000
    frame_s: float = 0.025
    hop_s: float = 0.010
    fft_size: int = 512  # bins 31.25 Hz apart: narrow enough for the lowest mel band
    bands: int = 64
    low_hz: float = 60.0  # under it: mains hum and a hand on the microphone
    high_hz: float = 7800.0  # above it: the edge of the resampler's filter
    floor_power: float = 1e-6  # about -80 dBFS of white noise: what is fainter looks like silence

    @property
    def frame_samples(self) -> int:
        """Samples in a frame."""
        return round(self.frame_s * self.sample_rate_hz)

    @property
    def hop_samples(self) -> int:
        """Samples from the start of a frame to the start of the next."""
        return round(self.hop_s * self.sample_rate_hz)


@dataclasses.dataclass(frozen=True)
class WindowParams:
    """What is scored at once, and how often: 1.5 s holds one cry and the breath after it."""

    window_s: float = 1.5
    hop_s: float = 0.48
    sample_rate_hz: int = 16000

    @property
    def window_samples(self) -> int:
        """Samples that one score judges."""
        return round(self.window_s * self.sample_rate_hz)

    @property
    def hop_samples(self) -> int:
        """Samples from a window to the next."""
        return round(self.hop_s * self.sample_rate_hz)


@dataclasses.dataclass(frozen=True)
class TargetParams:
    """How the teacher's window scores become targets inside clips labelled cry; elsewhere the target is 0."""

    sharpen_logit: float = 1.5  # the teacher is timid on babies: sigma(logit(t) + 1.5)
    doubt: float = 0.3  # weight of a window of a labelled cry where the teacher hears none: it may be wrong
    lift_to: float = 0.95  # the best window of a labelled cry is a cry, however sure the teacher was


@dataclasses.dataclass(frozen=True)
class LaughParams:
    """How a laugh counts against a cry: odds(cry) - weight * max(0, odds(laugh) - from_odds), natural logarithms.

    Chosen on the validation clips of seed 20. From -4 on it costs cries that sound a little like a laugh: without the
    laughing baby, recall at 2 % of the others fell from 0.93 to 0.92, and not at all from -2 on.
    """

    weight: float = 1.0  # like from_odds a value that float16 holds, or LiteRT would round it
    from_odds: float = -2.0  # a laugh that is heard at 0.12


@dataclasses.dataclass(frozen=True)
class AugmentParams:
    """What a clip may go through before the network hears it. Ranges are (low, high), drawn evenly."""

    cry_share: float = 0.45  # of a batch; half of the windows of a labelled cry are pauses
    mix_share: float = 0.6  # of the windows get another sound under them
    mix_snr_db: tuple[float, float] = (-5.0, 25.0)
    level_dbfs: tuple[float, float] = (-55.0, -6.0)  # rms of the active part; above about -12 peaks clip, as they do
    floor_dbfs: tuple[float, float] = (-98.0, -58.0)
    floor_slope_db_per_octave: tuple[float, ...] = (0.0, -3.0, -6.0)  # white, pink, brown
    loud_floor_share: float = 0.1  # a noise machine beside the cot
    loud_floor_dbfs: tuple[float, float] = (-58.0, -30.0)
    speed: tuple[float, float] = (0.87, 1.15)
    eq_db: float = 6.0  # the largest rise or fall of the random equaliser
    eq_points: int = 6
    low_pass_share: float = 0.45  # of both classes: the curated cries end at 4 kHz, a shortcut to take away
    low_pass_hz: tuple[float, float] = (3000.0, 4000.0)
    coded_share: float = 0.5  # the lossy copy instead of the clip: most negatives were lossy to begin with
    reverb_share: float = 0.25
    reverb_rt60_s: tuple[float, float] = (0.15, 0.6)
    silence_share: float = 0.04  # of the negatives: nothing but the noise floor
    mask_share: float = 0.3  # of the windows lose a band, as beside a wall or under a blanket: no one band may decide
    mask_from_hz: tuple[float, float] = (60.0, 5400.0)
    mask_octaves: tuple[float, float] = (0.3, 1.5)
    mask_db: tuple[float, float] = (10.0, 40.0)
    # Of the negatives play at a `wild_speed`: it lifts a grown voice to a baby's pitch. With 0.15 and no masks (600
    # steps) half of the laughing baby's clips had a window over 0.5, with 0.35 and masks a fifth.
    wild_share: float = 0.35
    wild_speed: tuple[float, float] = (0.7, 1.6)
    join_share: float = 0.15  # of the negatives break off for another one within the window
    mined_share: float = 0.3  # of the negatives are windows that `mining` found, the rest are drawn by source


@dataclasses.dataclass(frozen=True)
class TrainParams:
    """The optimisation."""

    steps: int = 4500
    batch: int = 128
    peak_rate: float = 3e-3
    warmup_steps: int = 60
    weight_decay: float = 1e-4
    average_decay: float = 0.995  # of the weights, per step: what is exported is the average
    checkpoint_steps: int = 100
    seed: int = 20
    teacher_weight: float = 0.15  # of the loss of a voice that the teacher hears, beside the cry's
    odds_weight: float = 1.0  # of the mean square by which all the teacher's odds are missed
    mine_every: int = 1000  # steps between two searches for hard negatives; none before the first


@dataclasses.dataclass(frozen=True)
class Params:
    """All of it: what a run folder records."""

    mel: MelParams = dataclasses.field(default_factory=MelParams)
    window: WindowParams = dataclasses.field(default_factory=WindowParams)
    target: TargetParams = dataclasses.field(default_factory=TargetParams)
    laugh: LaughParams = dataclasses.field(default_factory=LaughParams)
    augment: AugmentParams = dataclasses.field(default_factory=AugmentParams)
    train: TrainParams = dataclasses.field(default_factory=TrainParams)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, Any]]) -> "Params":
        """Return the settings that `as_dict` gave, back from JSON (which knows no tuples)."""

        def part(name: str) -> dict[str, Any]:
            return {key: tuple(value) if isinstance(value, list) else value for key, value in values[name].items()}

        return cls(
            mel=MelParams(**part("mel")),
            window=WindowParams(**part("window")),
            target=TargetParams(**part("target")),
            laugh=LaughParams(**part("laugh")),
            augment=AugmentParams(**part("augment")),
            train=TrainParams(**part("train")),
        )
