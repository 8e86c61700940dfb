"""A model's folder becomes a function that is known to answer as it should.

The folder's contract: `manifest.json` says everything, `golden.npz` proves it; `docs/architecture.md` describes both.
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.detect.manifest import Manifest, ReasonManifest, Threshold, read_manifest
from monitor.detect.runtime import Chosen, Runtime, Signatures, signatures
from monitor.detect.stream import Function, Scores, Stream, Waveforms, in_one_part
from monitor.errors import InferenceError, ModelError

__all__ = [
    "Function",
    "Manifest",
    "Model",
    "ReasonManifest",
    "ReasonModel",
    "Runtime",
    "Scores",
    "Threshold",
    "Waveforms",
    "check_model",
    "load_model",
    "load_reason_model",
]

GOLDEN_TOLERANCE = 1e-2
"""At start; at export it is 1e-4. Another processor's kernels differ, a damaged model differs more."""

GOLDEN_BYTES = 64 << 20
"""Unpacked; the shipped ones are under 5 MB. More is no golden vectors, and might be more than this machine has."""

_UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error),
    *(MemoryError, NotImplementedError, RuntimeError),  # a header that promises terabytes; packed or locked otherwise
)

ROW_TOLERANCE = 1e-3
"""How far from 1 a golden row of likelihoods may sum."""


@dataclass(frozen=True, slots=True)
class Model:
    """One loaded model.

    Attributes:
        manifest: What it says of itself.
        runtime: What runs it.
        function: float32[n, window_samples] in [-1, 1) -> {output: float32[n, ...]}; any n >= 1; one thread calls it;
            blocks for the inference. Raises InferenceError.
        parts: The same in two parts, for sound that goes on; None: a model of one part. Each like `function`.
    """

    manifest: Manifest
    runtime: Chosen
    function: Function
    parts: Stream | None = None

    @property
    def stream(self) -> Stream:
        """The model in two parts, whatever it was made of."""
        return self.parts or in_one_part(self.function, self.manifest.window_samples, self.manifest.hop_samples)

    @property
    def label(self) -> str:
        """Name and version, as `health` and events say it."""
        return self.manifest.label


@dataclass(frozen=True, slots=True)
class ReasonModel:
    """One loaded model of why it probably cries.

    Attributes:
        manifest: What it says of itself.
        runtime: What runs it.
        function: float32[n, window_samples] in [-1, 1) -> {"reason": float32[n, categories], ...}, each row the
            likelihood of each category, its sum 1; any n >= 1; one thread calls it; blocks for the inference. Raises
            InferenceError.
    """

    manifest: ReasonManifest
    runtime: Chosen
    function: Function


def models_folder() -> Path:
    """Where the shipped models are: beside this package in a wheel, beside `monitor` in a clone."""
    in_wheel = Path(__file__).parents[1] / "models"
    return in_wheel if in_wheel.is_dir() else Path(__file__).parents[2] / "models"


def load_model(folder: Path, runtime: Runtime = "auto") -> Model:
    """Load the model in `folder`, check its files' hashes and its answers; blocks for seconds.

    Args:
        folder: Holds `manifest.json`.
        runtime: `auto` is LiteRT, which runs the same model in a tenth of TensorFlow's memory.

    Raises:
        ModelError: A file is absent or damaged, the runtime is not installed, or the answers are not the golden ones.
    """
    manifest = read_manifest(folder, Manifest)
    chosen, signature = signatures(folder, manifest, runtime)
    model = Model(manifest, chosen, signature(manifest.signature, manifest.input), _parts(folder, manifest, signature))
    check_model(model.function, folder / "golden.npz", GOLDEN_TOLERANCE)
    check_model(model.stream.whole, folder / "golden.npz", GOLDEN_TOLERANCE)
    return model


