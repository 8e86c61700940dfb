"""The blueprint `bedtime_drill` in a real Home Assistant: its media players play into two rooms of the service."""

import shlex
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from e2e.blueprints import MEDIA, Family, automation, family
from e2e.heard import payloads
from e2e.service import Service
from mqtt_broker import Mosquitto, Recorder
from sound_server import SoundServer, playing

from monitor.records import Samples

pytestmark = [pytest.mark.broker, pytest.mark.device, pytest.mark.home_assistant]

CRY = MEDIA / "cry-monitor" / "cry.flac"

FULL, FIFTY_DB_LESS = 65536, 9620
"""PulseAudio's volume is cubic: (9620 / 65536) ** 3 is -50 dB."""

ROOMS = {"nursery": FULL, "attic": FIFTY_DB_LESS}

DRILL_S = 60.0
"""From the time of the drill to its last word, on a busy machine."""


def players(sounds: SoundServer, folder: Path) -> dict[str, object]:
    """Return a media player for each room, as Home Assistant is told of one that is a command."""
    server = " ".join(f"{key}={shlex.quote(value)}" for key, value in sounds.environ.items())
    commands, entities = {}, []
    for room, volume in ROOMS.items():
        pid = folder / f"{room}.pid"
        play = f"{server} paplay --device={room} --volume={volume} {CRY}"
        commands[f"play_{room}"] = f"{play} >/dev/null 2>&1 & echo $! >{pid}"
        commands[f"stop_{room}"] = f"kill $(cat {pid}) 2>/dev/null || true"
        entities.append(
            {
                "platform": "universal",
                "name": f"Speaker {room}",
                "state_template": "{{ 'idle' }}",
                "attributes": {"volume_level": f"input_number.{room}"},
                "commands": {
                    "play_media": {"action": f"shell_command.play_{room}"},
                    "media_stop": {"action": f"shell_command.stop_{room}"},
                    "volume_set": {
                        "action": "input_number.set_value",
                        "target": {"entity_id": f"input_number.{room}"},
                        "data": {"value": "{{ volume_level }}"},
                    },
                },
            }
        )
    volumes = {room: {"min": 0, "max": 1, "step": 0.01, "initial": 0.13} for room in ROOMS}
    return {"shell_command": commands, "media_player": entities, "input_number": volumes}


@pytest.fixture
def home(
    sounds: SoundServer, tmp_path_factory: pytest.TempPathFactory, house_broker: Mosquitto, tmp_path: Path
) -> Iterator[Family]:
    folder = tmp_path_factory.mktemp("house")
    with family(folder, house_broker.port, players(sounds, tmp_path)) as home:
        yield home
        assert home.complaints() == []


def drills(home: Family, at: str) -> list[dict[str, object]]:
    """Return a drill for each room, of which Anna is told, and a dead man's alarm for each, of which Ben is."""
    anna, ben = [home.anna.device_id], [home.ben.device_id]
    made = []
    for room in ROOMS:
        made.append(
            automation(
                "bedtime_drill", "home", room, {"phones": anna, "at": at, "player": f"media_player.speaker_{room}"}
            )
        )
        made.append(automation("dead_man", "home", room, {"phones": ben, "after_s": 30}))
    return made


