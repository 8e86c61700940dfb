"""What the broker, the network and a kill can do to a cry: it is told all the same."""

import re
import time
from pathlib import Path

import pytest
from e2e.faults import event_ids, kill_in_episodes, pass_s, restless, stored
from e2e.heard import wait_for, wait_for_event
from e2e.service import DEADLINE_S, Line, Service, room
from mqtt_broker import Mosquitto, Recorder, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.slow]


def test_a_service_that_is_killed_twenty_times_loses_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    """SIGKILL at 20 random instants while children cry: each event in the history reaches a persistent subscriber."""
    outcome = kill_in_episodes(tmp_path, broker, kills=20, seed=9)
    assert outcome.lost == set()
    assert outcome.stored > 100
    assert outcome.interrupted > 10, "hardly a kill was within an episode"


def test_a_broker_that_hangs_holds_back_no_event(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """It is given up after its keepalive, in one line; when it goes on, all that happened meanwhile arrives in 15 s."""
    with Service(tmp_path, port=broker.port, rooms={"nursery": restless()}) as service:
        wait_for_event(recorder, "cry_ended")
        broker.pause()
        service.wait_for_line("mqtt_lost")
        cries = len(service.logged("cry_started"))
        service.wait_for_line("cry_started", count=cries + 1)
        broker.resume()
        told = len(recorder.received)
        began_s = time.monotonic()
        wait_for(recorder, lambda all_: b"online" in [m.payload for m in all_[told:]], "online again")
        assert time.monotonic() - began_s < 15.0
        service.stop()
        assert len(service.logged("mqtt_lost")) == 1
    wait_for(recorder, lambda all_: all_[-1].payload == b"offline", "the last word")
    assert {row["event_id"] for row in stored(service.history)} == set(event_ids(recorder.received))


def test_two_services_with_one_client_id_do_not_fight(broker: Mosquitto, tmp_path: Path, quiet: Path) -> None:
    """Both say which key to look at, in two lines at most; after five connections at most one waits, for a minute."""
    services = [
        Service(
            tmp_path,
            port=broker.port,
            node=node,
            protocol=protocol,
            rooms={"nursery": room(quiet)},
            environ={"CRY_MQTT__CLIENT_ID": "same"},
        )
        for node, protocol in (("five", "5"), ("three", "3.1.1"))
    ]

    def lost() -> list[Line]:
        return [line for service in services for line in service.logged("mqtt_lost")]

    with services[0], services[1]:
        wait_until(lambda: 60.0 in [line["again_in_s"] for line in lost()], "the fight is given up", DEADLINE_S)
        wait_until(lambda: connections(broker, "same") >= 3, "the other's last connection")
        before = connections(broker, "same")
        pass_s(5.0)
        assert connections(broker, "same") == before <= 5
        assert all(1 <= len(service.logged("mqtt_lost")) <= 2 for service in services), lost()
        assert {line["fix"] for line in lost()} == {"see that no other client has the same mqtt.client_id"}


def connections(broker: Mosquitto, client_id: str) -> int:
    """Return how often a client with this id has connected."""
    return len(re.findall(rf"New client connected from \S+ as {client_id} ", broker.log))
