"""What no output may contain: the configured secrets, and a login inside a URL."""

import difflib
import re
from collections.abc import Sequence

STARS = "**********"

URL_LOGIN = re.compile(r"(?<=://)[^/\s]+(?=@)")
"""`user:password` in `rtsp://user:password@camera/1`, up to the last @: a password may hold one."""

SHORT = 8
"""A secret shorter than this is blotted out as a whole word only: a password `cry` would else eat every line."""


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """Put stars in the place of every secret in `text`, and of every URL's login."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        exact = re.escape(secret)
        text = re.sub(exact if len(secret) >= SHORT else rf"(?<!\w){exact}(?!\w)", STARS, text)
    return URL_LOGIN.sub(STARS, text)


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
