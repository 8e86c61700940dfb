"""A kind of source that this release cannot open yet: its room is offline and says why; the service runs on."""

import numpy as np

from monitor.errors import SourceError
from monitor.records import Samples


class UnavailableSource:
    """See `AudioSource`."""

    live = True

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def open(self) -> None:
        """Refuse."""
        raise SourceError(f'source = "{self._kind}"', "is not available yet", 'use source = "file" with a path')

    def read(self) -> Samples:
        """Return nothing."""
        return np.zeros(0, np.int16)

    def close(self) -> None:
        """Nothing to give back."""
