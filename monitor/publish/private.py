"""Files and folders that their owner alone may read: they tell when a child cried."""

import os
import stat
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

_FIX: Final = "others on this machine may read it: chmod it as its owner, or move it to a disk that knows modes"


def make_folder(folder: Path) -> None:
    """Make the folder, and those above it; one that is there stays as it is.

    Raises:
        OSError: It cannot be made.
    """
    for missing in reversed([above for above in (folder, *folder.parents) if not above.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def make_private(path: Path) -> None:
    """Make an empty file where there is none, and take the rights of others from one that is there.

    Raises:
        OSError: It cannot be made. That the mode of one cannot be changed is a warning.
    """
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    # Not opened: closing a file gives up every lock that this process has on it.
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & 0o077:
        return
    try:
        path.chmod(0o600)
    except OSError as error:  # another's file
        log.warning("file_not_private", path=str(path), err=str(error), fix=_FIX)
    else:
        log.info("file_made_private", path=str(path), mode=f"{mode:04o}", to="0600")
