"""A real Home Assistant in a process of its own, as a house runs it, for tests marked `home_assistant`.

It runs from `.venv-home-assistant` (scripts/setup-home-assistant), which holds all that it would else fetch when it
starts. Its configuration folder outlives a restart and a kill: registries, user and token stay. Tests ask it over its
WebSocket API, one short connection a question; each wait has a limit.
"""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from e2e.service import REPOSITORY
from mqtt_broker import free_port
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

PYTHON = REPOSITORY / ".venv-home-assistant" / "bin" / "python"

START_S = 120.0
"""Measured on two cores: 5 to 7 s, 26 s beside other work; the first time ever its code is compiled too."""

STOP_S = 60.0
"""An orderly stop takes a second; Home Assistant gives its parts longer."""

DEADLINE_S = 30.0
"""How long a test waits for what should come in a second or two."""

ANSWER_S = 10.0
"""How long one question may take."""

SERVES_S = 1.0
"""The same while it starts: a question that comes while it begins to listen may never be answered."""

BIRTH_S = 5.0
"""Home Assistant says `online` on `homeassistant/status` no sooner than this after its last subscription."""

# It refuses a Python below 3.13.2 and runs on 3.13.0 as well; everything after this line is its own program.
_PROGRAM = """
import sys, homeassistant.const as const
const.REQUIRED_PYTHON_VER = min(const.REQUIRED_PYTHON_VER, sys.version_info[:3])
from homeassistant.__main__ import main
sys.exit(main())
"""

_CREATED = "2026-01-01T00:00:00+00:00"

Data = dict[str, Any]


class Refused(Exception):  # noqa: N818 - says what Home Assistant did
    """Home Assistant answered a command with an error."""


@dataclass(frozen=True, slots=True)
class State:
    """What Home Assistant says of an entity now."""

    entity_id: str
    state: str
    attributes: Data
    last_changed: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """An entity in the registry. It is there also where it is disabled, and then has no state."""

    entity_id: str
    unique_id: str
    platform: str
    device_id: str | None
    disabled_by: str | None
    entity_category: str | None
    original_name: str | None


@dataclass(frozen=True, slots=True)
class Device:
    """A device in the registry; `area` is the area's name, `via` the identifiers of the device that it hangs on."""

    id: str
    name: str | None
    identifiers: frozenset[str]
    area: str | None
    sw_version: str | None
    via: frozenset[str]