def load_reason_model(folder: Path, runtime: Runtime = "auto") -> ReasonModel:
    """Load the model of causes in `folder`, as `load_model` does the one of cries; blocks for seconds.

    Raises:
        ModelError: As there, or its golden likelihoods are none of its categories.
    """
    manifest = read_manifest(folder, ReasonManifest)
    golden = folder / "golden.npz"
    waveforms, wanted = _golden(golden, manifest.fix)
    shape = (len(waveforms), len(manifest.categories))
    rows = wanted.get(manifest.name, np.zeros(0))
    if waveforms.shape[1] != manifest.window_samples:
        fault = f"its 'waveform' must be float32[m, {manifest.window_samples}]"
        raise ModelError(str(golden), fault, manifest.fix)
    if rows.shape != shape or np.abs(rows.sum(axis=1) - 1).max() > ROW_TOLERANCE:
        fault = f"its {manifest.name!r} must be float32{list(shape)}, the sum of each row 1"
        raise ModelError(str(golden), fault, manifest.fix)
    chosen, signature = signatures(folder, manifest, runtime)
    model = ReasonModel(manifest, chosen, signature(manifest.signature, manifest.input))
    check_model(model.function, golden, GOLDEN_TOLERANCE, manifest.fix)
    return model


def check_model(function: Function, golden: Path, tolerance: float, fix: str = Manifest.fix) -> float:
    """Compare `function` with the golden vectors, alone and in a batch.

    Args:
        function: float32[n, window_samples] -> {output: float32[n, ...]}.
        golden: The file: `waveform`, and every output that it must get.
        tolerance: The largest absolute difference that passes.
        fix: What a ModelError says can be done.

    Returns:
        The largest absolute difference.

    Raises:
        ModelError: It exceeds `tolerance`, an answer is no number, or there is none.
    """
    waveforms, wanted = _golden(golden, fix)
    try:
        # Two at once, and again: a graph of which LiteRT learnt shapes only as it ran was wrong by up to 0.9 at the
        # second batch of a size. And no more than two, which leaves the runtime no larger than rooms at work do.
        pairs, alone = ([function(waveforms[i : i + n]) for i in range(0, len(waveforms), n)] for n in (2, 1))
    except InferenceError as error:
        raise ModelError(
            str(golden.parent), f"gives no answer: {error.fault}", "try the other model.runtime"
        ) from error
    worst = 0.0
    for name, want in wanted.items():
        for answers in (pairs, alone):
            got = np.concatenate([scores[name] for scores in answers]) if name in answers[0] else None
            if got is None or got.shape != want.shape or not np.isfinite(got).all():
                raise ModelError(str(golden.parent), f"its output {name!r} is absent, misshapen or no number", fix)
            worst = max(worst, float(np.abs(got - want).max()))
    if worst > tolerance:
        fault = f"answers differ from its golden vectors by {worst:.2g}, more than {tolerance:g}"
        raise ModelError(str(golden.parent), fault, fix)
    return worst


def _golden(golden: Path, fix: str) -> tuple[Waveforms, Scores]:
    """Return the golden sounds and what each output must say of them.

    Raises:
        ModelError: They cannot be read, or there are none.
    """
    try:
        with zipfile.ZipFile(golden) as archive:
            unpacked_bytes = sum(member.file_size for member in archive.infolist())
        if unpacked_bytes > GOLDEN_BYTES:
            raise ModelError(str(golden), f"holds {unpacked_bytes >> 20} MB, more than golden vectors need", fix)
        with np.load(golden) as arrays:
            wanted = {name: arrays[name] for name in arrays.files}
            waveforms = wanted.pop("waveform")
    except _UNREADABLE as error:
        raise ModelError(str(golden), "cannot be read: it holds no golden vectors", fix) from error
    if waveforms.ndim != 2 or not len(waveforms) or not wanted:  # noqa: PLR2004 - float32[m, samples]
        raise ModelError(str(golden), "holds no golden vectors", fix)
    if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in (waveforms, *wanted.values())):
        raise ModelError(str(golden), "holds golden vectors that are no float32 numbers", fix)
    return waveforms, wanted


MEL, CHUNK, FRAMES, HEAD = "mel", "chunk", "frames", "head"
"""Signatures `mel` (`chunk` -> `frames`) and `head` (`frames` -> the outputs) of a model in two parts."""


def _parts(folder: Path, manifest: Manifest, signature: Signatures) -> Stream | None:
    if manifest.stream is None:
        return None
    mel = signature(MEL, CHUNK)
    try:
        return Stream(
            window=manifest.window_samples,
            hop=manifest.hop_samples,
            sizes=manifest.stream,
            mel=lambda chunks: mel(chunks)[FRAMES],
            head=signature(HEAD, FRAMES),
        )
    except ValueError as error:
        raise ModelError(str(folder / "manifest.json"), f"stream: {error}", manifest.fix) from error
