"""Rooms share a detect thread and its batches, and nothing else."""

from pathlib import Path

import pytest
from e2e.heard import payloads, said_of_crying, wait_for
from e2e.service import Service, room
from mqtt_broker import Mosquitto, Received, Recorder

pytestmark = pytest.mark.broker


def test_no_room_tells_of_another_rooms_cry(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, crying: Path, late_crying: Path, quiet: Path
) -> None:
    """A baby cries in two of four rooms, not at the same time: each of the two has one episode, the others none."""
    rooms = {"attic": room(quiet), "cellar": room(late_crying), "den": room(quiet), "nursery": room(crying)}
    crying_rooms = ["cellar", "nursery"]

    def events(received: list[Received], name: str) -> list[tuple[str, str]]:
        return [(event["event_type"], event["room"]) for event in payloads(received, f"cry/home/{name}/event")]

    with Service(tmp_path, port=broker.port, rooms=rooms) as service:
        received = wait_for(recorder, lambda all_: all(len(events(all_, name)) == 3 for name in crying_rooms), "cries")
        service.stop()
    for name in crying_rooms:
        assert events(received, name) == [("cry_started", name), ("alert", name), ("cry_ended", name)]
    for name in ("attic", "den"):
        assert events(recorder.received, name) == []
        assert set(said_of_crying(recorder.received, f"cry/home/{name}/state")) == {"OFF", None}
    episodes = {e["episode_id"] for name in crying_rooms for e in payloads(received, f"cry/home/{name}/event")}
    assert len(episodes) == 2
    assert {line["room"] for line in service.logged("cry_started")} == set(crying_rooms)


def test_a_room_that_cannot_be_heard_costs_no_other(
    broker: Mosquitto, recorder: Recorder, tmp_path: Path, crying: Path
) -> None:
    """A recording that is absent, or is none, is one warning; its room is offline, the other room's cry is told."""
    (tmp_path / "text.wav").write_text("no sound")
    rooms = {
        "attic": room(tmp_path / "absent.wav"),
        "cellar": room(tmp_path / "text.wav"),
        "nursery": room(crying),
    }
    with Service(tmp_path, port=broker.port, rooms=rooms) as service:
        received = wait_for(recorder, lambda all_: len(payloads(all_, "cry/home/nursery/event")) == 3, "the cry")
        service.stop()
    warnings = [line for line in service.lines if line["level"] == "warning"]
    assert sorted((line["event"], line["room"]) for line in warnings) == [
        ("source_lost", "attic"),
        ("source_lost", "cellar"),
    ]
    assert {Path(line["err"].partition(":")[0]).name for line in warnings} == {"absent.wav", "text.wav"}
    for name in ("attic", "cellar"):
        assert {m.payload for m in received if m.topic == f"cry/home/{name}/availability"} == {b"offline"}
        assert set(said_of_crying(received, f"cry/home/{name}/state")) == {None}
