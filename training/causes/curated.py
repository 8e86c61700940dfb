"""The curated set of the DonateACry corpus, out of a clone or an archive; neither is trusted."""

import dataclasses
import gzip
import os
import re
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from training.causes.download import AGAIN
from training.data import DataError

CURATED = "donateacry_corpus_cleaned_and_updated_data"
UNKNOWN = "unknown"
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

# Bounds on what a stranger's archive can make us read. The curated set is 457 files of about 0.1 MB.
FILE_BYTES = 4 << 20
SET_BYTES = 256 << 20
ARCHIVE_BYTES = 2 << 30
GIT_S = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Edition:
    """The curated set as it was at one commit; `files` holds the bytes of each `category/name.wav`."""

    source: str
    commit: str
    files: dict[str, bytes]


def in_folder(origin: Path) -> Edition:
    """Return what a clone, or an unpacked archive, holds."""
    commit = _head(origin) if (origin / ".git").exists() else UNKNOWN
    found = {}
    for path in sorted((origin / CURATED).glob("*/*")):
        name = _wanted(
            path.relative_to(origin).as_posix(),
            is_plain=not _is_link(path, origin) and (path.is_file() or path.is_dir()),
        )
        if path.is_dir():
            continue
        if name and path.stat().st_size > FILE_BYTES:
            raise DataError(f"{path}: larger than {FILE_BYTES} bytes (a sound of the corpus is about 0.1 MB)")
        if name:
            found[name] = path.read_bytes()
    if not found:
        raise DataError(f"{origin}: no {CURATED}/*/*.wav in it (give the folder of a clone or an unpacked archive)")
    return Edition(str(origin.resolve()), commit, found)


def _is_link(path: Path, origin: Path) -> bool:
    """Return whether a path below `origin` may lead out of it."""
    return any(step.is_symlink() for step in (path, *path.parents) if step.is_relative_to(origin) and step != origin)


def _head(origin: Path) -> str:
    """Return the commit that a clone has checked out.

    Raises:
        DataError: the curated set was changed since: what is there is of no commit.
    """
    # A stranger's clone may name a program to run in its configuration; a hook that runs us may name another clone.
    git = ["git", "-C", str(origin), "-c", "core.fsmonitor=false"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    said = []
    for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", CURATED]):
        try:
            done = subprocess.run([*git, *command], env=env, capture_output=True, text=True, timeout=GIT_S, check=True)
        except (OSError, subprocess.SubprocessError):
            return UNKNOWN
        said.append(done.stdout.strip())
    if said[1]:
        raise DataError(f"{origin}: {CURATED} in it differs from its commit (put that aside with `git stash -u`)")
    return said[0]


class _Bounded(gzip.GzipFile):
    """Unpacks no more at once than a file may have: a header can claim any size."""

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes."""
        if size is None or not 0 <= size <= FILE_BYTES or self.tell() > ARCHIVE_BYTES:
            raise DataError("unpacks to more than the corpus can have; nothing of it is taken")
        return super().read(size)


def in_archive(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return the commit that git wrote into a tar.gz, and the files of the curated set in it.

    Raises:
        DataError: it is damaged, holds no such set, or holds what no such archive has; the caller knows its address.
    """
    try:
        with _Bounded(path) as packed, tarfile.open(fileobj=packed, mode="r:") as tar:
            found = dict(_members(tar))
            commit = tar.pax_headers.get("comment", "")
            while packed.read(FILE_BYTES):  # to the checksum at the end
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise DataError(f"damaged, or no tar.gz: {error} ({AGAIN}: it begins anew)") from error
    if not found:
        raise DataError(f"no {CURATED}/*/*.wav in it (see the address, --url)")
    return commit if COMMIT.fullmatch(commit) else UNKNOWN, found


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Give `category/name.wav` and content of each file of the curated set."""
    total = 0
    for member in tar:
        if member.offset_data + member.size > ARCHIVE_BYTES:
            raise DataError("unpacks to more than the corpus can have; nothing of it is taken")
        name = _wanted(member.name, is_plain=member.isreg() or member.isdir())
        if not name or not member.isreg():
            continue
        total += member.size
        if member.size > FILE_BYTES or total > SET_BYTES:
            raise DataError(f"{name!r} is larger than the corpus can have; nothing of it is taken")
        content = tar.extractfile(member)
        assert content  # noqa: S101 - a regular member has content
        yield name, content.read()


def _wanted(path: str, *, is_plain: bool) -> str:
    """Return `category/name.wav` of a path in the repository, or nothing where it is not of the curated set.

    Raises:
        DataError: the path leads out of the folder, or is a link or a device where sounds should be.
    """
    steps = PurePosixPath(path).parts
    if ".." in steps or path.startswith("/"):
        raise DataError(f"{path!r} leads out of the folder; nothing of it is taken")
    if CURATED not in steps[:2]:  # behind the folder that an archive packs all in
        return ""
    if not is_plain:
        raise DataError(f"{path!r} is a link or a device; nothing of it is taken")
    inside = steps[steps.index(CURATED) + 1 :]
    if len(inside) != 2 or PurePosixPath(path).suffix.lower() != ".wav":
        return ""
    if not all(step.isprintable() and not step.startswith(".") for step in inside):
        raise DataError(f"{path!r} is a hidden or unreadable name; nothing of it is taken")
    return "/".join(inside)
