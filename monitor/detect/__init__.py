"""Detect: segments become scores, scores become episodes, episodes become events and alerts.

One thread for all rooms; the thread-free core is `Detector`.
"""

from monitor.detect.alerts import AlertRule
from monitor.detect.detector import BATCH, Detector, Said, new_id
from monitor.detect.loop import Detect
from monitor.detect.model import (
    Manifest,
    Model,
    ReasonManifest,
    ReasonModel,
    check_model,
    load_model,
    load_reason_model,
    models_folder,
)
from monitor.detect.reasons import Judgement, Reasons, load_reasons, reasons_or_none
from monitor.detect.stream import to_waveforms

__all__ = [
    "BATCH",
    "AlertRule",
    "Detect",
    "Detector",
    "Judgement",
    "Manifest",
    "Model",
    "ReasonManifest",
    "ReasonModel",
    "Reasons",
    "Said",
    "check_model",
    "load_model",
    "load_reason_model",
    "load_reasons",
    "models_folder",
    "new_id",
    "reasons_or_none",
    "to_waveforms",
]
