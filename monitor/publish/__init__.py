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
from monitor.publish.glance import Glance
from monitor.publish.loop import Publisher
from monitor.publish.messages import Message, Messages, is_retained
from monitor.publish.probe import Probe
from monitor.publish.reader import PastAlert, PastEpisode, past_alerts, past_episodes
from monitor.publish.rehearsal import Rehearsal
from monitor.publish.store import Store
from monitor.publish.sweep import Sweep

__all__ = [
    "MEMORY",
    "PATIENT_S",
    "AlertLog",
    "Broker",
    "Discovery",
    "Erasure",
    "Found",
    "Glance",
    "Message",
    "Messages",
    "PastAlert",
    "PastEpisode",
    "Probe",
    "Publisher",
    "Rehearsal",
    "Store",
    "Sweep",
    "is_retained",
    "past_alerts",
    "past_episodes",
    "try_to_write",
]
