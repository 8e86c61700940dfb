"""The threads of the service as one: started and stopped in order, watched, summed up in a line."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from monitor.publish import Glance
from monitor.threads import Loop

SILENT_S = 10.0
"""A capture or detect thread that finishes no turn for so long ends the process: the will says `offline`."""

PUBLISH_SILENT_S = 60.0
"""Publish may hang in a slow disk for longer: the ears run on meanwhile."""

CAPTURE_STOP_S, DETECT_STOP_S, PUBLISH_STOP_S = 2.0, 3.0, 4.0
"""What each step of a shutdown may take; 9 s in all."""


@dataclass(frozen=True, slots=True)
class Service:
    """The threads of the service, those that hear first, and what the last one knows of the rooms."""

    captures: list[Loop]
    detect: Loop
    publish: Loop
    glance: Callable[[], Glance]
    connected: Callable[[], bool]

    def start(self) -> None:
        """Start the sink first, so that nothing said is lost."""
        for loop in reversed(self._loops()):
            loop.start()

    def stop(self) -> bool:
        """Stop the sources first, so that their last words still find a listener; return whether all ended in time."""
        ended = True
        for loops, budget_s in (
            (self.captures, CAPTURE_STOP_S),
            ([self.detect], DETECT_STOP_S),
            ([self.publish], PUBLISH_STOP_S),
        ):
            for loop in loops:
                loop.stop()
            deadline_s = time.monotonic() + budget_s
            for loop in loops:
                ended = loop.join(max(0.0, deadline_s - time.monotonic())) and ended
        return ended

    def fault(self) -> str | None:
        """Say which thread is dead or hangs; None while all is well."""
        for loop in self._loops():
            if loop.error is not None or not loop.alive:
                return f"{loop.name} died: {loop.error!r}"
            limit_s = PUBLISH_SILENT_S if loop is self.publish else SILENT_S
            if loop.silent_s > limit_s:
                return f"{loop.name} hangs: no sign of it for {loop.silent_s:.0f} s"
        return None

    def unwell(self) -> str | None:
        """Say why the watchdog is left unfed: a thread gives no sign, or a room no samples and nobody was told."""
        for loop in self._loops():
            if loop.silent_s > SILENT_S:
                return f"{loop.name} gives no sign"
        deaf = self.glance().deaf_unsaid(time.monotonic())
        return f"no samples from {', '.join(deaf)}, and nobody was told" if deaf else None

    def status(self) -> str:
        """Return one line for a person: broker and rooms, levels and last cry."""
        broker = "broker connected" if self.connected() else "NO BROKER"
        return f"{broker}; {self.glance().in_words(time.time())}"

    def _loops(self) -> list[Loop]:
        return [*self.captures, self.detect, self.publish]
