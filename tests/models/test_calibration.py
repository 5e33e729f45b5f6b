import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import Calibration, Levelling, fit, reliability


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


@settings(max_examples=50)
@given(st.floats(-8, 8), st.floats(0.01, 0.99))
def test_logits_are_found_again_from_probabilities(z, score):
    calibration = Calibration(0.8, 0.9, -1.0)
    scores = np.array([score])
    p = calibration(np.array([z]), scores).astype(np.float64)
    np.testing.assert_allclose(calibration.logits(p, scores), [z], atol=2e-3)


def test_levelling_takes_a_slides_shift_away_and_leaves_few_candidates_be():
    rng = np.random.default_rng(0)
    calibration, levelling = Calibration(0.8, 0.9, -1.0), Levelling(-3.0)
    logits, scores = rng.normal(-3, 2, 5000), rng.uniform(0.1, 0.9, 5000)
    expected = calibration(logits, scores)
    for by in (-2.0, 0.0, 2.0):
        p = calibration(logits + by, scores).astype(np.float64)
        shift = levelling.shift(calibration.logits(p, scores))
        np.testing.assert_allclose(shift, by, atol=0.15)
        np.testing.assert_allclose(calibration.shifted(p, -shift), expected, atol=0.04)
    assert abs(levelling.shift(np.array([5.0]))) < 0.1
    assert levelling.shift(np.empty(0)) == 0.0
