"""Capture: a room's sound, from its source through the 8-second ring and the gate, becomes segments.

One thread a room; the thread-free core is `Segmenter`.
"""

from monitor.capture.judge import CLIPPED_SHARE, FULL_SCALE, QUIET_DBFS, Judge
from monitor.capture.loop import Capture
from monitor.capture.microphone import MicrophoneSource, microphones
from monitor.capture.pulse import PulseSource, pulse_sources
from monitor.capture.rearm import Rearm
from monitor.capture.recording import FileSource, Recording
from monitor.capture.segmenter import Segmenter
from monitor.capture.source import AudioSource, SourceEnded

__all__ = [
    "CLIPPED_SHARE",
    "FULL_SCALE",
    "QUIET_DBFS",
    "AudioSource",
    "Capture",
    "FileSource",
    "Judge",
    "MicrophoneSource",
    "PulseSource",
    "Rearm",
    "Recording",
    "Segmenter",
    "SourceEnded",
    "microphones",
    "pulse_sources",
]
