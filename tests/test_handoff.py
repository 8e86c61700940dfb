import threading
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.handoff import INBOX, REPORTS, SEGMENTS_PER_ROOM, Inbox, Outbox, Reports, SegmentQueue
from monitor.records import Applied, Command, Level, RoomHealth, Segment, SourceLost

Report = Level | RoomHealth | Applied

ROOMS = ["attic", "cellar", "nursery"]


def segment(room: str, number: int) -> Segment:
    """Return a segment that its end sample tells apart."""
    return Segment(room, np.zeros(4, np.int16), number, at=0.0, level_dbfs=-40.0, noise_floor_dbfs=-50.0, gate="open")


def lost(room: str, number: int) -> SourceLost:
    """Return a marker that its end sample tells apart."""
    return SourceLost(room, "source_lost", number, at=0.0)


def level(number: int) -> Report:
    """Return telemetry that its level tells apart."""
    return Level("nursery", float(number), "closed", None, at=0.0)


def health(number: int) -> Report:
    """Return a room's health that its count tells apart."""
    return RoomHealth(
        room="nursery",
        source="ok",
        hearing=True,
        problem="ok",
        level_dbfs=-40.0,
        noise_floor_dbfs=-50.0,
        heard_monotonic_s=None,
        segments_dropped=number,
    )


def applied(number: int) -> Report:
    """Return an answer that its value tells apart."""
    return Applied("nursery", "enabled", str(number))


@given(st.lists(st.tuples(st.sampled_from(ROOMS), st.booleans()), max_size=60))
def test_segments_are_bounded_by_room_and_markers_are_never_dropped(puts: list[tuple[str, bool]]) -> None:
    """Of each room the two newest segments and every marker wait, in order; what was replaced is counted."""
    queue = SegmentQueue()
    expected: dict[str, list[Segment | SourceLost]] = {room: [] for room in ROOMS}
    dropped = dict.fromkeys(ROOMS, 0)
    for number, (room, is_marker) in enumerate(puts):
        item = lost(room, number) if is_marker else segment(room, number)
        segments = [old for old in expected[room] if isinstance(old, Segment)]
        full = not is_marker and len(segments) == SEGMENTS_PER_ROOM
        assert queue.put(item) is full
        if full:
            expected[room].remove(segments[0])
            dropped[room] += 1
        expected[room].append(item)
    taken: dict[str, list[Segment | SourceLost]] = {room: [] for room in ROOMS}
    while batch := queue.take(0.0):
        rooms = [item.room for item in batch]
        assert len(rooms) == len(set(rooms)), "one item a room"
        for item in batch:
            taken[item.room].append(item)
    assert taken == expected
    assert {room: queue.dropped.get(room, 0) for room in ROOMS} == dropped


def test_a_fast_file_waits_for_room_in_the_queue() -> None:
    """`wait_for_room` tells whether a `put` would replace nothing, and wakes up when one is taken."""
    queue = SegmentQueue()
    assert queue.wait_for_room("nursery", 0.0)
    queue.put(segment("nursery", 1))
    queue.put(segment("nursery", 2))
    assert not queue.wait_for_room("nursery", 0.0)
    assert queue.wait_for_room("attic", 0.0)
    taker = threading.Timer(0.01, queue.take, [0.0])
    taker.start()
    assert queue.wait_for_room("nursery", 10.0)
    taker.join()


@given(st.lists(st.sampled_from(["level", "health", "other"]), max_size=60), st.integers(1, 12))
def test_reports_are_bounded_and_telemetry_goes_first(kinds: list[str], bound: int) -> None:
    """When full, the oldest level goes, else the oldest health, else the oldest; order holds, losses are counted."""
    make = {"level": level, "health": health, "other": applied}
    reports: Reports[Report] = Reports(bound)
    expected: list[Report] = []
    dropped = 0
    for number, kind in enumerate(kinds):
        report = make[kind](number)
        if len(expected) == bound:
            least = min(
                expected, key=lambda old: 0 if isinstance(old, Level) else 1 if isinstance(old, RoomHealth) else 2
            )
            expected.remove(least)
            dropped += 1
        expected.append(report)
        reports.put(report)
    assert reports.take_all(0.0) == expected
    assert reports.take_all(0.0) == []
    assert reports.dropped == dropped


def test_a_report_wakes_the_publish_thread() -> None:
    """`take_all` waits for the first report, not for its time to be up."""
    reports: Reports[int] = Reports()
    putter = threading.Timer(0.01, reports.put, [1])
    putter.start()
    assert reports.take_all(10.0) == [1]
    putter.join()


