"""What the broker, the network and a kill can do to a cry: it is told all the same."""

import signal
import time
from contextlib import closing
from pathlib import Path

import pytest
from e2e.faults import event_ids, kill_in_episodes, pass_s, restless, stored
from e2e.heard import STATUS, wait_for, wait_for_event, wait_for_text
from e2e.service import DEADLINE_S, Service
from mqtt_broker import Mosquitto, Recorder, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.slow]


def test_a_service_that_is_killed_twenty_times_loses_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    """SIGKILL at 20 random instants while children cry: each event in the history reaches a persistent subscriber."""
    outcome = kill_in_episodes(tmp_path, broker, kills=20, seed=9)
    print(outcome)
    assert outcome.lost == set()
    assert outcome.stored > 100
    assert outcome.interrupted > 10, "hardly a kill was within an episode"
