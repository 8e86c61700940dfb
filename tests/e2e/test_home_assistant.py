"""The whole service and a real Home Assistant on one broker: what a parent sees and presses."""

import itertools
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import synth
import yaml  # type: ignore[import-untyped]  # only here, and no types of it are installed
from e2e.home_assistant import HomeAssistant, State
from e2e.service import REPOSITORY, Service, room
from mqtt_broker import Mosquitto, Recorder, wait_until

from monitor.records import SAMPLE_RATE_HZ, Samples

pytestmark = [pytest.mark.broker, pytest.mark.home_assistant]

AGAIN_S = 20.0
"""So soon after a restart all is right again."""

DEAF_S = 15.0
"""So soon `hearing` says that nothing is heard."""

CYCLE_S = 40.0
"""A recording's turn and more: in it a cry begins and ends."""

SPEED = 4.0

GUIDE = (REPOSITORY / "docs" / "home-assistant.md").read_text(encoding="utf-8")


def promised(device: str) -> set[str]:
    """Return the components that the guide names of the room or the node."""
    section = re.search(rf"^## What appears: the {device}\n(.*?)^## ", GUIDE, re.MULTILINE | re.DOTALL)
    assert section
    return set(re.findall(r"^\| `(\w+)` \|", section[1], re.MULTILINE))


def automations(**instead: str) -> list[dict[str, Any]]:
    """Return the guide's automations, word for word but for what stands `instead` of a part, and who is notified.

    A notification of the phone `tonight`, `other` or `anna` is one in Home Assistant, `tonight-<event_id>` and so on.
    """
    text = re.sub(
        r'"?notify\.mobile_app_(?:\{\{ )?(\w+)(?: \}\})?"?\n( +)data:\n',
        r"persistent_notification.create\n\2data:\n"
        r"\2  notification_id: \1-{{ trigger.to_state.attributes.event_id | default('deaf') }}\n",
        GUIDE,
    )
    for old, new in instead.items():
        assert old in text
        text = text.replace(old, new)
    assert "notify." not in text
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(block) | {"id": f"guide_{number}"} for number, block in enumerate(blocks)]


def recording(folder: Path, name: str, *parts: Samples) -> Path:
    path = folder / f"{name}.flac"
    soundfile.write(path, np.concatenate(parts), SAMPLE_RATE_HZ)
    return path


@pytest.fixture
def looped(crying: Path, tmp_path: Path) -> Path:
    """40 s of quiet between cries of 10 s."""
    sound, _ = soundfile.read(crying, dtype="int16")
    cry, quiet = sound[3 * SAMPLE_RATE_HZ : 13 * SAMPLE_RATE_HZ], sound[14 * SAMPLE_RATE_HZ : 34 * SAMPLE_RATE_HZ]
    return recording(tmp_path, "looped", quiet, cry, quiet)


class Home:
    """A node's entities in Home Assistant, by the ends of their unique ids."""

    def __init__(self, house: HomeAssistant, node: str) -> None:
        self.house = house
        self.node = node
        self._room = f"cry_{node}_nursery"

    def wanted(self) -> set[str]:
        """The unique ids of all that there should be."""
        in_room, in_node = promised("room"), promised("node")
        assert {"crying", "cry", "hearing"} <= in_room
        assert "status" in in_node
        return {f"{self._room}_{key}" for key in in_room} | {f"cry_{self.node}_{key}" for key in in_node}

    def id(self, component: str) -> str:
        """The entity id of a component of the room."""
        return self.house.registry()[f"{self._room}_{component}"].entity_id

    def state(self, component: str) -> str:
        return self.house.entity(f"{self._room}_{component}").state

    def until(self, component: str, state: str, within_s: float = 30.0) -> State:
        return self.house.until_state(f"{self._room}_{component}", state, within_s)

    def press(self, component: str) -> None:
        self.house.call("button", "press", {"entity_id": self.id(component)})

    def wrong(self, states: Mapping[str, State]) -> list[str]:
        """Which of the entities are absent or unavailable; a disabled one has no state."""
        entries = self.house.registry()
        absent = self.wanted() - entries.keys()
        enabled = [entries[name].entity_id for name in self.wanted() & entries.keys() if not entries[name].disabled_by]
        return [*absent, *(one for one in enabled if one not in states or states[one].state == "unavailable")]

    def until_right(self, what: str, within_s: float = 30.0) -> float:
        """Wait until no entity is absent or unavailable; return the seconds that it took."""
        began_s = time.monotonic()
        self.house.until(lambda states: not self.wrong(states), f"{what}: {self.wanted()}", within_s)
        return time.monotonic() - began_s

    def until_a_cry_comes_and_goes(self) -> None:
        with self.house.events() as events:
            crying = self.id("crying")
            events.wait_for(lambda all_: _turns(all_, crying), f"{crying} turns on and off", CYCLE_S)


