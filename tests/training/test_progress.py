import io

import pytest
from rich.console import Console

from training import progress


@pytest.mark.parametrize("terminal", [True, False])
def test_bytes_are_told_of(*, terminal: bool) -> None:
    """A transfer is a bar on a terminal and lines elsewhere, whether its length is known or not."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100)
    with progress.transfer(console) as told:
        told(0, None)
        told(1_000_000, 2_000_000)
        told(2_000_000, 2_000_000)
    assert ("2.0 MB of 2.0 MB" in text.getvalue()) != terminal
    assert ("2.0/2.0 MB" in text.getvalue()) == terminal
