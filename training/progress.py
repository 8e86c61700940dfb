"""How far a long task is: a bar on a terminal, a line a step elsewhere. On standard error, beside what is printed."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Told = Callable[[str], None]


@contextlib.contextmanager
def progress(steps: int, console: Console | None = None) -> Iterator[Told]:
    """Give a function to call with the name of each step as it begins; `steps` are expected."""
    console = console or Console(stderr=True, soft_wrap=True)
    begin_s = time.monotonic()
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=steps)
        begun = 0

        def told(step: str) -> None:
            nonlocal begun
            if console.is_terminal:
                bar.update(task, completed=begun, description=step)
            else:
                console.print(f"{time.monotonic() - begin_s:5.0f} s  {begun + 1}/{steps}  {step}", highlight=False)
            begun += 1

        yield told
        bar.update(task, completed=begun, description="")