def _turns(events: list[Any], entity_id: str) -> bool:
    states = [event["data"]["new_state"]["state"] for event in events if event["data"]["entity_id"] == entity_id]
    return any(pair == ("on", "off") for pair in itertools.pairwise(states))


def test_a_room_is_there_and_cries(
    home_assistant: HomeAssistant, house_broker: Mosquitto, tmp_path: Path, looped: Path
) -> None:
    """Every entity appears, none unavailable; crying turns on and off with the cry, its event fires, nothing warns."""
    home, warned_before = Home(home_assistant, "whole"), home_assistant.log_warnings()
    with Service(
        tmp_path, port=house_broker.port, node="whole", rooms={"nursery": room(looped, loop=True, speed=SPEED)}
    ) as service:
        home.until_right("all entities")
        cry = home.id("cry")
        with home_assistant.events() as events:
            home.until_a_cry_comes_and_goes()
            told = [
                event["data"]["new_state"]["attributes"]["event_type"]
                for event in events.received
                if event["data"]["entity_id"] == cry and event["data"]["new_state"]["state"] != "unavailable"
            ]
        assert {"cry_started", "alert", "cry_ended"} <= set(told)
        assert home_assistant.device("cry_whole_nursery").area == "Nursery"
        service.stop()
        home.until("crying", "unavailable")
    assert home_assistant.log_warnings() == warned_before


