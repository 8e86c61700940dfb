"""What we owe the host: one kind of log line, and a word to the service manager."""

import functools
import json
import logging
import math
import numbers
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

CHATTY = ("amqtt", "asyncio", "transitions")
"""Libraries whose `info` is of no use to whoever runs this; shown with `log.level = "debug"`."""

STARS = "**********"

URL_LOGIN = re.compile(r"(?<=://)[^/\s]+(?=@)")
"""`user:password` in `rtsp://user:password@camera/1`, up to the last @: a password may hold one."""

SHORT = 8
"""A secret shorter than this is blotted out as a whole word only: a password `cry` would else eat every line."""

STATUS_EVERY_S = 5.0
"""How often `STATUS=` follows the levels: often enough for who looks, seldom enough for the bus."""

FIRST = ("ts", "level", "event", "thread", "node")


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """Put stars in the place of every secret in `text`, and of every URL's login."""
    for pattern in _patterns(tuple(secrets)):
        text = pattern.sub(STARS, text)
    return URL_LOGIN.sub(STARS, text)


@functools.cache
def _patterns(secrets: tuple[str, ...]) -> list[re.Pattern[str]]:
    """What to look for: each secret as it is and as Python or JSON quotes it, however often, from the longest down."""
    forms = {
        form
        for secret in filter(None, secrets)
        for form in (
            secret,
            repr(secret)[1:-1],
            ascii(secret)[1:-1],
            repr(secret.encode(errors="backslashreplace"))[2:-1],
            json.dumps(secret)[1:-1],
        )
    }
    exact = [(form, _however_quoted(form)) for form in sorted(forms, key=len, reverse=True)]
    return [re.compile(word if len(form) >= SHORT else rf"(?<!\w){word}(?!\w)") for form, word in exact]


def _however_quoted(form: str) -> str:
    """A pattern for `form`; the error of an error quotes what is quoted, and each time backslashes are added."""
    return "".join(
        r"\\+" if part.startswith("\\") else rf"\\*{part}" if part in ('"', "'") else re.escape(part)
        for part in re.split(r"(\\+|[\"'])", form)
    )


def configure_logging(level: str, stream: TextIO, node: str, secrets: Sequence[str] = ()) -> None:
    """Send every log line of this process to `stream`: structlog's, the standard library's, and warnings.

    JSON where `stream` is no terminal, else readable lines, in colour unless `NO_COLOR` is set. May be called again.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        stream: Usually `sys.stdout` (`run`) or `sys.stderr` (every other verb).
        node: This machine's id; stands in every line.
        secrets: Values that no line may contain.
    """
    facts = _Facts(node)
    terminal = stream.isatty()
    render = (
        structlog.dev.ConsoleRenderer(
            colors="NO_COLOR" not in os.environ,
            timestamp_key="ts",
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,
        )
        if terminal
        else structlog.processors.JSONRenderer()
    )
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, facts],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _error_in_words,
                # Before the last step: until here a traceback is an object, and its text may quote a secret.
                structlog.processors.format_exc_info,
                _Redactor(secrets),
                render,
            ],
        )
    )
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "debug" else logging.WARNING)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, facts, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        # Modules make their loggers when they are imported, which is before this.
        cache_logger_on_first_use=False,
    )


def notify(message: str, environ: Mapping[str, str] = os.environ) -> None:
    """Tell the service manager `READY=1`, `WATCHDOG=1`, `STOPPING=1` or `STATUS=...`; nothing without one.

    Never raises and never blocks: a service manager that does not listen must not stop the ears.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux's abstract sockets: no file, a NUL in front
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.settimeout(0)
            connection.sendto(message.encode(errors="replace"), address)
    except (OSError, ValueError):  # ValueError: an address that is none
        return


def watchdog_interval_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds within which the service manager wants each `WATCHDOG=1`; None where it wants none from this process."""
    owner = environ.get("WATCHDOG_PID", "")
    microseconds = environ.get("WATCHDOG_USEC", "")
    if owner and owner != str(os.getpid()):
        return None
    if not (microseconds.isascii() and microseconds.isdigit() and len(microseconds) <= len(str(2**64))):
        return None
    return int(microseconds) / 1e6 or None


class Host:
    """Keeps the service manager told while we run: a beat at half the watchdog's interval, and a line for a person.

    Used by the main thread; never blocks.

    Attributes:
        tick_s: Call `tick` at least this often, in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, environ: Mapping[str, str] = os.environ) -> None:
        interval_s = watchdog_interval_s(environ)
        self._clock = clock
        self._environ = environ
        self._every_s = None if interval_s is None else interval_s / 2
        self._beat_due_s = self._status_due_s = clock()
        self._status = ""
        self.tick_s = min(1.0, self._every_s or 1.0)

    def tick(self, *, well: bool, status: str) -> None:
        """Say that we live, where a beat is due and `well`; say `status`, where it is another and 5 s have passed."""
        now_s = self._clock()
        if self._every_s is not None and well and now_s >= self._beat_due_s:
            # Counted from when it was due, or each beat would be late by a tick; after a pause, from now.
            late = now_s - self._beat_due_s >= self._every_s
            self._beat_due_s = (now_s if late else self._beat_due_s) + self._every_s
            notify("WATCHDOG=1", self._environ)
        if status != self._status and now_s >= self._status_due_s:
            self._status_due_s = now_s + STATUS_EVERY_S
            self.say(status)

    def say(self, status: str) -> None:
        """Say one line for a person, now."""
        self._status = status
        notify(f"STATUS={' '.join(status.split())}", self._environ)  # a line break would begin another word


def exit_now(code: int) -> NoReturn:
    """End the process without another word: no clean-up, no waiting for threads. Log lines are written already."""
    os._exit(code)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes and flushes each line; a log that nobody can take any more is no reason to stop hearing."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


class _Facts:
    """Adds what every line has: when, on which thread, on which node."""

    def __init__(self, node: str) -> None:
        self._node = node

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["ts"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event.setdefault("thread", threading.current_thread().name)
        event.setdefault("node", self._node)
        return event


def _error_in_words(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Give a line with a traceback the field `err` as well, as a line without one has it."""
    raised = event.get("exc_info")
    if raised is True:
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event.setdefault("err", f"{type(error).__name__}: {error}")
    return event


class _Redactor:
    """Blots out secrets in every value, leaves only what JSON can hold, and puts what every line has in front."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        ordered = {key: event.pop(key) for key in FIRST if key in event}
        ordered.update(event)
        return {key: value if key in ("ts", "level", "node") else self._clean(value) for key, value in ordered.items()}

    def _clean(self, value: object) -> object:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, numbers.Integral):
            return int(value)
        if isinstance(value, numbers.Real):  # numpy's, too
            number = float(value)
            return number if math.isfinite(number) else str(number)  # NaN is no JSON
        if isinstance(value, Mapping):
            return {redact(str(key), self._secrets): self._clean(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(inner) for inner in value]
        return redact(value if isinstance(value, str) else str(value), self._secrets)
