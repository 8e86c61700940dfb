import json

import numpy as np
import pytest
from toy_causes import EIGHT, Done

from monitor.detect import load_reason_model
from monitor.detect.model import Runtime
from training import golden
from training.causes import clips, notebook, predict

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("runtime", ["litert", "tensorflow"])
def test_what_is_exported_says_what_the_network_says(done: Done, runtime: Runtime) -> None:
    """From raw samples both forms give the network's probabilities within 1e-4, in batches of any size, repeated."""
    network, _ = predict.load(done.run)
    raw = np.concatenate([clips.waveforms(clips.read_clips(done.data))[::5], golden.waveforms(clips.CLIP_SAMPLES)])
    audio = notebook.Audio(notebook.normalise(raw), np.zeros(len(raw), np.int64), list(EIGHT))
    ds = notebook.make_spec_ds(notebook.make_ds(audio, np.arange(len(raw)), notebook.Params()))
    wanted = notebook.probabilities(network, ds)
    exported = load_reason_model(done.exported, runtime).function
    for batch in (1, 5, 5, 3, 5):
        said = exported(raw[-batch:])
        assert said["reason"] == pytest.approx(wanted[-batch:], abs=1e-4)
        assert said["embedding"].shape == (batch, 128)
    assert exported(raw)["reason"] == pytest.approx(wanted, abs=1e-4)


def test_one_clip_does_not_change_another(done: Done) -> None:
    """What is said of a quiet cry is the same beside a loud one and alone; of silence it is a number."""
    exported = load_reason_model(done.exported, "litert").function
    sounds = golden.waveforms(clips.CLIP_SAMPLES)[[2, 6, 7]]  # a quiet cry, an alarm, silence
    together = exported(sounds)["reason"]
    assert together[0] == pytest.approx(exported(sounds[:1])["reason"][0], abs=1e-5)
    assert together.sum(axis=1) == pytest.approx([1.0] * 3, abs=1e-5)


def test_eight_folders_are_eight_categories(done: Done) -> None:
    """Whatever folders there are become the manifest's categories, and the model has an answer for each."""
    said = json.loads((done.exported / "manifest.json").read_text(encoding="utf-8"))
    assert said["categories"] == list(EIGHT)
    assert said["outputs"] == {"reason": [8], "embedding": [128]}
    assert 0 <= said["weight"] <= 1
    assert set(said["metrics"]) == {"copies_first", "random_split", "households_apart", "copies_apart"}


def test_needs_no_operations_but_built_in_ones(done: Done) -> None:
    """LiteRT runs the model without TensorFlow's own kernels."""
    assert b"Flex" not in (done.exported / "model.tflite").read_bytes()
