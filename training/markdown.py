"""How a card is written: figures with their intervals, tables, paragraphs."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any


def wrapped(block: str) -> str:
    """Return a paragraph in lines of 120; headings, tables, lists and pictures as they are."""
    if block.startswith(("#", "|", "!", "- ")):
        return block
    return textwrap.fill(block, 120, break_long_words=False, break_on_hyphens=False)


def figure(estimate: dict[str, Any], digits: int = 3, *, signed: bool = False) -> str:
    """Return an estimate with its interval: 0.974 (0.951 to 0.990)."""
    return f"{estimate['value']:{'+' if signed else ''}.{digits}f} {interval(estimate, digits, signed=signed)}"


def interval(estimate: dict[str, Any], digits: int, *, signed: bool = False) -> str:
    """Return the interval of an estimate: (0.951 to 0.990)."""
    if estimate["low"] is None:
        return "(one source)"
    low, high = (f"{estimate[end]:{'+' if signed else ''}.{digits}f}" for end in ("low", "high"))
    return f"({low} to {high})"


def table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
