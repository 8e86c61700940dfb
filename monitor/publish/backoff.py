"""When to try the broker again: a pure function of how the last connection ended."""

from collections.abc import Callable
from typing import Final

SHORT_CONNECTION_S: Final = 30.0
"""A connection that ends sooner was no success: two services with one client id throw each other out in turn."""

FIGHT: Final = 2
"""So many short connections in a row are a fight over a client id."""

LONGEST_S: Final = 60.0
_FIRST_S: Final = 1.0
_LAST_S: Final = 8.0


def next_delay_s(
    *, lasting: bool, short_in_a_row: int, failures: int, uniform: Callable[[float, float], float]
) -> float:
    """Return the seconds until the next try.

    One short connection is what a broker leaves that is restarted twice; two in a row are a fight over a client id.

    Args:
        lasting: Only a person can mend it (`diagnosis`), so trying soon is useless.
        short_in_a_row: Connections that ended within `SHORT_CONNECTION_S`, one after the other.
        failures: Tries that failed in a row, this one included.
        uniform: Chooses between two numbers, as `random.uniform` does: jitter, so that a house full of clients does
            not come back to a restarted broker in step.
    """
    if lasting or short_in_a_row >= FIGHT:
        return LONGEST_S
    return uniform(_FIRST_S, min(_LAST_S, _FIRST_S * 2 ** min(max(failures, 1), 10)))
