"""The two runtimes that a model's folder can run on: LiteRT and TensorFlow; their only importer."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from monitor.detect.manifest import AnyManifest
from monitor.detect.stream import Function, Scores, Waveforms
from monitor.errors import InferenceError, ModelError

Runtime = Literal["auto", "litert", "tensorflow"]
Chosen = Literal["litert", "tensorflow"]

Signatures = Callable[[str, str], Function]
"""A signature's name and its input's name become a function."""


def signatures(folder: Path, manifest: AnyManifest, runtime: Runtime) -> tuple[Chosen, Signatures]:
    """Load the model in `folder`; blocks for seconds where TensorFlow is imported.

    Args:
        folder: Holds `model.tflite` (LiteRT) and `saved_model/` (TensorFlow).
        manifest: What it says of itself, its hashes checked.
        runtime: `auto` is LiteRT, which runs the same model in a tenth of TensorFlow's memory.

    Returns:
        What runs it, and its signatures: each a function float32[n, ...] -> {output: float32[n, ...]} that one thread
        calls, that blocks for the inference and raises InferenceError.

    Raises:
        ModelError: The runtime is not installed, or cannot load the model.
    """
    if runtime == "tensorflow":
        return "tensorflow", _tensorflow(folder, manifest)
    return "litert", _litert(folder, manifest)


def _litert(folder: Path, manifest: AnyManifest) -> Signatures:
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
        raise ModelError(str(path), f"LiteRT cannot load it: {error}", manifest.fix) from error

    def signature(name: str, argument: str) -> Function:
        try:
            run = interpreter.get_signature_runner(name)
        except ValueError as error:
            raise ModelError(str(path), f"LiteRT cannot load it: {error}", manifest.fix) from error

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


def _tensorflow(folder: Path, manifest: AnyManifest) -> Signatures:
    try:
        import tensorflow as tf  # noqa: PLC0415 - 3 s and 600 MB: only when it is asked for
    except ImportError as error:
        fix = "pip install tensorflow, or set model.runtime = litert"
        raise ModelError("model.runtime", f"TensorFlow cannot be loaded: {error}", fix) from error
    path = folder / "saved_model"
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ModelError(str(path), f"TensorFlow cannot load it: {error}", manifest.fix) from error

    def signature(name: str, argument: str) -> Function:
        if name not in loaded.signatures:
            raise ModelError(str(path), f"TensorFlow cannot load it: there is no signature {name!r}", manifest.fix)
        run = loaded.signatures[name]

        def function(values: Waveforms) -> Scores:
            try:
                return {name: value.numpy() for name, value in run(**{argument: tf.constant(values)}).items()}
            except (TypeError, ValueError, tf.errors.OpError) as error:
                raise InferenceError(manifest.name, str(error)) from error

        function.keeps = loaded  # type: ignore[attr-defined]  # a signature's variables die with the loaded object
        return function

    return signature
