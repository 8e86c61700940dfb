"""The research notebook's network in the service: trained, exported, and judging causes on a real broker."""

import subprocess
import sys
from pathlib import Path

import pytest
import toy_causes
from e2e.heard import STATE, cries, payloads, wait_for, wait_for_event, wait_for_text
from e2e.service import Service, room
from mqtt_broker import Mosquitto, Recorder


def exported(data: Path, folder: Path, repository: Path) -> Path:
    """Run `reproduce --export` on `data`, one epoch; return the exported folder."""
    arguments = ["--data", str(data), "--run", str(folder / "run"), "--export", str(folder / "model"), "--epochs", "1"]
    subprocess.run(
        [sys.executable, "-m", "training", "reproduce", *arguments], cwd=repository, check=True, capture_output=True
    )
    return folder / "model"


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize("corpus", ["notebook's six", "toy of eight"])
def test_it_names_one_of_its_categories(
    corpus: str, broker: Mosquitto, recorder: Recorder, tmp_path: Path, late_crying: Path, repository: Path
) -> None:
    """With `min_confidence` 0 a cry gets one of the folders' names in `state`, six of six or eight of eight."""
    if corpus == "toy of eight":
        data = toy_causes.write(tmp_path / "data", toy_causes.pitches(toy_causes.EIGHT))
    else:
        data = repository / "tests/data/causes"
    categories = sorted(path.name for path in data.iterdir() if path.is_dir())
    named = {
        "CRY_REASON__PATH": str(exported(data, tmp_path, repository)),
        "CRY_REASON__MIN_CONFIDENCE": "0",
    }
    with Service(tmp_path, port=broker.port, rooms={"nursery": room(late_crying)}, environ=named) as service:
        wait_for_text(recorder, "cry/home/status", "online")
        ended = wait_for_event(recorder, "cry_ended")
        wait_for(recorder, lambda all_: payloads(all_, STATE)[-1]["problem"] == "source_ended", "the recording's end")
        service.stop()
    assert len(categories) == (8 if corpus == "toy of eight" else 6)
    judged = [state for state in payloads(recorder.received, STATE) if state["reasons"]]
    assert judged
    for told in (ended, *judged):
        assert told["reason"] in categories
        assert list(told["reasons"]) == categories
    assert [event["event_type"] for event in cries(recorder.received)] == [
        "cry_started",
        "cry_ongoing",
        "cry_ended",
    ]
