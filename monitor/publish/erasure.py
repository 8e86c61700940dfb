"""What this machine keeps of a room: counted, and erased so that no file of ours holds a byte of it any more."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitor.errors import StoreError
from monitor.publish.alert_log import count_lines, drop_lines
from monitor.publish.database import ALONE_FIX, Database, open_alone
from monitor.publish.schema import NO_RECORDS, RECORDS

_OF_A_CRY: Final = ("events", "alerts", "feedback")
"""What goes with its episode, too: a cry of the morning may be answered in the evening."""

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of a room.

    Attributes:
        rows: How many, by table of the history; none of a table without any.
        copies: Files beside the history that may hold the room: from before an upgrade, or set aside as damaged.
        lines: Of the alert log.
    """

    rows: Mapping[str, int]
    copies: Sequence[Path]
    lines: int

    def __bool__(self) -> bool:
        return bool(self.rows or self.copies or self.lines)


class Erasure:
    """Erases one room. The service must not run; each call blocks for the disk.

    Args:
        room: Its id, configured or not.
        history: The history's file.
        alerts: The alert log; None: there is none.
        before_at: Only what was over before, UTC seconds; None: everything, and what is not over, too.
        configured: Whether the room's settings still mean something; else they go with the rest.
    """

    def __init__(
        self, room: str, *, history: Path, alerts: Path | None, before_at: float | None, configured: bool
    ) -> None:
        self._room = room
        self._history = history
        self._alerts = alerts
        self._before_at = before_at
        also = () if configured or before_at is not None else NO_RECORDS
        self._tables = {**RECORDS, **dict.fromkeys(also, "NULL")}

    def look(self) -> Found:
        """Return what there is; all of it stays.

        Raises:
            StoreError: Somebody uses the history, or a file cannot be read.
        """
        with self._alone() as database:
            rows = {table: self._count(database, table) for table in self._tables} if database else {}
        lines = 0
        if self._alerts is not None:
            with _naming(self._alerts):
                lines = count_lines(self._alerts, self._room, self._before_at)
        return Found(_some(rows), self._copies(), lines)

    def erase_rows(self) -> dict[str, int]:
        """Delete the room's rows, all or none of them; return how many, by table.

        Raises:
            StoreError: Somebody uses the history, or it cannot be written. It is as it was.
        """
        with self._alone() as database:
            if database is None:
                return {}
            erased: dict[str, int] = {}
            with database.transaction():
                for table in reversed(self._tables):  # episodes last: they say what of them goes
                    where, values = self._where(table)
                    erased[table] = database.change(f"DELETE FROM {table} WHERE {where}", values)  # noqa: S608 - our own words
            return _some({table: erased[table] for table in self._tables})

    def rewrite(self) -> None:
        """Write the history's file anew: what was deleted before, by anybody, leaves traces in its free space.

        Raises:
            StoreError: The disk is full, or somebody uses the history.
        """
        with self._alone() as database:
            if database is not None:
                database.change("VACUUM")

    def remove_copies(self) -> list[Path]:
        """Remove the copies; return those that went.

        Raises:
            StoreError: One cannot be removed.
        """
        copies = self._copies()
        for copy in copies:
            with _naming(copy):
                copy.unlink()
        return copies

    def drop_lines(self) -> int:
        """Take the room's lines from the alert log; return how many.

        Raises:
            StoreError: It cannot be written anew.
        """
        if self._alerts is None:
            return 0
        with _naming(self._alerts):
            return drop_lines(self._alerts, self._room, self._before_at)

    def not_touched(self) -> list[Path]:
        """Return the files beside the alert log that look like older parts of it: a rotation is its owner's."""
        if self._alerts is None:
            return []
        path = self._alerts
        parts = {*path.parent.glob(f"{path.name}[.-]*"), *path.parent.glob(f"{path.stem}[.-]*{path.suffix}*")}
        return sorted(parts - {path})

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Database | None]:
        database = open_alone(self._history)
        try:
            yield database
        finally:
            if database is not None:
                database.close()

    def _count(self, database: Database, table: str) -> int:
        where, values = self._where(table)
        (row,) = database.rows(f"SELECT count(*) AS found FROM {table} WHERE {where}", values)  # noqa: S608 - our own words
        found: int = row["found"]
        return found

    def _where(self, table: str) -> tuple[str, list[object]]:
        if self._before_at is None:
            return "room = ?", [self._room]
        before, values = f"{self._tables[table]} < ?", [self._room, self._before_at]
        if table in _OF_A_CRY:
            before += " OR episode_id IN (SELECT episode_id FROM episodes WHERE ended_at < ?)"
            values.append(self._before_at)
        return f"room = ? AND ({before})", values

    def _copies(self) -> list[Path]:
        """Return the copies, each with what SQLite keeps beside it; one that does not mention the room is none."""
        folder, groups = self._history.parent, dict[str, list[Path]]()
        name = re.compile(rf"{re.escape(self._history.name)}\.(v\d+|damaged-.+?)(-wal|-shm|-journal)?")
        with _naming(folder):
            for file in sorted(folder.iterdir()) if folder.is_dir() else ():
                if found := name.fullmatch(file.name):
                    groups.setdefault(found[1], []).append(file)
        return [
            file for group in groups.values() if any(_mentions(file, self._room) for file in group) for file in group
        ]


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(str(path), f"cannot be erased: {error}", ALONE_FIX) from error


def _mentions(path: Path, room: str) -> bool:
    """Whether the room's id stands anywhere in the file, damaged or not: SQLite writes text as it is."""
    wanted, before = room.encode(), b""
    with _naming(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if wanted in before + chunk:
                return True
            before = chunk[-len(wanted) :]
    return False
