"""What a history must be told that is opened while the service runs: settings, running cries, what no broker has."""

from typing import Final

from monitor.publish.interrupted import interrupted
from monitor.publish.store import Store
from monitor.records import Applied, Event, SettingName

_KEPT_AT_MOST: Final = 1_000
"""Events and episodes, of each the newest: what an outbox holds."""


class Ongoing:
    """What goes on, apart from any file. Used by the publish thread alone.

    Args:
        asks_settings: The first file holds the settings that run; else nobody could ask it, and the configuration's do.
    """

    def __init__(self, *, asks_settings: bool) -> None:
        self._asks_settings = asks_settings
        self._applied: dict[tuple[str, SettingName], Applied] = {}
        self._episodes: dict[str, Event | None] = {}  # of this run; None: it has ended
        self._events: dict[str, Event | None] = {}  # of this run, and those taken up; None: a broker has it

    def happened(self, event: Event) -> None:
        """Take note of an event of this run."""
        if event.episode_id is not None and event.event_type in ("cry_started", "cry_ongoing", "cry_ended"):
            _keep(self._episodes, event.episode_id, None if event.event_type == "cry_ended" else event)
        _keep(self._events, event.event_id, event)

    def take_up(self, event: Event) -> bool:
        """Take note of an event of an earlier run; return False for one that is known."""
        known = event.event_id in self._events
        if not known:
            _keep(self._events, event.event_id, event)
        return not known

    def settle(self, event_id: str) -> None:
        """Take note that an event needs to be sent no more."""
        if event_id in self._events:
            self._events[event_id] = None

    def apply(self, applied: Applied) -> None:
        """Take note of a setting."""
        self._applied[applied.room, applied.setting] = applied

    def tell(self, store: Store) -> None:
        """Tell a file that was opened, and close what an earlier run left open in it. Again is no error.

        Raises:
            StoreError: Perhaps half of it was told.
        """
        if self._asks_settings:
            self._applied = {**store.kept_settings(), **self._applied}
            self._asks_settings = False
        else:
            store.keep_only(self._applied)
        for episode in store.open_episodes():
            if episode.episode_id not in self._episodes:
                store.append(interrupted(episode))
        for event in self._events.values():
            if event is not None:
                store.append(event)
        for event in self._episodes.values():
            if event is not None:
                store.continue_episode(event)


def _keep(kept: dict[str, Event | None], key: str, event: Event | None) -> None:
    kept[key] = event
    if len(kept) > _KEPT_AT_MOST:
        del kept[next(iter(kept))]
