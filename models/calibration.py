"""From the classifier's logit and the detector's score to one calibrated probability.

Platt scaling (Platt 1999) with two inputs: p = σ(a·logit + b·logit(detector score) + c), fitted on
out-of-fold candidates at their natural frequency.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

_CLIP = 1e-4


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of the classifier's logit and of the detector's, and a constant."""

    logit_weight: float
    detector_weight: float
    constant: float

    def __call__(
        self, logits: NDArray[np.float32], detector_scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Probabilities (N,) float32 from logits (N,) and scores in 0..1 (N,)."""
        z = self.logit_weight * logits + self.detector_weight * _safe_logit(detector_scores)
        return np.asarray(expit(z + self.constant), np.float32)


def _safe_logit(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(scores.astype(np.float64), _CLIP, 1 - _CLIP)))


def fit(
    logits: NDArray[np.float32],
    detector_scores: NDArray[np.float32],
    mitosis: NDArray[np.bool_],
) -> Calibration:
    """Maximum likelihood with a slight pull to zero, so that separable data stay finite.

    Args:
        logits: (N,) of candidates whose slides were held out.
        detector_scores: (N,) of the same candidates.
        mitosis: (N,) bool.
    """
    x = np.stack([logits.astype(np.float64), _safe_logit(detector_scores), np.ones(len(logits))], 1)
    y = mitosis.astype(np.float64)

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = x @ w
        value = np.sum(np.logaddexp(0, z) - y * z) + 0.01 * np.sum(w[:2] ** 2)
        gradient = x.T @ (expit(z) - y)
        gradient[:2] += 0.02 * w[:2]
        return float(value), gradient

    best = minimize(loss, np.array([1.0, 0.0, 0.0]), jac=True, method="L-BFGS-B")
    return Calibration(*(float(v) for v in best.x))


def reliability(
    probability: NDArray[np.float32], mitosis: NDArray[np.bool_], bins: int = 10
) -> list[tuple[float, float, int]]:
    """Mean probability, share of mitoses and number of candidates in bins of equal width."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    return [
        (
            float(probability[which == k].mean()),
            float(mitosis[which == k].mean()),
            int((which == k).sum()),
        )
        for k in range(bins)
        if (which == k).any()
    ]
