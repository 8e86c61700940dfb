"""Detect: segments become scores, scores become episodes, episodes become events.

One thread for all rooms; the thread-free core is `Detector`.
"""

from monitor.detect.detector import BATCH, Detector, Said, new_id, to_waveforms
from monitor.detect.loop import Detect
from monitor.detect.model import Manifest, Model, check_model, load_model, models_folder

__all__ = [
    "BATCH",
    "Detect",
    "Detector",
    "Manifest",
    "Model",
    "Said",
    "check_model",
    "load_model",
    "models_folder",
    "new_id",
    "to_waveforms",
]
