"""What the service manager is told, read from a real notify socket."""

import dataclasses
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import loudness
import pytest
import soundfile
import structlog
import synth
from mqtt_broker import DEADLINE_S, free_port
from publish.make import T0, event, health

from monitor import app, assembly, service
from monitor.config import Config, load_config
from monitor.line import SILENT_S, Service
from monitor.publish import Glance
from monitor.records import RoomHealth
from monitor.threads import Loop


class Manager:
    """A service manager's end of the notify socket: every word, with the second in which it came."""

    def __init__(self, listening: socket.socket) -> None:
        self._socket = listening
        self._words: list[tuple[float, str]] = []

    def words(self) -> list[str]:
        """All words so far."""
        while True:
            try:
                self._words.append((time.monotonic(), self._socket.recv(4096, socket.MSG_DONTWAIT).decode()))
            except BlockingIOError:
                return [word for _, word in self._words]

    def times(self, word: str) -> list[float]:
        """When a word came; as exact as it is asked often."""
        self.words()
        return [at_s for at_s, said in self._words if said == word]


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """A service manager that wants a beat within 0.2 s."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield Manager(listening)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A room that plays a recording over and over, and no broker."""
    soundfile.write(tmp_path / "room.wav", synth.noise(2, -50.0), 16_000)
    room = ("source=file", f"path={tmp_path / 'room.wav'}", "loop=true")
    settings = [*(f"rooms.nursery.{setting}" for setting in room), f"mqtt.port={free_port()}"]
    return load_config(None, [*settings, f"history.path={tmp_path / 'history.db'}"]).config


def until(condition: Callable[[], object]) -> Callable[[], bool]:
    """Return a question for the service's own loop: whether the condition holds; it fails after the deadline."""
    end_s = time.monotonic() + DEADLINE_S

    def asked() -> bool:
        if time.monotonic() > end_s:
            pytest.fail("it never came")
        return bool(condition())

    return asked


# The whole service


def test_the_protocol(manager: Manager, config: Config) -> None:
    """READY=1 after the start, WATCHDOG=1 at half the interval, STOPPING=1 as the last word."""
    code = app.run(
        config,
        stop=threading.Event(),
        load=lambda *_: loudness.MODEL,
        until=until(lambda: len(manager.times("WATCHDOG=1")) >= 8),
    )
    words = [word for word in manager.words() if not word.startswith("STATUS=")]
    assert code == 0
    assert words == ["READY=1", *["WATCHDOG=1"] * 8, "STOPPING=1"]
    beats = manager.times("WATCHDOG=1")
    # Seven times half the interval; a busy machine may be late, nobody may be early.
    assert 0.65 < beats[-1] - beats[0] < DEADLINE_S


def test_a_person_reads_the_status(manager: Manager, config: Config) -> None:
    """STATUS= is one line: the broker, then each room with its level."""
    status = re.compile(r"STATUS=NO BROKER; nursery no cry, -50 dBFS")
    line = assembly.build(config, loudness.MODEL, assembly.open_history(config))
    line.start()
    host = service.Host(clock=lambda: time.monotonic() * 100)  # five seconds pass in a twentieth
    asked = until(lambda: any(map(status.fullmatch, manager.words())))
    assert app.supervise(line, host, stop=threading.Event(), until=asked)
    assert line.stop()


