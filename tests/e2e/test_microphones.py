"""The service on a real sound server: it hears its rooms, or says within seconds that it cannot."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import synth
from e2e.heard import AVAILABILITY, EVENT, STATE, is_text, payloads, wait_for_event
from e2e.service import Service, cry_monitor
from mqtt_broker import Mosquitto, Recorder, wait_until
from sound_server import SoundServer, playing, sounding

from monitor.capture import MicrophoneSource
from monitor.errors import SourceError
from monitor.records import Samples

pytestmark = [pytest.mark.broker, pytest.mark.device, pytest.mark.slow]

WITHIN_S = {"offline": 15.0, "online": 30.0}
"""After the fault, and after its end."""
ATTIC_EVENT = "cry/home/attic/event"


@pytest.fixture(params=["pulse", "microphone"])
def source(request: pytest.FixtureRequest) -> str:
    """Both ways to a microphone; the second goes through PortAudio and ALSA."""
    kind: str = request.param
    return kind


@pytest.fixture
def service(
    broker: Mosquitto, recorder: Recorder, sounds: SoundServer, tmp_path: Path, source: str
) -> Iterator[Service]:
    """The service with both rooms, when both are heard."""
    rooms = {name: {"source": source, "device": name} for name in ("nursery", "attic")}
    with Service(tmp_path, port=broker.port, rooms=rooms, environ=sounds.environ) as running:
        for name in rooms:
            recorder.wait_for_message(f"cry/home/{name}/availability", b"online")
        yield running
        running.stop()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, whichever of its threads did."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def hears_a_new_cry(recorder: Recorder, sounds: SoundServer, baby: Samples) -> None:
    """Play a cry into the nursery, and wait until it is told."""
    recorder.clear()
    with playing(sounds, "nursery", baby):
        wait_for_event(recorder, "cry_started")
    # The end of an earlier cry there may come late; a new one may not.
    assert "cry_started" not in [event["event_type"] for event in payloads(recorder.received, ATTIC_EVENT)]


def available(recorder: Recorder, room: str, text: str) -> None:
    """Wait until the room is said to be `offline` or `online`, for as long as that may take."""
    topic = f"cry/home/{room}/availability"
    recorder.wait_for(lambda all_: any(is_text(m, topic, text) for m in all_), f"{topic} {text}", WITHIN_S[text])


def is_told(recorder: Recorder, problem: str) -> None:
    """Wait until the nursery's `state` names this problem."""
    recorder.wait_for(lambda all_: problem in [state["problem"] for state in payloads(all_, STATE)], problem)


def test_a_cry_is_heard_in_its_own_room(
    service: Service, recorder: Recorder, sounds: SoundServer, baby: Samples
) -> None:
    """A cry that a loudspeaker plays into the nursery becomes `cry_started` there, and nothing in the attic."""
    hears_a_new_cry(recorder, sounds, baby)
    assert {line["level"] for line in service.lines} == {"info"}


def test_an_unplugged_microphone(service: Service, recorder: Recorder, sounds: SoundServer, baby: Samples) -> None:
    """Offline within 15 s and never the other room's sound; plugged in, online within 30 s, and it hears."""
    recorder.clear()
    sounds.unplug("nursery")
    with playing(sounds, "attic", baby):
        wait_for_event(recorder, "cry_started", ATTIC_EVENT)
        available(recorder, "nursery", "offline")
    is_told(recorder, "source_lost")
    assert payloads(recorder.received, EVENT) == []
    recorder.clear()
    sounds.plug("nursery")
    available(recorder, "nursery", "online")
    hears_a_new_cry(recorder, sounds, baby)
    assert [line["room"] for line in service.logged("source_lost")] == ["nursery"]


def test_a_sound_server_that_dies(service: Service, recorder: Recorder, sounds: SoundServer, baby: Samples) -> None:
    """Both rooms are offline within 15 s; when the server is back they are online within 30 s, and hear."""
    recorder.clear()
    sounds.kill()
    available(recorder, "nursery", "offline")
    available(recorder, "attic", "offline")
    recorder.clear()
    sounds.start()
    available(recorder, "nursery", "online")
    available(recorder, "attic", "online")
    hears_a_new_cry(recorder, sounds, baby)
    assert service.errors == ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_child_that_dies_or_hangs(
    service: Service, recorder: Recorder, sounds: SoundServer, baby: Samples, number: signal.Signals
) -> None:
    """A child that is killed or stopped is replaced, the room hears again, and no process is left behind."""
    before = children(service.pid)
    assert len(before) == 2
    for child in before:
        os.kill(child, number)
    wait_until(lambda: len(service.logged("source_heard")) == 4, "both are heard again", WITHIN_S["online"])
    after = children(service.pid)
    assert len(after) == 2
    assert not set(before) & set(after)
    hears_a_new_cry(recorder, sounds, baby)


