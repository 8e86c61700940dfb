"""A model's folder becomes a function; the only importer of LiteRT and TensorFlow.

The folder's contract: `manifest.json` says everything, `golden.npz` proves it; `docs/architecture.md` describes both.
"""

import contextlib
import hashlib
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pydantic

from monitor.detect.stream import Chunks, Function, Scores, Stream, Waveforms, in_one_part
from monitor.errors import InferenceError, ModelError
from monitor.records import SAMPLE_RATE_HZ, Sensitivity

__all__ = ["Function", "Manifest", "Model", "Scores", "Threshold", "Waveforms", "check_model", "load_model"]

Runtime = Literal["auto", "litert", "tensorflow"]

GOLDEN_TOLERANCE = 1e-2
"""At start; at export it is 1e-4. Another processor's kernels differ, a damaged model differs more."""

Fraction = Annotated[float, pydantic.Field(gt=0, lt=1)]
Count = Annotated[int, pydantic.Field(ge=1, le=64)]


class Threshold(pydantic.BaseModel, frozen=True, extra="forbid"):
    """An episode starts when `need` of the last `of` windows reach `enter`, and goes on while one reaches `exit`."""

    enter: Fraction
    exit: Fraction
    need: Count
    of: Count

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> "Threshold":
        if self.exit > self.enter or self.need > self.of:
            raise ValueError("exit must not exceed enter, nor need exceed of")
        return self


class Manifest(pydantic.BaseModel, frozen=True, extra="ignore"):
    """What `manifest.json` must say; more is allowed (metrics, data and code versions are for people)."""

    format: Literal[1]
    name: str
    version: str
    sample_rate_hz: Literal[16_000]
    window_samples: Annotated[int, pydantic.Field(ge=1_600, le=8 * SAMPLE_RATE_HZ)]
    hop_samples: Annotated[int, pydantic.Field(ge=800, le=2 * SAMPLE_RATE_HZ)]
    signature: str
    input: str
    outputs: dict[str, list[int]]
    stream: Chunks | None = None
    sensitivity: dict[Sensitivity, Threshold]
    files: dict[str, str]

    @pydantic.field_validator("outputs")
    @classmethod
    def _named_as_the_model(cls, outputs: dict[str, list[int]], info: pydantic.ValidationInfo) -> dict[str, list[int]]:
        if info.data.get("name") not in outputs:
            raise ValueError(f"must hold one named {info.data.get('name')!r}")
        return outputs

    @pydantic.field_validator("sensitivity")
    @classmethod
    def _all_three(cls, sensitivity: dict[Sensitivity, Threshold]) -> dict[Sensitivity, Threshold]:
        if missing := {"low", "normal", "high"} - sensitivity.keys():
            raise ValueError(f"must have low, normal and high; {', '.join(sorted(missing))} is absent")
        return sensitivity


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
    runtime: Literal["litert", "tensorflow"]
    function: Function
    parts: Stream | None = None

    @property
    def stream(self) -> Stream:
        """The model in two parts, whatever it was made of."""
        return self.parts or in_one_part(self.function, self.manifest.window_samples, self.manifest.hop_samples)

    @property
    def label(self) -> str:
        """Name and version, as `health` and events say it."""
        return f"{self.manifest.name} {self.manifest.version}"


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
    manifest = _read_manifest(folder)
    _check_hashes(folder, manifest)
    chosen: Literal["litert", "tensorflow"] = "tensorflow" if runtime == "tensorflow" else "litert"
    signature = (_load_tensorflow if chosen == "tensorflow" else _load_litert)(folder, manifest)
    model = Model(manifest, chosen, signature(manifest.signature, manifest.input), _parts(folder, manifest, signature))
    check_model(model.function, folder / "golden.npz", GOLDEN_TOLERANCE)
    check_model(model.stream.whole, folder / "golden.npz", GOLDEN_TOLERANCE)
    return model


