import json
import random
from pathlib import Path

import pytest
import soundfile
import synth
from e2e.service import Service, room
from mqtt_broker import Mosquitto, Recorder, wait_until

STORM = 2_000
SETTINGS = ("enabled", "sensitivity", "alert_after", "snooze", "feedback", "acknowledge", "test_alert", "care/fed")
TOPICS = (
    *(f"cry/home/{named}/{setting}/set" for named in ("nursery", "cellar") for setting in SETTINGS),
    *(
        "cry/home/nursery/availability",
        "cry/home/cellar/availability",
        "homeassistant/status",
        "cry/home/nursery/state",
    ),
)
WORDS = (b"", b"ON", b"OFF", b"online", b"offline", b"PRESS", b"high", b"30", b"-1", b"\xff\xfe", b"{}", b"[" * 300)


@pytest.mark.broker
def test_a_storm_of_messages_leaves_a_service_that_obeys(broker: Mosquitto, recorder: Recorder, tmp_path: Path) -> None:
    """After 2 000 random messages, good, bad, huge and retained, the next command is obeyed, and it ends in order."""
    sound = tmp_path / "quiet.flac"
    soundfile.write(sound, synth.noise(60.0), 16_000)
    chosen = random.Random(4)  # noqa: S311 - the same storm each time
    rooms = {"nursery": room(sound, speed=1.0, loop=True)}
    with Service(tmp_path / "home", port=broker.port, rooms=rooms, environ={"CRY_REASON__PATH": "/nowhere"}) as service:
        recorder.wait_for_message("cry/home/status", b"online")
        for _ in range(STORM):
            topic = chosen.choice(TOPICS)
            if chosen.random() < 0.1:
                topic += chr(chosen.randrange(0x100, 0xD7FF))  # no wildcard, and nothing for which a broker hangs up
            payload = chosen.choice((chosen.choice(WORDS), chosen.randbytes(chosen.choice((3, 40, 300, 70_000)))))
            retained = chosen.random() < 0.1 and topic.endswith("/set")
            recorder.send_soon(topic, payload, retain=retained)
        for value in (b"low", b"high"):  # one of the two is new
            before = len(recorder.received)

            def obeyed(value: bytes = value, before: int = before) -> bool:
                """Of what comes while 256 wait, the rest is dropped: so it is asked for again, as a person would."""
                recorder.send("cry/home/nursery/sensitivity/set", value)
                said = [
                    one.payload for one in recorder.received[before:] if one.topic == "cry/home/nursery/sensitivity"
                ]
                return said[-1:] == [value]

            wait_until(obeyed, f"sensitivity {value!r}")
        refused = service.logged("command_refused")
        assert refused
        assert all(line["err"].isprintable() for line in refused)
        service.stop()
    for message in recorder.received:
        if message.topic.startswith("cry/home/") and message.topic.endswith(("/event", "/health", "/summary")):
            json.loads(message.payload)
