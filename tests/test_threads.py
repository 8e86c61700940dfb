import threading

import pytest

from monitor.threads import Loop


class Work:
    """Turns that a test steps through."""

    def __init__(self, *, fails: bool = False) -> None:
        self.go = threading.Semaphore(0)
        self.turned = threading.Semaphore(0)
        self.said: list[str] = []
        self._fails = fails

    def turn(self) -> None:
        """Wait for the test, at most 5 s."""
        self.go.acquire(timeout=5)
        if self._fails:
            raise ValueError("broken")
        self.turned.release()

    def finish(self) -> None:
        """Tell."""
        self.said.append("finish")

    def close(self) -> None:
        """Tell."""
        self.said.append("close")


def test_a_heartbeat_counts_from_the_last_turn() -> None:
    """The heartbeat is stamped when a turn ends; a loop that hangs in a turn falls silent."""
    now_s = [10.0]
    work = Work()
    loop = Loop("worker", work, clock=lambda: now_s[0])
    loop.start()
    now_s[0] = 14.0
    assert loop.silent_s == 4.0
    work.go.release(2)
    assert work.turned.acquire(timeout=5)
    assert work.turned.acquire(timeout=5)
    assert loop.silent_s == 0.0
    loop.stop()
    work.go.release()
    assert loop.join(5)


def test_an_orderly_end_has_last_words() -> None:
    """After `stop` a loop finishes its turn, says its last words, and closes, in this order."""
    work = Work()
    loop = Loop("worker", work)
    loop.start()
    loop.stop()
    work.go.release()
    assert loop.join(5)
    assert work.said == ["finish", "close"]
    assert loop.error is None


def test_a_death_is_seen() -> None:
    """A turn that raises ends the thread: the error is kept, `finish` is not called, `close` is."""
    work = Work(fails=True)
    loop = Loop("worker", work)
    loop.start()
    work.go.release()
    assert loop.join(5)
    assert isinstance(loop.error, ValueError)
    assert work.said == ["close"]
    assert not loop.alive


@pytest.mark.parametrize("name", ["capture-nursery", "detect"])
def test_a_thread_bears_its_name(name: str) -> None:
    """A loop's thread is named as the loop, so that logs and debuggers tell them apart."""
    work = Work()
    loop = Loop(name, work)
    loop.start()
    assert name in {thread.name for thread in threading.enumerate()}
    loop.stop()
    work.go.release()
    assert loop.join(5)
