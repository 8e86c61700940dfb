import numpy as np

from training import golden, network
from training.params import Params


def test_a_score_is_its_own() -> None:
    """A window scores the same alone and in any batch, and every score is a number from 0 to 1."""
    model = network.build(Params())
    waveforms = golden.waveforms(24000)
    together = np.asarray(model(waveforms, training=False)["cry"])
    alone = np.concatenate([model(waveforms[i : i + 1], training=False)["cry"] for i in range(len(waveforms))])
    assert together.shape == (8, 1)
    assert np.isfinite(together).all()
    assert (together >= 0).all()
    assert (together <= 1).all()
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_stays_small() -> None:
    """The network has about 60 000 weights: it runs all night on the smallest machine."""
    assert 40_000 < network.build(Params()).count_params() < 80_000