class Events:
    """What Home Assistant's event bus says while this is entered, in order."""

    def __init__(self, connection: ClientConnection, event_type: str) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._received: list[Data] = []
        self._ended = False
        self._reader = threading.Thread(target=self._read, name=f"events-{event_type}")

    def __enter__(self) -> Self:
        """Begin to write down."""
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the connection, and the thread with it."""
        self._connection.close()
        self._reader.join()

    @property
    def received(self) -> list[Data]:
        """What has come so far: `event_type`, `data`, `time_fired` and more of each."""
        with self._changed:
            return list(self._received)

    def states(self, entity_id: str) -> list[str | None]:
        """Return the states that an entity took, in order, None where it went: of `state_changed` events."""
        return _states(self.received, entity_id)

    def wait_for(
        self, condition: Callable[[list[Data]], object], what: str, within_s: float = DEADLINE_S
    ) -> list[Data]:
        """Wait until `condition` holds for all that came, and return that."""
        with self._changed:
            self._changed.wait_for(lambda: condition(self._received) or self._ended, within_s)
            if not condition(self._received):
                lines = "\n".join(str(event["data"])[:200] for event in self._received)
                pytest.fail(
                    f"{'connection lost' if self._ended else f'not within {within_s} s'}: {what}; came:\n{lines}"
                )
            return list(self._received)

    def wait_for_states(self, entity_id: str, *states: str) -> None:
        """Wait until an entity has taken these states, one right after the other, as its last ones."""
        self.wait_for(
            lambda all_: _states(all_, entity_id)[-len(states) :] == list(states), f"{entity_id}: {', '.join(states)}"
        )

    def _read(self) -> None:
        try:
            for message in self._connection:
                answer = json.loads(message)
                if answer["type"] == "event":
                    with self._changed:
                        self._received.append(answer["event"])
                        self._changed.notify_all()
        except ConnectionClosed:  # it was killed; who waits is told below
            pass
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class HomeAssistant:
    """Home Assistant with a configuration of its own in `folder`; enter it to start it, leave it to kill it."""

    def __init__(
        self,
        folder: Path,
        *,
        broker_port: int,
        user: tuple[str, str] | None = None,
        configuration: Mapping[str, object] | None = None,
        automations: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """Prepare the folder.

        Args:
            folder: For the configuration, what Home Assistant keeps, and its output; made where it is missing.
            broker_port: Of the MQTT broker on this machine, which need not run.
            user: Name and password for that broker.
            configuration: More of `configuration.yaml`, by its top keys (`input_boolean`, `script`, ...).
            automations: As in `automations.yaml`; each needs an `id`, and an `alias` names its entity.
        """
        if not PYTHON.exists():
            pytest.skip(f"no {PYTHON.parent.parent.name} (make test-home-assistant makes it)")
        self.folder = folder
        self._port = free_port()
        self._token: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._output = folder / "output.log"
        (folder / ".storage").mkdir(parents=True, exist_ok=True)
        parts: dict[str, object] = {
            "homeassistant": {"name": "House", "time_zone": "UTC", "unit_system": "metric", "country": "DE"},
            "http": {"server_host": "127.0.0.1", "server_port": self._port},
            "logger": {"default": "warning"},
            **(configuration or {}),
        }
        lines = [f"{key}: {json.dumps(value)}" for key, value in parts.items()]  # JSON is YAML
        (folder / "configuration.yaml").write_text("\n".join([*lines, "automation: !include automations.yaml", ""]))
        self._write_automations(automations)
        self._write_mqtt_entry({"broker": "127.0.0.1", "port": broker_port, **_credentials(user)})

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Kill it, if it runs."""
        self.kill()

    # Its life

    def start(self) -> None:
        """Start it, and wait until it runs; not for the broker. The first start makes the owner and a token."""
        assert self._process is None, "it runs already"
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [PYTHON, "-c", _PROGRAM, "--config", self.folder, "--skip-pip", "--log-no-color"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "HOME": str(self.folder)},
            )
        self._wait(self._serves, "it serves", START_S)
        if self._token is None:
            self._token = self._onboard()
        self._wait(lambda: self._ask("get_config")["state"] == "RUNNING", "it runs", START_S)

    def stop(self) -> None:
        """End it in order: it stores what it knows."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"Home Assistant runs on after {STOP_S} s; {self._tail()}")
        self._process = None
        if code != 0:
            pytest.fail(f"Home Assistant ended with {code}; {self._tail()}")

    def restart(self) -> None:
        """End it in order, and start it again."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End it at once, if it runs. Registry entries younger than about 10 s are not stored yet, and lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None

    # What it knows

    def states(self) -> dict[str, State]:
        """Return the state of each entity, by entity id."""
        return {
            one["entity_id"]: State(
                one["entity_id"], one["state"], one["attributes"], datetime.fromisoformat(one["last_changed"])
            )
            for one in self._ask("get_states")
        }

    def entity(self, name: str) -> State:
        """Return the state of the entity with this entity id or unique id."""
        states = self.states()
        if name not in states:
            entry = self.registry().get(name)
            if entry is None or entry.entity_id not in states:
                pytest.fail(f"no state of {name} ({entry}); there are: {', '.join(sorted(states))}")
            name = entry.entity_id
        return states[name]

    def registry(self) -> dict[str, Entry]:
        """Return the registered entities, by unique id."""
        return {
            one["unique_id"]: Entry(**{name: one[name] for name in Entry.__slots__})
            for one in self._ask("config/entity_registry/list")
        }

    def devices(self) -> list[Device]:
        """Return the registered devices."""
        areas = {one["area_id"]: one["name"] for one in self._ask("config/area_registry/list")}
        found = self._ask("config/device_registry/list")
        names = {one["id"]: frozenset(value for _, value in one["identifiers"]) for one in found}
        return [
            Device(
                one["id"],
                one["name"],
                names[one["id"]],
                areas.get(one["area_id"]),
                one["sw_version"],
                names.get(one["via_device_id"], frozenset()),
            )
            for one in found
        ]

    def device(self, identifier: str) -> Device:
        """Return the device with this identifier."""
        devices = self.devices()
        found = [device for device in devices if identifier in device.identifiers]
        if len(found) != 1:
            pytest.fail(f"{len(found)} devices are {identifier}; there are: {devices}")
        return found[0]

    def notifications(self) -> dict[str, Data]:
        """Return the persistent notifications, by id: `title`, `message` and more of each."""
        return {one["notification_id"]: one for one in self._ask("persistent_notification/get")}

    def runs(self, automation: str) -> list[Data]:
        """Return the traces of the automation with this id: `trigger`, `last_step`, `timestamp`, `state` and more."""
        runs: list[Data] = self._ask("trace/list", domain="automation", item_id=automation)
        return runs

    def issues(self) -> list[Data]:
        """Return what it asks its owner to repair."""
        issues: list[Data] = self._ask("repairs/list_issues")["issues"]
        return issues

    def log_warnings(self, about: str = "mqtt") -> list[str]:
        """Return what its log has of level WARNING and above, over all starts, where `about` is in it."""
        records: list[str] = []
        for line in self._output.read_text().splitlines():
            if line[:4].isdigit() or not records:
                records.append(line)
            else:  # a traceback, or the lines of a message
                records[-1] += f"\n{line}"
        levels = (" WARNING ", " ERROR ", " CRITICAL ")
        loud = [record for record in records if any(level in record for level in levels)]
        return [record for record in loud if about.lower() in record.lower()]

    def until_warning(self, words: str, *, after: int = 0, within_s: float = DEADLINE_S) -> str:
        """Wait for a warning with these words, past the first `after` of `log_warnings("")`, and return the first."""
        found: list[str] = []

        def holds() -> bool:
            found[:] = [record for record in self.log_warnings("")[after:] if words in record]
            return bool(found)

        self._wait(holds, f"a warning: {words}", within_s)
        return found[0]

    # What it does

    def post(self, path: str, data: Mapping[str, object]) -> Data:
        """Post JSON to its HTTP interface as the owner, and return the answer."""
        return self._post(
            path, json.dumps(data).encode(), "application/json", {"Authorization": f"Bearer {self._token}"}
        )

    def call(self, domain: str, service: str, data: Mapping[str, object] | None = None) -> None:
        """Let it do something, as a press on its page does; `data` holds `entity_id` too. Raises Refused."""
        self._ask("call_service", domain=domain, service=service, service_data=dict(data or {}))

    def automate(self, *automations: Mapping[str, object]) -> None:
        """Replace the automations; a running Home Assistant reads them now."""
        self._write_automations(automations)
        if self._process is not None:
            self.call("automation", "reload")

    def until(
        self, condition: Callable[[dict[str, State]], object], what: str, within_s: float = DEADLINE_S
    ) -> dict[str, State]:
        """Ask until `condition` holds for the states, and return them."""
        states: dict[str, State] = {}

        def holds() -> object:
            nonlocal states
            states = self.states()
            return condition(states)

        self._wait(holds, what, within_s, lambda: "\n".join(f"{one.entity_id}: {one.state}" for one in states.values()))
        return states

    def until_state(self, name: str, state: str, within_s: float = DEADLINE_S) -> State:
        """Ask until the entity with this entity id or unique id has this state, and return it."""
        found: list[State] = []

        def holds() -> bool:
            entry = self.registry().get(name)
            entity_id = name if entry is None else entry.entity_id
            found[:] = [one for one in self.states().values() if one.entity_id == entity_id]
            return [one.state for one in found] == [state]

        self._wait(holds, f"{name} is {state}", within_s, lambda: str(found))
        return found[0]

    def events(self, event_type: str = "state_changed") -> Events:
        """Subscribe to the event bus; enter what this returns."""
        connection = self._connect()
        try:
            _exchange(connection, "subscribe_events", event_type=event_type)
        except BaseException:
            connection.close()
            raise
        return Events(connection, event_type)

    # How

    def _ask(self, command: str, **fields: object) -> Any:  # noqa: ANN401 - each command has an answer of its own
        with closing(self._connect()) as connection:
            return _exchange(connection, command, **fields)

    def _connect(self) -> ClientConnection:
        connection = connect(
            f"ws://127.0.0.1:{self._port}/api/websocket",
            open_timeout=ANSWER_S,
            close_timeout=ANSWER_S,
            max_size=None,
            compression=None,
            proxy=None,
        )
        try:
            _receive(connection, "auth_required")
            connection.send(json.dumps({"type": "auth", "access_token": self._token}))
            _receive(connection, "auth_ok")
        except BaseException:
            connection.close()
            raise
        return connection

    def _onboard(self) -> str:
        """Make the owner, and return a token that stays; both are stored when this returns."""
        client = f"http://127.0.0.1:{self._port}/"
        owner = {"name": "Owner", "username": "owner", "password": "not-secret", "language": "en", "client_id": client}
        code = self._post("api/onboarding/users", json.dumps(owner).encode(), "application/json")["auth_code"]
        grant = {"grant_type": "authorization_code", "code": code, "client_id": client}
        form = urllib.parse.urlencode(grant).encode()
        self._token = self._post("auth/token", form, "application/x-www-form-urlencoded")["access_token"]
        token: str = self._ask("auth/long_lived_access_token", client_name="tests", lifespan=3650)
        stored = self.folder / ".storage" / "auth"
        self._wait(lambda: stored.exists() and "long_lived_access_token" in stored.read_text(), "the token is stored")
        return token

    def _post(self, path: str, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> Data:
        url = f"http://127.0.0.1:{self._port}/{path}"
        request = urllib.request.Request(url, body, {"Content-Type": content_type, **(headers or {})})
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310
            data: Data = json.load(answer)
            return data

    def _serves(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/onboarding", timeout=SERVES_S):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 401  # onboarding is done
        except OSError:
            return False

    def _wait(
        self,
        condition: Callable[[], object],
        what: str,
        within_s: float = DEADLINE_S,
        found: Callable[[], str] = lambda: "",
    ) -> None:
        """Ask ten times a second until `condition` holds; a Home Assistant that ends meanwhile fails the test."""
        pause = threading.Event()
        end_s = time.monotonic() + within_s
        while True:
            if self._process is None or self._process.poll() is not None:
                pytest.fail(f"Home Assistant does not run: {what}; {self._tail()}")
            try:
                if condition():
                    return
            except (ConnectionClosed, WebSocketException, OSError) as error:  # it is busy, or not there yet
                reason = f" ({error!r})"
            else:
                reason = ""
            if time.monotonic() > end_s:
                pytest.fail(f"not within {within_s} s: {what}{reason}\n{found()}\n{self._tail()}")
            pause.wait(0.1)

    def _tail(self) -> str:
        return "its log ends:\n" + "\n".join(line[:500] for line in self._output.read_text().splitlines()[-30:])

    def _write_automations(self, automations: Sequence[Mapping[str, object]]) -> None:
        (self.folder / "automations.yaml").write_text(json.dumps(list(automations)))

    def _write_mqtt_entry(self, data: Data) -> None:
        """Store the set-up of the MQTT integration, as its dialogue does."""
        entry: Data = {
            "created_at": _CREATED,
            "data": data,
            "disabled_by": None,
            "discovery_keys": {},
            "domain": "mqtt",
            "entry_id": "01JTESTS0000000000000MQTT1",
            "minor_version": 2,
            "modified_at": _CREATED,
            "options": {"discovery": True},
            "pref_disable_new_entities": False,
            "pref_disable_polling": False,
            "source": "user",
            "subentries": [],
            "title": "broker",
            "unique_id": None,
            "version": 1,
        }
        stored = {"version": 1, "minor_version": 4, "key": "core.config_entries", "data": {"entries": [entry]}}
        (self.folder / ".storage" / "core.config_entries").write_text(json.dumps(stored))


def _credentials(user: tuple[str, str] | None) -> Data:
    return {} if user is None else {"username": user[0], "password": user[1]}


def _exchange(connection: ClientConnection, command: str, **fields: object) -> Any:  # noqa: ANN401
    """Send a command as the connection's first, and return its result."""
    connection.send(json.dumps({"id": 1, "type": command, **fields}))
    answer = _receive(connection, "result")
    if not answer["success"]:
        raise Refused(f"{command}: {answer['error']['code']}: {answer['error']['message']}")
    return answer["result"]


def _receive(connection: ClientConnection, kind: str) -> Data:
    answer: Data = json.loads(connection.recv(ANSWER_S))
    if answer["type"] != kind:
        raise Refused(f"{answer} where {kind} should come")
    return answer


def _states(events: Sequence[Data], entity_id: str) -> list[str | None]:
    """Return the states of an entity in `state_changed` events; a change of attributes alone repeats none."""
    new = [event["data"]["new_state"] for event in events if event["data"].get("entity_id") == entity_id]
    states = [None if one is None else str(one["state"]) for one in new]
    return [state for place, state in enumerate(states) if place == 0 or state != states[place - 1]]
