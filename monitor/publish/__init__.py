"""Says over MQTT what the rooms hear, keeps its history, and takes the commands that come back.

`Publisher` is the thread's work, `Broker` where it speaks, `Messages` what it says, `Store` what it keeps;
`past_episodes` reads that beside a running service.
"""

from monitor.publish.broker import Broker
from monitor.publish.database import MEMORY, try_to_write
from monitor.publish.glance import Glance
from monitor.publish.loop import Publisher
from monitor.publish.messages import Message, Messages, is_retained
from monitor.publish.probe import Probe
from monitor.publish.reader import PastEpisode, past_episodes
from monitor.publish.store import Store

__all__ = [
    "MEMORY",
    "Broker",
    "Glance",
    "Message",
    "Messages",
    "PastEpisode",
    "Probe",
    "Publisher",
    "Store",
    "is_retained",
    "past_episodes",
    "try_to_write",
]
