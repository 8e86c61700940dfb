"""The demo's own broker, so that nothing has to be set up, and one listener on it. The only importer of amqtt."""

import asyncio
import logging
import socket
from collections.abc import Callable

from amqtt.broker import Broker as AmqttBroker
from amqtt.client import MQTTClient
from amqtt.errors import AMQTTError
from amqtt.mqtt.constants import QOS_1

from monitor.errors import DeliveryError

TURN_S = 0.1

# It warns of acknowledgements that come before it waits for them, which is how a fast client is.
logging.getLogger("amqtt").setLevel(logging.ERROR)


class DemoBroker:
    """An MQTT 3.1.1 broker on a free port of this machine; see `threads.Turns` for its turns.

    Args:
        on_message: Called with topic and payload of every message, on the broker's thread.
    """

    def __init__(self, on_message: Callable[[str, bytes], None]) -> None:
        self._on_message = on_message
        self._loop = asyncio.new_event_loop()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._broker = AmqttBroker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            },
            loop=self._loop,
        )
        self._listener = MQTTClient(config={"auto_reconnect": False, "plugins": {}})
        self._heard: asyncio.Task[None] | None = None

    def turn(self) -> None:
        """Serve for `TURN_S`; the first turn opens the port.

        Raises:
            DeliveryError: It cannot be opened.
        """
        if self._heard is None:
            try:
                self._loop.run_until_complete(self._start())
            except (OSError, AMQTTError) as error:
                raise DeliveryError(f"the demo's broker on port {self.port}", f"cannot be started: {error}") from error
            self._heard = self._loop.create_task(self._hear())
        if self._heard.done():
            self._heard.result()
        self._loop.run_until_complete(asyncio.sleep(TURN_S))

    def finish(self) -> None:
        """Nothing to say."""

    def close(self) -> None:
        """Close the port."""
        if self._heard is not None:
            self._heard.cancel()
            self._loop.run_until_complete(self._stop())
        self._loop.close()

    async def _start(self) -> None:
        await self._broker.start()
        await self._listener.connect(f"mqtt://127.0.0.1:{self.port}/")
        await self._listener.subscribe([("#", QOS_1)])

    async def _hear(self) -> None:
        while True:
            message = await self._listener.deliver_message()
            if message is not None:
                self._on_message(message.topic, bytes(message.data or b""))

    async def _stop(self) -> None:
        await self._listener.disconnect()
        await self._broker.shutdown()