def test_all_is_right_again_after_each_restart(
    home_assistant: HomeAssistant,
    house_broker: Mosquitto,
    tmp_path: Path,
    looped: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Home Assistant, a broker that kept nothing, a killed service: each is back, with all entities within 20 s."""
    home = Home(home_assistant, "again")
    with Service(
        tmp_path, port=house_broker.port, node="again", rooms={"nursery": room(looped, loop=True, speed=SPEED)}
    ) as service:
        home.until_right("at first")
        home_assistant.restart()
        took_s = {"Home Assistant": home.until_right("after Home Assistant", AGAIN_S)}
        home.until_a_cry_comes_and_goes()

        house_broker.kill()
        home.until("hearing", "unavailable")
        house_broker.start()
        took_s["the broker"] = home.until_right("after the broker", AGAIN_S)
        home.until_a_cry_comes_and_goes()

    home.until("crying", "unavailable")
    with service:
        took_s["the service"] = home.until_right("after the service", AGAIN_S)
        home.until_a_cry_comes_and_goes()
        service.stop()
    for what, seconds in took_s.items():
        record_property(what, round(seconds, 1))
        print(f"{what} restarted: all right after {seconds:.1f} s")  # noqa: T201 - a figure of this run


def test_each_control_changes_the_service_and_stays(
    home_assistant: HomeAssistant, house_broker: Mosquitto, heard: Recorder, tmp_path: Path, quiet: Path
) -> None:
    """What is set in Home Assistant is what the service has, reads back, and has again after a restart of it."""
    home, warned_before = Home(home_assistant, "controls"), home_assistant.log_warnings()
    service = Service(
        tmp_path, port=house_broker.port, node="controls", rooms={"nursery": room(quiet, loop=True, speed=1.0)}
    )

    def call(domain: str, action: str, component: str, **data: object) -> None:
        home_assistant.call(domain, action, {"entity_id": home.id(component), **data})

    with service:
        home.until_right("all entities")
        call("select", "select_option", "sensitivity", option="high")
        call("number", "set_value", "alert_after", value=45)
        home.press("snooze_30")
        home.press("fed")
        home.press("slept")
        home.press("changed")
        call("switch", "turn_off", "enabled")
        home.until("sensitivity", "high")
        home.until("alert_after", "45")
        home.until("enabled", "off")
        home.until("hearing", "off", DEAF_S)
        home.until("problem", "disabled")
        home_assistant.until(lambda states: _is_time(states[home.id("snoozed_until")].state), "a snooze")
        left_s = (datetime.fromisoformat(home.state("snoozed_until")) - datetime.now(UTC)).total_seconds()
        assert 29 * 60 < left_s <= 30 * 60
        until = home.state("snoozed_until")
        for kind in ("fed", "slept", "changed"):
            heard.wait_for_message(f"cry/controls/nursery/care/{kind}")
        with home_assistant.events() as events:
            home.press("test_alert")
            events.wait_for(lambda all_: _tested(all_, home.id("cry")), "a test alert through a room that is off", 10.0)
        service.stop()
    with service:
        home.until("sensitivity", "high", AGAIN_S)
        assert [home.state(name) for name in ("alert_after", "enabled", "snoozed_until")] == ["45", "off", until]
        call("switch", "turn_on", "enabled")
        home.press("snooze_off")
        home.until("hearing", "on")
        home.until("snoozed_until", "unknown")
        service.stop()
    assert home_assistant.log_warnings() == warned_before


def _is_time(state: str) -> bool:
    return state[:2] == "20"


def _tested(events: list[Any], entity_id: str) -> bool:
    news = (event["data"]["new_state"] for event in events if event["data"]["entity_id"] == entity_id)
    return any(new["attributes"].get("event_type") == "alert" and new["attributes"]["test"] for new in news)


DEAF: dict[str, tuple[Samples, dict[str, Any]]] = {
    "source_ended": (synth.noise(8), {}),
    "muted": (np.concatenate([synth.noise(8), synth.silence(600)]), {"muted_after_s": 5}),
    "flat": (np.concatenate([synth.noise(8), np.full(600 * SAMPLE_RATE_HZ, 77, np.int16)]), {}),
}


@pytest.mark.parametrize("problem", DEAF)
def test_a_deaf_room_says_so_and_never_off(
    home_assistant: HomeAssistant, house_broker: Mosquitto, tmp_path: Path, problem: str
) -> None:
    """Its `hearing` turns off and stays available, `problem` says why; crying is unavailable, not off."""
    node = problem.replace("_", "")
    home = Home(home_assistant, node)
    sound, settings = DEAF[problem]
    path = recording(tmp_path, problem, sound)
    rooms = {"nursery": room(path, speed=1.0 if problem == "source_ended" else SPEED, **settings)}
    with Service(tmp_path, port=house_broker.port, node=node, rooms=rooms) as service:
        home.until("crying", "off")
        with home_assistant.events() as events:
            service.wait_for_line(problem)  # a line of the log has each problem's name
            began_s = time.monotonic()
            home.until("hearing", "off", DEAF_S)
            took_s = time.monotonic() - began_s
            home.until("problem", problem)
            home.until("crying", "unavailable")
            assert "off" not in events.states(home.id("crying"))
        service.stop()
    print(f"{problem}: hearing off {took_s:.1f} s after the service knew")  # noqa: T201 - a figure of this run


def test_a_model_that_fails_makes_everything_unavailable(
    home_assistant: HomeAssistant, house_broker: Mosquitto, tmp_path: Path, looped: Path
) -> None:
    """Within 15 s of a model's failure nothing of the room is available: nobody takes its last state for the truth."""
    home, trigger = Home(home_assistant, "failing"), tmp_path / "fail"
    service = Service(
        tmp_path,
        port=house_broker.port,
        node="failing",
        rooms={"nursery": room(looped, loop=True, speed=SPEED)},
        command=("-m", "tests.e2e.faulty", "fail", str(trigger)),
    )
    with service:
        home.until_right("all entities")
        trigger.touch()
        service.wait_for_line("inference_failed")  # it is asked at the next sound
        began_s = time.monotonic()
        for component in ("crying", "hearing", "enabled", "alert"):
            home.until(component, "unavailable", DEAF_S)
        print(f"unavailable {time.monotonic() - began_s:.1f} s after the model failed")  # noqa: T201 - the same
        assert service.wait() == 1


def test_a_snooze_ends_on_time_without_microphone(
    home_assistant: HomeAssistant, house_broker: Mosquitto, heard: Recorder, tmp_path: Path, quiet: Path
) -> None:
    """A snooze of a minute, the service restarted, the microphone gone meanwhile: it ends when it was to end."""
    home = Home(home_assistant, "snooze")
    with Service(tmp_path, port=house_broker.port, node="snooze", rooms={"nursery": room(quiet, speed=1.0)}) as service:
        home.until_right("all entities")
        heard.send("cry/snooze/nursery/snooze/set", b"1")
        home_assistant.until(lambda states: _is_time(states[home.id("snoozed_until")].state), "a snooze")
        end = datetime.fromisoformat(home.state("snoozed_until"))
        service.stop()
    ended = recording(tmp_path, "gone", synth.noise(1))
    with Service(tmp_path, port=house_broker.port, node="snooze", rooms={"nursery": room(ended, speed=0)}) as service:
        home.until("hearing", "off")
        home.until("snoozed_until", "unknown", 70.0)
        assert abs((datetime.now(UTC) - end).total_seconds()) < 5
        service.stop()


def test_two_phones(
    home_assistant: HomeAssistant,
    house_broker: Mosquitto,
    tmp_path: Path,
    long_crying: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One acknowledges, and the other's repeats stop; past the hard limit the alert comes again."""
    monkeypatch.setenv("CRY_ROOMS__NURSERY__ALERT__REPEAT_AFTER_S", "20")
    monkeypatch.setenv("CRY_ROOMS__NURSERY__ALERT__HARD_LIMIT_S", "150")
    home = Home(home_assistant, "phones")
    with Service(
        tmp_path, port=house_broker.port, node="phones", rooms={"nursery": room(long_crying, speed=5.0)}
    ) as service:
        home.until_right("all entities")
        cry = home.id("cry")
        with home_assistant.events() as events:

            def alerts(all_: list[Any]) -> list[str | None]:
                news = [event["data"]["new_state"]["attributes"] for event in all_ if event["data"]["entity_id"] == cry]
                return [
                    new.get("cause") or new["event_type"]
                    for new in news
                    if new.get("event_type") in ("alert", "acknowledged")
                ]

            events.wait_for(lambda all_: alerts(all_)[:2] == ["first", "repeat"], "an alert and its repeat", 60.0)
            home.press("on_my_way")
            events.wait_for(lambda all_: "hard_limit" in alerts(all_), "the hard limit", 60.0)
            told = alerts(events.received)
        after = told[told.index("acknowledged") + 1 :]
        assert after[0] == "hard_limit"
        home.until("alert", "on")
        service.stop()


def follow_the_guide(house: HomeAssistant, **instead: str) -> None:
    """Replace the automations by the guide's, with no notification of before."""
    house.automate(*automations(**instead))
    house.call("persistent_notification", "dismiss_all")


def undelivered(history: Path) -> list[str]:
    """Return the ids of the alerts that wait for the broker."""
    with closing(sqlite3.connect(f"file:{history}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT event_id FROM events WHERE event_type = 'alert' AND delivered_at IS NULL ORDER BY at")
        return [row[0] for row in rows]


def test_the_guide_wakes_a_parent(
    home_assistant: HomeAssistant,
    house_broker: Mosquitto,
    tmp_path: Path,
    long_crying: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its first automation as it stands: a cry tells one parent, and an alert that waited for the broker both."""
    monkeypatch.setenv("CRY_ROOMS__NURSERY__ALERT__REPEAT_AFTER_S", "50")
    home = Home(home_assistant, "home")
    follow_the_guide(home_assistant)
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(long_crying, speed=5.0)}) as service:
        home.until_right("all entities")
        home_assistant.until(lambda _: home_assistant.notifications(), "a notification")
        [(first, told)] = home_assistant.notifications().items()
        assert (first[:8], told["title"]) == ("tonight-", "The baby cries")

        wait_until(lambda: not undelivered(tmp_path / "home.db"), "the broker's word for it")
        house_broker.kill()
        home.until("cry", "unavailable")
        wait_until(lambda: undelivered(tmp_path / "home.db"), "an alert waits", CYCLE_S)
        waiting = undelivered(tmp_path / "home.db")[0]
        service.signal(signal.SIGSTOP)  # so that Home Assistant is first at the broker: it hears nothing of before
        house_broker.start()
        with closing(Recorder(house_broker.port, "homeassistant/status")) as birth:
            birth.wait_for(lambda all_: any(m.payload == b"online" for m in all_), "it listens", AGAIN_S)
        service.signal(signal.SIGCONT)
        home_assistant.until(
            lambda _: {f"tonight-{waiting}", f"other-{waiting}"} <= home_assistant.notifications().keys(),
            f"{waiting} is told to both",
            AGAIN_S,
        )
        service.stop()


def test_the_guide_tells_nothing_twice(
    home_assistant: HomeAssistant, house_broker: Mosquitto, tmp_path: Path, quiet: Path
) -> None:
    """An alert of a moment ago is told once, though Home Assistant starts again and shows it anew."""
    home = Home(home_assistant, "home")
    follow_the_guide(home_assistant)
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(quiet, loop=True, speed=1.0)}) as service:
        home.until_right("all entities")
        home.press("test_alert")
        home_assistant.until(lambda _: home_assistant.notifications(), "a notification")
        [told] = home_assistant.notifications().values()
        assert told["title"] == "A test"
        before = home_assistant.entity(home.id("cry"))
        age_s = (datetime.now(UTC) - datetime.fromisoformat(before.state)).total_seconds()
        assert age_s < AGAIN_S
        home_assistant.restart()
        home.until_right("after Home Assistant", AGAIN_S)
        again = home_assistant.entity(home.id("cry"))
        assert (again.state, again.attributes["event_id"]) == (before.state, before.attributes["event_id"])
        assert home_assistant.notifications() == {}  # they do not outlive a restart: one would be a new one
        home.press("test_alert")
        home_assistant.until(lambda _: home_assistant.notifications(), "the next one is told")
        service.stop()


def test_the_guide_tells_of_a_deaf_room(home_assistant: HomeAssistant, house_broker: Mosquitto, tmp_path: Path) -> None:
    """Its second automation, with a shorter wait: a room that is heard no more is told of, with the reason."""
    home = Home(home_assistant, "home")
    follow_the_guide(home_assistant, **{'for: "00:01:00"': 'for: "00:00:02"'})
    path = recording(tmp_path, "ended", synth.noise(8))
    with Service(tmp_path, port=house_broker.port, rooms={"nursery": room(path, speed=1.0)}) as service:
        home.until("hearing", "on")
        home.until("hearing", "off", CYCLE_S)
        home_assistant.until(lambda _: home_assistant.notifications(), "it is told")
        [told] = home_assistant.notifications().values()
        assert told["message"] == "The nursery is not heard: source_ended"
        service.stop()
    home_assistant.automate()


def test_what_a_parent_answers_is_taken(
    home_assistant: HomeAssistant, house_broker: Mosquitto, tmp_path: Path, long_crying: Path
) -> None:
    """While it cries: `false_alarm` ends the alert, and what it was reads back, as does another answer."""
    home = Home(home_assistant, "answers")
    with Service(
        tmp_path, port=house_broker.port, node="answers", rooms={"nursery": room(long_crying, speed=2.0)}
    ) as service:
        home.until_right("all entities")
        home.until("alert", "on")
        assert home.state("feedback") == "unknown"
        home.press("false_alarm")
        home.until("alert", "off")
        home.until("feedback", "not_a_cry")
        assert home.state("crying") == "on"
        other = home_assistant.entity(home.id("feedback")).attributes["options"][1]
        home_assistant.call("select", "select_option", {"entity_id": home.id("feedback"), "option": other})
        home.until("feedback", other)
        assert home.state("alert") == "off"
        counted = home.id("false_alarms")
        told = {"alerts": 1, "answered": 1, "unanswered": 0, "not_a_cry": 0}  # the last answer counts
        home_assistant.until(
            lambda states: told.items() <= states[counted].attributes.items(), f"{counted} says {told}", 30.0
        )
        service.stop()


def test_a_room_that_is_taken_out_is_gone(
    home_assistant: HomeAssistant, house_broker: Mosquitto, tmp_path: Path, quiet: Path
) -> None:
    """A room that was removed from the configuration while the service was off is no device after its next start."""
    rooms = {"nursery": room(quiet, loop=True, speed=1.0), "attic": room(quiet, loop=True, speed=1.0)}
    home = Home(home_assistant, "fewer")
    with Service(tmp_path, port=house_broker.port, node="fewer", rooms=rooms) as service:
        home.until_right("all entities")
        home_assistant.until_state("cry_fewer_attic_hearing", "on")
        service.stop()
    with Service(tmp_path, port=house_broker.port, node="fewer", rooms={"nursery": rooms["nursery"]}) as service:
        home.until_right("after the start", AGAIN_S)
        home_assistant.until(
            lambda _: "cry_fewer_attic_hearing" not in home_assistant.registry(), "the attic is gone", AGAIN_S
        )
        assert not [one for one in home_assistant.devices() if "cry_fewer_attic" in one.identifiers]
        service.stop()
