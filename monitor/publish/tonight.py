"""A room's night so far: from noon to noon by the local clock, named by the date of its evening. No clock, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from monitor.publish.rows import At, Seconds
from monitor.records import Event

_NOON = time(12)


@dataclass(frozen=True, slots=True)
class Cry:
    """An episode as the night counts it: UTC seconds of its start, seconds of crying (hang-over excluded)."""

    room: str
    episode_id: str
    started_at: At
    duration_s: Seconds


@dataclass(frozen=True, slots=True)
class Night:
    """What the history knows of one night: its episodes, and how many alerts each room had."""

    cries: tuple[Cry, ...] = ()
    alerts: tuple[tuple[str, int], ...] = ()


def night_of(at: float, zone: tzinfo | None = None) -> date:
    """Return the night that holds `at` (UTC seconds); `zone`: the local clock's, None for this machine's."""
    local = datetime.fromtimestamp(at, UTC).astimezone(zone)
    # The clock on the wall, so that noon is noon on the days on which it is put forward or back.
    return (local.replace(tzinfo=None) - timedelta(hours=12)).date()


def noon_of(night: date, zone: tzinfo | None = None) -> float:
    """Return when the night begins, in UTC seconds."""
    noon = datetime.combine(night, _NOON)
    return (noon.astimezone() if zone is None else noon.replace(tzinfo=zone)).timestamp()


class Tally:
    """One room's night. An episode belongs to the night in which it began, an alert to the one in which it was sent."""

    def __init__(self, night: date, cries: Iterable[Cry] = (), alerts: int = 0, zone: tzinfo | None = None) -> None:
        self.night = night
        self.alerts = alerts
        self._cries = {cry.episode_id: cry for cry in cries}
        self._zone = zone

    @property
    def episodes(self) -> int:
        """How many there were, a running one included."""
        return len(self._cries)

    @property
    def crying_s(self) -> float:
        """Seconds of crying, hang-over excluded; of a running episode, as far as it was told."""
        return sum(cry.duration_s for cry in self._cries.values())

    @property
    def longest_s(self) -> float:
        """The longest episode's seconds of crying."""
        return max((cry.duration_s for cry in self._cries.values()), default=0.0)

    @property
    def last_cry_at(self) -> float | None:
        """When the latest episode began, UTC seconds."""
        return max((cry.started_at for cry in self._cries.values()), default=None)

    def count(self, event: Event) -> None:
        """Take note of an event; one of another night, and a test, count nothing."""
        if event.event_type == "alert" and not event.test:
            self.alerts += night_of(event.at, self._zone) == self.night
        if event.episode_id is None or event.event_type in ("alert", "acknowledged"):
            return
        if night_of(event.started_at, self._zone) == self.night:
            cry = Cry(event.room, event.episode_id, event.started_at, event.duration_s)
            self._cries[event.episode_id] = cry