@pytest.mark.parametrize("source", ["pulse"], indirect=True)
def test_a_muted_microphone(broker: Mosquitto, recorder: Recorder, tmp_path: Path, source: str) -> None:
    """A microphone that gives only zeros makes its room offline and `muted`; with the first sound it is back."""
    folder = tmp_path / "sound"
    folder.mkdir()
    rooms = {"nursery": {"source": source, "device": "nursery", "muted_after_s": 5}}
    with (
        sounding(SoundServer(folder, ["nursery"])) as server,
        Service(tmp_path, port=broker.port, rooms=rooms, environ=server.environ) as service,
    ):
        recorder.wait_for_message(AVAILABILITY, b"online")
        recorder.clear()
        available(recorder, "nursery", "offline")
        is_told(recorder, "muted")
        assert "muted_after_s" in service.wait_for_line("muted")["fix"]
        recorder.clear()
        with playing(server, "nursery", synth.noise(10, -40)):
            recorder.wait_for_message(AVAILABILITY, b"online")
        service.stop()


def test_stop_closes_every_microphone(
    broker: Mosquitto, recorder: Recorder, sounds: SoundServer, tmp_path: Path, source: str
) -> None:
    """An orderly stop leaves no child behind."""
    rooms = {name: {"source": source, "device": name} for name in ("nursery", "attic")}
    with Service(tmp_path, port=broker.port, rooms=rooms, environ=sounds.environ) as service:
        recorder.wait_for_message(AVAILABILITY, b"online")
        left = children(service.pid)
        service.stop()
    assert left
    assert not any(Path(f"/proc/{child}").exists() for child in left)


def test_the_default_of_two_rooms_is_refused(
    broker: Mosquitto, recorder: Recorder, sounds: SoundServer, tmp_path: Path, source: str
) -> None:
    """Two rooms cannot both have the sound server's default: it may become the other's; the log says what to do."""
    rooms = {"nursery": {"source": source}, "attic": {"source": source, "device": "attic"}}
    with Service(tmp_path, port=broker.port, rooms=rooms, environ=sounds.environ) as service:
        recorder.wait_for_message("cry/home/attic/availability", b"online")
        assert "name each room's device" in service.wait_for_line("source_lost")["err"]
        service.stop()


def test_a_device_that_vanishes_as_it_is_opened(monkeypatch: pytest.MonkeyPatch, sounds: SoundServer) -> None:
    """A stream that the server moved before we could ask whose it is does not make us hear the other room."""
    for name, value in sounds.environ.items():
        monkeypatch.setenv(name, value)
    source = MicrophoneSource("nursery")
    source.open()
    wait_until(sounds.recording, "the child records")
    sounds.unplug("nursery")
    with pytest.raises(SourceError):
        hear(source)
    source.close()
    sounds.plug("nursery")
    source.open()
    hear(source)
    assert sounds.recording() == ["nursery.monitor"]
    source.close()


def hear(source: MicrophoneSource) -> None:
    """Wait for the source's first samples."""
    while not len(source.read()):
        pass


def test_what_there_is_to_hear_with(monkeypatch: pytest.MonkeyPatch, sounds: SoundServer, tmp_path: Path) -> None:
    """`list-devices` names each device with its rates and the default; `doctor` hears one and says its level."""
    for name, value in sounds.environ.items():
        monkeypatch.setenv(name, value)
    listed = cry_monitor("list-devices")
    assert listed.returncode == 0
    assert "nursery.monitor" in listed.stdout
    assert "default" in listed.stdout
    config = tmp_path / "config.toml"
    config.write_text('[rooms.nursery]\nsource = "pulse"\ndevice = "nursery"\n[mqtt]\nport = 1\n')
    told = cry_monitor("doctor", "--config", str(config)).stdout
    assert "nursery: source" in told
    assert "FAIL  nursery" not in told
    level = re.search(r"nursery: level +-(\d+) dBFS", told)
    assert level
    assert int(level[1]) == pytest.approx(61, abs=2)
