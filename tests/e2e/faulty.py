"""The service with the shipped model, which hangs or fails as soon as a file is there; a program of its own.

Usage: python -m tests.e2e.faulty hang|fail FILE --config CONFIG
"""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

from monitor.config import load_config
from monitor.detect import Model, load_model
from monitor.detect.model import Runtime, Scores, Waveforms
from monitor.errors import InferenceError
from monitor.verbs.run import run


def hang() -> None:
    """Wait for ever."""
    threading.Event().wait()


def fail() -> None:
    """Fail as a runtime does."""
    raise InferenceError("cry", "the runtime is out of order")


def faulty(model: Model, fault: Callable[[], None], trigger: Path) -> Model:
    """Return `model` with this fault once `trigger` exists."""

    def function(waveforms: Waveforms) -> Scores:
        if trigger.exists():
            fault()
        return model.function(waveforms)

    return Model(model.manifest, model.runtime, function)


def main() -> None:
    """Run it."""
    name, trigger, _, config = sys.argv[1:]

    def load(folder: Path, runtime: Runtime) -> Model:
        return faulty(load_model(folder, runtime), {"hang": hang, "fail": fail}[name], Path(trigger))

    sys.exit(run(load_config(Path(config)), load))


if __name__ == "__main__":
    main()
