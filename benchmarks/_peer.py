"""The peer: YAMNet as most cry alarms run it, 0.975 s windows every 0.4875 s, one thread, no gate.

Its model is not part of the project: `../shared/peers/yamnet.tflite`, or the file that `YAMNET` names.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from monitor.records import Samples

WINDOW_SAMPLES, HOP_SAMPLES = 15_600, 7_800
MODEL = Path(os.environ.get("YAMNET", Path(__file__).parents[2] / "shared/peers/yamnet.tflite"))


def load_peer() -> Callable[[Samples], int] | None:
    """Return a function that scores int16 samples and counts the windows; None where the model is not there."""
    if not MODEL.is_file():
        print(f"no peer: {MODEL} is not there; its columns stay empty")
        return None
    net = Interpreter(str(MODEL), num_threads=1)
    net.allocate_tensors()
    source, scores = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"]

    def listen(pcm: Samples) -> int:
        waveform = pcm.astype(np.float32) / 32768
        starts = range(0, len(waveform) - WINDOW_SAMPLES + 1, HOP_SAMPLES)
        for start in starts:
            net.set_tensor(source, waveform[start : start + WINDOW_SAMPLES])
            net.invoke()
            net.get_tensor(scores)
        return len(starts)

    return listen
