import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mqtt_broker import Mosquitto, Recorder, free_port, recording, running
from publish.make import T0, Service, alert, discovery, event, health

from monitor.config import Loaded, load_config
from monitor.errors import DeliveryError
from monitor.publish import MEMORY, AlertLog, Store, past_episodes
from monitor.verbs.forget import forget

pytestmark = pytest.mark.broker

STATUS = "cry/home/status"
LEFT_OF_A_ROOM = {
    *("state", "tonight", "figures", "enabled", "sensitivity", "alert_after", "snooze", "feedback", "availability"),
}
"""What the broker holds of a room after a service that was stopped."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history of a cry in each of two rooms, and an alert log beside it."""
    path = tmp_path / "state" / "history.db"
    store, log = Store(path), AlertLog(path.with_name("alerts.jsonl"))
    for room in ("nursery", "attic"):
        store.append(event("cry_started", room=room, event_id=f"{room}-1", episode_id=room))
        store.append(alert(room=room, event_id=f"{room}-2", episode_id=room))
        store.append(event("cry_ended", room=room, event_id=f"{room}-3", episode_id=room, at=T0 + 60))
        log.write(alert(room=room, episode_id=room))
    store.write_care("nursery", "fed", T0 + 7)
    store.close()
    log.close()
    return path


def loaded(path: Path, port: int, *rooms: str, **settings: str) -> Loaded:
    return load_config(
        None,
        [
            *("mqtt.host=127.0.0.1", f"mqtt.port={port}", f"history.path={path}"),
            f"log.alerts={path.with_name('alerts.jsonl')}",
            *(f"rooms.{room}.enabled=true" for room in rooms or ("nursery", "attic")),
            *(f"{key}={value}" for key, value in settings.items()),
        ],
    )


def serve(port: int) -> None:
    """Let a service run for a moment, be told of a meal, and stop."""
    rooms = ["nursery", "attic"]
    settings = {(room, name): "0" for room in rooms for name in ("enabled", "sensitivity", "alert_after", "snooze")}
    announced = discovery(*rooms)
    with recording(port) as recorder:
        store = Store(Path(MEMORY))
        with Service(port=port, rooms=rooms, announced=announced, settings=settings, store=store) as service:  # type: ignore[arg-type]
            service.tell(*(health(room=room) for room in rooms))
            recorder.wait_for_message(STATUS, b"online")
        recorder.wait_for_message(STATUS, b"offline")


def retained(port: int) -> set[str]:
    """Return the topics that the broker holds."""
    with recording(port) as newcomer:
        newcomer.send("fence", b"")
        return {message.topic for message in newcomer.wait_for(lambda all_: all_[-1].topic == "fence")} - {"fence"}


def rooms_of(path: Path) -> list[str]:
    return sorted(episode.room for episode in past_episodes(path) or [])


def no_question(_: str) -> bool:
    raise AssertionError


