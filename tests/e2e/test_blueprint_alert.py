"""The blueprint `cry_alert` in a real Home Assistant: a real cry, two phones, and what they answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.blueprints import Family, family
from e2e.heard import payloads
from e2e.phone import Phone, Push, is_cleared, rings
from e2e.service import Service, room
from mqtt_broker import Mosquitto, Received, Recorder

pytestmark = [pytest.mark.broker, pytest.mark.home_assistant]

SPEED = 5.0

ESCALATE_S = 6.0

TAG = "cry_event.cry_home_nursery_cry"

EVENT = "cry/home/nursery/event"

GONE = "A phone that was chosen is gone, or has the name of another."

CEILING = {
    "template": [
        {
            "light": [
                {
                    "name": "Ceiling",
                    "level": "{{ states('input_number.ceiling') }}",
                    "state": "{{ states('input_number.ceiling') | int > 0 }}",
                    "turn_on": {"action": "input_number.set_value", "target": {"entity_id": "input_number.ceiling"}}
                    | {"data": {"value": "{{ brightness | default(255) }}"}},
                    "turn_off": {"action": "input_number.set_value", "target": {"entity_id": "input_number.ceiling"}}
                    | {"data": {"value": 0}},
                    "set_level": {"action": "input_number.set_value", "target": {"entity_id": "input_number.ceiling"}}
                    | {"data": {"value": "{{ brightness }}"}},
                }
            ]
        }
    ],
    "input_number": {"ceiling": {"min": 0, "max": 255, "initial": 0}},
}


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory, house_broker: Mosquitto) -> Iterator[Family]:
    with family(tmp_path_factory.mktemp("house"), house_broker.port, CEILING) as home:
        yield home


@pytest.fixture
def home(at_home: Family) -> Iterator[Family]:
    """Anna is woken first, Ben after 6 s."""
    complaints = at_home.complaints()
    at_home.use(
        "cry_alert",
        "home",
        phones=[at_home.anna.device_id],
        others=[at_home.ben.device_id],
        escalate_after_min=ESCALATE_S / 60,
        lights=["light.ceiling"],
        brightness_pct=20,
    )
    at_home.forget()
    yield at_home
    assert at_home.complaints() == complaints


@pytest.fixture
def crying_room(
    house_broker: Mosquitto, tmp_path: Path, long_crying: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """Alerts come each 4 s, the hard limit after 24."""
    monkeypatch.setenv("CRY_ROOMS__NURSERY__ALERT__REPEAT_AFTER_S", "20")
    monkeypatch.setenv("CRY_ROOMS__NURSERY__ALERT__HARD_LIMIT_S", "120")
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(long_crying, speed=SPEED)}) as service:
        yield service
        service.stop()


def said(received: list[Received], event_type: str) -> list[dict[str, Any]]:
    return [event for event in payloads(received, EVENT) if event["event_type"] == event_type]


def wait_for_said(heard: Recorder, event_type: str, *, count: int = 1) -> dict[str, Any]:
    received = heard.wait_for(lambda all_: len(said(all_, event_type)) >= count, event_type, 60.0)
    return said(received, event_type)[count - 1]


def titles(push: Push) -> list[str]:
    return [one["title"] for one in push["data"]["actions"]]


def test_an_answer_lets_the_other_sleep(home: Family, heard: Recorder, crying_room: Service) -> None:
    """The first is woken, critically and with four buttons; on his way, the other hears nothing, and all is cleared."""
    ring = home.anna.wait_for_ring()
    assert (ring["title"], ring["data"]["tag"]) == ("Nursery: the baby cries", TAG)
    assert ring["message"].startswith("Crying for ")
    assert titles(ring) == ["Snooze 15 min", "False alarm", "Fed", "On my way"]
    assert home.house.until_state("light.ceiling", "on").attributes["brightness"] == 51
    home.anna.press(ring, "On my way")
    wait_for_said(heard, "acknowledged")
    home.anna.wait_for(lambda all_: is_cleared(all_[-1], TAG), "it is cleared")
    home.ben.wait_for(lambda all_: any(is_cleared(one, TAG) for one in all_), "there too")
    wait_for_said(heard, "cry_ongoing")  # that is past the 6 s
    assert crying_room.logged("alert")
    assert home.ben.rung == []


def test_nobody_answers(home: Family, heard: Recorder, crying_room: Service) -> None:
    """Repeats replace the notification and put nothing off: the other is woken in time, and with every later alert."""
    home.anna.wait_for_ring()
    began = wait_for_said(heard, "alert")
    ring = home.ben.wait_for_ring()
    assert len(home.anna.rung) >= 2  # a repeat was between
    assert {one["data"]["tag"] for one in home.anna.rung} == {TAG}
    assert ring["message"].endswith("Nobody has answered.")
    assert titles(ring) == titles(home.anna.rung[0])
    home.ben.wait_for_ring(count=2)
    home.ben.press(home.ben.rung[-1], "Snooze 15 min")
    heard.wait_for(lambda all_: [m for m in all_ if m.topic == "cry/home/nursery/snooze"][-1].payload != b"None")
    for phone in (home.anna, home.ben):
        phone.wait_for(lambda all_: is_cleared(all_[-1], TAG), "it is cleared")
    hard = heard.wait_for(lambda all_: said(all_, "alert")[-1]["cause"] == "hard_limit", "the hard limit", 60.0)
    assert said(hard, "alert")[0]["event_id"] == began["event_id"]
    for phone in (home.anna, home.ben):  # which passes a snooze, and wakes both at once
        phone.wait_for(lambda all_: rings(all_[-1]), "it rings again")
    assert crying_room.logged("alert_held")
    home.tell("cry_alert_nursery")


def test_a_false_alarm_and_a_feed(home: Family, heard: Recorder, crying_room: Service) -> None:
    """`False alarm` is the cry's feedback, `Fed` stands in the diary and says that somebody is there."""
    home.anna.press(home.anna.wait_for_ring(), "False alarm")
    heard.wait_for_message("cry/home/nursery/feedback", b"not_a_cry")
    home.anna.wait_for(lambda all_: is_cleared(all_[-1], TAG), "it is cleared")
    hard = home.anna.wait_for_ring(count=len(home.anna.rung) + 1)
    home.anna.press(hard, "Fed")
    heard.wait_for(lambda all_: any(m.topic == "cry/home/nursery/care/fed/set" for m in all_), "fed")
    wait_for_said(heard, "acknowledged")
    assert crying_room.logged("alert")


