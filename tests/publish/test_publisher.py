"""The publisher with a real broker."""

import json
from typing import Literal

import pytest
from mqtt_broker import Mosquitto, Recorder, wait_until
from publish.make import Service, event, health, level

from monitor.publish import Broker

pytestmark = pytest.mark.broker


def states(recorder: Recorder) -> list[object]:
    """Return what `state` said of crying, in order."""
    return [json.loads(m.payload)["crying"] for m in recorder.received if m.topic == "cry/home/nursery/state"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_cry_goes_out(broker: Mosquitto, recorder: Recorder, protocol: Literal["5", "3.1.1"]) -> None:
    """A cry that starts and ends is two events, and `state` follows each; both protocols."""
    with Service(broker=Broker("127.0.0.1", broker.port, protocol=protocol)) as service:
        recorder.wait_for_message("cry/home/status", b"online")
        service.tell(health(), level(), event("cry_started"), event("cry_ended"))
        recorder.wait_for(lambda all_: sum(m.topic.endswith("/event") for m in all_) == 2, "two events")
        wait_until(lambda: states(recorder)[-1] == "OFF", "state is OFF again")
    events = [json.loads(m.payload) for m in recorder.received if m.topic.endswith("/event")]
    assert [e["event_type"] for e in events] == ["cry_started", "cry_ended"]
    assert states(recorder) == [None, "OFF", "ON", "OFF", None]
