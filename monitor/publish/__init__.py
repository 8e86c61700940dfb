"""Says over MQTT what the rooms hear, keeps its history, and takes the commands that come back.

`Publisher` is the thread's work, `Broker` where it speaks, `Messages` what it says, `Discovery` what Home Assistant is
told of it, `Store` and `AlertLog` what it keeps; `past_episodes` reads that beside a running service, and `Erasure`
forgets a room of it.
"""

from monitor.publish.alert_log import AlertLog
from monitor.publish.broker import Broker
from monitor.publish.database import MEMORY, PATIENT_S, try_to_write
from monitor.publish.discovery import Discovery
from monitor.publish.erasure import Erasure, Found
from monitor.publish.figures import Count, Figures
from monitor.publish.glance import Glance
from monitor.publish.loop import Publisher
from monitor.publish.messages import Message, Messages, is_retained
from monitor.publish.minutes import MINUTE_S, Minute
from monitor.publish.probe import Probe
from monitor.publish.reader import Past, PastAlert, PastEpisode, open_past, past_alerts, past_episodes
from monitor.publish.rehearsal import Rehearsal
from monitor.publish.store import Store
from monitor.publish.sweep import Sweep
from monitor.publish.tonight import night_of, noon_of

__all__ = [
    "MEMORY",
    "MINUTE_S",
    "PATIENT_S",
    "AlertLog",
    "Broker",
    "Count",
    "Discovery",
    "Erasure",
    "Figures",
    "Found",
    "Glance",
    "Message",
    "Messages",
    "Minute",
    "Past",
    "PastAlert",
    "PastEpisode",
    "Probe",
    "Publisher",
    "Rehearsal",
    "Store",
    "Sweep",
    "is_retained",
    "night_of",
    "noon_of",
    "open_past",
    "past_alerts",
    "past_episodes",
    "try_to_write",
]
