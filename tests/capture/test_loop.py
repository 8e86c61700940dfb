"""The capture thread's turns, with a source that a test scripts and a clock that a test moves."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import structlog
import synth
from loudness import HOP_SAMPLES, WINDOW_SAMPLES

from monitor.capture import AudioSource, Capture, FileSource, Judge, Rearm, Segmenter, SourceEnded
from monitor.errors import SourceError
from monitor.handoff import Inbox, Reports, SegmentQueue
from monitor.records import Applied, Command, GateMissed, RoomHealth, Samples, Segment, SourceLost

Step = Samples | Exception


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class ClockInbox(Inbox):
    """An inbox on which waiting moves the test's clock, and takes no time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def drain(self, timeout_s: float = 0.0) -> list[Command | GateMissed]:
        self._clock.now_s += timeout_s
        return super().drain()


class ScriptedSource:
    """Gives what a test says, a block a read; `TestSources` holds it to what a file does."""

    live = True
    overflows = 0

    def __init__(self, clock: Clock, script: Iterable[Step], *, open_failures: int = 0) -> None:
        self._clock = clock
        self._script = iter(script)
        self._open_failures = open_failures
        self.opened = 0
        self.closed = 0

    def open(self) -> None:
        """Open, or fail as often as the test wants."""
        self.opened += 1
        if self.opened <= self._open_failures:
            raise SourceError("microphone", "is not there")

    def read(self) -> Samples:
        """Give the next step; the clock moves by its length, by 1 s where nothing comes."""
        step = next(self._script, None)
        if step is None:
            raise SourceEnded
        if isinstance(step, Exception):
            raise step
        self._clock.now_s += len(step) / 16_000 if len(step) else 1.0
        return step

    def close(self) -> None:
        """Count."""
        self.closed += 1


NOTHING: Samples = np.zeros(0, np.int16)


def blocks(pcm: Samples) -> list[Samples]:
    return [pcm[i : i + 3_840] for i in range(0, len(pcm), 3_840)]


class TestSources:
    """What `Capture` relies on; the scripted source is held to it as a file is."""

    @pytest.fixture(params=["file", "scripted"])
    def source(self, request: pytest.FixtureRequest, tmp_path: Path) -> AudioSource:
        sound = synth.cry(1)
        if request.param == "scripted":
            return ScriptedSource(Clock(), blocks(sound))
        soundfile.write(tmp_path / "a.wav", sound, 16_000)
        return FileSource(tmp_path / "a.wav", speed=0)

    def test_gives_int16_then_ends(self, source: AudioSource) -> None:
        """`read` gives int16 arrays until the source is over, then raises SourceEnded; `close` may come twice."""
        source.open()
        heard = np.concatenate([source.read() for _ in range(5)])
        assert heard.dtype == np.int16
        assert len(heard) == 16_000
        with pytest.raises(SourceEnded):
            source.read()
        source.close()
        source.close()


class Room:
    """A capture room with its queues, its clock and what it said."""

    def __init__(
        self, script: Iterable[Step], *, open_failures: int = 0, enabled: bool = True, rearm: Rearm | None = None
    ) -> None:
        self.clock = Clock()
        self.source = ScriptedSource(self.clock, script, open_failures=open_failures)
        self.queue = SegmentQueue()
        self.inbox = ClockInbox(self.clock)
        self.reports = Reports[object]()
        self.heard: list[Segment | SourceLost] = []
        self.health: list[RoomHealth] = []
        self.applied: list[Applied] = []
        self.work = Capture(
            room="nursery",
            source=self.source,
            segmenter=Segmenter("nursery", window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES),
            judge=Judge(),
            queue=self.queue,
            inbox=self.inbox,
            reports=self.reports,
            enabled=enabled,
            rearm=rearm,
            clock=self.clock,
            wall=self.clock,
            jitter=lambda _low, high: high,
        )

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.work.turn()
            self.collect()

    def until(self, condition: Callable[[], bool], times: int = 500) -> None:
        for _ in range(times):
            if condition():
                return
            self.turn()
        pytest.fail("it never came")

    def collect(self) -> None:
        self.heard += self.queue.take(timeout_s=0)
        for report in self.reports.take_all(timeout_s=0):
            if isinstance(report, RoomHealth):
                self.health.append(report)
            elif isinstance(report, Applied):
                self.applied.append(report)

    @property
    def lost(self) -> list[SourceLost]:
        return [item for item in self.heard if isinstance(item, SourceLost)]

    @property
    def segments(self) -> list[Segment]:
        return [item for item in self.heard if isinstance(item, Segment)]


