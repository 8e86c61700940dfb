"""The straight line: who is joined to whom, in which order they start, and in which they stop."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import structlog

from monitor import __version__, service
from monitor.capture import AudioSource, Capture, FileSource, Judge, MicrophoneSource, PulseSource, Rearm, Segmenter
from monitor.config import Config, MqttConfig, RoomConfig
from monitor.detect import (
    NOT_SNOOZED,
    AlertRule,
    Detect,
    Detector,
    Model,
    ReasonModel,
    Reasons,
    load_model,
    load_reason_model,
    models_folder,
)
from monitor.errors import ModelError, StoreError
from monitor.handoff import Inbox, Reports, SegmentQueue
from monitor.publish import Broker, Glance, Messages, Publisher, Store
from monitor.records import Command, Sensitivity, SettingName
from monitor.threads import Loop, report_stray_deaths

log = structlog.get_logger()

Key = tuple[str, SettingName]
"""A room's id and the setting's name."""

SILENT_S = 10.0
"""A capture or detect thread that finishes no turn for so long ends the process: the will says `offline`."""

PUBLISH_SILENT_S = 60.0
"""Publish may hang in a slow disk for longer: the ears run on meanwhile."""

CAPTURE_STOP_S, DETECT_STOP_S, PUBLISH_STOP_S = 2.0, 3.0, 4.0
"""What each step of a shutdown may take; 9 s in all."""


@dataclass(frozen=True, slots=True)
class Service:
    """The threads of the service, those that hear first, and what the last one knows of the rooms."""

    captures: list[Loop]
    detect: Loop
    publish: Loop
    glance: Callable[[], Glance]
    connected: Callable[[], bool]

    def start(self) -> None:
        """Start the sink first, so that nothing said is lost."""
        for loop in reversed(self._loops()):
            loop.start()

    def stop(self) -> bool:
        """Stop the sources first, so that their last words still find a listener; return whether all ended in time."""
        ended = True
        for loops, budget_s in (
            (self.captures, CAPTURE_STOP_S),
            ([self.detect], DETECT_STOP_S),
            ([self.publish], PUBLISH_STOP_S),
        ):
            for loop in loops:
                loop.stop()
            deadline_s = time.monotonic() + budget_s
            for loop in loops:
                ended = loop.join(max(0.0, deadline_s - time.monotonic())) and ended
        return ended

    def fault(self) -> str | None:
        """Say which thread is dead or hangs; None while all is well."""
        for loop in self._loops():
            if loop.error is not None or not loop.alive:
                return f"{loop.name} died: {loop.error!r}"
            limit_s = PUBLISH_SILENT_S if loop is self.publish else SILENT_S
            if loop.silent_s > limit_s:
                return f"{loop.name} hangs: no sign of it for {loop.silent_s:.0f} s"
        return None

    def unwell(self) -> str | None:
        """Say why the watchdog is left unfed: a thread gives no sign, or a room no samples and nobody was told."""
        for loop in self._loops():
            if loop.silent_s > SILENT_S:
                return f"{loop.name} gives no sign"
        deaf = self.glance().deaf_unsaid(time.monotonic())
        return f"no samples from {', '.join(deaf)}, and nobody was told" if deaf else None

    def status(self) -> str:
        """Return one line for a person: broker and rooms, levels and last cry."""
        broker = "broker connected" if self.connected() else "NO BROKER"
        return f"{broker}; {self.glance().in_words(time.time())}"

    def _loops(self) -> list[Loop]:
        return [*self.captures, self.detect, self.publish]


@dataclass(frozen=True, slots=True)
class History:
    """The open store, or None where it cannot be had, and the settings to start with.

    Attributes:
        until: Of a setting that changes by itself (a snooze ends, a room turns on again): when, UTC.
    """

    store: Store | None
    settings: dict[Key, str]
    until: dict[Key, float] = field(default_factory=dict)


def build(config: Config, model: Model, history: History, reasons: Reasons | None = None) -> Service:
    """Join the rooms. Opens no source and no connection, starts nothing. Without `reasons` no cause is judged."""
    queue, reports = SegmentQueue(), Reports[object]()
    inboxes = {room: Inbox() for room in config.rooms}
    detect_inbox = Inbox()
    settings = history.settings
    alone = sum(room.source in ("microphone", "pulse") for room in config.rooms.values()) == 1

    def deliver(command: Command) -> bool:
        """Give capture what turns a room on and off, and detect the rest; what a person notes stays in publish."""
        return (inboxes[command.room] if command.setting == "enabled" else detect_inbox).put(command)

    def capture(room: str, room_config: RoomConfig) -> Loop:
        manifest = model.manifest
        segmenter = Segmenter(
            room,
            window_samples=manifest.window_samples,
            hop_samples=manifest.hop_samples,
            vad_mode=room_config.gate.vad_mode,
        )
        work = Capture(
            room=room,
            source=source_of(room_config, alone=alone),
            segmenter=segmenter,
            judge=Judge(room_config.muted_after_s),
            queue=queue,
            inbox=inboxes[room],
            reports=reports,
            enabled=settings[room, "enabled"] == "ON",
            rearm=rearm_of(room_config, history.until.get((room, "enabled"))),
        )
        return Loop(f"capture-{room}", work)

    detector = detector_of(config, model, history, reasons)
    detect = Detect(detector=detector, queue=queue, inbox=detect_inbox, gates=inboxes, reports=reports)
    publisher = Publisher(
        messages=Messages(config.mqtt.topic_prefix, config.node.id, list(config.rooms)),
        settings=settings,
        broker=broker_of(config.mqtt),
        model_name=model.label,
        version=__version__,
        reports=reports,
        deliver=deliver,
        store=history.store,
        history_failing=history.store is None,
        reason_failing=reasons is None,
        keep_days=config.history.keep_days,
    )
    return Service(
        captures=[capture(room, room_config) for room, room_config in config.rooms.items()],
        detect=Loop("detect", detect),
        publish=Loop("publish", publisher),
        glance=lambda: publisher.glance,
        connected=lambda: publisher.connected,
    )


def detector_of(config: Config, model: Model, history: History, reasons: Reasons | None) -> Detector:
    """Return the core of detect, as the settings have it now."""
    settings, until = history.settings, history.until
    return Detector(
        model,
        {room: cast("Sensitivity", settings[room, "sensitivity"]) for room in config.rooms},
        reasons=reasons,
        alerts={
            room: AlertRule(
                after_s=int(settings[room, "alert_after"]),
                repeat_after_s=room_config.alert.repeat_after_s,
                hard_limit_s=room_config.alert.hard_limit_s,
            )
            for room, room_config in config.rooms.items()
        },
        # An end that nobody knows is over, and says so: `snooze` must not stand at a time that never comes.
        snoozed_until={
            room: until.get((room, "snooze"), 0.0) for room in config.rooms if settings[room, "snooze"] != NOT_SNOOZED
        },
    )


def rearm_of(room: RoomConfig, until_at: float | None) -> Rearm:
    """Return what turns a room on again that somebody switched off; `until_at`: the stored end, UTC.

    Without one, a room that its configuration leaves on was switched off by somebody and we do not know when: it is
    counted from now, as no end is further away than `rearm_after_h`. Any other is off by its configuration.
    """
    known = math.inf if until_at is None and room.enabled else until_at
    return Rearm(room.rearm_after_h * 3600.0, known)


def source_of(room: RoomConfig, *, alone: bool = True) -> AudioSource:
    """Return the source that a room's settings name, unopened; `alone`: no other room has a device."""
    if room.source == "file" and room.path is not None:
        return FileSource(room.path, loop=room.loop, speed=room.speed)
    if room.source == "pulse":
        return PulseSource(room.device, alone=alone)
    return MicrophoneSource(room.device, alone=alone)


