"""The history's file: opened, checked, brought up to date, set aside when damaged. The only importer of sqlite3.

Write-ahead log with `synchronous=NORMAL`: what is written survives the death of this process, and a power cut damages
nothing, at the price of the last writes. A full sync for each event would stall alerts on a slow card.
"""

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from monitor.errors import StoreDamagedError, StoreError, StoreRefusedError
from monitor.publish.private import make_folder, make_private
from monitor.publish.schema import MIGRATIONS

log = structlog.get_logger()

BUSY_S: Final = 0.2
"""How long a write waits for another process's lock: an alert waits for it too."""

PATIENT_S: Final = 5.0
"""How long a start, and a person who looks at the history, wait for a lock."""

LOOKED_AT_S: Final = 0.1
"""How long `Database.check` looks at the file, at most: an alert may wait for it."""

MEMORY: Final = ":memory:"
"""The path of a history that is kept nowhere."""

_HEAD: Final = b"SQLite format 3\0"

_WRITABLE: Final = "see that the folder can be written and the disk is not full; alerts still go out"
_READABLE: Final = "read it as its owner, such as: sudo -u cry-monitor cry-monitor history"
_DAMAGED: Final = "the service sets a damaged file aside, and begins a new one"
_NEWER: Final = "install that release again, or set history.path to another file"
ALONE_FIX: Final = (
    "see that the disk is not full, and run it as the user of the service: sudo -u cry-monitor cry-monitor ..."
)
_STOP: Final = "stop it first: systemctl stop cry-monitor"

_REFUSED: Final = "it is left out; please report it"

_REFUSALS: Final = (
    *(sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError),
    *(OverflowError, UnicodeEncodeError),
)
"""What does not come of a lock, a disk or damage, so that the same again ends the same."""

_SIDES: Final = ("-wal", "-shm", "-journal")
"""What SQLite may keep beside a file, by its name's end."""