def test_without_a_watchdog_no_beats(manager: Manager, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit without WatchdogSec=, and a WATCHDOG_PID that is another's, get no WATCHDOG=1."""
    monkeypatch.setenv("WATCHDOG_PID", "1")
    code = app.run(
        config,
        stop=threading.Event(),
        load=lambda *_: loudness.MODEL,
        until=until(lambda: any(word.startswith("STATUS=") for word in manager.words())),
    )
    assert code == 0
    assert [word for word in manager.words() if not word.startswith("STATUS=")] == ["READY=1", "STOPPING=1"]


# A thread that hangs, a room that is deaf


class Work:
    """Turns that go on until a test lets them hang."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._go.set()
        self._hangs = threading.Event()
        self._turned = threading.Event()
        self._pause = threading.Event()

    def turn(self) -> None:
        """Take a moment, or as long as the test wants."""
        if not self._go.is_set():
            self._hangs.set()
            self._go.wait()
            self._hangs.clear()
        self._pause.wait(0.001)
        self._turned.set()

    def finish(self) -> None:
        """Nothing to say."""

    def close(self) -> None:
        """Nothing to give back."""

    def hang(self) -> None:
        """Hang from now on: no turn ends any more."""
        self._go.clear()
        assert self._hangs.wait(DEADLINE_S)

    def go_on(self) -> None:
        """Go on."""
        self._go.set()

    def stamp(self) -> None:
        """Return when a turn has ended since the call, and was stamped; at once where it hangs."""
        for _ in range(2):  # the first may have ended before; when a second ends, the stamp of the first is there
            self._turned.clear()
            assert self._hangs.is_set() or self._turned.wait(DEADLINE_S)


class Line:
    """Three threads that a test lets hang, on a clock that it moves."""

    def __init__(self, glance: Glance) -> None:
        self.skipped_s = 0.0
        self.glance = glance
        self.works = {name: Work() for name in ("capture-nursery", "detect", "publish")}
        loops = [Loop(name, work, clock=self.clock) for name, work in self.works.items()]
        self.service = Service(
            captures=loops[:1], detect=loops[1], publish=loops[2], glance=lambda: self.glance, connected=lambda: True
        )

    def clock(self) -> float:
        return time.monotonic() + self.skipped_s

    def skip(self, seconds: float) -> None:
        """Let time pass; those that turn stamp it, those that hang do not."""
        self.skipped_s += seconds
        for work in self.works.values():
            work.stamp()


@pytest.fixture
def line() -> Iterator[Line]:
    """A line whose one room hears."""
    made = Line(Glance.of(["nursery"]).after(hears()))
    made.service.start()
    yield made
    for work in made.works.values():
        work.go_on()
    assert made.service.stop()


def hears() -> RoomHealth:
    return dataclasses.replace(health(), heard_monotonic_s=time.monotonic())


def watch(line: Line, condition: Callable[[], object]) -> bool:
    return app.supervise(line.service, service.Host(), stop=threading.Event(), until=until(condition))


def beats_within(manager: Manager, line: Line, seconds: float) -> int:
    """How many beats come within a time in which ten are due."""
    before, end_s = len(manager.times("WATCHDOG=1")), time.monotonic() + seconds
    assert watch(line, lambda: time.monotonic() > end_s)
    return len(manager.times("WATCHDOG=1")) - before


def test_no_beat_while_publish_hangs(manager: Manager, line: Line) -> None:
    """A publish thread without a sign for 10 s gets no beat said, though the process waits for it; then they go on."""
    assert beats_within(manager, line, 0.5) > 0
    line.works["publish"].hang()
    line.skip(SILENT_S + 1)
    with structlog.testing.capture_logs() as logs:
        assert beats_within(manager, line, 0.5) == 0
    assert [(entry["event"], entry["err"]) for entry in logs] == [("watchdog_unfed", "publish gives no sign")]
    line.works["publish"].go_on()
    line.skip(0)
    assert beats_within(manager, line, 0.5) > 0


@pytest.mark.parametrize("name", ["capture-nursery", "detect"])
def test_no_beat_when_a_thread_hangs(manager: Manager, line: Line, name: str) -> None:
    """A capture or detect without a sign for 10 s ends the watch without another beat; the last status names it."""
    line.works[name].hang()
    line.skip(SILENT_S + 1)
    with structlog.testing.capture_logs() as logs:
        assert not watch(line, lambda: False)
    assert manager.words() == [f"STATUS={name} hangs; see the log"]
    assert [entry["event"] for entry in logs] == ["thread_fault"]


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_process_that_stood_still_is_looked_at_again(manager: Manager, line: Line, *, goes_on: bool) -> None:
    """Whoever was not let run for 12 s is no thread that hangs: it has until the next look to show that it lives."""
    assert manager.words() == []
    looks = 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:  # detect has had no chance to stamp it
            line.works["detect"].hang()
            line.skipped_s += SILENT_S + 2
        elif looks == 2 and goes_on:
            line.works["detect"].go_on()
            line.skip(0)
        return looks > 3

    ended = app.supervise(line.service, service.Host(), stop=threading.Event(), until=look, clock=line.clock)
    assert ended == goes_on


def test_no_beat_while_a_room_is_deaf_and_nobody_was_told(manager: Manager, line: Line) -> None:
    """A room that says it hears and gives no samples stops the beats; once its loss is said, they go on."""
    stale = dataclasses.replace(health(), heard_monotonic_s=time.monotonic() - 20)
    line.glance = line.glance.after(stale)
    assert beats_within(manager, line, 0.5) == 0
    line.glance = line.glance.after(health(hearing=False))
    assert beats_within(manager, line, 0.5) > 0


# The line for a person

NOW = T0 + 3_600


def words(*records: object, rooms: tuple[str, ...] = ("nursery",)) -> str:
    glance = Glance.of(rooms)
    for record in records:
        glance = glance.after(record)  # type: ignore[arg-type]  # a wrong one fails its test
    return glance.in_words(NOW)


def clock(at: float, form: str = "%H:%M") -> str:
    return time.strftime(form, time.localtime(at))


def test_a_room_in_words() -> None:
    """A room says whether it cries, since when or when last, its level, or why it is deaf."""
    assert words() == "nursery opening"
    assert words(health()) == "nursery no cry, -41 dBFS"
    assert words(health(problem="clipped")) == "nursery no cry, -41 dBFS, clipped"
    assert words(health(), event()) == f"nursery CRYING since {clock(T0)}, -41 dBFS"
    ended = (health(), event(), event("cry_ended"))
    assert words(*ended) == f"nursery no cry, -41 dBFS, last cry {clock(T0)}"
    assert words(*ended, health(hearing=False)) == f"nursery DEAF (source_lost), last cry {clock(T0)}"
    assert words(health(hearing=False, source="disabled", problem="disabled")) == "nursery off"


def test_an_old_cry_has_its_date() -> None:
    """A cry of another day is told with its date."""
    old = event("cry_ended", started_at=T0 - 86_400.0)
    assert words(health(), old).endswith(clock(T0 - 86_400.0, "last cry %Y-%m-%d %H:%M"))


def test_who_cries_comes_first() -> None:
    """Who cries stands first, then who is deaf, then the rest in the order of the configuration."""
    told = words(
        *(health(room=room) for room in ("a", "b", "d")),
        health(room="c", hearing=False),
        event(room="d"),
        rooms=("a", "b", "c", "d"),
    )
    assert [part.split()[0] for part in told.split("; ")] == ["d", "c", "a", "b"]


def test_a_house_of_64_rooms_fits() -> None:
    """However many rooms: one line that a service manager takes, which says how many it leaves out."""
    rooms = tuple(f"a_room_with_a_long_name_{number:08}" for number in range(64))
    told = words(*(health(room=room) for room in rooms), rooms=rooms)
    assert len(told) <= 1_000
    left_out = re.search(r"; and (\d+) more$", told)
    assert left_out
    assert told.count("; ") + int(left_out[1]) == 64


def test_a_status_is_one_word(manager: Manager) -> None:
    """A line break in a status cannot begin another word, such as STOPPING=1."""
    service.Host().say("one\nSTOPPING=1")
    assert manager.words() == ["STATUS=one STOPPING=1"]


def test_a_status_comes_each_few_seconds(manager: Manager) -> None:
    """A status that changes all the time is told each 5 s, one that does not, once."""
    now_s = [0.0]
    host = service.Host(clock=lambda: now_s[0], environ={"NOTIFY_SOCKET": os.environ["NOTIFY_SOCKET"]})
    for second in range(21):
        now_s[0] = float(second)
        host.tick(well=True, status=f"{min(second, 12)}")
    assert manager.words() == ["STATUS=0", "STATUS=5", "STATUS=10", "STATUS=12"]


# Signals


def test_sighup_is_one_line() -> None:
    """SIGHUP is one line of the log and ends nothing; SIGTERM after it still ends in order."""
    before = signal.getsignal(signal.SIGHUP)
    with structlog.testing.capture_logs() as logs, app.stop_on_signals() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert [entry["event"] for entry in logs] == ["sighup_ignored"]
        assert not stop.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
    assert signal.getsignal(signal.SIGHUP) == before
