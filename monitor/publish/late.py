"""The late rule: what an event's age means for its delivery. Ages are monotonic: a clock that is set changes none."""

from typing import Final, Literal

LATE_AFTER_S: Final = 30.0
"""An event delivered later carries `late`: nobody should be woken by it as if it were now."""

TOO_LATE_AFTER_S: Final = 600.0
"""An event older than this is kept in history only."""


class Ages:
    """When each event that waits happened. Used by the publish thread alone."""

    def __init__(self) -> None:
        self._happened_s: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._happened_s)

    def happened(self, event_id: str, now_s: float, *, age_s: float = 0.0) -> None:
        """Note an event of this process, or one from before its start: then with its age by the wall clock.

        A wall clock that was set back makes a negative age, which counts as none.
        """
        self._happened_s[event_id] = now_s - max(0.0, age_s)

    def age_s(self, event_id: str, now_s: float) -> float:
        """Return how long ago the event happened; 0 for one that is not known."""
        return now_s - self._happened_s.get(event_id, now_s)

    def forget(self, event_id: str) -> None:
        """Drop an event that waits no more."""
        self._happened_s.pop(event_id, None)


def delivery(age_s: float) -> Literal["in_time", "late", "never"]:
    """Return how an event of this age may be delivered now."""
    if age_s > TOO_LATE_AFTER_S:
        return "never"
    return "late" if age_s > LATE_AFTER_S else "in_time"
