"""How far a long task is: a bar on a terminal, a line a step elsewhere. On standard error, beside what is printed."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

Told = Callable[[str], None]
ToldBytes = Callable[[int, int | None], None]
LINE_EVERY_S = 5.0


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


@contextlib.contextmanager
def transfer(console: Console | None = None) -> Iterator[ToldBytes]:
    """Give a function to call with the bytes that are here and the bytes there will be, None where nobody knows."""
    console = console or Console(stderr=True, soft_wrap=True)
    begin_s = time.monotonic()
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        line_s = begin_s

        def told(here: int, total: int | None) -> None:
            nonlocal line_s
            now_s = time.monotonic()
            if console.is_terminal:
                bar.update(task, completed=here, total=total)
            elif here == total or now_s - line_s >= LINE_EVERY_S:
                of = f" of {decimal(total)}" if total else ""
                console.print(f"{now_s - begin_s:5.0f} s  {decimal(here)}{of}", highlight=False)
                line_s = now_s

        yield told