def test_the_end_clears_it(
    home: Family, heard: Recorder, house_broker: Mosquitto, tmp_path: Path, late_crying: Path
) -> None:
    """The cry is over: no phone shows it any more. An older cry's button then changes nothing, and says so."""
    with Service(
        tmp_path, port=house_broker.port, rooms={"nursery": room(late_crying, speed=SPEED, loop=True)}
    ) as service:
        ring = home.anna.wait_for_ring()
        wait_for_said(heard, "cry_ended")
        home.anna.wait_for(lambda all_: is_cleared(all_[-1], TAG), "it is cleared")
        wait_for_said(heard, "cry_started", count=2)
        home.anna.press(ring, "False alarm")
        home.anna.wait_for_message("Another cry has come since")
        service.stop()
    assert "cry/home/nursery/feedback/set" not in heard.topics()


def test_a_test_alert_and_its_buttons(
    home: Family, heard: Recorder, house_broker: Mosquitto, tmp_path: Path, quiet: Path
) -> None:
    """It rings at everybody's, is marked, and its buttons answer that they work, and change nothing."""
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)}) as service:
        home.house.until_state("binary_sensor.cry_home_nursery_hearing", "on")
        home.house.call("button", "press", {"entity_id": "button.cry_home_nursery_test_alert"})
        for phone in (home.anna, home.ben):
            ring = phone.wait_for_ring()
            assert (ring["title"], ring["message"]) == (
                "Test: Nursery: the baby cries",
                "This is a test. Nobody cries.",
            )
            assert ring["data"]["tag"] == f"{TAG}_test"  # a real cry's stands
        before = len(heard.received)
        home.ben.press(ring, "Snooze 15 min")
        home.ben.wait_for_message("Test: the button works.")
        assert not [one for one in heard.received[before:] if one.topic.endswith("/set")]
        service.stop()


