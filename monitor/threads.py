"""The one place that starts threads: a loop with a name, a stop, a heartbeat and a death that somebody sees."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

log = structlog.get_logger()


class Turns(Protocol):
    """What a `Loop` runs: one bounded `turn` after another, on its own thread."""

    def turn(self) -> None:
        """Do one piece of work; blocks at most 1 s."""

    def finish(self) -> None:
        """Say the last words after an orderly stop, within a budget of its own. Not called after an error."""

    def close(self) -> None:
        """Give back what `turn` opened. Called on the loop's thread, once, also after an error."""


class Loop:
    """A thread that repeats `work.turn()` until it is stopped or dies.

    Attributes:
        error: What ended the thread, or None.
    """

    def __init__(self, name: str, work: Turns, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.error: BaseException | None = None
        self._work = work
        self._clock = clock
        self._stop = threading.Event()
        self._beat_s = clock()
        # A daemon: a thread that hangs in foreign code must not keep a process alive that means to end.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; its heartbeat counts from here."""
        self._beat_s = self._clock()
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end after this turn. Never blocks."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for the end; return whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def silent_s(self) -> float:
        """Seconds since the last finished turn."""
        return self._clock() - self._beat_s

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            try:
                while not self._stop.is_set():
                    self._work.turn()
                    self._beat_s = self._clock()
                self._work.finish()
            finally:
                self._work.close()
        except BaseException as error:
            # A thread's death is a fact for `main`, whatever it died of.
            self.error = error
            log.exception("thread_died", thread=self.name)


def report_stray_deaths() -> None:
    """Log what kills a thread that is no `Loop` (the MQTT client's), instead of writing it to standard error."""

    def hook(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "?"
        log.error("thread_died", thread=name, err=str(args.exc_value), exc_info=args.exc_value)

    threading.excepthook = hook