def test_sound_becomes_segments_and_health() -> None:
    """Samples that arrive become segments, and the room says that it hears."""
    room = Room(blocks(synth.cry(5)))
    room.turn(20)
    assert room.segments
    assert room.health[-1].hearing
    assert room.health[-1].source == "ok"


def test_a_stalled_source_is_opened_again() -> None:
    """A source that gives nothing for 5 s is closed and opened again; a short stall loses nobody."""
    room = Room([*blocks(synth.cry(2)), *[NOTHING] * 6, *blocks(synth.cry(2))])
    room.until(lambda: room.source.opened == 2)
    assert room.source.closed == 1
    assert room.lost == []
    assert room.health[-1].hearing


def test_a_deaf_room_says_so_once() -> None:
    """After 10 s without samples the room is offline, the marker is put once, and health is told before it."""
    room = Room([*blocks(synth.cry(2)), *[NOTHING] * 60])
    room.until(lambda: bool(room.lost))
    assert room.health[-1].source == "lost"
    assert room.health[-1].problem == "source_lost"
    assert not room.health[-1].hearing
    room.turn(20)
    assert [lost.ended_by for lost in room.lost] == ["source_lost"]


def test_a_source_that_breaks_comes_back() -> None:
    """After a failure the source is opened again under a growing delay, and the room hears once it gives samples."""
    room = Room(
        [*blocks(synth.cry(2)), SourceError("microphone", "was unplugged"), *blocks(synth.cry(2))],
    )
    room.until(lambda: room.source.opened == 2)
    room.turn()
    assert room.health[-1].hearing


def test_attempts_are_spaced() -> None:
    """Between attempts the delay doubles from 1 s up to 20 s; nothing is tried in between."""
    room = Room(blocks(synth.cry(1)), open_failures=8)
    attempts: list[float] = []
    while len(attempts) < 8:
        opened = room.source.opened
        room.turn()
        if room.source.opened > opened:
            attempts.append(room.clock.now_s)
    delays = np.diff(attempts)
    assert delays == pytest.approx([1, 2, 4, 8, 16, 20, 20], abs=0.5)


def test_the_sample_count_goes_on_over_a_gap() -> None:
    """While a source is away its room's sample count grows as time does, so that timers run on."""
    room = Room([*blocks(synth.cry(4)), SourceError("microphone", "was unplugged"), *blocks(synth.cry(4))])
    room.until(lambda: room.source.closed == 1)
    before = room.segments[-1].end_sample
    room.clock.now_s += 6.0
    room.until(lambda: room.segments[-1].end_sample > before)
    after = room.segments[-1]
    assert after.end_sample >= before + 6 * 16_000 - HOP_SAMPLES
    assert len(after.samples) < 128_000


def test_a_recording_that_ends_is_not_reopened() -> None:
    """At its end a source is closed for good: `source_ended`, said once, and never opened again."""
    room = Room(blocks(synth.cry(2)))
    room.until(lambda: bool(room.lost))
    assert room.lost[0].ended_by == "source_ended"
    assert room.health[-1].problem == "source_ended"
    room.turn(2)
    assert room.source.opened == 1
    assert len(room.lost) == 1


def test_off_closes_the_microphone() -> None:
    """`enabled` OFF closes the source, ends the episode by a marker, and is answered; ON opens it again."""
    room = Room(blocks(synth.cry(60)))
    room.turn(10)
    room.inbox.put(Command("nursery", "enabled", "OFF"))
    room.turn()
    assert room.source.closed == 1
    assert room.lost[0].ended_by == "disabled"
    assert room.health[-1].problem == "disabled"
    assert room.applied == [Applied("nursery", "enabled", "OFF")]
    room.inbox.put(Command("nursery", "enabled", "ON"))
    room.turn(3)
    assert room.source.opened == 2
    assert room.health[-1].hearing
    assert room.applied[-1] == Applied("nursery", "enabled", "ON")


def test_a_room_that_starts_disabled_opens_nothing() -> None:
    """A room that is configured off, or was switched off before a restart, leaves its source closed."""
    room = Room(blocks(synth.cry(5)), enabled=False)
    room.turn()
    assert room.source.opened == 0
    assert room.health[-1].problem == "disabled"


# A room that is off turns itself on again

