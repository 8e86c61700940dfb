"""The timer that turns a room on again which somebody switched off: no thread, no clock of its own."""


class Rearm:
    """One room's timer: counted on the monotonic clock, told and stored as a UTC end.

    Args:
        after_s: How long a room stays off; 0: until somebody switches it on, and the timer never runs.
        until_at: Of a room that an earlier run left off: when it was to turn itself on, UTC. None: it is off by its
            configuration, and stays off.
    """

    def __init__(self, after_s: float = 0.0, until_at: float | None = None) -> None:
        self.until_at = until_at
        self._after_s = after_s
        self._due_s: float | None = None

    @property
    def asked_s(self) -> float | None:
        """How long the room was to stay off, where it is to turn itself on."""
        return self._after_s if self.runs else None

    @property
    def runs(self) -> bool:
        """Whether the room is going to turn itself on."""
        return self._due_s is not None

    def start(self, now_s: float, wall_at: float) -> None:
        """Count from now, whether it runs already or not.

        Args:
            now_s: Monotonic seconds.
            wall_at: UTC now.
        """
        self.until_at = wall_at + self._after_s
        self.resume(now_s, wall_at)

    def resume(self, now_s: float, wall_at: float) -> None:
        """Count what is left until `until_at`: not less than nothing, not more than `after_s`."""
        if self.until_at is None or not self._after_s:
            self.stop()
            return
        left_s = min(max(self.until_at - wall_at, 0.0), self._after_s)
        self._due_s, self.until_at = now_s + left_s, wall_at + left_s

    def stop(self) -> None:
        """Count no more: the room is on."""
        self._due_s = self.until_at = None

    def is_due(self, now_s: float) -> bool:
        """Whether the room is to be turned on by `now_s`."""
        return self._due_s is not None and now_s >= self._due_s
