"""The fuzz tests as targets of atheris: without arguments their names, else the one named, with libFuzzer's options.

Each test is the target: Hypothesis makes its examples of the bytes that atheris finds (`fuzz_one_input`).
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris

HERE = Path(__file__).parent


def targets() -> Iterator[tuple[str, Callable[[bytes], object]]]:
    """Yield the name of each fuzz test, and what takes its bytes."""
    for file in sorted(HERE.glob("test_*.py")):
        for name, test in vars(importlib.import_module(f"fuzz.{file.stem}")).items():
            if name.startswith("test_") and hasattr(test, "hypothesis"):
                yield name, test.hypothesis.fuzz_one_input


def main() -> None:
    """List the targets, or run one until its time is over or it fails."""
    if not sys.argv[1:]:
        sys.stdout.write("".join(f"{name}\n" for name, _ in targets()))
        return
    wanted = sys.argv.pop(1)
    with atheris.instrument_imports(include=["monitor"]):
        found = dict(targets())
    atheris.Setup(sys.argv, lambda data: found[wanted](data) and None)
    atheris.Fuzz()


main()