HOUR_S = 3_600.0


def switch(room: Room, value: str) -> Applied:
    """Give an `enabled` command and return its answer."""
    room.inbox.put(Command("nursery", "enabled", value))
    room.turn()
    return room.applied[-1]


def test_a_room_that_is_switched_off_turns_itself_on() -> None:
    """OFF says until when; at that time the source is opened, ON is said, and one line of the log says why."""
    room = Room(blocks(synth.cry(60)), rearm=Rearm(12 * HOUR_S))
    room.turn(10)
    off = switch(room, "OFF")
    due_s = room.clock.now_s + 12 * HOUR_S
    assert off.value == "OFF"
    assert off.until_at == pytest.approx(due_s, abs=1)
    room.clock.now_s = due_s - 2
    room.turn()
    assert room.source.opened == 1
    with structlog.testing.capture_logs() as logs:
        room.until(lambda: room.source.opened == 2, times=6)
        room.turn(5)
    assert room.clock.now_s >= due_s
    assert room.applied[-1] == Applied("nursery", "enabled", "ON")
    assert len(room.applied) == 2
    assert room.health[-1].hearing
    assert [(line["event"], line["log_level"]) for line in logs if line["event"].startswith("room_")] == [
        ("room_rearmed", "info")
    ]


def test_the_wall_clock_does_not_turn_it_on() -> None:
    """The timer is counted on the monotonic clock: a wall clock that is set forwards or back moves nothing."""
    timer = Rearm(HOUR_S)
    timer.start(now_s=50.0, wall_at=1e9)
    assert timer.until_at == 1e9 + HOUR_S
    assert [timer.is_due(now_s) for now_s in (50.0, 49.9 + HOUR_S, 50.0 + HOUR_S)] == [False, False, True]


def test_off_again_counts_anew() -> None:
    """OFF for a room that is off already, and will turn itself on, counts from now; ON ends the timer."""
    room = Room(blocks(synth.cry(60)), rearm=Rearm(HOUR_S))
    room.turn(10)
    first = switch(room, "OFF")
    room.clock.now_s += HOUR_S / 2
    second = switch(room, "OFF")
    assert first.until_at is not None
    assert second.until_at == pytest.approx(first.until_at + HOUR_S / 2, abs=2)
    room.clock.now_s += HOUR_S * 0.75
    room.turn()
    assert room.source.opened == 1
    assert switch(room, "ON") == Applied("nursery", "enabled", "ON")
    room.clock.now_s += HOUR_S
    room.turn()
    assert [applied.value for applied in room.applied] == ["OFF", "OFF", "ON"]


@pytest.mark.parametrize("rearm", [None, Rearm(0), Rearm(0, 200.0)])
def test_with_no_timer_it_stays_off(rearm: Rearm | None) -> None:
    """With `rearm_after_h` 0 a room that is switched off has no end, now or after a restart."""
    room = Room(blocks(synth.cry(60)), rearm=rearm)
    room.turn(10)
    assert switch(room, "OFF") == Applied("nursery", "enabled", "OFF")
    room.clock.now_s += 1000 * HOUR_S
    room.turn(3)
    assert room.source.opened == 1
    again = Room(blocks(synth.cry(60)), enabled=False, rearm=rearm)
    again.clock.now_s += 1000 * HOUR_S
    again.turn(3)
    assert again.source.opened == 0
    assert again.applied == []


def test_a_room_that_is_configured_off_stays_off() -> None:
    """A room that is off by its configuration gets no timer, and none by ON and OFF either."""
    room = Room(blocks(synth.cry(60)), enabled=False, rearm=Rearm())
    room.turn()
    assert room.applied == []
    for value, opened in (("OFF", 0), ("ON", 1), ("OFF", 1)):
        assert switch(room, value) == Applied("nursery", "enabled", value)
        room.turn(3)
        assert room.source.opened == opened
    room.clock.now_s += 1000 * HOUR_S
    room.turn(3)
    assert room.source.opened == 1


