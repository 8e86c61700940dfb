"""What the user can set: read once at the start, checked at the door, frozen from then on.

`load_config` merges defaults < file < environment < command line; `Config` and its tables say what each key means.
"""

from monitor.config.load import Loaded, load_config, tell_exposed
from monitor.config.models import (
    AlertConfig,
    Config,
    GateConfig,
    HistoryConfig,
    LogConfig,
    ModelConfig,
    NodeConfig,
    ReasonConfig,
    RoomConfig,
)
from monitor.config.mqtt import MqttConfig
from monitor.config.values import Runtime, Sensitivity, SourceKind

__all__ = [
    "AlertConfig",
    "Config",
    "GateConfig",
    "HistoryConfig",
    "Loaded",
    "LogConfig",
    "ModelConfig",
    "MqttConfig",
    "NodeConfig",
    "ReasonConfig",
    "RoomConfig",
    "Runtime",
    "Sensitivity",
    "SourceKind",
    "load_config",
    "tell_exposed",
]