def test_a_room_is_forgotten(broker: Mosquitto, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Here and at the broker, and what was erased is told; the other room stays, and both stay devices."""
    serve(broker.port)
    before = retained(broker.port)
    capsys.readouterr()  # what the service logged
    of_nursery = {f"cry/home/nursery/{name}" for name in LEFT_OF_A_ROOM}
    assert of_nursery <= before
    assert forget(loaded(path, broker.port), "nursery", before=None, ask=None) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines() == [
        "erased of nursery:",
        *("  1 episode", "  3 events", "  1 alert", "  1 note of care", "  1 alert-log line", "  9 retained topics"),
    ]
    assert before - retained(broker.port) == of_nursery
    assert rooms_of(path) == ["attic"]
    assert [json.loads(line)["room"] for line in path.with_name("alerts.jsonl").read_text().splitlines()] == ["attic"]
    assert forget(loaded(path, broker.port), "nursery", before=None, ask=no_question) == 0
    assert capsys.readouterr().out == "nothing known of nursery\n"


def test_a_room_that_is_configured_no_more_is_forgotten(
    broker: Mosquitto, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it vanishes from Home Assistant, too; without a history, from the broker alone."""
    serve(broker.port)
    before = retained(broker.port)
    assert forget(loaded(path.with_name("none.db"), broker.port, "attic"), "nursery", before=None, ask=None) == 0
    assert "  9 retained topics" in capsys.readouterr().out
    gone = before - retained(broker.port)
    assert gone == {f"cry/home/nursery/{n}" for n in LEFT_OF_A_ROOM} | {"homeassistant/device/cry_home_nursery/config"}
    assert rooms_of(path) == ["attic", "nursery"]


def test_a_service_that_runs_elsewhere_is_in_the_way(broker: Mosquitto, recorder: Recorder, path: Path) -> None:
    """While the status says `online` nothing is erased anywhere, and nobody is asked."""
    recorder.send(STATUS, b"online", retain=True)
    recorder.send("cry/home/nursery/state", b"{}", retain=True)
    with pytest.raises(
        DeliveryError, match=r"the service runs: cry/home/status says online \(stop it first: systemctl"
    ):
        forget(loaded(path, broker.port), "nursery", before=None, ask=no_question)
    assert rooms_of(path) == ["attic", "nursery"]
    assert retained(broker.port) == {STATUS, "cry/home/nursery/state"}


def test_a_broker_that_is_away_keeps_nothing_from_going(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is here is erased, one line says what is left and how to finish; and running it again finishes it."""
    assert forget(loaded(path, free_port()), "nursery", before=None, ask=None) == 1
    captured = capsys.readouterr()
    assert "  1 episode" in captured.out
    assert "retained topics" not in captured.out
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("left, run it again: 127.0.0.1:")
    assert rooms_of(path) == ["attic"]
    assert forget(loaded(path, free_port()), "nursery", before=None, ask=None) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err[:19]) == ("nothing known of nursery\n", "left, run it again:")


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with a list of who may do what: `cry` as little as a test says, `all` everything."""
    folder = tmp_path / "strict"
    folder.mkdir()
    rules = (
        "user cry\ntopic read cry/#\ntopic write cry/home/doctor/#\ntopic write cry/home/attic/#\nuser all\ntopic #\n"
    )
    (folder / "acl").write_text(rules)
    (folder / "acl").chmod(0o600)
    users = {"cry": "hunter22", "all": "hunter22"}
    with running(Mosquitto(folder, users=users, settings=[f"acl_file {folder / 'acl'}"])) as mosquitto:
        with recording(mosquitto.port, user=("all", "hunter22")) as recorder:
            for room in ("nursery", "attic"):
                recorder.send(f"cry/home/{room}/state", b"{}", retain=True)
                recorder.send(f"cry/home/{room}/availability", b"offline", retain=True)
        yield mosquitto


def as_user(name: str) -> dict[str, str]:
    return {"mqtt.username": name, "mqtt.password": "hunter22"}


def test_a_topic_that_may_not_be_cleared_is_left(
    strict: Mosquitto, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names it and the fix; what is here is erased all the same. The password stands in no line."""
    assert forget(loaded(path, strict.port, **as_user("cry")), "nursery", before=None, ask=None) == 1
    captured = capsys.readouterr()
    assert rooms_of(path) == ["attic"]
    assert "retained topics" not in captured.out
    assert len(captured.err.splitlines()) == 1
    assert "the broker refuses cry/home/nursery/state: Not authorized (allow" in captured.err
    assert forget(loaded(path, strict.port, **as_user("nobody")), "nursery", before=None, ask=None) == 1
    refused = capsys.readouterr()
    assert "Not authorized" in refused.err
    assert "hunter22" not in captured.out + captured.err + refused.out + refused.err


def test_a_device_that_may_not_be_cleared_is_found_again(
    strict: Mosquitto, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a room that is configured no more: what tells of the child goes, and the next run takes up the rest."""
    history = path.with_name("none.db")
    assert forget(loaded(history, strict.port, "nursery", **as_user("cry")), "attic", before=None, ask=None) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["erased of attic:", "  1 alert-log line"]
    assert "the broker refuses homeassistant/device/cry_home_attic/config: Not authorized (allow" in captured.err
    assert forget(loaded(history, strict.port, "nursery", **as_user("all")), "attic", before=None, ask=None) == 0
    assert capsys.readouterr().out.splitlines() == ["erased of attic:", "  1 retained topic"]
    assert forget(loaded(history, strict.port, "nursery", **as_user("all")), "attic", before=None, ask=None) == 0
    assert capsys.readouterr().out == "nothing known of attic\n"


@pytest.mark.parametrize("answer", [True, False])
def test_it_asks_before_it_erases(path: Path, capsys: pytest.CaptureFixture[str], *, answer: bool) -> None:
    """With counts, with copies that go whole, with the time; a no leaves everything as it was."""
    path.with_name("history.db.v1").write_bytes(b"nursery")
    path.with_name("alerts.jsonl.1").touch()
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return answer

    before = datetime.fromtimestamp(T0 + 20, UTC)
    there = sorted(path.parent.iterdir())
    assert forget(loaded(path, free_port()), "nursery", before=before, ask=ask) == 1
    here = f"{before.astimezone():%Y-%m-%d %H:%M:%S}"
    copy = f"{path}.v1 (an older copy, of all rooms)"
    assert asked == [f"Forget nursery before {here}: erase 1 event, 1 note of care, {copy}?"]
    told = capsys.readouterr().out.splitlines()
    if answer:
        kept = path.with_name("alerts.jsonl.1")
        assert told == [
            f"erased of nursery before {here}:",
            "  1 event",
            "  1 note of care",
            f"  {copy}",
            f"not touched: {kept}",
        ]
        assert rooms_of(path) == ["attic", "nursery"]
    else:
        assert told == ["nothing was erased"]
        assert sorted(path.parent.iterdir()) == there
        assert forget(loaded(path, free_port()), "nursery", before=None, ask=ask) == 1
        assert "erase 1 episode, 3 events, 1 alert, 1 note of care, 1 alert-log line, " in asked[-1]


def test_the_command_line(repository: Path, path: Path, broker: Mosquitto) -> None:
    """2 for wrong usage, and without --yes where nobody can be asked; 1 where the service has it; else it is done."""
    command = [sys.executable, "-m", "monitor", "forget", "--set", f"mqtt.port={broker.port}"]
    command += ["--set", "mqtt.host=127.0.0.1", "--set", f"history.path={path}"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            cwd=repository,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    for wrong in ([], ["--room", "Nursery", "--yes"], ["--room", "nursery"], ["--room", "a/b", "--yes"]):
        assert run(*wrong).returncode == 2
    assert run("--room", "nursery", "--yes", "--before", "yesterday").returncode == 2
    store = Store(path)
    running_ = run("--room", "nursery", "--yes")
    store.close()
    assert (running_.returncode, running_.stdout, len(running_.stderr.splitlines())) == (1, "", 1)
    assert "stop it first: systemctl stop cry-monitor" in running_.stderr
    assert rooms_of(path) == ["attic", "nursery"]
    done = run("--room", "nursery", "--yes", "--before", "1d")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  1 episode" in done.stdout
    assert rooms_of(path) == ["attic"]


@pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", 0, ["attic"]), (b"\n", 1, ["attic", "nursery"])])
def test_a_terminal_is_asked(
    repository: Path, path: Path, broker: Mosquitto, answer: bytes, code: int, left: list[str]
) -> None:
    """The question stands on standard error, and Enter alone is a no."""
    terminal, its_end = pty.openpty()
    os.write(terminal, answer)
    command = [sys.executable, "-m", "monitor", "forget", "--room", "nursery", "--set", "mqtt.host=127.0.0.1"]
    command += ["--set", f"mqtt.port={broker.port}", "--set", f"history.path={path}"]
    asked = subprocess.run(
        command, cwd=repository, stdin=its_end, capture_output=True, text=True, timeout=60, check=False
    )
    os.close(terminal)
    os.close(its_end)
    assert (asked.returncode, rooms_of(path)) == (code, left)
    assert asked.stderr.strip() == "Forget nursery: erase 1 episode, 3 events, 1 alert, 1 note of care? [y/N]"
    assert asked.stdout.startswith("erased of nursery:" if code == 0 else "nothing was erased")
