"""The blueprint `dead_man` in a real Home Assistant: whatever makes a room deaf, it rings, until the room is heard."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import synth
from e2e.blueprints import Family, family
from e2e.phone import Phone, rings
from e2e.service import Service, room
from mqtt_broker import Mosquitto

from monitor.records import SAMPLE_RATE_HZ

pytestmark = [pytest.mark.broker, pytest.mark.home_assistant]

AFTER_S, AGAIN_S = 3, 4.0

EVEN_MINUTE_S = 130.0
"""An even minute comes within 120 s."""

HEARING, PROBLEM = "binary_sensor.cry_home_nursery_hearing", "sensor.cry_home_nursery_problem"


CRY, AUTOMATION = "event.cry_home_nursery_cry", "automation.dead_man_nursery"


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory, house_broker: Mosquitto) -> Iterator[Family]:
    with family(tmp_path_factory.mktemp("house"), house_broker.port) as home:
        yield home


def watch(home: Family) -> None:
    """Make the automation, with a wait of 3 s, and again each 4."""
    phones = [home.anna.device_id, home.ben.device_id]
    home.use("dead_man", "home", phones=phones, after_s=AFTER_S, every_min=AGAIN_S / 60)
    home.forget()


@pytest.fixture
def home(at_home: Family) -> Iterator[Family]:
    complaints = at_home.complaints()
    yield at_home
    assert at_home.complaints() == complaints
    at_home.house.automate()


def test_a_killed_service(home: Family, house_broker: Mosquitto, tmp_path: Path, quiet: Path) -> None:
    """SIGKILL: both phones ring, again and again; the service is back, and both say so."""
    service = Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)})
    with service:
        home.house.until_state(HEARING, "on")
        watch(home)
    began_s = time.monotonic()
    ring = home.anna.wait_for_ring()
    assert AFTER_S <= time.monotonic() - began_s < 3 * AFTER_S
    assert ring["title"] == "Nursery: nobody hears the room"
    assert ring["message"] == "The monitor is gone: its computer, its service or the broker."
    home.anna.wait_for_ring(count=3)
    home.ben.wait_for_ring(count=3)
    with service:
        for phone in (home.anna, home.ben):
            heard = phone.wait_for_message("The room is heard again.")
            assert heard["data"] == {"tag": ring["data"]["tag"]}
            assert phone.pushes[-1] == heard
        home.tell("dead_man_nursery")
        service.stop()


def test_a_phone_without_push(at_home: Family, house_broker: Mosquitto, tmp_path: Path, quiet: Path) -> None:
    """It has no action at all: the others ring again and again, and are told of the end."""
    service = Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)})
    with Phone(at_home.house, "Silent", push=False) as silent:
        with service:
            at_home.house.until_state(HEARING, "on")
            phones = [silent.device_id, at_home.anna.device_id, at_home.ben.device_id]
            at_home.use("dead_man", "home", phones=phones, after_s=AFTER_S, every_min=AGAIN_S / 60)
            at_home.forget()
        at_home.anna.wait_for_ring(count=2)
        at_home.ben.wait_for_ring(count=2)
        with service:
            at_home.anna.wait_for_message("The room is heard again.")
            service.stop()
    at_home.house.automate()


def test_an_entity_that_is_gone(home: Family, house_broker: Mosquitto, tmp_path: Path, quiet: Path) -> None:
    """The event entity was renamed: it rings, though the room is heard."""
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)}) as service:
        home.house.until_state(HEARING, "on")
        phones = [home.anna.device_id]
        home.use("dead_man", "home", phones=phones, after_s=AFTER_S, every_min=AGAIN_S / 60, cry="event.renamed")
        home.forget()
        ring = home.anna.wait_for_ring(within_s=EVEN_MINUTE_S)
        assert ring["message"] == "An entity that was chosen is gone, or has another name."
        service.stop()


def test_a_drill_that_failed_and_somebody_knows(
    home: Family, house_broker: Mosquitto, tmp_path: Path, quiet: Path
) -> None:
    """A restart of Home Assistant does not ring it anew, a test alert does not pass for a cry that was heard."""
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)}) as service:
        home.house.until_state(HEARING, "on")
        watch(home)
        home.house.call("button", "press", {"entity_id": "button.cry_home_nursery_drill"})
        ring = home.anna.wait_for_ring()
        assert ring["message"] == "The drill failed: a cry at the cot is not heard."
        end_s = time.monotonic() + 3
        home.house.until(lambda _: time.monotonic() > end_s, "a parent takes that long")
        home.anna.press(ring, "I know")
        home.house.until(lambda _: len(home.house.runs("dead_man_nursery")) >= 2, "somebody knows")
        home.house.restart()
        home.forget()
        home.house.until_state(HEARING, "on")
        end_s = time.monotonic() + 2 * AFTER_S
        home.house.until(lambda _: time.monotonic() > end_s, "it rings at once, or not")
        assert home.anna.pushes == []
        home.house.call("button", "press", {"entity_id": "button.cry_home_nursery_drill"})
        ring = home.anna.wait_for_ring()
        home.house.call("button", "press", {"entity_id": "button.cry_home_nursery_test_alert"})
        home.house.until(lambda all_: all_[CRY].attributes["event_type"] == "alert", "the test alert")
        home.anna.press(ring, "I know")
        home.house.until(lambda all_: all_[AUTOMATION].attributes["current"] == 0, "it is known")
        assert all(map(rings, home.anna.pushes + home.ben.pushes))
        service.stop()


def test_a_muted_room_that_somebody_knows_of(home: Family, house_broker: Mosquitto, tmp_path: Path) -> None:
    """Zeros alone: it rings and says why; who knows is left in peace until the room is heard and lost again."""
    path = tmp_path / "muted.flac"
    soundfile.write(path, np.concatenate([synth.noise(20), synth.silence(100)]), SAMPLE_RATE_HZ)
    rooms = {"nursery": room(path, loop=True, speed=4.0) | {"muted_after_s": 5}}
    with Service(tmp_path, port=house_broker.port, rooms=rooms) as service:
        home.house.until_state(HEARING, "on")
        watch(home)
        ring = home.anna.wait_for_ring()
        assert ring["message"] == "The monitor runs and gets no sound: muted."
        home.ben.wait_for_ring()
        home.ben.press(ring, "I know")
        home.ben.wait_for_message("The room is heard again.", 60.0)
        assert len(home.ben.rung) <= 2  # 25 s of silence would have been six
        again = home.ben.wait_for(lambda all_: rings(all_[-1]), "the next loss", 60.0)[-1]
        assert again["data"]["tag"] == ring["data"]["tag"]
        home.ben.press(ring, "I know")  # that was of the loss before
        home.ben.wait_for_ring(count=len(home.ben.rung) + 1, within_s=3 * AGAIN_S)
        service.stop()


def test_a_room_that_was_switched_off(home: Family, house_broker: Mosquitto, tmp_path: Path, quiet: Path) -> None:
    """That is no alarm, however long; nor is it one to switch it on again."""
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)}) as service:
        home.house.until_state(HEARING, "on")
        watch(home)
        home.house.call("switch", "turn_off", {"entity_id": "switch.cry_home_nursery_enabled"})
        home.house.until_state(HEARING, "off")
        end_s = time.monotonic() + 2 * AFTER_S
        home.house.until(lambda _: time.monotonic() > end_s, "it is off for long")
        assert home.house.entity(PROBLEM).state == "disabled"
        home.house.call("switch", "turn_on", {"entity_id": "switch.cry_home_nursery_enabled"})
        home.house.until_state(HEARING, "on")
        service.stop()
    home.anna.wait_for_ring()  # the service is gone
    assert [push["title"] for push in home.anna.pushes] == ["Nursery: nobody hears the room"]


def test_deaf_from_the_start(home: Family, house_broker: Mosquitto, tmp_path: Path, quiet: Path) -> None:
    """Home Assistant starts while the service is dead, or the automation is made then: it rings all the same."""
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)}) as service:
        home.house.until_state(HEARING, "on")
        watch(home)
        home.house.stop()
        service.stop()
    home.house.start()
    home.anna.wait_for_ring()
    home.house.automate()
    watch(home)
    home.anna.wait_for_ring(within_s=EVEN_MINUTE_S)
