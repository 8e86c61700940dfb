"""The history's file: opened, checked, brought up to date, set aside when damaged. The only importer of sqlite3.

Write-ahead log with `synchronous=NORMAL`: what is written survives the death of this process, and a power cut damages
nothing, at the price of the last writes. A full sync for each event would stall alerts on a slow card.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from monitor.errors import StoreError
from monitor.publish.schema import MIGRATIONS

log = structlog.get_logger()

BUSY_S: Final = 0.2
"""How long a write waits for another process's lock: an alert waits for it too."""

PATIENT_S: Final = 5.0
"""How long a person who looks at the history waits for a lock."""

MEMORY: Final = ":memory:"
"""The path of a history that is kept nowhere."""

_WRITABLE: Final = "see that the folder can be written and the disk is not full; alerts still go out"
_READABLE: Final = "read it as its owner, such as: sudo -u cry-monitor cry-monitor history"
_DAMAGED: Final = "the service sets a damaged file aside when it starts, and begins a new one"
_NEWER: Final = "install that release again, or set history.path to another file"


class Database:
    """An open file. Every sqlite3 error leaves as `StoreError`; values go in and out as Python's own."""

    def __init__(self, path: Path, connection: sqlite3.Connection, fix: str) -> None:
        connection.row_factory = sqlite3.Row
        self._path = path
        self._connection = connection
        self._fix = fix

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run a query; return its rows by column name."""
        with _as_store_error(self._path, self._fix):
            return [dict(row) for row in self._connection.execute(statement, values)]

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        """Run a statement; return how many rows it changed."""
        with _as_store_error(self._path, self._fix):
            return self._connection.execute(statement, values).rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Let all that is done inside happen, or nothing of it."""
        self.change("BEGIN IMMEDIATE")
        try:
            yield
            self.change("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file; again is no error. Never raises: there is nothing left that could be done."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def open_to_write(path: Path, migrations: Sequence[Sequence[str]], wall: Callable[[], float]) -> Database:
    """Open the file, make it where there is none, bring an older one up to date, set a damaged one aside.

    Args:
        path: The file; its folder is made too. `MEMORY` keeps nothing.
        migrations: The schema's history, oldest first.
        wall: UTC seconds; dates the name of a damaged file.

    Raises:
        StoreError: It cannot be opened, or a newer release has written it; it is left as it is.
    """
    with _as_store_error(path, _WRITABLE):
        try:
            connection = _open(path, migrations)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not _is_damage(error):
                raise
            _set_aside(path, str(error), wall())
            connection = _open(path, migrations)
    return Database(path, connection, _WRITABLE)


def open_to_read(path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> Database | None:
    """Open the file as it is, beside a service that writes it; nothing is written, no file is made.

    Returns:
        None where there is no history yet.

    Raises:
        StoreError: It is damaged, written by another release, or not ours to read.
    """
    with _as_store_error(path, _READABLE, "cannot be read"):
        try:
            size = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        # A file without a write-ahead log is one that nobody has open. SQLite would make that log to read it, and in
        # a folder of others it cannot.
        alone = not Path(f"{path}-wal").exists()
        if not size and alone:
            return None
        uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
        connection = sqlite3.connect(uri, uri=True, timeout=PATIENT_S, isolation_level=None)
        try:
            version = _version(path, connection, migrations)
            _check(connection)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            connection.close()
            if _is_damage(error):
                raise StoreError(str(path), f"is damaged: {error}", _DAMAGED) from error
            raise
        except BaseException:
            connection.close()
            raise
    if version == len(migrations):
        return Database(path, connection, _READABLE)
    connection.close()
    if not version:
        return None  # made by a service that had no time to fill it
    raise StoreError(str(path), f"is of version {version}, written by an older release", "start the service once")


def try_to_write(path: Path) -> None:
    """Write something into an existing history, and take it back before anybody sees it.

    Raises:
        StoreError: It cannot be written.
    """
    with _as_store_error(path, _WRITABLE, "cannot be written"):
        uri = f"{path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=PATIENT_S, isolation_level=None)
        with contextlib.closing(connection):
            for statement in ("BEGIN IMMEDIATE", "CREATE TABLE doctor (a)", "ROLLBACK"):
                connection.execute(statement)


def _open(path: Path, migrations: Sequence[Sequence[str]]) -> sqlite3.Connection:
    if str(path) != MEMORY:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(path)
    # Opened in the main thread before any other starts; afterwards one thread alone uses it.
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        version = _version(path, connection, migrations)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        _check(connection)
        if version < len(migrations):
            _migrate(path, connection, version, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(path: Path, connection: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        fault = f"is of version {version}, written by a newer release; this one reads up to {len(migrations)}"
        raise StoreError(str(path), fault, _NEWER)
    return version


def _check(connection: sqlite3.Connection) -> None:
    # What is damaged may be no text, in a row as in the verdict.
    connection.text_factory = lambda text: text.decode(errors="replace")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict.splitlines()[-1])  # above it stands only the name of the database


def _is_damage(error: Exception) -> bool:
    # `not a database` and `malformed` are DatabaseError itself; a lock or a full disk is a subclass. Where a table's
    # name is no text, sqlite3 cannot say what is wrong.
    return type(error) in (sqlite3.DatabaseError, UnicodeDecodeError)


def _migrate(path: Path, db: sqlite3.Connection, version: int, migrations: Sequence[Sequence[str]]) -> None:
    """Bring the file up to date in one transaction, an older one after a copy of it is made beside."""
    copy = path.with_name(f"{path.name}.v{version}")
    if version:
        _make_private(copy)
        with contextlib.closing(sqlite3.connect(copy)) as target:
            db.backup(target)
    db.execute("BEGIN IMMEDIATE")
    try:
        for statements in migrations[version:]:
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(migrations)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    if version:
        log.info("history_migrated", path=str(path), copy=str(copy), of=version, to=len(migrations))


def _set_aside(path: Path, fault: str, at: float) -> None:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    log.warning("history_set_aside", path=str(path), aside=str(aside), err=fault, then="a new one is begun")


@contextlib.contextmanager
def _as_store_error(path: Path, fix: str, fault: str = "the history cannot be used") -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise StoreError(str(path), f"{fault}: {error}", fix) from error


def _make_private(path: Path) -> None:
    """Make an empty file that its owner alone may read, where there is none: it tells when a child cried."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
