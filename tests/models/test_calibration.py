import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import Calibration, fit, reliability


def test_fitted_probabilities_have_the_frequency_of_the_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 20_000).astype(np.float32)
    scores = rng.uniform(0.05, 0.95, 20_000).astype(np.float32)
    truth = Calibration(0.5, 1.0, -1.0)
    mitosis = rng.random(20_000) < truth(logits, scores)
    fitted = fit(logits, scores, mitosis)
    np.testing.assert_allclose(
        [fitted.logit_weight, fitted.detector_weight, fitted.constant], [0.5, 1.0, -1.0], atol=0.1
    )
    for mean_p, share, n in reliability(fitted(logits, scores), mitosis):
        assert abs(mean_p - share) < 4 * np.sqrt(0.25 / n)


def test_separable_data_stay_finite():
    fitted = fit(
        np.array([-1, 1], np.float32), np.array([0.2, 0.8], np.float32), np.array([False, True])
    )
    assert np.isfinite([fitted.logit_weight, fitted.detector_weight, fitted.constant]).all()


@settings(max_examples=50)
@given(st.floats(-50, 50), st.floats(0, 1))
def test_probabilities_are_probabilities(logit, score):
    p = Calibration(1, 1, 0)(np.array([logit], np.float32), np.array([score], np.float32))
    assert 0 <= p[0] <= 1
