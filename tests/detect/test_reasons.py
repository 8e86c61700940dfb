from decimal import Decimal

import numpy as np
import pytest
import synth
import toy_reason
from hypothesis import given
from hypothesis import strategies as st

from monitor.detect import Judgement, Reasons
from monitor.detect.model import Waveforms
from monitor.detect.reasons import posterior
from monitor.errors import InferenceError
from monitor.records import UNSURE

EIGHT = (0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05)
SOUND = synth.cry(8)

LIKELIHOODS = st.lists(
    st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1e-300, 0.1, 1 / 3, 1.0])), min_size=2, max_size=40
).filter(lambda values: max(values) > 1e-6)  # what float32 holds, as the model gives it


def toy(*row: float, min_confidence: float | None = None, **changes: object) -> Reasons:
    names = [f"c{number}" for number in range(len(row))]
    return Reasons(toy_reason.model(toy_reason.always(*row), categories=names, **changes), min_confidence)


@given(LIKELIHOODS, st.floats(0, 1))
def test_probabilities_sum_to_exactly_1(values: list[float], weight: float) -> None:
    """Whatever the model says, the probabilities as they are written sum to exactly 1, none is negative."""
    reasons = toy(*values, weight=weight).judge(SOUND).reasons
    assert sum(Decimal(str(share)) for share in reasons.values()) == 1
    assert all(share >= 0 for share in reasons.values())
    assert len(reasons) == len(values)


@given(LIKELIHOODS, st.floats(0, 1))
def test_the_posterior_keeps_the_order(values: list[float], weight: float) -> None:
    """A category that is likelier than another is nowhere less probable, rounded or not; the likeliest is on top."""
    row = np.array(values, np.float32).astype(np.float64)
    exact = posterior(row, weight)
    judgement = toy(*values, weight=weight, min_confidence=0).judge(SOUND)
    said = list(judgement.reasons.values())
    for i, one in enumerate(row):
        for j, other in enumerate(row):
            assert one <= other or (exact[i] >= exact[j] and said[i] >= said[j])
    assert judgement.reasons[judgement.reason] == max(said)


@pytest.mark.parametrize("row", [EIGHT, (0.5, 0.25, 0.25), (1.0, 0.0)])
def test_weight_0_is_flat(row: tuple[float, ...]) -> None:
    """A likelihood that is not to be believed at all leaves the prior: every category as probable as another."""
    reasons = toy(*row, weight=0.0).judge(SOUND).reasons
    assert list(reasons.values()) == pytest.approx([1 / len(row)] * len(row), abs=1e-3)


def test_weight_1_is_the_models_word() -> None:
    """A likelihood that is to be believed is the posterior, since the prior is uniform."""
    assert list(toy(*EIGHT, weight=1.0).judge(SOUND).reasons.values()) == list(EIGHT)


def test_a_weight_between_tempers() -> None:
    """The odds of two categories are those of the model, to the power of the weight."""
    assert list(toy(0.8, 0.2, weight=0.5).judge(SOUND).reasons.values()) == [0.667, 0.333]


def test_eight_categories_give_eight_reasons() -> None:
    """Each category of the manifest has its probability, in the manifest's order."""
    reasons = Reasons(toy_reason.model(toy_reason.always(*EIGHT))).judge(SOUND).reasons
    assert tuple(reasons) == toy_reason.CATEGORIES


@pytest.mark.parametrize(
    ("of_manifest", "configured", "told"),
    [
        (0.6, None, "c0"),
        (0.7, None, UNSURE),
        (None, None, UNSURE),
        (None, 0.6, "c0"),
        (0.6, 0.7, UNSURE),
        (None, 0, "c0"),
    ],
)
def test_a_cause_is_named_from_its_confidence_on(
    of_manifest: float | None, configured: float | None, told: str
) -> None:
    """Below the configured confidence, else the manifest's, a cause is `unsure`, with its odds; null names none."""
    names = ["c0", "c1"]
    model = toy_reason.model(toy_reason.always(0.65, 0.35), categories=names, min_confidence=of_manifest)
    judgement = Reasons(model, configured).judge(SOUND)
    assert judgement == Judgement(told, {"c0": 0.65, "c1": 0.35})


def test_confidence_0_names_the_likeliest_whatever_its_weight() -> None:
    """With `min_confidence` 0 and weight 0 the cause is what the model answered, and has the most of the rounding."""
    judgement = toy(0.2, 0.3, 0.5, weight=0.0, min_confidence=0).judge(SOUND)
    assert judgement == Judgement("c2", {"c0": 0.333, "c1": 0.333, "c2": 0.334})


def test_the_newest_window_is_judged() -> None:
    """The model gets float32 in [-1, 1): the newest window, with zeros in front where there is less."""
    heard: list[Waveforms] = []

    def keep(waveforms: Waveforms) -> np.ndarray:
        heard.append(waveforms)
        return np.full((len(waveforms), 8), 1 / 8)

    reasons = Reasons(toy_reason.model(keep, window_samples=16_000))
    sound = np.arange(20_000, dtype=np.int16)
    reasons.judge(sound)
    reasons.judge(sound[:500])
    reasons.judge(sound[:0])
    long, short, none = heard
    assert long.dtype == np.float32
    assert np.array_equal(long[0], sound[4_000:] / np.float32(32_768))
    assert np.array_equal(short[0], np.concatenate([np.zeros(15_500), sound[:500] / 32_768]).astype(np.float32))
    assert not none.any()
    assert {waveforms.shape for waveforms in heard} == {(1, 16_000)}


@pytest.mark.parametrize("row", [(np.nan, 1.0), (0.0, 0.0), (-0.5, 1.5), (np.inf, 0.0)])
def test_an_answer_that_is_no_likelihood_is_an_error(row: tuple[float, ...]) -> None:
    """NaN, nothing at all, less than nothing: the model failed, and nobody is told a cause."""
    with pytest.raises(InferenceError, match="no likelihood"):
        toy(*row).judge(SOUND)
