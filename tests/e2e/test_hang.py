"""A service that cannot judge any more ends, so that nobody takes its silence for a quiet room."""

import time
from pathlib import Path

import pytest
from e2e.heard import STATUS, said_of_crying, wait_for_crying, wait_for_text
from e2e.service import Service, room
from mqtt_broker import Mosquitto, Recorder

pytestmark = pytest.mark.broker


@pytest.mark.parametrize(("fault", "limit_s", "says"), [("hang", 15.0, "detect hangs"), ("fail", 5.0, "detect died")])
def test_a_detect_thread_that_cannot_go_on_ends_the_process(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, long_crying: Path, fault: str, limit_s: float, says: str
) -> None:
    """A model that hangs ends the process within 15 s, one that fails five times within 5 s: exit 1, will `offline`."""
    trigger = tmp_path / "trigger"
    with Service(
        tmp_path,
        port=broker.port,
        rooms={"nursery": room(long_crying)},
        command=("-m", "tests.e2e.faulty", fault, str(trigger)),
    ) as service:
        wait_for_crying(recorder, "ON")
        began_s = time.monotonic()
        trigger.touch()
        code = service.wait()
        took_s = time.monotonic() - began_s
    assert code == 1
    assert took_s < limit_s
    assert wait_for_text(recorder, STATUS, "offline").retain
    (line,) = service.logged("thread_fault")
    assert (line["level"], line["err"].startswith(says)) == ("error", True)
    assert len(service.logged("inference_failed")) == (5 if fault == "fail" else 0)
    assert service.errors == ""
    assert said_of_crying(recorder.received)[-1] == "ON"
