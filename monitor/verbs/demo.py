"""`demo`: a crying baby becomes MQTT messages, with no set-up at all."""

import json
import sys
import threading
import time
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.text import Text

from monitor import app, service
from monitor.broker import DemoBroker
from monitor.config import Config, HistoryConfig, Loaded, LogConfig, MqttConfig, NodeConfig, RoomConfig
from monitor.errors import MonitorError
from monitor.publish import MEMORY, is_retained
from monitor.records import UNSURE
from monitor.threads import Loop

ROOM = "nursery"

VALUES = {
    "event": ("event_type", "cause", "confidence", "duration_s", "ended_by", "reason"),
    "state": ("crying", "alert", "hearing", "confidence", "reason", "problem"),
    "tonight": ("episodes", "crying_minutes", "alerts"),
    "figures": ("heard_h", "alerts", "unanswered", "not_a_cry"),
    "summary": ("crying", "unacknowledged", "deaf"),
    "health": ("version", "model", "problem"),
    "level": ("dbfs", "gate", "score"),
}
"""What a person wants to read of each JSON payload; the topic's last part says which it is."""

STYLES = {"cry_started": "bold red", "alert": "bold red", "cry_ongoing": "red", "cry_ended": "bold green"}

LAST_WORDS_S = 3.0


class Printer:
    """Prints each message as a line; called on the broker's thread.

    Attributes:
        over: Set when the room said that its recording has ended.
        offline: Set when the node said its last word.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.over = threading.Event()
        self.offline = threading.Event()

    def show(self, topic: str, payload: bytes) -> None:
        """Print one message: time, topic, what matters of it, and whether the broker keeps it."""
        last = topic.rpartition("/")[2]
        told = payload.decode(errors="replace")
        style = "cyan" if is_retained(topic) else "dim"
        if last in VALUES:
            values = json.loads(payload)
            style = STYLES.get(values.get("event_type"), style)
            told = "  ".join(_value(key, values[key]) for key in VALUES[last] if values.get(key) not in (None, UNSURE))
            if last == "state" and values["problem"] == "source_ended":
                self.over.set()
        line = Text.assemble((time.strftime("%H:%M:%S"), "dim"), "  ", (f"{topic:<33}", "bold"), "  ", (told, style))
        if is_retained(topic):
            line.append("  (retained)", "dim")
        try:
            self._console.print(line, soft_wrap=True)
        except SystemExit:  # rich's answer to a broken pipe: nobody reads on, `demo | head`
            self.over.set()
            self.offline.set()
        if last == "status" and payload == b"offline":
            self.offline.set()


def _value(key: str, value: object) -> str:
    shown = f"{value:.2f}" if isinstance(value, float) else str(value)
    return shown if key == "event_type" else f"{key}={shown}"


def demo(loaded: Loaded, *, fast: bool, mic: bool = False, console: Console | None = None) -> int:
    """Run the whole service on the shipped recording, against a broker of its own; end with the recording.

    Args:
        loaded: Its model and its first room's sensitivity and gate apply.
        fast: Play it as fast as it goes.
        mic: Listen to the first room's device instead, until a signal comes.
        console: Where messages are printed.
    """
    console = console or Console(highlight=False)
    printer = Printer(console)
    broker = DemoBroker(printer.show)
    loop = Loop("demo-broker", broker)
    service.configure_logging("warning", sys.stderr, "demo")
    what = "What the microphone hears" if mic else "A recording of a crying baby"
    ends = "Ctrl-C ends it." if mic else "It ends with the recording."
    console.print(
        f"{what} becomes MQTT messages; (retained) ones stay with the broker. {ends}",
        style="dim",
        soft_wrap=True,
    )
    loop.start()
    try:
        with app.stop_on_signals() as stop:
            code = app.run(
                _config(
                    loaded.config,
                    broker.port,
                    _microphone(loaded.config) if mic else _recording(loaded.config, fast=fast),
                ),
                stop=stop,
                until=lambda: printer.over.is_set() or not loop.alive,
            )
        printer.offline.wait(LAST_WORDS_S)
    finally:
        loop.stop()
        loop.join(LAST_WORDS_S)
    if isinstance(loop.error, MonitorError):
        raise loop.error
    return code


def _recording(config: Config, *, fast: bool) -> RoomConfig:
    first = next(iter(config.rooms.values()))
    return RoomConfig(
        source="file",
        path=Path(str(files("monitor") / "recordings" / "crying.flac")),
        speed=0.0 if fast else 1.0,
        sensitivity=first.sensitivity,
        gate=first.gate,
    )


def _microphone(config: Config) -> RoomConfig:
    """Return the first room, whatever its name; one that plays a recording has the default microphone here."""
    first = next(iter(config.rooms.values()))
    if first.source == "file":
        return RoomConfig(sensitivity=first.sensitivity, gate=first.gate)
    return first.model_copy(update={"enabled": True})


def _config(config: Config, port: int, room: RoomConfig) -> Config:
    return Config(
        node=NodeConfig(id="demo"),
        rooms={ROOM: room},
        log=LogConfig(level=config.log.level),  # a recording is nothing for the household's log of alerts
        model=config.model,
        reason=config.reason,
        mqtt=MqttConfig(host="127.0.0.1", port=port, protocol="3.1.1", discovery=False),
        history=HistoryConfig(path=Path(MEMORY)),
    )
