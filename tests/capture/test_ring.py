import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.capture.ring import RingBuffer

PIECES = st.lists(st.one_of(st.integers(0, 25), st.just(-7)), max_size=30)


@given(PIECES, st.integers(0, 40))
def test_holds_the_newest_samples(pieces: list[int], wanted: int) -> None:
    """After any writes and gaps a snapshot is the newest samples since the last gap, at most the capacity of them."""
    ring = RingBuffer(capacity=10)
    since_gap: list[int] = []
    count = 0
    for n in pieces:
        if n < 0:
            ring.skip(-n)
            since_gap = []
            count += -n
            continue
        pcm = np.arange(count, count + n, dtype=np.int16)
        ring.write(pcm)
        since_gap += pcm.tolist()
        count += n
    held = since_gap[-10:]
    assert ring.end_sample == count
    assert ring.snapshot(wanted).tolist() == (held[-wanted:] if wanted else [])


def test_a_snapshot_is_a_copy() -> None:
    """What a snapshot holds does not change when the ring goes on, and nobody can write to it."""
    ring = RingBuffer(capacity=4)
    ring.write(np.arange(4, dtype=np.int16))
    snapshot = ring.snapshot(4)
    ring.write(np.full(4, 99, np.int16))
    assert snapshot.tolist() == [0, 1, 2, 3]
    assert not snapshot.flags.writeable