class Database:
    """An open file. Every sqlite3 error leaves as `StoreError`; values go in and out as Python's own."""

    def __init__(self, path: Path, connection: sqlite3.Connection, fix: str, *, watched: bool = False) -> None:
        connection.row_factory = sqlite3.Row
        self._path = path
        self._connection = connection
        self._fix = fix
        # Kept open beside SQLite's own as long as that: to close it takes SQLite's locks from the whole process.
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if watched else None
        self._opened = self._identity() if watched else None

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

    def check(self, *, whole: bool) -> None:
        """See that the file is the one that was opened, by its head or as a whole.

        SQLite answers from its memory and its log, and would write on beside a file that is gone. Blocks 0.1 s at most
        (measured: 26 ms for the whole of 14 MB); of a larger file it sees a part.

        Raises:
            StoreDamagedError: It must be opened anew.
            StoreError: It cannot be read. A lock is the next write's to find.
        """
        if self._file is None:
            return
        if self._identity() != self._opened:
            raise StoreDamagedError(str(self._path), "was removed or replaced while it was in use", _DAMAGED)
        with _as_store_error(self._path, self._fix):
            if os.pread(self._file, len(_HEAD), 0) != _HEAD:
                raise StoreDamagedError(str(self._path), "was overwritten while it was in use", _DAMAGED)
            if whole:
                with contextlib.suppress(sqlite3.OperationalError):
                    self._check_whole()

    def _identity(self) -> tuple[tuple[int, int] | None, ...]:
        """Return which files stand under our name: the database and its log."""
        return tuple(_inode(Path(f"{self._path}{suffix}")) for suffix in ("", "-wal"))

    def _check_whole(self) -> None:
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0.0, isolation_level=None)) as other:
            end_s = time.monotonic() + LOOKED_AT_S
            other.set_progress_handler(lambda: time.monotonic() > end_s, 1_000)
            _check(other)

    def close(self) -> None:
        """Close the file; again is no error. Never raises: there is nothing left that could be done."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None


def open_to_write(
    path: Path, migrations: Sequence[Sequence[str]], wall: Callable[[], float], *, wait_s: float = BUSY_S
) -> Database:
    """Open the file, make it where there is none, bring an older one up to date, set a damaged one aside.

    Args:
        path: The file; its folder is made too. `MEMORY` keeps nothing.
        migrations: The schema's history, oldest first.
        wall: UTC seconds; dates the name of a damaged file.
        wait_s: How long another's lock is waited for; afterwards 0.2 s.

    Raises:
        StoreError: It cannot be opened, or a newer release has written it; it is left as it is.
    """
    with _as_store_error(path, _WRITABLE):
        try:
            connection = _open(path, migrations, wait_s)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not _is_damage(error):
                raise
            _set_aside(path, str(error), wall())
            connection = _open(path, migrations, wait_s)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")
        return Database(path, connection, _WRITABLE, watched=str(path) != MEMORY)


def open_to_read(path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> Database | None:
    """Open the file as it is, beside a service that writes it; nothing is written, no file is made.

    Returns:
        None where there is no history yet.

    Raises:
        StoreError: It is damaged, written by another release, or not ours to read.
    """
    with _as_store_error(path, _READABLE, "cannot be read"):
        if _is_nothing(path):
            return None
        # A file without a write-ahead log is one that nobody has open. SQLite would make that log to read it, and in
        # a folder of others it cannot.
        alone = not Path(f"{path}-wal").exists()
        uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
        connection = sqlite3.connect(uri, uri=True, timeout=PATIENT_S, isolation_level=None)
        return _current(path, connection, migrations, _READABLE)


def open_alone(path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> Database | None:
    """Open the file for this connection alone, to delete for good; nobody else gets in until it is closed.

    What is deleted is overwritten, and there is no write-ahead log that would keep it; the service's next start begins
    one again. No file is made.

    Returns:
        None where there is no history yet.

    Raises:
        StoreError: Somebody has it open, it is damaged, written by another release, or not ours to write.
    """
    with _as_store_error(path, ALONE_FIX):
        if _is_nothing(path):
            return None
        uri = f"{path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
        # Out of write-ahead mode comes only who is alone with the file; then the lock is held until it is closed (asked
        # for first, it would leave a killed service's `-shm` behind). Temporary files would hold what stays.
        alone = ("journal_mode = DELETE", "locking_mode = EXCLUSIVE", "secure_delete = ON", "temp_store = MEMORY")
        try:
            return _current(path, connection, migrations, ALONE_FIX, alone)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise StoreError(str(path), "is in use: the service runs, or somebody looks at it", _STOP) from error
            raise


def sides_of(path: Path) -> list[Path]:
    """Return the files that SQLite keeps beside this one now."""
    return [side for end in _SIDES if (side := path.with_name(path.name + end)).exists()]


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


def _open(path: Path, migrations: Sequence[Sequence[str]], wait_s: float) -> sqlite3.Connection:
    if str(path) != MEMORY:
        make_folder(path.parent)
        make_private(path)
        for side in sides_of(path):
            make_private(side)
    # Opened in the main thread before any other starts, or by the one thread that uses it afterwards.
    connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
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


def _is_nothing(path: Path) -> bool:
    try:
        return not path.stat().st_size and not Path(f"{path}-wal").exists()
    except (FileNotFoundError, NotADirectoryError):
        return True


def _current(
    path: Path,
    connection: sqlite3.Connection,
    migrations: Sequence[Sequence[str]],
    fix: str,
    pragmas: Sequence[str] = (),
) -> Database | None:
    """Return the file where this release has written it, None where nobody has written anything; else close it."""
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        version = _version(path, connection, migrations)
        _check(connection)
    except BaseException:
        connection.close()
        raise
    if version == len(migrations):
        return Database(path, connection, fix)
    connection.close()
    if not version:
        return None  # made by a service that had no time to fill it
    raise StoreError(str(path), f"is of version {version}, written by an older release", "start the service once")


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
        _copy(db, copy)
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


def _copy(db: sqlite3.Connection, copy: Path) -> None:
    """Copy the file, over whatever stands there; a copy that cannot be made is no damage, and nothing of it stays."""
    _remove(copy)
    if (free := shutil.disk_usage(copy.parent).free) < (size := _size(db)):
        raise StoreError(
            str(copy), f"an upgrade makes this copy first; it takes {size} bytes, {free} are free", _WRITABLE
        )
    make_private(copy)
    try:
        with contextlib.closing(sqlite3.connect(copy)) as target:
            db.backup(target)
    except sqlite3.Error as error:
        _remove(copy)
        raise StoreError(str(copy), f"an upgrade makes this copy first, and cannot: {error}", _WRITABLE) from error


def _remove(path: Path) -> None:
    for file in (path, *sides_of(path)):
        file.unlink(missing_ok=True)


def _size(db: sqlite3.Connection) -> int:
    (pages,), (page,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    size: int = pages * page
    return size


def _set_aside(path: Path, fault: str, at: float) -> None:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    while aside.exists():  # two in a second, or the clock was set back
        aside = aside.with_name(f"{aside.name}+")
    # The file itself last: a log beside a new file would be taken for that file's.
    for suffix in (*_SIDES, ""):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    log.warning("history_set_aside", path=str(path), aside=str(aside), err=fault, then="a new one is begun")


@contextlib.contextmanager
def _as_store_error(path: Path, fix: str, fault: str = "the history cannot be used") -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeError, OverflowError) as error:
        if _is_damage(error):
            raise StoreDamagedError(str(path), f"is damaged: {error}", _DAMAGED) from error
        if isinstance(error, _REFUSALS) and not str(error).endswith("closed database."):
            raise StoreRefusedError(str(path), f"does not take this: {error}", _REFUSED) from error
        raise StoreError(str(path), f"{fault}: {error}", fix) from error


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
