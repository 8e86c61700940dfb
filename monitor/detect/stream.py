"""Each frame of a model's picture once: frames of a hop's chunk of sound, windows from the frames of several hops.

On a room's sample count, windows end at multiples of `hop` (w), and the chunk of w gives the frames by which the window
of w is newer than the one before:

    sound    ..|--------- hop --------|--------- hop --------|
    window   |------------------------------------ window ---w
    frames   |f|f|f| ...                          |f|f|f| after    one each `step`; `after` samples begin none
    chunk                         |------------- chunk ----| lag   the last frame ends `lag` before the window
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pydantic
from numpy.typing import NDArray

from monitor.records import Samples

Waveforms = NDArray[np.float32]
Frames = NDArray[np.float32]
Scores = dict[str, NDArray[np.float32]]
Function = Callable[[Waveforms], Scores]


def to_waveforms(pieces: Sequence[Samples]) -> Waveforms:
    """Return a model's input of int16 pieces of one length: float32[n, length] in [-1, 1)."""
    return np.stack(pieces).astype(np.float32) / np.float32(32768)


Size = Annotated[int, pydantic.Field(ge=1)]


class Chunks(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The sizes of a model's parts, as its manifest gives them."""

    chunk_samples: Size
    chunk_frames: Size
    window_frames: Size


@dataclass(frozen=True, slots=True)
class Held:
    """A room's newest frames, float32[k, bands]: the last one is the last of the window that ends at `end_sample`."""

    end_sample: int
    frames: Frames


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be computed for some windows of a room that follow each other.

    Attributes:
        ends: The windows' end samples.
        chunks: The chunks of which no frames are held, int16[chunk_samples] each.
        held: Frames that need not be computed again.
        spare: So many of all these frames are older than the first window.
    """

    ends: Sequence[int]
    chunks: Sequence[Samples]
    held: Frames | None
    spare: int


class Stream:
    """A model in two parts: `head(frames)` of a window, and `mel(chunk)`, which gives frames.

    Args:
        window: Samples of a window.
        hop: Samples from a window's end to the next.
        sizes: What the parts take and give.
        mel: float32[n, chunk_samples] in [-1, 1) -> float32[n, chunk_frames, bands].
        head: float32[n, window_frames, bands] -> what the whole model gives for the window.

    Raises:
        ValueError: The sizes do not fit each other.
    """

    def __init__(
        self, *, window: int, hop: int, sizes: Chunks, mel: Callable[[Waveforms], Frames], head: Function
    ) -> None:
        self.mel = mel
        self.head = head
        self._window = window
        self._hop = hop
        self._sizes = sizes
        self._step = hop // sizes.chunk_frames
        self._after = window - sizes.window_frames * self._step
        self._lag = self._after - sizes.chunk_samples + hop
        if hop % sizes.chunk_frames or not 0 <= self._lag < self._after + self._step:  # a frame has samples
            raise ValueError(f"{sizes} do not fit a window of {window} samples each {hop}")

    def plan(self, samples: Samples, end_sample: int, ends: Sequence[int], held: Held | None) -> Plan:
        """Return what is to be computed for the windows that end at `ends`.

        Args:
            samples: int16[n]; they hold all the windows.
            end_sample: The end of `samples` on the room's count.
            ends: A hop apart, oldest first, at least one.
            held: Frames of this room's sound that were computed before.
        """
        start = ends[0] - self._window  # where the first frame begins
        if held and self._begin(held) <= start <= held.end_sample - self._after:
            frames, begin, next_end = held.frames, self._begin(held), held.end_sample + self._hop
        else:
            next_end = ((start + self._after) // self._hop + 1) * self._hop
            frames, begin = None, next_end - self._after - self._hop
        first_sample = end_sample - len(samples)
        chunk_ends = [end - self._lag - first_sample for end in range(next_end, ends[-1] + 1, self._hop)]
        chunks = [self._cut(samples, chunk_end) for chunk_end in chunk_ends]
        return Plan(ends, chunks, frames, (start - begin) // self._step)

    def frames_of(self, plan: Plan, new: Sequence[Frames]) -> tuple[list[Frames], Held]:
        """Return the frames of each window of `plan`, float32[window_frames, bands], and what to hold for the next.

        Args:
            plan: What `plan` gave.
            new: What `mel` gave of its chunks.
        """
        frames = np.concatenate([*([] if plan.held is None else [plan.held]), *new])[plan.spare :]
        hop, window = self._sizes.chunk_frames, self._sizes.window_frames
        windows = [frames[i * hop : i * hop + window] for i in range(len(plan.ends))]
        return windows, Held(plan.ends[-1], frames[len(frames) - max(0, window - hop) :].copy())

    def whole(self, waveforms: Waveforms) -> Scores:
        """Score whole windows by way of chunks: float32[n, window] in [-1, 1) -> what `head` gives. For checks."""
        count = math.ceil((self._window - self._after) / self._hop)
        before = self._sizes.chunk_samples + (count - 1) * self._hop + self._lag - self._window
        sound = np.pad(waveforms, ((0, 0), (before, 0)))
        starts = range(0, count * self._hop, self._hop)
        frames = np.concatenate([self.mel(sound[:, i : i + self._sizes.chunk_samples]) for i in starts], axis=1)
        return self.head(frames[:, frames.shape[1] - self._sizes.window_frames :])

    def _begin(self, held: Held) -> int:
        return held.end_sample - self._after - len(held.frames) * self._step

    def _cut(self, samples: Samples, end: int) -> Samples:
        """Return the chunk that ends at `samples[end]`; where they begin later, only frames to spare need the rest."""
        start = end - self._sizes.chunk_samples
        return samples[start:end] if start >= 0 else np.concatenate([np.zeros(-start, np.int16), samples[:end]])


def in_one_part(function: Function, window: int, hop: int) -> Stream:
    """Return a model that takes whole windows as one of two parts: its frames are samples, nothing is saved."""
    step = math.gcd(window, hop)
    return Stream(
        window=window,
        hop=hop,
        sizes=Chunks(chunk_samples=hop, chunk_frames=hop // step, window_frames=window // step),
        mel=lambda chunks: chunks.reshape(len(chunks), -1, step),
        head=lambda frames: function(frames.reshape(len(frames), -1)),
    )
