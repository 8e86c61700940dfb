"""How the rooms are made from the configuration, and who is joined to whom."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import structlog

from monitor import __version__
from monitor.capture import AudioSource, Capture, FileSource, Judge, MicrophoneSource, PulseSource, Rearm, Segmenter
from monitor.config import Config, MqttConfig, RoomConfig
from monitor.detect import (
    AlertRule,
    Detect,
    Detector,
    Model,
    Reasons,
)
from monitor.errors import StoreError
from monitor.handoff import Inbox, Reports, SegmentQueue
from monitor.line import Service
from monitor.publish import PATIENT_S, AlertLog, Broker, Discovery, Messages, Publisher, Store
from monitor.records import NONE, Command, Sensitivity, SettingName
from monitor.threads import Loop

log = structlog.get_logger()

Key = tuple[str, SettingName]
"""A room's id and the setting's name."""


@dataclass(frozen=True, slots=True)
class History:
    """The open store, or None where it cannot be had, and the settings to start with.

    Attributes:
        until: Of a setting that changes by itself (a snooze ends, a room turns on again): when, UTC, and the seconds
            that were asked for.
    """

    store: Store | None
    settings: dict[Key, str]
    until: dict[Key, tuple[float, float]] = field(default_factory=dict)


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
            rearm=rearm_of(room_config, off_until=off_until(history, room)),
        )
        return Loop(f"capture-{room}", work)

    detector = detector_of(config, model, history, reasons)
    detect = Detect(detector=detector, queue=queue, inbox=detect_inbox, gates=inboxes, reports=reports)
    messages = Messages(config.mqtt.topic_prefix, config.node.id, list(config.rooms))
    categories = () if reasons is None else reasons.categories
    publisher = Publisher(
        messages=messages,
        settings=settings,
        broker=broker_of(config.mqtt),
        model_name=model.label,
        version=__version__,
        reports=reports,
        deliver=deliver,
        store=history.store,
        history_failing=history.store is None,
        reopen=partial(reopen_history, config),
        reason_failing=reasons is None,
        keep_days=config.history.keep_days,
        categories=categories,
        discovery=discovery_of(config, messages.base, categories),
        alert_log=None if config.log.alerts is None else AlertLog(config.log.alerts),
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
            room: until.get((room, "snooze"), (0.0, 0.0)) for room in config.rooms if settings[room, "snooze"] != NONE
        },
    )


def off_until(history: History, room: str) -> float | None:
    """Return when a room that somebody left off turns itself on, UTC; None: it is on. Not known: never too far away."""
    if history.settings[room, "enabled"] == "ON":
        return None
    return history.until.get((room, "enabled"), (math.inf, 0.0))[0]


def rearm_of(room: RoomConfig, off_until: float | None) -> Rearm:
    """Return what turns a room on again that somebody switched off; one that its configuration leaves off stays so."""
    return Rearm(room.rearm_after_h * 3600.0 if room.enabled else 0.0, off_until)


def discovery_of(config: Config, base: str, categories: Sequence[str]) -> Discovery:
    """Return what Home Assistant is told of the rooms."""
    return Discovery(
        prefix=config.mqtt.discovery_prefix,
        base=base,
        node_id=config.node.id,
        rooms={room: room_config.name for room, room_config in config.rooms.items()},
        categories=categories,
        version=__version__,
        announce=config.mqtt.discovery,
    )


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
    configured, store = configured_settings(config), None
    try:
        store = Store(config.history.path, wait_s=PATIENT_S)
        settings = store.settle(configured)
        return History(store, settings, store.until())
    except StoreError as error:
        log.warning("history_off", err=str(error), then="it is tried again")
        if store is not None:
            store.close()
        return History(None, configured)


def reopen_history(config: Config) -> Store:
    """Open the history while the service runs: the settings of now win over those that it holds.

    Raises:
        StoreError: It cannot be had now either.
    """
    store = Store(config.history.path)
    store.configure(configured_settings(config))
    return store


def configured_settings(config: Config) -> dict[Key, str]:
    """Return the value that the configuration gives each setting of each room."""
    configured: dict[Key, str] = {}
    for room, room_config in config.rooms.items():
        configured[room, "enabled"] = "ON" if room_config.enabled else "OFF"
        configured[room, "sensitivity"] = room_config.sensitivity
        configured[room, "alert_after"] = str(room_config.alert.after_s)
        configured[room, "snooze"] = NONE
    return configured
