"""Recordings to play to the whole service, and a house to tell it to."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import synth
from e2e.home_assistant import HomeAssistant
from e2e.service import REPOSITORY
from mqtt_broker import Mosquitto, Recorder, recording, running
from sound_server import SoundServer, sounding

from monitor.records import SAMPLE_RATE_HZ, Samples

CRYING = REPOSITORY / "monitor" / "recordings" / "crying.flac"


@pytest.fixture(autouse=True)
def _causes_by_the_toy(monkeypatch: pytest.MonkeyPatch, toy_reason_folder: Path) -> None:
    """Every program started here judges causes by a model that is always `unsure`: no story hangs on a release's."""
    monkeypatch.setenv("CRY_REASON__PATH", str(toy_reason_folder))


@pytest.fixture(scope="session")
def crying() -> Path:
    """37 s, as shipped: 3 s of quiet, 10 s of a crying baby, 24 s of quiet."""
    return CRYING


@pytest.fixture(scope="session")
def late_crying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with 20 s of quiet in front: the service has found its broker before the baby cries."""
    return _write(tmp_path_factory, _part(14, 34), _part(3, 37))


@pytest.fixture(scope="session")
def long_crying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s of quiet, then 8 minutes of a crying baby: an episode that a test has time to disturb."""
    return _write(tmp_path_factory, _part(14, 34), *[_part(3, 13)] * 48)


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 minutes of a quiet room."""
    return _write(tmp_path_factory, synth.noise(600.0))


@pytest.fixture
def sounds(tmp_path: Path) -> Iterator[SoundServer]:
    """A sound server with a nursery and an attic, both as quiet as a room is."""
    folder = tmp_path / "sound"
    folder.mkdir()
    with sounding(SoundServer(folder, ["nursery", "attic"], synth.noise(300, -60))) as server:
        yield server


@pytest.fixture
def baby() -> Samples:
    """Ten seconds of a crying baby."""
    return _part(3, 13)


def _part(start_s: int, end_s: int) -> Samples:
    """Return a part of the shipped recording."""
    sound, rate_hz = soundfile.read(CRYING, start=start_s * SAMPLE_RATE_HZ, stop=end_s * SAMPLE_RATE_HZ, dtype="int16")
    assert (rate_hz, len(sound)) == (SAMPLE_RATE_HZ, (end_s - start_s) * SAMPLE_RATE_HZ)
    return np.asarray(sound)


def _write(factory: pytest.TempPathFactory, *parts: Samples) -> Path:
    """Write a recording of these parts, one after the other."""
    path = factory.mktemp("recordings") / "sound.flac"
    soundfile.write(path, np.concatenate(parts), SAMPLE_RATE_HZ)
    return path


@pytest.fixture(scope="module")
def house_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """The broker of a house, one for the tests of a file; each takes topics of its own."""
    with running(Mosquitto(tmp_path_factory.mktemp("house_broker"))) as mosquitto:
        yield mosquitto


@pytest.fixture(scope="module")
def home_assistant(tmp_path_factory: pytest.TempPathFactory, house_broker: Mosquitto) -> Iterator[HomeAssistant]:
    """A Home Assistant on that broker, one for the tests of a file: a start takes seconds."""
    with HomeAssistant(tmp_path_factory.mktemp("home_assistant"), broker_port=house_broker.port) as house:
        yield house


@pytest.fixture
def heard(house_broker: Mosquitto) -> Iterator[Recorder]:
    """A client that hears everything on that broker, and speaks for a device."""
    with recording(house_broker.port) as client:
        yield client