def test_a_drill_on_two_sinks(
    home: Family, heard: Recorder, house_broker: Mosquitto, sounds: SoundServer, baby: Samples, tmp_path: Path
) -> None:
    """At its time the cry is played: it passes in one room, and fails where it is 50 dB fainter, which rings twice."""
    rooms = {name: {"source": "pulse", "device": name} for name in ROOMS}
    with Service(tmp_path, port=house_broker.port, rooms=rooms, environ=sounds.environ) as service:
        for name in ROOMS:
            home.house.until_state(f"binary_sensor.cry_home_{name}_hearing", "on")
        at = datetime.now(UTC) + timedelta(seconds=5)
        home.house.automate(*drills(home, at.strftime("%H:%M:%S")))
        volumes = [f"input_number.{name}" for name in ROOMS]
        with home.house.events() as events:
            passed = home.anna.wait_for_message("Heard after", DRILL_S)
            assert passed["title"] == "Nursery: the drill passed"
            assert passed["data"]["push"] == {"sound": "none"}
            home.anna.wait_for_ring(within_s=DRILL_S)
            failed = home.anna.wait_for_message("A cry at the cot is not heard", DRILL_S)
            assert failed["title"] == "Attic: the drill failed"
            alarm = home.ben.wait_for_ring()
            assert alarm["title"] == "Attic: nobody hears the room"
            assert alarm["message"] == "The drill failed: a cry at the cot is not heard."
            for volume in volumes:  # 0.13, as they were
                events.wait_for_states(volume, "0.4", "0.13")
        told = {name: payloads(heard.received, f"cry/home/{name}/event") for name in ROOMS}
        assert {name: [one["event_type"] for one in all_] for name, all_ in told.items()} == {
            "nursery": ["drill_passed"],
            "attic": ["drill_failed"],
        }
        assert told["nursery"][0]["snr_db"] > 20
        home.house.call("button", "press", {"entity_id": "button.cry_home_attic_drill"})  # the attic is mended
        with playing(sounds, "attic", baby):
            home.ben.wait_for_message("The room is heard again.")
        home.tell(*(f"{drill}_{name}" for name in ROOMS for drill in ("bedtime_drill", "dead_man")), from_s=8.0)
        service.stop()


def test_where_no_cry_is_played(
    home: Family, heard: Recorder, house_broker: Mosquitto, sounds: SoundServer, baby: Samples, tmp_path: Path
) -> None:
    """A room that is off, or cries, is left in peace; a service or a button that is gone cannot answer: that rings."""
    rooms = {name: {"source": "pulse", "device": name} for name in ROOMS}
    with Service(tmp_path, port=house_broker.port, rooms=rooms, environ=sounds.environ) as service:
        for name in ROOMS:
            home.house.until_state(f"binary_sensor.cry_home_{name}_hearing", "on")
        home.house.automate(*drills(home, "00:00:00"), without_button(home))
        run(home, "automation.no_button")
        gone = home.anna.wait_for_ring()
        assert gone["message"] == "The drill's button is gone, or has another name."
        home.forget()
        home.house.call("switch", "turn_off", {"entity_id": "switch.cry_home_attic_enabled"})
        home.house.until_state("switch.cry_home_attic_enabled", "off")
        run(home, "automation.bedtime_drill_attic")
        with playing(sounds, "nursery", np.tile(baby, 6)):
            home.house.until_state("binary_sensor.cry_home_nursery_crying", "on")
            run(home, "automation.bedtime_drill_nursery")
        service.stop()
    home.house.until_state("button.cry_home_nursery_drill", "unavailable")
    run(home, "automation.bedtime_drill_nursery")
    ring = home.anna.wait_for_ring()
    assert (ring["title"], ring["message"]) == ("Nursery: the drill failed", "The monitor did not answer.")
    assert [push["title"] for push in home.anna.pushes] == [ring["title"]]
    assert not [topic for topic in heard.topics() if topic.endswith("/drill/set")]


def without_button(home: Family) -> dict[str, object]:
    """Return a drill of the nursery whose button was renamed."""
    inputs = {"phones": [home.anna.device_id], "at": "00:00:00", "player": "media_player.speaker_nursery"}
    made = automation("bedtime_drill", "home", "nursery", inputs | {"drill": "button.renamed"})
    return made | {"id": "no_button", "alias": "no button"}


def run(home: Family, name: str) -> None:
    """Run a drill with its conditions; it goes on for 30 s after its result, which is not waited for."""
    with suppress(TimeoutError):
        home.house.call("automation", "trigger", {"entity_id": name, "skip_condition": False})
