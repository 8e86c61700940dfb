import contextlib
import io
import json
import logging
import os
import re
import socket
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from monitor.service import configure_logging, notify, redact, watchdog_interval_s


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """What was logged, line by line."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def only_line(stream: io.StringIO) -> dict[str, Any]:
    """What was logged, where that is one line."""
    (line,) = lines(stream)
    return line


# Logging


def test_a_line_has_its_fields() -> None:
    """A line is a JSON object: time in UTC with milliseconds, level, event, thread, node, then what was given."""
    stream = io.StringIO()
    configure_logging("info", stream, "attic")
    structlog.get_logger().info("cry_started", room="nursery", score=np.float32(0.5), n=np.int64(3), path=Path("a"))
    line = only_line(stream)
    assert list(line)[:5] == ["ts", "level", "event", "thread", "node"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    assert line == {
        "level": "info",
        "event": "cry_started",
        "thread": threading.current_thread().name,
        "node": "attic",
        "room": "nursery",
        "score": 0.5,
        "n": 3,
        "path": "a",
    }


def test_no_nan_in_json() -> None:
    """A number that JSON does not have is written as text."""
    stream = io.StringIO()
    configure_logging("info", stream, "home")
    structlog.get_logger().info("level", dbfs=float("-inf"), values=[float("nan"), None, True])
    line = only_line(stream)
    assert line["dbfs"] == "-inf"
    assert line["values"] == ["nan", None, True]


def test_the_logging_thread_is_named() -> None:
    """`thread` is the thread that logged, unless the line names another."""
    stream = io.StringIO()
    configure_logging("info", stream, "home")
    log = structlog.get_logger()
    thread = threading.Thread(target=log.info, args=("one",), name="capture-nursery")
    thread.start()
    thread.join()
    log.info("two", thread="detect")
    assert [line["thread"] for line in lines(stream)] == ["capture-nursery", "detect"]


def test_loggers_made_before_obey() -> None:
    """A logger that a module made when it was imported, and one bound to a room, follow what is configured later."""
    log = structlog.get_logger()
    stream = io.StringIO()
    configure_logging("warning", stream, "home")
    log.info("not_this")
    log.bind(room="nursery").warning("this")
    assert only_line(stream)["room"] == "nursery"


def test_standard_library_and_warnings_are_routed() -> None:
    """What libraries log or warn of comes out as the same kind of line."""
    stream = io.StringIO()
    configure_logging("info", stream, "home")
    logging.getLogger("paho").warning("connection %s", "refused")
    logging.getLogger("paho").debug("not this")
    logging.getLogger("amqtt.broker").info("nor this")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    first, second = lines(stream)
    assert (first["event"], first["level"], first["node"]) == ("connection refused", "warning", "home")
    assert "old" in second["event"]


def test_debug_shows_chatty_libraries() -> None:
    """With `debug`, nothing is held back."""
    stream = io.StringIO()
    configure_logging("debug", stream, "home")
    logging.getLogger("amqtt.broker").debug("a")
    structlog.get_logger().debug("b")
    assert [line["event"] for line in lines(stream)] == ["a", "b"]


def test_configured_again_writes_once() -> None:
    """Configuring a second time replaces the first."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging("info", first, "home")
    configure_logging("info", second, "home")
    structlog.get_logger().info("a")
    logging.getLogger("x").info("b")
    assert first.getvalue() == ""
    assert [line["event"] for line in lines(second)] == ["a", "b"]


def test_a_traceback_is_one_line() -> None:
    """An exception is one JSON line: its sentence in `err`, its traceback in `exception`."""
    stream = io.StringIO()
    configure_logging("info", stream, "home")
    try:
        int("x")
    except ValueError:
        structlog.get_logger().exception("thread_died")
    line = only_line(stream)
    assert line["err"].startswith("ValueError: invalid literal")
    assert "Traceback" in line["exception"]
    assert line["level"] == "error"


