"""What every test is held to: it leaves no thread and no logging behind, and reads nothing of the developer's own."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import toy_reason
from mqtt_broker import Mosquitto, Recorder, recording, running

THREAD_END_S = 5.0

OWN = ("CRY_", "NOTIFY_SOCKET", "WATCHDOG_", "STATE_DIRECTORY", "NO_COLOR")
"""Variables that change what this service does."""


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test() -> Iterator[None]:
    """A thread that was started in a test has ended with it, or the test fails."""
    before = set(threading.enumerate())
    yield
    deadline_s = time.monotonic() + THREAD_END_S
    # A dummy stands for a thread of foreign code (a TensorFlow kernel's): nobody here started it or could end it.
    new = [thread for thread in set(threading.enumerate()) - before if not isinstance(thread, threading._DummyThread)]  # noqa: SLF001
    for thread in new:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    left = [thread.name for thread in new if thread.is_alive()]
    assert not left, f"threads outlive the test: {left}"


@pytest.fixture(autouse=True)
def _nothing_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No configuration, environment or history of whoever runs the tests is seen, in this process or a child."""
    for name in list(os.environ):
        if name.startswith(OWN):
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("nobody")
    empty = folder / "empty.toml"
    empty.touch()
    monkeypatch.setenv("CRY_CONFIG", str(empty))  # children look for no other file then
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    monkeypatch.setattr("monitor.config.layers.IMPLICIT_FILES", ())


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """What a test does to logging ends with it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def repository() -> Path:
    """The root of this repository."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def toy_reason_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reason model of eight categories on disk, that no test changes; its manifest has it always `unsure`."""
    return toy_reason.write(tmp_path_factory.mktemp("models") / "reason", min_confidence=None)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that lets everybody in and keeps nothing over a restart."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with running(Mosquitto(folder)) as mosquitto:
        yield mosquitto


@pytest.fixture
def recorder(broker: Mosquitto) -> Iterator[Recorder]:
    """A client that hears everything on that broker."""
    with recording(broker.port) as client:
        yield client
