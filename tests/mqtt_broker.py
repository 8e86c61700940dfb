"""A real mosquitto on a free port, and a client that writes down what it hears. For tests marked `broker`."""

import contextlib
import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

DEADLINE_S = 10.0
"""How long a test waits for what should come in milliseconds."""


def find(program: str, package: str = "mosquitto") -> str:
    """Return the program's path; skip the test where it is missing, and fail it in CI."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        missing(program, package)
    return path


def missing(what: str, package: str) -> NoReturn:
    """Skip the test, for want of what a package brings; fail it in CI."""
    reason = f"{what} is not installed (Debian: apt install {package})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a port that nothing listens on, and that the kernel gives to no connection of another test meanwhile."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_768)  # below /proc/sys/net/ipv4/ip_local_port_range
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until `condition` holds; for what has no condition variable of its own."""
    pause = threading.Event()
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            pytest.fail(f"not within {deadline_s} s: {what}")
        pause.wait(0.01)


class Mosquitto:
    """A broker that keeps nothing over a restart. Start, stop, kill, pause and start it again on its port."""

    def __init__(self, folder: Path, *, users: Mapping[str, str] | None = None, settings: Sequence[str] = ()) -> None:
        """Prepare a configuration in `folder`.

        Args:
            folder: For the configuration and the log.
            users: Name and password of those who may come in; everybody may where it is None.
            settings: More lines of mosquitto's configuration, for its listener.
        """
        self.port = free_port()
        self._program = find("mosquitto")
        self._config = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"
        lines = [
            f"listener {self.port} 127.0.0.1",
            *settings,
            f"allow_anonymous {'false' if users else 'true'}",
            "persistence false",
            f"user {getpass.getuser()}",  # started as root it would give up its rights, and the folder with them
        ]
        if users:
            passwords = folder / "passwords"
            passwords.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
            passwords.chmod(0o600)
            subprocess.run([find("mosquitto_passwd"), "-U", passwords], check=True)
            lines.append(f"password_file {passwords}")
        self._config.write_text("\n".join([*lines, ""]))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self._log.open("ab") as output:
            process = subprocess.Popen([self._program, "-c", self._config], stdout=output, stderr=output)
        self._process = process
        wait_until(lambda: process.poll() is not None or self._listens(), "mosquitto listens")
        if process.poll() is not None:
            pytest.fail(f"mosquitto ended with {process.returncode}: {self._log.read_text()}")

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang: connections stand, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    @property
    def log(self) -> str:
        """What it has logged: who came, and who went and why."""
        return self._log.read_text()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._signal(number)
            self._signal(signal.SIGCONT)
            self._process.wait(DEADLINE_S)
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def running(broker: Mosquitto) -> Iterator[Mosquitto]:
    """Start a broker, and kill it at the end."""
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it came from the broker; `retain` as its sender set it."""

    topic: str
    payload: bytes
    retain: bool
    qos: int


class Recorder:
    """Subscribes to everything and keeps it in the order in which it came. Close it."""

    def __init__(
        self, port: int, topic: str = "#", *, user: tuple[str, str] | None = None, session: str | None = None
    ) -> None:
        """Connect and subscribe; with a `session` the broker keeps for it what comes while it is away."""
        self._changed = threading.Condition()
        self._received: list[Received] = []
        self._ready = False
        self._topic = topic
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=session or "", protocol=MQTTv5, reconnect_on_failure=False
        )
        if user is not None:
            self._client.username_pw_set(*user)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        kept = properties()
        kept.SessionExpiryInterval = 0 if session is None else 3600
        self._client.connect("127.0.0.1", port, clean_start=session is None, properties=kept)
        self._client.loop_start()
        with self._changed:
            assert self._changed.wait_for(lambda: self._ready, DEADLINE_S), "the recorder could not subscribe"

    @property
    def received(self) -> list[Received]:
        """What has come so far."""
        with self._changed:
            return list(self._received)

    def topics(self) -> list[str]:
        """The topics of what has come so far."""
        return [message.topic for message in self.received]

    def wait_for(
        self, condition: Callable[[list[Received]], object], what: str = "", deadline_s: float = DEADLINE_S
    ) -> list[Received]:
        """Wait until `condition` holds for all that came, and return that."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._received), deadline_s):
                lines = "\n".join(f"{m.topic} {m.payload[:120]!r}" for m in self._received)
                pytest.fail(f"not within {deadline_s} s: {what}; received:\n{lines}")
            return list(self._received)

    def wait_for_message(self, topic: str, payload: bytes | None = None, *, after: int = 0) -> Received:
        """Wait for a message on `topic`, with this payload where one is given, after the first `after` messages."""

        def fits(message: Received) -> bool:
            return message.topic == topic and payload in {None, message.payload}

        found = self.wait_for(lambda all_: any(map(fits, all_[after:])), f"{topic} {payload!r}")
        return next(message for message in found[after:] if fits(message))

    def clear(self) -> None:
        """Forget what has come so far."""
        with self._changed:
            self._received.clear()

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish a message, and wait until the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(DEADLINE_S)

    def send_soon(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish a message, and go on: one of many; what is sent later arrives later."""
        self._client.publish(topic, payload, qos=1, retain=retain)

    def close(self) -> None:
        """Disconnect, and end the client's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, _reason: ReasonCode, _properties: object
    ) -> None:
        client.subscribe(self._topic, options=SubscribeOptions(qos=1, retainAsPublished=True))

    def _on_subscribe(self, _client: Client, _data: object, _mid: int, _reasons: object, _properties: object) -> None:
        with self._changed:
            self._ready = True
            self._changed.notify_all()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._changed:
            self._received.append(Received(message.topic, bytes(message.payload), message.retain, message.qos))
            self._changed.notify_all()


@contextmanager
def recording(port: int, topic: str = "#", *, user: tuple[str, str] | None = None) -> Iterator[Recorder]:
    """Connect a recorder, and close it at the end."""
    recorder = Recorder(port, topic, user=user)
    try:
        yield recorder
    finally:
        recorder.close()


def properties() -> Properties:
    """Return empty CONNECT properties, for a test's own client."""
    return Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
