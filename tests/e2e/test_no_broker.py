"""No broker stops the ears: whatever the network does, the service hears, keeps, and ends when it is asked to."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.service import Service, room
from mqtt_broker import free_port

pytestmark = pytest.mark.broker


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_name_that_never_resolves(tmp_path: Path, crying: Path) -> None:
    """A broker that no name server knows: the cry is heard, SIGTERM ends in order in under 10 s."""
    hears_and_ends(tmp_path, crying, host="no.such.host.invalid", port=1883)


def test_a_broker_that_is_away(tmp_path: Path, crying: Path) -> None:
    """A port where nobody listens: the same."""
    hears_and_ends(tmp_path, crying, host="127.0.0.1", port=free_port())


def test_a_broker_that_says_nothing(tmp_path: Path, crying: Path, silent_port: int) -> None:
    """A port that takes the connection and never answers: the same."""
    hears_and_ends(tmp_path, crying, host="127.0.0.1", port=silent_port)


def hears_and_ends(tmp_path: Path, recording: Path, *, host: str, port: int) -> None:
    rooms = {"nursery": room(recording, speed=20.0)}
    with Service(tmp_path, port=port, host=host, rooms=rooms) as service:
        service.wait_for_line("source_ended")
        service.stop()
        assert len(service.logged("cry_started")) == 1
        assert len(service.logged("mqtt_lost")) <= 1
        assert [line["events"] for line in service.logged("stopped_with_unsent")] == [3]  # started, alert, ended
