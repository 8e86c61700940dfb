"""The judge: are these samples a room's sound? Zeros, a constant, a clipped or a far too quiet signal are not."""

from collections import deque
from typing import Final, Literal

import numpy as np

from monitor.records import SAMPLE_RATE_HZ, Problem, Samples

JUDGED_S: Final = 45.0
"""So long a fault lasts before it is named: a truth that flaps wakes nobody."""

CLIPPED_OVER_S: Final = 30
FULL_SCALE: Final = 32_760
CLIPPED_SHARE: Final = 0.001
"""Of the samples, at full scale: a door that slams has fewer in `CLIPPED_OVER_S`, a gain that is too high more."""

QUIET_DBFS: Final = -75.0
"""The quietest room through a working microphone is well above this; below it is the converter's own noise."""

_QUIET_POWER = 10.0 ** (QUIET_DBFS / 10.0) * 32768.0**2


class Judge:
    """What is wrong with one room's samples; counts samples, so that a recording at any speed is judged as live sound.

    One thread uses it; nothing in it blocks or reads a clock.

    Args:
        muted_after_s: So long only zeros are `muted`; 0: never, for a microphone with a noise gate.
    """

    def __init__(self, muted_after_s: float = JUDGED_S) -> None:
        self._muted_after_s = muted_after_s
        self._rest: Samples = np.zeros(0, np.int16)
        self._last = 0
        self._same = 0
        self._quiet_s = 0
        self._full: deque[int] = deque(maxlen=CLIPPED_OVER_S)

    def hear(self, pcm: Samples) -> None:
        """Take int16 samples, shape (n,), 16 kHz mono; any n."""
        if not len(pcm):
            return
        self._count_same(pcm)
        self._rest = np.concatenate([self._rest, pcm])
        while len(self._rest) >= SAMPLE_RATE_HZ:
            self._second(self._rest[:SAMPLE_RATE_HZ])
            self._rest = self._rest[SAMPLE_RATE_HZ:]

    @property
    def deaf(self) -> Literal["muted", "flat"] | None:
        """Why these samples are no room's; None where they may be."""
        same_s = self._same / SAMPLE_RATE_HZ
        if self._last == 0:
            return "muted" if self._muted_after_s and same_s >= self._muted_after_s else None
        return "flat" if same_s >= JUDGED_S else None

    @property
    def problem(self) -> Problem:
        """The first that applies of `muted`, `flat`, `clipped` and `too_quiet`, else `ok`."""
        if self.deaf is not None:
            return self.deaf
        if sum(self._full) > CLIPPED_SHARE * CLIPPED_OVER_S * SAMPLE_RATE_HZ:
            return "clipped"
        return "too_quiet" if self._quiet_s >= JUDGED_S else "ok"

    def _count_same(self, pcm: Samples) -> None:
        """Count how many samples in a row have the value of the last one."""
        other = np.flatnonzero(pcm != pcm[-1])
        if len(other):
            self._same = len(pcm) - 1 - int(other[-1])
        else:
            self._same = len(pcm) + (self._same if int(pcm[-1]) == self._last else 0)
        self._last = int(pcm[-1])

    def _second(self, second: Samples) -> None:
        self._full.append(int(np.count_nonzero(np.abs(second.astype(np.int32)) >= FULL_SCALE)))
        power = float(second.astype(np.float32).var())
        # A second without any change is another fault, or a noise gate at work.
        self._quiet_s = self._quiet_s + 1 if 0.0 < power < _QUIET_POWER else 0