def test_what_is_said_of_a_cry(
    home: Family, heard: Recorder, house_broker: Mosquitto, tmp_path: Path, quiet: Path
) -> None:
    """A cause is told; a late alert does not ring, but where the room's alert is still on; the same event once."""
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)}) as service:
        home.house.until_state("binary_sensor.cry_home_nursery_hearing", "on")
        home.house.call("button", "press", {"entity_id": "button.cry_home_nursery_test_alert"})
        said_last = wait_for_said(heard, "alert")
        home.anna.wait_for_ring()
        home.ben.wait_for_ring()
        home.forget()
        alert = said_last | {"test": False, "episode_id": "e1", "event_id": "e1-a", "cause": "first"}
        alert |= {"duration_s": 95.0, "reason": "belly_pain", "started_at": "2026-09-21T14:13:20.250Z"}
        for event in (alert, alert, alert | {"event_id": "e1-b", "late": True}):
            heard.send(EVENT, json.dumps(event).encode())
        late = home.anna.wait_for_message("It cried 2 min, at 14:13. Perhaps: belly pain.")
        assert late["data"] == {"tag": f"{TAG}_late"}
        [ring] = home.anna.rung
        assert ring["message"] == "Crying for 2 min. Perhaps: belly pain."
        assert home.ben.pushes == []
        state = payloads(heard.received, "cry/home/nursery/state")[-1] | {"crying": "ON", "alert": "ON"}
        heard.send("cry/home/nursery/state", json.dumps(state).encode())
        home.house.until_state("binary_sensor.cry_home_nursery_alert", "on")
        heard.send(EVENT, json.dumps(alert | {"event_id": "e1-c", "late": True}).encode())
        assert home.anna.wait_for_ring(count=2)["message"] == "Crying for 2 min. Perhaps: belly pain."
        service.stop()


def test_a_phone_that_is_gone(home: Family, house_broker: Mosquitto, tmp_path: Path, quiet: Path) -> None:
    """It keeps nobody asleep who comes after it, and a test alert tells of it."""
    home.use("cry_alert", "home", phones=["0" * 32, home.anna.device_id], others=["1" * 32])
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)}) as service:
        home.house.until_state("binary_sensor.cry_home_nursery_hearing", "on")
        home.house.call("button", "press", {"entity_id": "button.cry_home_nursery_test_alert"})
        ring = home.anna.wait_for_ring()
        assert ring["message"] == f"This is a test. Nobody cries. {GONE}"
        service.stop()


def test_two_phones_of_one_name(home: Family, house_broker: Mosquitto, tmp_path: Path, quiet: Path) -> None:
    """Home Assistant can ring but one of them: a test alert tells of it."""
    with (
        Phone(home.house, "iPhone") as one,
        Phone(home.house, "iPhone", serial="2") as other,
        Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)}) as service,
    ):
        home.use("cry_alert", "home", phones=[one.device_id, other.device_id, home.anna.device_id])
        home.house.until_state("binary_sensor.cry_home_nursery_hearing", "on")
        home.house.call("button", "press", {"entity_id": "button.cry_home_nursery_test_alert"})
        assert home.anna.wait_for_ring()["message"] == f"This is a test. Nobody cries. {GONE}"
        assert len(one.rung + other.rung) <= 1
        service.stop()


def test_a_phone_without_push(at_home: Family, house_broker: Mosquitto, tmp_path: Path, quiet: Path) -> None:
    """It has no action at all: whoever comes after it is rung all the same, and the light is on."""
    at_home.house.call("light", "turn_off", {"entity_id": "light.ceiling"})
    with (
        Phone(at_home.house, "Silent", push=False) as silent,
        Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)}) as service,
    ):
        phones = [silent.device_id, at_home.anna.device_id]
        at_home.use("cry_alert", "home", phones=phones, others=[at_home.ben.device_id], lights=["light.ceiling"])
        at_home.forget()
        at_home.house.until_state("binary_sensor.cry_home_nursery_hearing", "on")
        at_home.house.call("button", "press", {"entity_id": "button.cry_home_nursery_test_alert"})
        at_home.anna.wait_for_ring()
        at_home.ben.wait_for_ring()
        at_home.house.until_state("light.ceiling", "on")
        service.stop()


def test_home_assistant_starts_while_it_cries(home: Family, heard: Recorder, crying_room: Service) -> None:
    """What was said before is lost: it rings anew, and the others are woken from then on as ever."""
    home.anna.wait_for_ring()
    home.forget()
    home.house.restart()
    assert rings(home.anna.wait_for_message("It cries, and nobody has answered."))
    ring = home.ben.wait_for_ring()
    home.ben.press(ring, "On my way")
    wait_for_said(heard, "acknowledged")
    assert crying_room.logged("alert")


def test_a_cry_of_another_name(home: Family, crying_room: Service) -> None:
    """The event entity was renamed: the alert alone rings."""
    home.use("cry_alert", "home", phones=[home.anna.device_id], cry="event.renamed")
    ring = home.anna.wait_for_ring(within_s=60.0)
    assert ring["title"] == "event.renamed: the baby cries"
    assert crying_room.logged("alert")
