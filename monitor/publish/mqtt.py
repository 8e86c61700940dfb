"""One connection to the broker. The only importer of paho.

paho's own reconnect and offline queue are not used. Measured with 2.x: the queue has no bound by default, loses QoS 0,
and `is_published()` of a message queued offline raises for ever. So a `Link` is one client object for one connection,
thrown away after it, and nothing is handed to it while the broker is away.

Name look-up, TCP and TLS happen in paho's thread alone, and its callbacks only enqueue reports: `on_publish` can run
before `publish()` returns, so the message id is matched later, by the publish thread.
"""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from monitor.errors import DeliveryError
from monitor.publish.broker import Broker
from monitor.publish.commands import PAYLOAD_CAP_BYTES
from monitor.publish.diagnosis import Diagnosis, lasting, of_error, of_refusal
from monitor.publish.messages import Message
from monitor.publish.reports import Acked, Incoming, LinkDown, LinkReport, LinkUp, SubscriptionRefused

KEEPALIVE_S: Final = 15

INCOMING: Final = 256
"""So many messages of others wait for the publish thread; more are dropped and counted, or a flood of them would push
our own events out of its queue."""

_TAKEN_OVER: Final = 0x8E


class Link:
    """One connection, from the first look-up of the name to its end. The publish thread calls it; no call blocks."""

    def __init__(
        self,
        number: int,
        broker: Broker,
        will: Message,
        report: Callable[[LinkReport], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        wall: Callable[[], float] = time.time,
        cap_bytes: int = PAYLOAD_CAP_BYTES,
    ) -> None:
        """Begin to connect; `LinkUp` or `LinkDown` tells of it.

        Args:
            number: Stands in every report of this connection.
            broker: Where to.
            will: What the broker says when we are gone without a word.
            report: Takes the reports, in paho's thread; must not block.
            clock: Monotonic seconds.
            wall: UTC seconds; a certificate that has expired is told with them.
            cap_bytes: So much of a payload is kept.

        Raises:
            DeliveryError: It cannot even be tried: a certificate's file, a host that no name can be, a machine that
                gives no socket.
        """
        self._ear = _Ear(number, broker, report, clock, wall, cap_bytes)
        v5 = broker.protocol == "5"
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            clean_session=None if v5 else True,
            protocol=MQTTv5 if v5 else MQTTv311,
            reconnect_on_failure=False,
        )
        if broker.username is not None:
            password = broker.password.get_secret_value() if broker.password else None
            self._client.username_pw_set(broker.username, password)
        if broker.tls:
            self._client.tls_set_context(broker.tls_context())
        self._client.will_set(will.topic, will.payload, will.qos, will.retain)
        # The client holds the ear and the ear nothing of the client: no cycle, so that a client that is let go closes
        # its wake-up sockets at once and not when the collector comes by.
        self._client.on_pre_connect = self._ear.on_pre_connect
        self._client.on_connect = self._ear.on_connect
        self._client.on_connect_fail = self._ear.on_connect_fail
        self._client.on_disconnect = self._ear.on_disconnect
        self._client.on_publish = self._ear.on_publish
        self._client.on_subscribe = self._ear.on_subscribe
        self._client.on_message = self._ear.on_message
        self._client.on_log = self._ear.on_log
        try:
            # What paho's look-up would raise in its own thread, where no callback tells of it.
            broker.host.encode("idna")
            self._client.connect_async(
                broker.host,
                broker.port,
                KEEPALIVE_S,
                clean_start=True,
                properties=_session_ends_with_us() if v5 else None,
            )
        except ValueError as error:  # UnicodeError is one
            raise DeliveryError("mqtt.host", f"{broker.host!r} is no host name: {error}", "correct it") from error
        try:
            self._client.loop_start()
        except OSError as error:  # paho wakes its thread by two sockets of 127.0.0.1
            fault = f"this machine gives no socket: {error}"
            raise DeliveryError("mqtt", fault, "see that its loopback is up: ip link set lo up") from error

    @property
    def ended(self) -> bool:
        """Whether paho's thread came to its end: no report follows, nothing is sent.

        A thread that has not said its name yet counts as running, unless it was told to end before it began.
        """
        thread = self._ear.thread
        return self._ear.unwanted if thread is None else not thread.is_alive()

    def publish(self, message: Message) -> int | None:
        """Hand over one message; return the id that its `Acked` will carry, or None: the connection is gone."""
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain)
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def subscribe(self, filters: tuple[str, ...]) -> None:
        """Ask for what matches `filters`, QoS 1; `SubscriptionRefused` tells of each that the broker will not.

        Once in the life of a connection: the answer names no filter, and is matched by the order.
        """
        self._ear.filters = filters
        self._client.subscribe([(topic_filter, 1) for topic_filter in filters])

    def took_incoming(self) -> None:
        """Say that one `Incoming` waits no more."""
        self._ear.room.release()

    def disconnect(self) -> None:
        """Part in order: the broker throws the will away. Also ends a connection that is still being made."""
        self._ear.unwanted = True
        self._client.disconnect()

    def drop(self) -> None:
        """Hang up without a word, so that the broker publishes the will."""
        self._ear.unwanted = True
        open_socket = self._client.socket()
        if open_socket is None:
            self._client.disconnect()
        else:
            # Not paho's to do: its thread sees the end of the stream, and ends. The plain call, since that of an
            # encrypted socket would take the encryption from under paho's thread.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(open_socket, socket.SHUT_RDWR)  # type: ignore[arg-type]

    def wait_ended(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for paho's thread to end; return whether it has. The one call here that blocks."""
        thread = self._ear.thread
        if thread is not None:
            thread.join(max(0.0, timeout_s))
        return self.ended


class _Ear:
    """Runs in paho's thread: enqueues what happened, and nothing else."""

    def __init__(
        self,
        number: int,
        broker: Broker,
        report: Callable[[LinkReport], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        cap_bytes: int,
    ) -> None:
        self.thread: threading.Thread | None = None
        self.unwanted = False
        self.filters: tuple[str, ...] = ()
        self.room = threading.Semaphore(INCOMING)
        self._dropped = 0
        self._cap_bytes = cap_bytes
        self._number = number
        self._broker = broker
        self._report = report
        self._clock = clock
        self._wall = wall
        self._up_s: float | None = None
        self._diagnosis: Diagnosis | None = None
        self._told = False

    def on_pre_connect(self, _client: Client, _userdata: object) -> None:
        self.thread = threading.current_thread()

    def on_connect(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._diagnosis = of_refusal(reason.value, str(reason), self._broker)
        elif self.unwanted:  # given up while its name was looked up
            client.disconnect()
        else:
            self._up_s = self._clock()
            self._report(LinkUp(self._number))

    def on_connect_fail(self, client: Client, _userdata: object) -> None:
        # paho calls this from its `except OSError`, and says the reason to nobody.
        self._take_note(sys.exception())
        self._tell_down("it failed without a reason")
        # Else its thread would wait and try again: `reconnect_on_failure` is not asked before the first connection.
        client.disconnect()

    def on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server and reason.value == _TAKEN_OVER:
            fault = "another client has connected with our client id"
            self._diagnosis = lasting(fault, "set another mqtt.client_id: no two services may share one")
        self._tell_down(str(reason))

    def on_log(self, _client: Client, _userdata: object, level: int, _text: str) -> None:
        # paho says in its log alone why it could not read: a broker's alert that wants a certificate comes here.
        if level == LogLevel.MQTT_LOG_ERR:
            self._take_note(sys.exception())

    def on_publish(
        self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._report(Acked(self._number, mid, str(reason) if reason.is_failure else None))

    def on_subscribe(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        for topic_filter, reason in zip(self.filters, reasons, strict=False):
            if reason.is_failure:
                self._report(SubscriptionRefused(self._number, topic_filter, str(reason)))

    def on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # a broker that lets such a topic through; it is none of ours
            return
        if not self.room.acquire(blocking=False):
            self._dropped += 1
            return
        payload = bytes(message.payload[: self._cap_bytes])
        dropped, self._dropped = self._dropped, 0
        self._report(Incoming(self._number, topic, payload, len(message.payload), message.retain, dropped))

    def _take_note(self, error: BaseException | None) -> None:
        if isinstance(error, OSError) and self._diagnosis is None:
            up = self._up_s is not None
            self._diagnosis = of_error(error, self._broker, connected=up, now_at=self._wall())

    def _tell_down(self, otherwise: str) -> None:
        if not self._told:
            self._told = True
            found = self._diagnosis or Diagnosis(otherwise)
            connected_for_s = None if self._up_s is None else self._clock() - self._up_s
            self._report(LinkDown(self._number, found.fault, found.lasting, connected_for_s, found.fix))


def _session_ends_with_us() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.SessionExpiryInterval = 0
    return properties
