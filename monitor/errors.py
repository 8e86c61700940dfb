"""What can go wrong, by name: facts as fields, the sentence built once.

The effect of each stands in the error table of `docs/architecture.md`.
"""


class MonitorError(Exception):
    """The parent of every error that this service raises on purpose.

    Attributes:
        subject: What it is about: a key path, a file, a room.
        fault: What is wrong with it.
        fix: What the reader can do.
    """

    exit_code = 1

    def __init__(self, subject: str, fault: str, fix: str = "") -> None:
        super().__init__(f"{subject}: {fault}" + (f" ({fix})" if fix else ""))
        self.subject = subject
        self.fault = fault
        self.fix = fix


class ConfigError(MonitorError):
    """One or more settings cannot be used; `problems` holds one sentence each. The process exits with 78."""

    exit_code = 78

    def __init__(self, problems: list[str]) -> None:
        super().__init__("configuration", "\n  ".join(["cannot be used:", *problems]))
        self.problems = problems


class ModelError(MonitorError):
    """A model's folder is absent, damaged or answers otherwise than when it was made. The process exits with 70."""

    exit_code = 70


class SourceError(MonitorError):
    """A room's source cannot be opened or read; that room alone is offline, and it is tried again."""


class AudioFileError(SourceError):
    """A recording cannot be read: absent, empty, truncated or no audio."""


class InferenceError(MonitorError):
    """The model failed on a batch; five in a row end the process."""


class DeliveryError(MonitorError):
    """The broker cannot be reached or refuses us; messages wait and the connection is tried again."""


class StoreError(MonitorError):
    """The history cannot be read or written; alerts still go out."""


class StoreDamagedError(StoreError):
    """The history's file is damaged, or no longer the one that was opened: it is opened anew, at once."""


class StoreRefusedError(StoreError):
    """The history will never take this write, whatever becomes of disk and lock; it takes the next one."""


class PictureError(MonitorError):
    """A picture cannot be drawn or written; what it would show is told in words."""
