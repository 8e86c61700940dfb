"""What an error may not repeat: a value that is a secret, or may be one in the wrong place."""

import difflib
from collections.abc import Sequence

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
    """Whether there may be a login in a URL (`rtsp://user:password@camera/1`)."""
    return "@" in text.partition("://")[2]