@pytest.mark.parametrize(
    ("stored_s", "left_s"),
    [(0.5 * HOUR_S, 0.5 * HOUR_S), (-3 * HOUR_S, 0), (24 * HOUR_S, HOUR_S), (math.inf, HOUR_S)],
)
def test_the_timer_outlives_a_restart(stored_s: float, left_s: float) -> None:
    """What is left is the stored end less now, from nothing to what is asked for; the room says it at its start."""
    room = Room(blocks(synth.cry(60)), enabled=False, rearm=Rearm(HOUR_S, 100.0 + stored_s))
    due_s = room.clock.now_s + left_s
    room.collect()
    assert room.applied == [Applied("nursery", "enabled", "OFF", due_s, HOUR_S)]
    if left_s:
        room.clock.now_s = due_s - 1
        room.turn()
        assert room.source.opened == 0
    room.clock.now_s = due_s
    room.turn()
    assert room.source.opened == 1
    assert room.applied[1:] == [Applied("nursery", "enabled", "ON")]


def test_a_room_that_is_on_has_no_timer() -> None:
    """A stored end of a room that is on means nothing."""
    room = Room(blocks(synth.cry(60)), rearm=Rearm(HOUR_S, 100.0))
    room.turn(5)
    assert room.applied == []


def test_a_missed_gate_is_opened() -> None:
    """A GateMissed from detect makes the next segment carry the ring."""
    room = Room(blocks(synth.noise(60, -65)))
    room.turn(40)
    room.inbox.put(GateMissed("nursery", 0.9, 9.0))
    opened = len([s for s in room.segments if s.gate == "open"])
    room.turn(4)
    assert len([s for s in room.segments if s.gate == "open"]) > opened


def test_a_full_queue_replaces_a_live_rooms_segments() -> None:
    """When detect is slow a live room's oldest segment is replaced, counted, and told in health."""
    room = Room(blocks(synth.cry(20)))
    for _ in range(60):
        room.work.turn()
    room.collect()
    room.turn()
    assert room.health[-1].segments_dropped > 10


def test_a_file_waits_for_the_queue(tmp_path: Path) -> None:
    """A file that plays as fast as it goes loses no segment to a full queue: it waits."""
    soundfile.write(tmp_path / "cry.wav", synth.cry(10, -15), 16_000)
    queue, reports, inbox = SegmentQueue(), Reports[object](), Inbox()
    work = Capture(
        room="nursery",
        source=FileSource(tmp_path / "cry.wav", speed=0),
        segmenter=Segmenter("nursery", window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES),
        judge=Judge(),
        queue=queue,
        inbox=inbox,
        reports=reports,
    )
    ends: list[int] = []
    while True:
        work.turn()
        items = queue.take(timeout_s=0)
        ends += [item.end_sample for item in items if isinstance(item, Segment) and item.gate == "open"]
        if any(isinstance(item, SourceLost) for item in items):
            break
    work.close()
    assert queue.dropped == {}
    assert ends == list(range(ends[0], 10 * 16_000 + 1, HOP_SAMPLES))


def test_a_muted_microphone_makes_the_room_deaf() -> None:
    """Zeros for 45 s: the room is `muted`, its episode ends, it hears no more until the first sound."""
    room = Room([*blocks(synth.cry(5)), *blocks(synth.silence(50)), *blocks(synth.noise(3, -50))])
    room.until(lambda: bool(room.lost))
    assert [lost.ended_by for lost in room.lost] == ["source_lost"]
    assert (room.health[-1].source, room.health[-1].problem, room.health[-1].hearing) == ("muted", "muted", False)
    told = room.segments[-1].end_sample
    assert 48 * 16_000 <= told <= 51 * 16_000
    room.until(lambda: room.health[-1].hearing)
    assert room.health[-1].problem == "ok"
    room.turn(12)
    assert room.segments[-1].end_sample > told


def test_a_clipped_microphone_still_hears() -> None:
    """A gain that is too high is a problem that is told, and no deafness."""
    loud = np.where(synth.hum(10) > 0, 32_767, -32_767).astype(np.int16)
    room = Room(blocks(loud))
    room.turn(35)
    assert (room.health[-1].problem, room.health[-1].hearing) == ("clipped", True)
    assert room.lost == []


def test_several_attempts_count_a_gap_once() -> None:
    """However often a source fails before it gives samples again, the sample count grows by the time that passed."""
    failed = SourceError("microphone", "is not there")
    room = Room([*blocks(synth.cry(4)), failed, failed, failed, failed, *blocks(synth.cry(4))])
    room.until(lambda: room.source.opened == 1)
    began_s = room.clock.now_s
    room.until(lambda: room.source.opened == 5)
    room.turn(10)
    assert room.segments[-1].end_sample / 16_000 == pytest.approx(room.clock.now_s - began_s, abs=0.6)
