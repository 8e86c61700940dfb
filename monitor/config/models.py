"""Every key, its unit, its range and its default. A key's description is what errors and `check-config` say about it.

A fault that two keys make together is raised by the later one of them, so that it has a key path like any other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from monitor.config.mqtt import MqttConfig
from monitor.config.values import LogLevel, RoomId, Runtime, Sensitivity, SomeText, SourceKind, Table, Text

SLOWEST = 0.25
"""The least `speed` of a recording that is not 0."""


class NodeConfig(Table):
    """This machine among others on the same broker."""

    id: str = Field(
        default="home",
        pattern=r"^[a-z0-9]{1,32}$",
        description="Names this machine in every topic; 1 to 32 of a-z and 0-9. No underscore, so that "
        "`<node>_<room>` can mean one thing only.",
    )


class GateConfig(Table):
    """The gate saves power: behind it, the model runs only while something is heard."""

    vad_mode: int = Field(
        default=1,
        ge=0,
        le=2,
        description="How sure the voice detector must be before it opens the gate: 0 opens most readily, 2 least. "
        "3 is refused: it passes 2 % of a quiet cry, where 0 to 2 pass over half.",
    )


class AlertConfig(Table):
    """When a room alerts of a cry. A person holds alerts back over MQTT, never the configuration."""

    after_s: int = Field(
        default=0,
        ge=0,
        le=600,
        description="Seconds of crying before the first alert, 0 to 600; alert_after changes it over MQTT.",
    )
    repeat_after_s: int = Field(
        default=120,
        ge=10,
        le=3600,
        description="Alert again after so many more seconds of crying, 10 to 3600.",
    )
    hard_limit_s: int = Field(
        default=600,
        ge=60,
        le=7200,
        description="Alert after so many seconds of crying whatever holds it, 60 to 7200; not less than after_s.",
    )

    @field_validator("hard_limit_s")
    @classmethod
    def _not_before_the_first(cls, value: int, info: ValidationInfo) -> int:
        after_s = info.data.get("after_s", 0)  # absent where it is itself in error
        if value < after_s:
            raise ValueError(f"is less than after_s = {after_s}; set it to {after_s} or more, or after_s to less")
        return value


class RoomConfig(Table):
    """One room: where its sound comes from and how readily it tells of a cry."""

    name: Text = Field(default="", description="What people call the room. Omitted: its id, titled.")
    enabled: bool = Field(
        default=True,
        description="false: the source stays closed, the microphone is really off, until it is switched on over MQTT; "
        "rearm_after_h does not switch it on.",
    )
    rearm_after_h: float = Field(
        default=12.0,
        ge=0,
        le=168,
        allow_inf_nan=False,
        description="A room that is switched off over MQTT turns itself on again after so many hours, up to 168. "
        "0: never.",
    )
    source: SourceKind = Field(
        default="microphone",
        description="microphone: PortAudio; pulse: PulseAudio or PipeWire; file: a recording (see path).",
    )
    device: SomeText | None = Field(
        default=None,
        description="For microphone and pulse: a part of the device's name, or its index. "
        "Omitted: the system's default device.",
    )
    path: Path | None = Field(
        default=None,
        validate_default=True,
        description='The recording, for source = "file" and only there. Relative: to the configuration file.',
    )
    loop: bool = Field(default=False, description="For file: start again at the end of the recording.")
    speed: float = Field(
        default=1.0,
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="For file: times real time, 0.25 to 1000; 0 = as fast as it goes.",
    )
    sensitivity: Sensitivity = Field(
        default="normal",
        description="high: tells of more cries and of more that is none; low: of fewer of both.",
    )
    muted_after_s: int = Field(
        default=45,
        ge=0,
        le=86_400,
        description="A microphone that gives only zeros for so long is muted, and the room deaf; 1 to 86400 s. "
        "0: never, for a microphone with a noise gate.",
    )
    gate: GateConfig = Field(default=GateConfig(), description="When the model listens.")
    alert: AlertConfig = Field(default=AlertConfig(), description="When it alerts of a cry.")

    @field_validator("source")
    @classmethod
    def _no_rtsp(cls, value: SourceKind) -> SourceKind:
        if value == "rtsp":
            raise ValueError('is not available yet; use "microphone", "pulse" or "file"')
        return value

    @field_validator("device", mode="before")
    @classmethod
    def _index(cls, value: object) -> object:
        """Let `device = 3` mean the device with index 3."""
        return str(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else value

    @field_validator("path")
    @classmethod
    def _path_for_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        source = info.data.get("source")  # absent where it is itself in error
        if source == "file" and value is None:
            raise ValueError('is missing; source = "file" needs the path of a recording')
        if source not in ("file", None) and value is not None:
            raise ValueError(f'has no effect with source = "{source}"; set source = "file" or remove path')
        return value

    @field_validator("speed")
    @classmethod
    def _not_too_slow(cls, value: float) -> float:
        """A block of 0.24 s must not take longer than the second that a source may block."""
        if 0 < value < SLOWEST:
            raise ValueError(f"must be 0 or from {SLOWEST} to 1000")
        return value

    @field_validator("loop", "speed")
    @classmethod
    def _only_for_file(cls, value: float, info: ValidationInfo) -> float:
        source = info.data.get("source")
        if source not in ("file", None) and value != cls.model_fields[info.field_name or ""].default:
            raise ValueError(f'has no effect with source = "{source}"; set source = "file" or remove it')
        return value


class LogConfig(Table):
    """What the service tells of itself."""

    level: LogLevel = Field(default="info", description="The least severe line that is written.")
    alerts: Path | None = Field(
        default=None,
        description="A file that gets a JSON line for every alert, sent or held back. Omitted: none. "
        "Relative: to the configuration file.",
    )


class ModelConfig(Table):
    """The model that tells a cry from every other sound."""

    runtime: Runtime = Field(
        default="auto",
        description="auto is litert: the same scores at a tenth of the memory. tensorflow loads all of TensorFlow.",
    )
    path: Path | None = Field(
        default=None,
        description="The folder of a model (manifest.json stands in it). Omitted: the model shipped with the project. "
        "Relative: to the configuration file.",
    )


class ReasonConfig(Table):
    """The model that tells why it probably cries; without one, cries are told all the same."""

    path: Path | None = Field(
        default=None,
        description="The folder of a model (manifest.json stands in it). Omitted: the model shipped with the project. "
        "Relative: to the configuration file. It runs by model.runtime.",
    )
    min_confidence: float | None = Field(
        default=None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="A cause less probable than this is `unsure`: 0 to 1; 0 always names the likeliest. "
        "Omitted: what the model's own manifest says.",
    )


class HistoryConfig(Table):
    """Past cries, on this machine only."""

    path: Path = Field(
        default=Path("history.db"),
        description="The database. Relative: to $STATE_DIRECTORY, else $XDG_STATE_HOME/cry-monitor, "
        "else ~/.local/state/cry-monitor.",
    )
    keep_days: int = Field(default=90, ge=1, le=3650, description="Days until an episode is forgotten, 1 to 3650.")


class Config(BaseSettings):
    """All that can be set. Built by `load_config`; built directly (in a test) it reads no file and no environment."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=False)

    node: NodeConfig = NodeConfig()
    rooms: Mapping[RoomId, RoomConfig] = Field(
        default={"nursery": RoomConfig()},
        min_length=1,
        max_length=64,
        description="A table for each room, named by its id: 1 to 32 of a-z, 0-9 and _.",
    )
    log: LogConfig = LogConfig()
    model: ModelConfig = ModelConfig()
    reason: ReasonConfig = ReasonConfig()
    mqtt: MqttConfig = MqttConfig()
    history: HistoryConfig = HistoryConfig()

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # pydantic-settings passes the others by name
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        **_sources: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the merged layers only: `load_config` reads the sources, since it must know each value's layer."""
        return (init_settings,)

    @model_validator(mode="after")
    def _names(self) -> Self:
        """Fill in the two defaults that depend on another key; by copies, since default tables are shared."""
        rooms = {
            room_id: room if room.name else room.model_copy(update={"name": room_id.replace("_", " ").title()})
            for room_id, room in self.rooms.items()
        }
        object.__setattr__(self, "rooms", rooms)
        if not self.mqtt.client_id:
            named = self.mqtt.model_copy(update={"client_id": f"cry_{self.node.id}"})
            object.__setattr__(self, "mqtt", named)
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that no log line may contain."""
        return () if self.mqtt.password is None else (self.mqtt.password.get_secret_value(),)
