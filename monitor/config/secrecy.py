"""What an error may not repeat, a value that is a secret or may be one in the wrong place; and who else can read it."""

import difflib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STARS = "**********"


def is_secret(path: Sequence[str]) -> bool:
    """Whether the value at this key path, known or misspelt, may be a secret: it is then never shown."""
    hints = ("pass", "pwd", "secret", "token", "cred", "auth")
    for part in path:
        low = part.lower()
        # A file's name is no secret; a misspelt `password_file` may be a misspelt `password`.
        if part != "password_file" and (
            any(hint in low for hint in hints) or difflib.get_close_matches(low, ["password"])
        ):
            return True
    return False


def has_login(text: str) -> bool:
    """Whether there may be a login in it (`rtsp://user:password@camera/1`, `user:password@broker`)."""
    return "@" in text.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Exposed:
    """A file with a secret in it that other users of this machine can read. No error: it may be meant so."""

    key: str
    file: Path
    fault: str
    fix: str


def exposed(key: str, file: Path) -> Exposed | None:
    """Return what is wrong with the permissions of a file that holds the value of `key`; None: nothing.

    Its own group may read root's file, which is how root gives it to a service's user and to nobody else.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    of_root = found.st_uid == 0
    strange_group = not of_root and found.st_gid != os.getegid()
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & (0o077 if strange_group else 0o007):
        return None
    fault = f"other users of this machine can read it (mode {stat.S_IMODE(found.st_mode):04o})"
    mode = 640 if of_root and found.st_gid else 600
    return Exposed(key, file, fault, f"chmod {mode} {file}")