def check_model(function: Function, golden: Path, tolerance: float) -> float:
    """Compare `function` with the golden vectors, alone and in a batch.

    Returns:
        The largest absolute difference.

    Raises:
        ModelError: It exceeds `tolerance`, an answer is no number, or there is none.
    """
    try:
        with np.load(golden) as arrays:
            wanted = {name: arrays[name] for name in arrays.files}
            waveforms = wanted.pop("waveform")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(str(golden), "cannot be read: it holds no golden vectors", _AGAIN) from error
    try:
        # Two at once, and again: a graph of which LiteRT learnt shapes only as it ran was wrong by up to 0.9 at the
        # second batch of a size. And no more than two, which leaves the runtime no larger than rooms at work do.
        pairs, alone = ([function(waveforms[i : i + n]) for i in range(0, len(waveforms), n)] for n in (2, 1))
    except InferenceError as error:
        fix = "try the other model.runtime"
        raise ModelError(str(golden.parent), f"gives no answer: {error.fault}", fix) from error
    worst = 0.0
    for name, want in wanted.items():
        for answers in (pairs, alone):
            got = np.concatenate([scores[name] for scores in answers]) if name in answers[0] else None
            if got is None or got.shape != want.shape or not np.isfinite(got).all():
                raise ModelError(str(golden.parent), f"its output {name!r} is absent, misshapen or no number", _AGAIN)
            worst = max(worst, float(np.abs(got - want).max()))
    if worst > tolerance:
        fault = f"answers differ from its golden vectors by {worst:.2g}, more than {tolerance:g}"
        raise ModelError(str(golden.parent), fault, _AGAIN)
    return worst


_AGAIN = "install the model's folder again, or name another with model.path"


def _read_manifest(folder: Path) -> Manifest:
    path = folder / "manifest.json"
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(str(path), (error.strerror or "cannot be read").lower(), _AGAIN) from error
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(str(path), f"{where}: {first['msg']}", _AGAIN) from error


def _check_hashes(folder: Path, manifest: Manifest) -> None:
    for name, wanted in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ModelError(str(folder / "manifest.json"), f"files: {name!r} lies outside the folder", _AGAIN)
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(str(path), (error.strerror or "cannot be read").lower(), _AGAIN) from error
        if found != wanted:
            raise ModelError(str(path), "is damaged: its SHA-256 is not the manifest's", _AGAIN)


Signatures = Callable[[str, str], Function]
"""A signature's name and its input's name become a function."""

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
        raise ModelError(str(folder / "manifest.json"), f"stream: {error}", _AGAIN) from error


def _load_litert(folder: Path, manifest: Manifest) -> Signatures:
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - a runtime is loaded when it is chosen
    except ImportError as error:
        fix = "pip install ai-edge-litert, or set model.runtime = tensorflow"
        raise ModelError("model.runtime", f"LiteRT cannot be loaded: {error}", fix) from error
    path = folder / "model.tflite"
    try:
        with _without_native_chatter():
            interpreter = Interpreter(str(path), num_threads=1)
            run = interpreter.get_signature_runner(manifest.signature)
            run(**{manifest.input: np.zeros((1, manifest.window_samples), np.float32)})
    except (ValueError, RuntimeError) as error:
        raise ModelError(str(path), f"LiteRT cannot load it: {error}", _AGAIN) from error

    def signature(name: str, argument: str) -> Function:
        try:
            run = interpreter.get_signature_runner(name)
        except ValueError as error:
            raise ModelError(str(path), f"LiteRT cannot load it: {error}", _AGAIN) from error

        def function(values: Waveforms) -> Scores:
            try:
                return dict(run(**{argument: values}))
            except (ValueError, RuntimeError) as error:
                raise InferenceError(manifest.name, str(error)) from error

        return function

    return signature


@contextlib.contextmanager
def _without_native_chatter() -> Iterator[None]:
    """LiteRT tells of its delegate on file descriptor 2, in a format of its own, and has no switch for it."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor is wanted, not a path
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _load_tensorflow(folder: Path, manifest: Manifest) -> Signatures:
    try:
        import tensorflow as tf  # noqa: PLC0415 - 3 s and 600 MB: only when it is asked for
    except ImportError as error:
        fix = "pip install tensorflow, or set model.runtime = litert"
        raise ModelError("model.runtime", f"TensorFlow cannot be loaded: {error}", fix) from error
    path = folder / "saved_model"
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ModelError(str(path), f"TensorFlow cannot load it: {error}", _AGAIN) from error

    def signature(name: str, argument: str) -> Function:
        if name not in loaded.signatures:
            raise ModelError(str(path), f"TensorFlow cannot load it: there is no signature {name!r}", _AGAIN)
        run = loaded.signatures[name]

        def function(values: Waveforms) -> Scores:
            try:
                return {name: value.numpy() for name, value in run(**{argument: tf.constant(values)}).items()}
            except tf.errors.OpError as error:
                raise InferenceError(manifest.name, str(error)) from error

        function.keeps = loaded  # type: ignore[attr-defined]  # a signature's variables die with the loaded object
        return function

    return signature
