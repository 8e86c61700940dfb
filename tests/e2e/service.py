"""The whole service in a process of its own, as a user starts it, and a way to wait for what it logs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

REPOSITORY = Path(__file__).parents[2]

DEADLINE_S = 30.0
"""How long a test waits for what should come in a second or two: the machine may be busy."""

STOP_S = 10.0
"""An orderly stop takes no longer, whatever the broker does."""

Line = dict[str, Any]


def room(path: Path, *, speed: float = 10.0, **settings: str | int) -> Line:
    """Return the settings of a room that plays a recording, `speed` times as fast as it was."""
    return {"source": "file", "path": str(path), "speed": speed, **settings}


def cry_monitor(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run any other command of `cry-monitor` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=10 * DEADLINE_S,
        check=False,
    )


class Service:
    """`cry-monitor run` with a configuration of its own in `folder`; enter it to start it, leave it to kill it.

    Entered again, it starts again with the same history. `inside` is a program that runs it in a world of its own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        rooms: Mapping[str, Line],
        node: str = "home",
        host: str = "127.0.0.1",
        protocol: str = "5",
        command: Sequence[str] = ("-m", "monitor", "run"),
        environ: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.config = folder / f"{node}.toml"
        self.history = folder / f"{node}.db"
        self.base = f"cry/{node}"
        self._errors = folder / f"{node}.stderr"
        self._command = command
        self._inside = inside
        self._environ = {**os.environ, **(environ or {})}
        tables: dict[str, Mapping[str, object]] = {
            "node": {"id": node},
            "mqtt": {"host": host, "port": port, "protocol": protocol},
            "history": {"path": str(self.history)},
            **{f"rooms.{name}": settings for name, settings in rooms.items()},
        }
        self.config.write_text(
            "\n".join(
                line
                for name, table in tables.items()
                for line in (f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items()))
            )
        )
        self._changed = threading.Condition()
        self._lines: list[Line] = []

    def __enter__(self) -> Self:
        """Start it."""
        self._lines = []
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*self._inside, sys.executable, *self._command, "--config", str(self.config)],
                cwd=REPOSITORY,
                env=self._environ,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._reader = threading.Thread(target=self._read, name="log-reader")
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it, if it runs."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    @property
    def lines(self) -> list[Line]:
        """What it has logged so far; it logs JSON and nothing else."""
        with self._changed:
            return list(self._lines)

    @property
    def errors(self) -> str:
        """What it has written to standard error: nothing, if all is well."""
        return self._errors.read_text()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def logged(self, event: str) -> list[Line]:
        """Return the lines with this event so far."""
        return [line for line in self.lines if line["event"] == event]

    def wait_for_line(self, event: str, *, count: int = 1) -> Line:
        """Wait until the log has so many lines with this event; return the last of them."""
        self.wait_for(lambda lines: sum(line["event"] == event for line in lines) >= count, f"{count} x {event}")
        return self.logged(event)[count - 1]

    def wait_for(self, condition: Callable[[list[Line]], object], what: str) -> None:
        """Wait until `condition` holds for what it has logged."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._lines), DEADLINE_S):
                log = "\n".join(map(str, self._lines))
                pytest.fail(f"not within {DEADLINE_S} s: {what}\n{log}\n{self.errors}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait for its end; return its exit code."""
        try:
            code = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it runs on after {deadline_s} s; its log:\n" + "\n".join(map(str, self.lines)))
        self._reader.join()
        return code

    def stop(self) -> float:
        """End it as a service manager does, and see that it ends in order; return the seconds that it took."""
        began_s = time.monotonic()
        self.signal(signal.SIGTERM)
        code = self.wait(STOP_S)
        took_s = time.monotonic() - began_s
        assert (code, self.errors) == (0, ""), self.lines
        return took_s

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for text in output:
                line = json.loads(text)
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
