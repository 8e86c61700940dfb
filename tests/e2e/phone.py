"""A phone with the Home Assistant app: registered over the app's own interface, and pushed to as one is."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import pytest
from e2e.home_assistant import DEADLINE_S, HomeAssistant

Push = dict[str, Any]

CLEAR = "clear_notification"


class Phone:
    """Enter it to register it; what is pushed to it is kept in order.

    Attributes:
        device_id: What a blueprint's input holds.
        story: When (UTC seconds) what was shown and pressed, for a reader.
    """

    def __init__(self, house: HomeAssistant, name: str, *, serial: str = "", push: bool = True) -> None:
        """Prepare one; `serial` tells two of one name apart, and without `push` nothing can be sent to it."""
        self._house = house
        self._id = f"id-{name}{serial}"
        self._push = push
        self.name = name
        self.device_id = ""
        self._webhook = ""
        self._changed = threading.Condition()
        self._pushes: list[Push] = []
        self.story: list[tuple[float, str]] = []

    def __enter__(self) -> Self:
        """Listen for pushes, and register."""
        phone = self

        class Cloud(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                push = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b"{}")
                phone._take(push)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"push-{self.name}")
        self._thread.start()
        about = {
            "app_id": "io.robbie.HomeAssistant",
            "app_name": "Home Assistant",
            "app_version": "2026.1",
            "device_id": self._id,
            "device_name": self.name,
            "manufacturer": "Example",
            "model": "Phone",
            "os_name": "iOS",
            "os_version": "26",
            "supports_encryption": False,
            "app_data": {},
        }
        if self._push:
            url = f"http://127.0.0.1:{self._server.server_port}/push"
            about["app_data"] = {"push_token": self.name, "push_url": url}
        self._webhook = self._house.post("api/mobile_app/registrations", about)["webhook_id"]
        self.device_id = self._house.device(self._id).id
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def pushes(self) -> list[Push]:
        """What has come so far, `message`, `title` and `data` of each."""
        with self._changed:
            return list(self._pushes)

    @property
    def rung(self) -> list[Push]:
        """Those that ring, whatever the phone is set to."""
        return [push for push in self.pushes if rings(push)]

    def forget(self) -> None:
        """Forget what has come so far."""
        with self._changed:
            self._pushes.clear()
            self.story.clear()

    def wait_for(
        self, condition: Callable[[list[Push]], object], what: str, within_s: float = DEADLINE_S
    ) -> list[Push]:
        """Wait until `condition` holds for all that came, and return that."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._pushes), within_s):
                pytest.fail(
                    f"{self.name}, not within {within_s} s: {what}; came:\n" + "\n".join(map(str, self._pushes))
                )
            return list(self._pushes)

    def wait_for_ring(self, *, count: int = 1, within_s: float = DEADLINE_S) -> Push:
        """Wait until it has rung so many times, and return the last of them."""
        self.wait_for(lambda all_: sum(map(rings, all_)) >= count, f"{count} rings", within_s)
        return self.rung[count - 1]

    def wait_for_message(self, words: str, within_s: float = DEADLINE_S) -> Push:
        """Wait for a message with these words, and return the first."""
        came = self.wait_for(lambda all_: any(words in one["message"] for one in all_), words, within_s)
        return next(push for push in came if words in push["message"])

    def press(self, push: Push, title: str) -> None:
        """Press the button of a notification, as the app tells it."""
        [action] = [one["action"] for one in push["data"]["actions"] if one["title"] == title]
        self.story.append((time.time(), f"pressed: {title}"))
        event = {"event_type": "mobile_app_notification_action", "event_data": {"action": action}}
        self._house.post(f"api/webhook/{self._webhook}", {"type": "fire_event", "data": event})

    def _take(self, push: Push) -> None:
        with self._changed:
            self._pushes.append(push)
            self.story.append((time.time(), _read(push)))
            self._changed.notify_all()


def rings(push: Push) -> bool:
    """Return whether a notification is critical on iOS and on Android."""
    data = push.get("data", {})
    android = {key: data.get(key) for key in ("ttl", "priority", "channel")}
    return data.get("push") == {"sound": {"name": "default", "critical": 1, "volume": 1.0}} and android == {
        "ttl": 0,
        "priority": "high",
        "channel": "alarm_stream",
    }


def is_cleared(push: Push, tag: str) -> bool:
    """Return whether it takes the notification with this tag away."""
    return bool(push["message"] == CLEAR and push["data"] == {"tag": tag})


def _read(push: Push) -> str:
    if push["message"] == CLEAR:
        return "(the notification is gone)"
    buttons = [f"[{one['title']}]".replace(" ", "\xa0") for one in push["data"].get("actions", [])]
    return " ".join(["RINGS" if rings(push) else "shows", f"{push['title']} - {push['message']}", *buttons])
