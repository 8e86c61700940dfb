"""What Home Assistant is told of us, so that it shows each room as a device by itself: messages, and nothing else.

By its device discovery: one retained message a device. No state and no clock.
"""

from collections.abc import Mapping, Sequence

from monitor.publish.components import availability, of_a_room, of_the_node
from monitor.publish.messages import Message, retained, to_json

NAME = "cry-monitor"


class Discovery:
    """The devices of one node: one for each room, and one for the node that they hang on. Any thread.

    Args:
        prefix: Where Home Assistant looks, its `discovery_prefix`.
        base: The node's first part of every topic, `Messages.base`.
        node_id: The node.
        rooms: What people call each room, by its id.
        categories: The causes that the reason model can name.
        version: This service's.
        announce: False: nothing is said of what there is; a room that is configured no more is cleared all the same.

    Attributes:
        birth_topic: Where Home Assistant says that it has begun; None where it is not told anything.
    """

    def __init__(
        self,
        *,
        prefix: str,
        base: str,
        node_id: str,
        rooms: Mapping[str, str],
        categories: Sequence[str],
        version: str,
        announce: bool = True,
    ) -> None:
        self.birth_topic = f"{prefix}/status" if announce else None
        self._announce = announce
        self._prefix = prefix
        self._base = base
        self._node_id = node_id
        self._rooms = dict(rooms)
        self._categories = tuple(categories)
        self._version = version

    def messages(self) -> list[Message]:
        """Return one message a device: the node first, since the rooms name it. None where nothing is announced."""
        if not self._announce:
            return []
        return [self.node(), *(self.room(room) for room in self._rooms)]

    def node(self) -> Message:
        """The device of the node."""
        device = self._device(f"cry_{self._node_id}", f"Cry monitor {self._node_id}", "Node")
        return self._message(f"cry_{self._node_id}", device, components=of_the_node(self._base, self._node_id))

    def room(self, room: str) -> Message:
        """The device of a room."""
        name, device_id = self._rooms[room], f"cry_{self._node_id}_{room}"
        device = self._device(device_id, name, "Room") | {
            "suggested_area": name,
            "via_device": f"cry_{self._node_id}",
        }
        return self._message(
            device_id,
            device,
            availability=availability(self._base, room),
            availability_mode="all",
            components=of_a_room(self._base, self._node_id, room, self._categories),
        )

    def forget(self, room: str) -> Message:
        """Let a room that is configured no more vanish from Home Assistant."""
        return retained(self._topic(f"cry_{self._node_id}_{room}"), b"")

    def _device(self, device_id: str, name: str, model: str) -> dict[str, object]:
        return {
            "identifiers": [device_id],
            "name": name,
            "manufacturer": NAME,
            "model": model,
            "sw_version": self._version,
        }

    def _message(self, device_id: str, device: Mapping[str, object], **rest: object) -> Message:
        origin = {"name": NAME, "sw_version": self._version}
        return retained(self._topic(device_id), to_json({"device": device, "origin": origin, **rest}))

    def _topic(self, device_id: str) -> str:
        return f"{self._prefix}/device/{device_id}/config"
