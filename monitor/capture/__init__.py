"""Capture: a room's sound, from its source through the 8-second ring and the gate, becomes segments.

One thread a room; the thread-free core is `Segmenter`.
"""

from monitor.capture.loop import Capture
from monitor.capture.recording import FileSource, Recording
from monitor.capture.segmenter import Segmenter
from monitor.capture.source import AudioSource, SourceEnded
from monitor.capture.unavailable import UnavailableSource

__all__ = ["AudioSource", "Capture", "FileSource", "Recording", "Segmenter", "SourceEnded", "UnavailableSource"]
