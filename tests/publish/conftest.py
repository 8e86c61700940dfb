"""What the tests of publish share: records, a clock that can be moved on, a publisher in its thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mqtt_broker import Mosquitto, Recorder, recording, running

from monitor.publish import Messages


@pytest.fixture
def messages() -> Messages:
    """Messages of a node with one room."""
    return Messages("cry", "home", ["nursery"])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that lets everybody in."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with running(Mosquitto(folder)) as mosquitto:
        yield mosquitto


@pytest.fixture
def recorder(broker: Mosquitto) -> Iterator[Recorder]:
    """A client that hears everything on that broker."""
    with recording(broker.port) as client:
        yield client
