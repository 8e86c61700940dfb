"""What the tests of publish share."""

import pytest

from monitor.publish import Messages


@pytest.fixture
def messages() -> Messages:
    """Messages of a node with one room."""
    return Messages("cry", "home", ["nursery"])
