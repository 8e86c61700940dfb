"""When to try the broker again: a pure function of how the last connection ended."""

from collections.abc import Callable
from typing import Final

SHORT_CONNECTION_S: Final = 30.0
"""A connection that ends sooner was no success: two services with one client id throw each other out in turn."""

LONGEST_S: Final = 60.0
_FIRST_S: Final = 1.0
_LAST_S: Final = 8.0


def next_delay_s(
    *,
    refused: bool,
    connected_for_s: float | None,
    failures: int,
    uniform: Callable[[float, float], float],
) -> float:
    """Return the seconds until the next try.

    Args:
        refused: The broker knows us and will not have us: wrong password, or another took our client id.
        connected_for_s: How long the connection stood; None where it never did.
        failures: Tries that failed in a row, this one included.
        uniform: Chooses between two numbers, as `random.uniform` does: jitter, so that a house full of clients does
            not come back to a restarted broker in step.
    """
    if refused or (connected_for_s is not None and connected_for_s < SHORT_CONNECTION_S):
        return LONGEST_S
    return uniform(_FIRST_S, min(_LAST_S, _FIRST_S * 2 ** min(max(failures, 1), 10)))
