"""A JSON line for every alert, sent or held back, in a file of its own. One that cannot be written stops none."""

import json
import os
import stat
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from monitor.errors import StoreError
from monitor.publish.history import EVERY
from monitor.publish.messages import to_json
from monitor.records import AlertHeld, Event, time_of

log = structlog.get_logger()

_FIX: Final = "see that the folder is there and can be written, and the disk is not full; alerts still go out"

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
"""Appended, so that others may write or empty it beside us; not waited for, should it be a pipe without a reader."""


_SENT: Final = "alert"
_HELD: Final = "alert_held"


class AlertLog:
    """Appends to `path`, whose folder must be there. Used by the publish thread alone; blocks for the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._failures = 0

    def write(self, record: Event | AlertHeld) -> None:
        """Append an alert. Never raises: the first failure in a row is a warning, and then each 100th."""
        try:
            self._append(to_json(_line(record)) + b"\n")
        except OSError as error:
            self.close()
            self._failures += 1
            if self._failures % EVERY == 1:
                log.warning("alert_log_failed", path=str(self.path), err=str(error), lost=self._failures, fix=_FIX)
            return
        if self._failures:
            log.info("alert_log_works_again", path=str(self.path), lost=self._failures)
            self._failures = 0

    def try_to_append(self) -> bool:
        """Return whether the file is there; a missing one is not made: of another user, it would be none for us.

        Raises:
            StoreError: It cannot be appended to, or not be made.
        """
        try:
            os.close(os.open(self.path, _FLAGS & ~os.O_CREAT))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StoreError(str(self.path), f"cannot be appended to: {error}", _FIX) from error
        else:
            return True
        try:
            with tempfile.TemporaryFile(dir=self.path.parent):
                return False
        except OSError as error:
            raise StoreError(str(self.path.parent), f"cannot be written: {error}", _FIX) from error

    def close(self) -> None:
        """Close the file; again is no error."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, line: bytes) -> None:
        if self._file is not None and not self._is_ours():
            self.close()
        if self._file is None:
            self._file = os.open(self.path, _FLAGS, 0o600)
        written = os.write(self._file, line)
        if written < len(line):  # the disk is full: half a line would spoil the next one
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise OSError(None, "no space left for a line")

    def _is_ours(self) -> bool:
        """Whether the path still leads to the open file: a rotation moves it, or removes it."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._file if self._file is not None else -1))


def count_lines(path: Path, room: str, before_at: float | None) -> int:
    """Return how many lines of the file are alerts of the room, from before `before_at` (UTC seconds; None: all).

    A file that is absent, or none on a disk (a pipe), has none.

    Raises:
        OSError: It cannot be read.
    """
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(_is_of(line, room, before_at) for line in file)


def drop_lines(path: Path, room: str, before_at: float | None) -> int:
    """Write the file anew without those lines; return how many went. What is no line of ours stays, byte for byte.

    The old file stands until the new one is on the disk. Owner and mode stay as they are.

    Raises:
        OSError: It cannot be written anew.
    """
    if not count_lines(path, room, before_at):
        return 0
    path = path.resolve()  # a link stays one
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with path.open("rb") as old, os.fdopen(handle, "wb") as new:
            owned = os.fstat(old.fileno())
            os.fchown(handle, owned.st_uid, owned.st_gid)
            os.fchmod(handle, stat.S_IMODE(owned.st_mode))
            dropped = 0
            for line in old:
                if _is_of(line, room, before_at):
                    dropped += 1
                else:
                    new.write(line)
            new.flush()
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # a power cut does not bring the old one back
    finally:
        os.close(folder)
    return dropped


def _is_of(line: bytes, room: str, before_at: float | None) -> bool:
    try:
        told = json.loads(line)
        if told["room"] != room or told["event"] not in (_SENT, _HELD):
            return False
        return before_at is None or datetime.fromisoformat(told["ts"]).timestamp() < before_at
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


def _line(record: Event | AlertHeld) -> dict[str, object]:
    held = record if isinstance(record, AlertHeld) else None
    sent = record if isinstance(record, Event) else None
    crying_s = held.crying_s if held else None
    if sent and sent.episode_id is not None:
        crying_s = sent.duration_s
    return {
        "ts": time_of(record.at),
        "room": record.room,
        "episode_id": record.episode_id,
        "event": _HELD if held else _SENT,
        "cause": record.cause,
        "due": held.due if held else None,
        "crying_s": None if crying_s is None else round(crying_s, 2),
        "test": sent is not None and sent.test,
    }
