import keras
import numpy as np

from training import golden, network
from training.params import LaughParams, Params


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


def test_a_laugh_counts_against_a_cry() -> None:
    """What ships has the trained weights, and scores lower where its trained self hears a laugh."""
    keras.utils.set_random_seed(5)
    classes = np.array([0, 13, 14, 15, 16, 17, 22])
    trained = network.build(Params(), len(classes))
    waveforms = golden.waveforms(24000)
    said = {name: np.asarray(value) for name, value in trained(waveforms, training=False).items()}
    odds = {name: np.log(said[name] / (1 - said[name])) for name in ("cry", "teacher")}
    params = Params(laugh=LaughParams(weight=0.5, from_odds=-1.0))
    shipped = np.asarray(network.shipping(trained, params, classes)(waveforms, training=False)["cry"])
    against = 0.5 * np.maximum(odds["teacher"][:, 1:6].max(axis=1, keepdims=True) + 1.0, 0)
    np.testing.assert_allclose(shipped, 1 / (1 + np.exp(against - odds["cry"])), rtol=0, atol=1e-5)
    assert (shipped < said["cry"]).any()
