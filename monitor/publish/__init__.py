"""Says over MQTT what the rooms hear, keeps its history, and takes the commands that come back.

`Publisher` is the thread's work, `Broker` where it speaks, `Messages` what it says, `Store` what it keeps.
"""

from monitor.publish.broker import Broker
from monitor.publish.loop import Publisher
from monitor.publish.messages import Message, Messages, is_retained
from monitor.publish.store import MEMORY, Store

__all__ = ["MEMORY", "Broker", "Message", "Messages", "Publisher", "Store", "is_retained"]
