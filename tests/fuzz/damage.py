"""What every fuzz test shares: how much is tried, how bytes and values go wrong, and what a call may use.

By default few examples are tried and always the same: a test suite must say the same twice. `FUZZ_EXAMPLES=5000` tries
so many, other ones each time; `scripts/fuzz` goes on for as long as it is told to.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))

MEMORY_BYTES = 512 << 20
"""More than any input may cost; what is refused for its size must be refused before that."""

fuzz = settings(
    max_examples=EXAMPLES or 60,
    derandomize=not EXAMPLES,
    deadline=timedelta(seconds=20),  # nothing takes one second on a quiet machine
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    phases=[phase for phase in Phase if EXAMPLES or phase is not Phase.reuse],
    print_blob=True,
)
"""How every test here runs; `slow_fuzz` is for one whose example takes long."""

slow_fuzz = settings(fuzz, max_examples=EXAMPLES or 12)

ODD = (b"", b"\0", b"\xff", b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0" * 8)
"""Bytes that mean the least, the most, NaN, infinity."""

scraps = st.sampled_from(ODD) | st.binary(max_size=12)
numbers = (
    st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from([0, -1, 1e308, -1e308, 5e-324, 2**31, 2**53, 2**63, 10**400, 253_402_300_800, -62_135_596_801])
)
values: st.SearchStrategy[object] = (
    st.none() | st.booleans() | numbers | st.text(max_size=12) | st.just([]) | st.just({}) | st.just([{}])
)
"""What JSON or a database may hold where something else belongs."""


def damaged(*good: bytes, most: int = 6) -> st.SearchStrategy[bytes]:
    """Return strategies' favourite: one of `good` with a few places overwritten, cut out, doubled, or broken off."""

    @st.composite
    def damage(draw: st.DrawFn) -> bytes:
        data = draw(st.sampled_from(good))
        for _ in range(draw(st.integers(1, most))):
            start = draw(st.integers(0, min(64, len(data))) | st.integers(0, len(data)))
            scrap = draw(scraps)
            match draw(st.sampled_from(["write", "write", "insert", "cut", "double", "end"])):
                case "write":
                    data = data[:start] + scrap + data[start + len(scrap) :]
                case "insert":
                    data = data[:start] + scrap + data[start:]
                case "cut":
                    data = data[:start] + data[start + draw(st.integers(1, 64)) :]
                case "double":
                    data = data[:start] + data[max(0, start - draw(st.integers(1, 64))) :]
                case _:
                    data = data[:start]
        return data

    return damage()


def replaced(tree: object) -> st.SearchStrategy[object]:
    """Return this tree of dicts and lists with one of its values, or a whole branch, replaced or gone."""

    @st.composite
    def replace(draw: st.DrawFn) -> object:
        def walk(node: object) -> object:
            branches: list[object] = list(node if isinstance(node, dict) else range(len(node)))  # type: ignore[arg-type]
            if not branches or draw(st.integers(0, 3)) == 0:
                return draw(values)
            key = draw(st.sampled_from(branches))
            inner = node[key]  # type: ignore[index]  # a dict by its keys, a list by its numbers
            left = draw(st.integers(0, 4)) == 0
            changed = walk(inner) if isinstance(inner, dict | list) else draw(values)
            if isinstance(node, dict):
                return {k: changed if k == key else v for k, v in node.items() if not (left and k == key)}
            return [changed if i == key else v for i, v in enumerate(cast("list[object]", node))]

        return walk(tree)

    return replace()


@contextmanager
def bounded() -> Iterator[None]:
    """Let nothing inside take more than `MEMORY_BYTES` beyond what this process has: it would be a `MemoryError`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
