"""What `replay` and `score` share: the models, each recording in turn with a progress bar, and what a bad one costs."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from monitor.capture import Recording
from monitor.config import ModelConfig
from monitor.detect import Model, load_model, models_folder
from monitor.errors import AudioFileError
from monitor.records import SAMPLE_RATE_HZ, UNSURE, Samples

READ_S = 3.84
"""Sixteen blocks of a microphone at once: reading costs a fifth of what they would, one by one."""


def load_cry_model(config: ModelConfig) -> Model:
    """Load the configured cry model, or the one that is shipped.

    Raises:
        ModelError: It cannot be used.
    """
    return load_model(config.path or models_folder() / "cry", config.runtime)


def in_words(reason: str, reasons: Mapping[str, float]) -> str:
    """Return what a line for a person ends with: the cause, where one was judged."""
    if not reasons:
        return ""
    return f"  {reason}" if reason == UNSURE else f"  {reason} {reasons[reason]:.2f}"


def each_recording(files: list[Path], use: Callable[[Path, Recording, Iterator[Samples]], None]) -> int:
    """Call `use(path, recording, blocks)` for each file; return the exit code: 1 when any could not be read.

    A bad file gets one line on standard error and does not stop the others. The bar stands on standard error, and only
    where that is a terminal.
    """
    code = 0
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for path in files:
            try:
                with Recording(path) as recording:
                    task = progress.add_task(path.name, total=recording.duration_s)

                    def told(blocks: Iterator[Samples], task: TaskID = task) -> Iterator[Samples]:
                        for block in blocks:
                            yield block
                            progress.advance(task, len(block) / SAMPLE_RATE_HZ)

                    use(path, recording, told(recording.blocks(READ_S)))
                    progress.remove_task(task)
            except AudioFileError as error:
                print(error, file=sys.stderr)  # noqa: T201 - a sentence for the person at the terminal
                code = 1
    return code