def test_a_terminal_gets_words_in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets readable lines in colour, and none where NO_COLOR is set."""
    stream = Terminal()
    configure_logging("info", stream, "home")
    structlog.get_logger().info("ready", rooms=["nursery"])
    assert "\x1b[" in stream.getvalue()
    assert "ready" in stream.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    configure_logging("info", plain, "home")
    structlog.get_logger().info("ready", rooms=["nursery"])
    assert "\x1b[" not in plain.getvalue()
    assert "rooms=['nursery']" in plain.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_no_line_shows_a_secret(stream: io.StringIO) -> None:
    """No line shows the password or a URL's login, be it in event, value, key, traceback, or a library's line."""
    secret = 'hunter"22\\ü'  # noqa: S105 - one that JSON, repr and bytes each write in another way
    url = "rtsp://anna:p@ss22@camera/1"
    configure_logging("debug", stream, "home", secrets=[secret])
    log = structlog.get_logger()
    log.info(secret, value=f"login {secret}", nested={secret: [secret, {"a": (secret,)}]}, url=url)
    log.info("an object", value=ValueError(secret), raw=secret.encode(), shown=[repr(secret), ascii(secret)])
    log.info("an error of an error", twice=[repr(f"'{secret!r}'"), repr(json.dumps(repr(ValueError(secret))))])
    logging.getLogger("paho").info("password %s", secret)
    try:
        {"a": 1}[f"{secret} {url}"]
    except KeyError:
        log.exception("failed")
        logging.getLogger("paho").exception("failed too")
    told = stream.getvalue()
    assert "hunter" not in told
    assert "ss22" not in told
    assert told.count("camera/1") >= 3


def test_a_short_secret_spares_words() -> None:
    """A short password is blotted out as a word of its own, and does not eat the words that contain it."""
    assert redact("cry_started cry cries (cry)", ["cry"]) == "cry_started ********** cries (**********)"
    assert redact("a hunter2222b", ["hunter2222"]) == "a **********b"
    assert redact("nothing", [""]) == "nothing"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://anna:pw@camera/1", "rtsp://**********@camera/1"),
        ("rtsp://anna:p@w@camera:554/1?a=b", "rtsp://**********@camera:554/1?a=b"),
        ("at http://host/a@b and x@y", "at http://host/a@b and x@y"),
    ],
)
def test_url_logins(text: str, shown: str) -> None:
    """The login in a URL is blotted out, and nothing else."""
    assert redact(text) == shown


def test_a_log_that_nobody_reads_stops_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """When the reader of the log is gone, logging goes on without an exception and without a word elsewhere."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    configure_logging("info", stream, "home")
    structlog.get_logger().info("a")
    structlog.get_logger().info("b")
    with contextlib.suppress(BrokenPipeError):
        stream.close()
    assert capfd.readouterr().err == ""


# The service manager


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket, and what it puts into NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        if request.param == "file":
            name = str(tmp_path / "notify")
            listening.bind(name)
        else:
            name = f"@cry-monitor-test-{os.getpid()}"
            listening.bind("\0" + name[1:])
        listening.settimeout(5)
        yield listening, name


def test_notify_arrives(manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each word arrives as one datagram, at a socket in the file system as at an abstract one."""
    listening, name = manager
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    for word in ("READY=1", "WATCHDOG=1", "STATUS=2 rooms, 1 deaf: Bébé", "STOPPING=1"):
        notify(word)
        assert listening.recv(4096).decode() == word


def test_notify_never_blocks(manager: tuple[socket.socket, str]) -> None:
    """A service manager that does not read does not stop us: what it has no room for is lost."""
    _, name = manager
    for _ in range(10_000):
        notify("WATCHDOG=1", {"NOTIFY_SOCKET": name})


@pytest.mark.parametrize("name", ["", "relative", "/no/such/socket", "@no-such-socket", "/" + "a" * 200, "/a\0b", "@"])
def test_notify_without_a_manager(name: str) -> None:
    """Without a service manager, or with an address that is none, nothing happens."""
    notify("READY=1", {"NOTIFY_SOCKET": name})
    notify("READY=1", {})


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], interval_s: float | None) -> None:
    """The watchdog's interval is in seconds, and None where it is not meant for this process."""
    assert watchdog_interval_s(environ) == interval_s


@given(st.text(), st.text())
def test_any_environment_is_survived(text: str, message: str) -> None:
    """Whatever the service manager's variables hold, nothing raises."""
    watchdog_interval_s({"WATCHDOG_USEC": text})
    notify(message, {"NOTIFY_SOCKET": "@" + text})
