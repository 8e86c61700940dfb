import keras
import numpy as np
import pytest

from training import golden, network, shipping
from training.layers import LogMel, float16_values
from training.params import Params
from training.shipping import OUTPUT, PICTURE


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Give a network whose normalisation has seen something, as a trained one's has."""
    keras.utils.set_random_seed(2)
    model = network.build(Params())
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.get_weights()[0].size
            gamma, beta, mean, variance = (
                rng.uniform(0.5, 2, n),
                rng.normal(0, 1, n),
                rng.normal(0, 1, n),
                rng.uniform(1, 3, n),
            )
            layer.set_weights([gamma, beta, mean, variance])
    return model


def score(model: keras.Model, waveforms: np.ndarray) -> np.ndarray:
    return np.asarray(model(waveforms, training=False)[OUTPUT])


WAVEFORMS = golden.waveforms(24000)


def test_folding_the_normalisation_changes_nothing(model: keras.Model) -> None:
    """Plain weights give what weights and normalisation gave, to float32's rounding."""
    head = keras.Model(model.get_layer(PICTURE).output, model.get_layer(OUTPUT).output)
    plain = shipping.folded(head)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in plain.layers)
    picture = LogMel()(WAVEFORMS)
    np.testing.assert_allclose(plain(picture), score(model, WAVEFORMS), rtol=0, atol=2e-6)


def test_every_number_is_one_that_float16_holds(model: keras.Model) -> None:
    """Weights and constants of what ships are float16's values, and hardly change a score."""
    shipped = shipping.parts(model, Params())
    layers = [layer for part in shipped for layer in part.layers if isinstance(layer, LogMel)]
    constants = [array for layer in layers for pair in layer.matrices for array in pair]
    constants += [array for layer in layers for array in (layer.window, layer.floor, layer.weights_of_bins)]
    for array in [*shipped.head.get_weights(), *constants]:
        assert np.array_equal(array, float16_values(np.asarray(array)))
    np.testing.assert_allclose(score(shipped.whole, WAVEFORMS), score(model, WAVEFORMS), rtol=0, atol=0.02)


def test_parts_make_the_whole(model: keras.Model) -> None:
    """The head scores the frames of a hop's chunks as the whole model scores the window."""
    shipped = shipping.parts(model, Params())
    assert [part.input_shape for part in shipped] == [(None, 24000), (None, 7920), (None, 148, 64)]
    sound = np.pad(WAVEFORMS, ((0, 0), (7040, 0)))
    frames = np.concatenate([shipped.mel(sound[:, i * 7680 : i * 7680 + 7920])["frames"] for i in range(4)], axis=1)
    np.testing.assert_allclose(score(shipped.head, frames[:, 44:]), score(shipped.whole, WAVEFORMS), atol=1e-6)


def test_outputs_that_only_training_needs_do_not_ship(model: keras.Model) -> None:
    """A network with one more output ships its cry alone, and no weight of the other."""
    aside = keras.layers.Dense(3, name="aside")(model.get_layer("dropout").output)
    two = keras.Model(model.input, {"cry": model.output["cry"], "aside": aside})
    shipped, plain = shipping.parts(two, Params()), shipping.parts(model, Params())
    assert list(shipped.whole.output) == ["cry"]
    assert shipped.whole.count_params() == plain.whole.count_params()
    assert np.array_equal(score(shipped.whole, WAVEFORMS), score(plain.whole, WAVEFORMS))