def broker_of(mqtt: MqttConfig) -> Broker:
    """Return how to reach the broker."""
    return Broker(
        host=mqtt.host,
        port=mqtt.port,
        tls=mqtt.tls,
        protocol=mqtt.protocol,
        username=mqtt.username,
        password=mqtt.password,
        client_id=mqtt.client_id,
        ca_file=mqtt.ca_file,
        cert_file=mqtt.cert_file,
        key_file=mqtt.key_file,
    )


def open_history(config: Config) -> History:
    """Open the history and settle the settings; where it cannot be had, say so: alerts go out without it."""
    configured: dict[Key, str] = {}
    for room, settings in config.rooms.items():
        configured[room, "enabled"] = "ON" if settings.enabled else "OFF"
        configured[room, "sensitivity"] = settings.sensitivity
        configured[room, "alert_after"] = str(settings.alert.after_s)
        configured[room, "snooze"] = NOT_SNOOZED
    try:
        store = Store(config.history.path)
        return History(store, store.settle(configured))
    except StoreError as error:
        log.warning("history_off", err=str(error))
        return History(None, configured)


def load_reasons(config: Config, load: Callable[..., ReasonModel]) -> Reasons | None:
    """Load what judges causes; where it cannot be used, say so: cries are told without."""
    try:
        model = load(config.reason.path or models_folder() / "reason", config.model.runtime)
    except ModelError as error:
        log.warning("reason_model_off", err=str(error))
        return None
    return Reasons(model, config.reason.min_confidence)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM or SIGINT sets; a second signal ends the process at once, with exit code 1.

    SIGHUP is one line of the log: nothing is read anew, and a terminal that closes must not make the house deaf.
    """
    stop = threading.Event()

    def handle(number: int, _: object) -> None:
        if number == signal.SIGHUP:
            log.info("sighup_ignored", fix="settings are read at the start: restart to apply them")
            return
        if stop.is_set():
            service.exit_now(1)
        stop.set()  # first: a second signal may come while the line is written
        log.info("stopping", signal=signal.Signals(number).name)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    config: Config,
    *,
    stop: threading.Event,
    load: Callable[..., Model] = load_model,
    load_reason: Callable[..., ReasonModel] = load_reason_model,
    until: Callable[[], bool] = lambda: False,
) -> int:
    """Run the service until `stop` is set or `until` says so; blocks. Called by the main thread.

    Args:
        config: All settings.
        stop: Ends it in order.
        load: Loads the cry model.
        load_reason: Loads the reason model.
        until: Asked at least once a second; True ends it in order, too.

    Returns:
        The exit code: 0 after an orderly stop, 1 when a thread died or hung (no `offline` is said then: the broker
        sends the will).

    Raises:
        ModelError: The cry model cannot be used.
    """
    report_stray_deaths()
    model = load(config.model.path or models_folder() / "cry", config.model.runtime)
    line = build(config, model, open_history(config), load_reasons(config, load_reason))
    line.start()
    log.info("ready", node=config.node.id, rooms=list(config.rooms), model=model.label, runtime=model.runtime)
    service.notify("READY=1")
    if not supervise(line, service.Host(), stop=stop, until=until):
        return 1
    service.notify("STOPPING=1")
    if not line.stop():
        log.error("stop_took_too_long")
        return 1
    log.info("stopped")
    return 0


def supervise(line: Service, host: service.Host, *, stop: threading.Event, until: Callable[[], bool]) -> bool:
    """Watch over the threads and keep the service manager told; blocks. Return False when a thread died or hung."""
    unwell: str | None = None
    while not stop.wait(host.tick_s) and not until():
        fault = line.fault()
        if fault is not None:
            log.error("thread_fault", err=fault)
            host.say(f"{fault.partition(':')[0]}; see the log")  # not the error: only the log blots out secrets
            return False
        before, unwell = unwell, line.unwell()
        if unwell is not None and before is None:
            log.warning("watchdog_unfed", err=unwell)
        host.tick(well=unwell is None, status=line.status())
    return True
