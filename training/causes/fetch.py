"""Cries and their reasons, the DonateACry corpus: from its public repository, or a clone of it, to a folder a category.

data/hungry/*.wav, data/tired/*.wav, ...    the curated set: whatever folders it has are the categories
data/FETCHED.json                           where it came from, its commit, its licence, the SHA-256 of every file
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path, PurePosixPath

from training.causes.curated import ARCHIVE_BYTES, UNKNOWN, Edition, in_archive, in_folder
from training.causes.download import AGAIN, download
from training.data import DataError
from training.progress import transfer

URL = "https://github.com/gveres/donateacry-corpus/archive/{ref}.tar.gz"
BRANCH = "master"
LICENCE = "Open Database License 1.0 (the database), Database Contents License 1.0 (its contents)"
RECORD = "FETCHED.json"
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What RECORD says; `files` holds the SHA-256 of each `category/name.wav`."""

    source: str
    commit: str
    fetched: str
    licence: str
    files: dict[str, str]


def fetch(data: Path, say: Say, *, now: datetime, origin: Path | None = None, url: str | None = None) -> None:
    """Put the corpus into `data`, or mend what is not as it was recorded there.

    Files that are as recorded are left alone, and where all are, nothing is asked for. Nothing is written before the
    whole source is read and found good, and no file is half written; a file that another put there is never replaced.

    Args:
        data: The folder for the categories.
        say: Gets a line for each thing done.
        now: Stands in the record as the time of the first fetch.
        origin: A clone or an unpacked archive to take it from, instead of the network.
        url: Address of an archive; `{ref}` in it becomes BRANCH, or the recorded commit.

    Raises:
        DataError: no network, a damaged or hostile archive, another commit than the recorded, a full disk, Ctrl-C. The
            same call again goes on where it was.
    """
    try:
        _fetch(data, say, now, origin, url)
    except OSError as error:
        raise DataError(
            f"{error.filename or data}: {error.strerror or error} (put that right, then {AGAIN})"
        ) from error
    except KeyboardInterrupt:
        raise DataError(f"{data}: stopped before the end ({AGAIN}: it goes on where it was)") from None


def _fetch(data: Path, say: Say, now: datetime, origin: Path | None, url: str | None) -> None:
    record = _recorded(data)
    wrong = {} if not record else {name: _fault(data / name, hashed) for name, hashed in record.files.items()}
    wrong = {name: fault for name, fault in wrong.items() if fault}
    if record and not wrong and not origin:
        say(f"{data} holds all {len(record.files)} files of commit {record.commit} as recorded: nothing to fetch")
        return
    for name, fault in wrong.items():
        say(f"{name} is {fault}")
    if origin:
        archive, edition = None, in_folder(origin)
    else:
        archive, edition = _downloaded(data, url, record)
    if record:
        _check_same(data, record, edition, wrong, archive)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in edition.files.items()}
    missing = [name for name in edition.files if name in wrong or (not record and _is_free(data / name, hashes[name]))]
    for name in missing:
        _write(data / name, edition.files[name])
    if not record:
        fetched = now.isoformat(timespec="seconds")
        record = Record(edition.source, edition.commit, fetched, LICENCE, dict(sorted(hashes.items())))
        _write(data / RECORD, (json.dumps(dataclasses.asdict(record), indent=2) + "\n").encode())
    if archive:
        archive.unlink()
    categories = len({PurePosixPath(name).parent for name in record.files})
    say(f"{data}: {len(missing)} of {len(record.files)} files written, in {categories} categories")
    say(f"commit {record.commit}, licence: {record.licence}; {data / RECORD} holds the SHA-256 of every file")


def _recorded(data: Path) -> Record | None:
    """Return what an earlier fetch wrote down."""
    path = data / RECORD
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return Record(**{**stored, "files": dict(stored["files"])})
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: no record of a fetch: {error!r} (remove it, then {AGAIN})") from error


def _fault(path: Path, hashed: str) -> str:
    """Return what is wrong with a file, or nothing."""
    if not path.is_file():
        return "missing"
    return "" if hashlib.sha256(path.read_bytes()).hexdigest() == hashed else "altered"


def _is_free(path: Path, hashed: str) -> bool:
    """Return whether a file is still to be written where nothing is recorded; one of other content is not ours."""
    fault = _fault(path, hashed)
    if fault == "altered":
        raise DataError(f"{path}: is there already, and is not the corpus's (move it away, then {AGAIN})")
    return bool(fault)


def _downloaded(data: Path, url: str | None, record: Record | None) -> tuple[Path, Edition]:
    """Return the archive and what is in it; what was fetched before comes from there again, at its commit."""
    pattern = url or (record.source if record and "://" in record.source else URL)
    ref = record.commit if record and record.commit != UNKNOWN else BRANCH
    address = pattern.replace("{ref}", ref)
    with transfer() as told:
        archive = download(address, data, told, limit_bytes=ARCHIVE_BYTES)
    try:
        commit, files = in_archive(archive)
    except DataError as error:
        archive.unlink()
        raise DataError(f"{address}: {error}") from error
    # The branch moves on; the address of the commit stays.
    return archive, Edition(pattern.replace("{ref}", commit if commit != UNKNOWN else ref), commit, files)


def _check_same(data: Path, record: Record, edition: Edition, wrong: dict[str, str], archive: Path | None) -> None:
    """See that what is to be mended comes from the recorded commit, and is what it was."""
    fault = ""
    if UNKNOWN not in (record.commit, edition.commit) and record.commit != edition.commit:
        fault = f"holds commit {record.commit}, but {edition.source} is commit {edition.commit}"
    for name in wrong:
        if not fault and hashlib.sha256(edition.files.get(name, b"")).hexdigest() != record.files[name]:
            fault = f"{name} is not in {edition.source} as it was recorded"
    if fault:
        if archive:
            archive.unlink()
        fix = "to have both, fetch into another folder with --data; to have that one instead, move this folder away"
        raise DataError(f"{data}: {fault} ({fix})")


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