def test_reports_from_many_threads_all_arrive() -> None:
    """No report is lost under the bound, however many threads put at once."""
    reports: Reports[int] = Reports(REPORTS)

    def put(number: int) -> None:
        for _ in range(100):
            reports.put(number)

    threads = [threading.Thread(target=put, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = reports.take_all(0.0)
    assert sorted(taken) == sorted(n for n in range(8) for _ in range(100))


@given(st.lists(st.booleans(), max_size=100))
def test_an_inbox_refuses_the_newest(puts: list[bool]) -> None:
    """32 commands wait at most; the next is refused, and all come out in order."""
    inbox = Inbox()
    expected: list[Command] = []
    for number, drain in enumerate(puts):
        if drain:
            assert inbox.drain() == expected
            expected = []
        command = Command("nursery", "sensitivity", str(number))
        fits = len(expected) < INBOX
        assert inbox.put(command) is fits
        if fits:
            expected.append(command)
    assert inbox.drain() == expected


@dataclass(frozen=True)
class Note:
    """A message for an outbox: an event where `key` is None."""

    key: str | None
    number: int

    @property
    def coalesce_key(self) -> str | None:
        """As `Sendable` says."""
        return self.key

    @property
    def expendable(self) -> bool:
        """As `Sendable` says."""
        return self.key == "level"


def waiting(outbox: Outbox[Note]) -> list[Note]:
    """Take all that an outbox holds, acknowledging each."""
    notes = []
    while (taken := outbox.take()) is not None:
        notes.append(taken[1])
        outbox.ack(taken[0])
    return notes


ACTIONS = st.lists(
    st.one_of(
        st.sampled_from(["take", "ack", "requeue", "announce"]),
        st.sampled_from([None, None, "state", "level"]).map(lambda key: ("put", key)),
    ),
    max_size=80,
)


@given(ACTIONS, st.integers(1, 8), st.integers(1, 4))
def test_an_outbox_is_bounded_and_loses_no_event_silently(
    actions: list[str | tuple[str, str | None]], bound: int, in_flight: int
) -> None:
    """Whatever happens: the bound holds, few are in flight, events keep their order, none is lost untold."""
    outbox: Outbox[Note] = Outbox(bound, in_flight)
    flying: dict[int, Note] = {}
    put, lost_, acknowledged = [], [], []
    for number, action in enumerate(actions):
        if isinstance(action, tuple):
            note = Note(action[1], number)
            gone = outbox.put(note)
            put.append(note)
            lost_ += [gone] if gone else []
            assert len(outbox) <= bound + 2, "an announcement's own messages may stand above the bound"
        elif action == "take":
            if (taken := outbox.take()) is not None:
                flying[taken[0]] = taken[1]
            assert len(flying) <= in_flight
        elif action == "ack" and flying:
            message_id = next(iter(flying))
            assert outbox.ack(message_id) is flying[message_id]
            assert outbox.ack(message_id) is None, "an unknown id is no error"
            acknowledged.append(flying.pop(message_id))
        elif action == "requeue":
            outbox.requeue()
            flying.clear()
        elif action == "announce":
            outbox.announce([Note("state", number)], [Note("status", number)])
            flying.clear()
    outbox.requeue()
    left = waiting(outbox)
    events = [note for note in put if note.key is None]
    assert sorted(n.number for n in [*acknowledged, *lost_, *left] if n.key is None) == [n.number for n in events]
    left_events = [note.number for note in left if note.key is None]
    assert left_events == sorted(left_events)
    assert outbox.dropped == len(lost_)


def test_state_gives_way_to_newer_state() -> None:
    """Of one topic only the newest waits, at the end: behind the event that it follows."""
    outbox: Outbox[Note] = Outbox()
    for note in (Note("state", 1), Note(None, 2), Note("state", 3)):
        assert outbox.put(note) is None
    assert waiting(outbox) == [Note(None, 2), Note("state", 3)]


def test_telemetry_is_evicted_before_events() -> None:
    """A full outbox gives up telemetry, then the oldest event, and state never: the broker would hold an untruth."""
    outbox: Outbox[Note] = Outbox(4)
    for note in (Note("state", 0), Note(None, 1), Note("level", 2), Note(None, 3)):
        outbox.put(note)
    assert outbox.put(Note(None, 4)) == Note("level", 2)
    assert outbox.put(Note(None, 5)) == Note(None, 1)
    assert outbox.put(Note("level", 6)) == Note("level", 6)
    assert waiting(outbox) == [Note("state", 0), *(Note(None, n) for n in (3, 4, 5))]


def test_what_was_in_flight_goes_out_again_first() -> None:
    """After a lost connection the unacknowledged come first, in order, but for state that is newer by now."""
    outbox: Outbox[Note] = Outbox()
    for note in (Note(None, 1), Note("state", 2), Note(None, 3)):
        outbox.put(note)
    outbox.take()
    outbox.take()
    outbox.put(Note("state", 4))
    outbox.requeue()
    assert waiting(outbox) == [Note(None, 1), Note(None, 3), Note("state", 4)]


@pytest.mark.parametrize("taken", range(4))
def test_newer_state_waits_behind_an_announcement(taken: int) -> None:
    """`last` is said after all of `first` and the events, however much is put meanwhile; older state is gone."""
    outbox: Outbox[Note] = Outbox()
    for note in (Note("state", 1), Note(None, 2)):
        outbox.put(note)
    outbox.announce([Note("enabled", 3), Note("state", 4)], [Note("status", 5)])
    out = [note for _ in range(taken) if (pair := outbox.take()) for note in [pair[1]]]
    outbox.put(Note("state", 6))
    outbox.put(Note("state", 7))
    while (pair := outbox.take()) is not None:
        out.append(pair[1])
    announced = [Note("enabled", 3), Note("state", 4), Note(None, 2), Note("status", 5)]
    assert out[: len(announced)] == announced
    assert out[len(announced) :] == [Note("state", 7)]
