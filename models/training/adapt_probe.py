"""Linear probe: logistic regression on embeddings, its L2 chosen by slides inside the training set.

Embeddings are standardised (the released code of Ammeling et al. 2025 does not), turned to their
principal axes, where L-BFGS needs few steps, and the result is folded back into one linear unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import expit
from torch import nn

from models.training.adapt_data import balance, both_classes, cell_folds, slide_folds

#: L2 on the mean loss, of standardised embeddings; from none worth the name to a mean image.
L2_GRID = (10.0, 1.0, 0.1, 0.01, 0.001)
_INNER_FOLDS = 3
_MAX_STEPS = 200
_CURVATURE = 0.1  # of the logistic loss, about; at most 0.25


@dataclass(frozen=True, slots=True)
class Probe:
    """A linear unit on embeddings.

    Attributes:
        weight: (dim,) float64.
        bias: constant.
        l2: that was chosen.
    """

    weight: NDArray[np.float64]
    bias: float
    l2: float

    def __call__(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (N,) of embeddings (N, dim)."""
        return np.asarray(embeddings @ self.weight + self.bias, np.float32)

    def put_on(self, head: nn.Module) -> None:
        """Make a `nn.Linear(dim, 1)` give these logits."""
        head.load_state_dict(
            {
                "weight": torch.from_numpy(self.weight[None].astype(np.float32)),
                "bias": torch.tensor([self.bias], dtype=torch.float32),
            }
        )


def fit_probe(
    embeddings: NDArray[np.float32],
    positive: NDArray[np.bool_],
    slide: NDArray[np.str_],
    *,
    l2: float | None = None,
    seed: int = 0,
) -> Probe:
    """Fit a probe; classes and slides are balanced as `balance` says.

    Args:
        embeddings: (N, dim).
        positive: (N,) with both classes.
        slide: (N,); the inner folds hold whole slides out where that leaves both classes.
        l2: None to choose it by the balanced log loss of held-out cells.
        seed: of inner folds by cell, where there are too few slides.
    """
    mean = embeddings.mean(axis=0, dtype=np.float64)
    scale = embeddings.std(axis=0, dtype=np.float64)
    scale[scale < 1e-6 * max(float(scale.max()), 1e-12)] = np.inf  # a constant says nothing
    x = ((embeddings - mean) / scale).astype(np.float32)
    _, axes = eigh(_covariance(x), driver="evd")
    x = x @ axes
    weights = balance(positive, slide)
    if l2 is None:
        l2 = _choose(x, positive, slide, seed)
    w, b = _path(x, positive, weights, [v for v in L2_GRID if v > l2] + [l2])[-1]
    weight = (axes @ w) / scale
    return Probe(weight, float(b - weight @ mean), l2)


def _covariance(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(x.T @ x / np.float32(len(x)))


def _choose(
    x: NDArray[np.float32], positive: NDArray[np.bool_], slide: NDArray[np.str_], seed: int
) -> float:
    """The L2 with the least balanced log loss over inner folds."""
    folds = _inner_folds(positive, slide, seed)
    loss = np.zeros(len(L2_GRID))
    for k in range(int(folds.max()) + 1):
        held = folds == k
        if not held.any() or not both_classes(positive[~held]):
            continue
        weights = balance(positive[~held], slide[~held])
        fits = _path(x[~held], positive[~held], weights, L2_GRID)
        of_held = balance(positive[held], slide[held]) * held.sum()
        for i, (w, b) in enumerate(fits):
            z = (x[held] @ w + b).astype(np.float64)
            loss[i] += float(of_held @ (np.logaddexp(0, z) - positive[held] * z))
    return L2_GRID[int(np.argmin(loss))]


def _inner_folds(
    positive: NDArray[np.bool_], slide: NDArray[np.str_], seed: int
) -> NDArray[np.int64]:
    n_slides = len(np.unique(slide))
    if n_slides >= 2:
        folds = slide_folds(positive, slide, min(_INNER_FOLDS, n_slides))
        if all(both_classes(positive[folds != k]) for k in np.unique(folds)):
            return folds
    return cell_folds(positive, _INNER_FOLDS, np.random.default_rng([seed, 7]))


def _path(
    x: NDArray[np.float32],
    positive: NDArray[np.bool_],
    weights: NDArray[np.float64],
    l2s: Sequence[float],
) -> list[tuple[NDArray[np.float32], float]]:
    """Weights and bias for each L2, strongest first: each fit starts at the one before."""
    y = positive.astype(np.float32)
    sample = weights.astype(np.float32)
    # On principal axes the Hessian is nearly diagonal: scaled by it, L-BFGS takes a dozen steps.
    spread = sample @ np.square(x)
    w, b = np.zeros(x.shape[1]), 0.0
    fits = []
    for l2 in l2s:
        unit = 1 / np.sqrt(np.append(_CURVATURE * spread + l2, _CURVATURE))

        def loss(
            v: NDArray[np.float64], l2: float = l2, unit: NDArray[np.float64] = unit
        ) -> tuple[float, NDArray[np.float64]]:
            w, b = np.split(v * unit, [-1])
            z = x @ w.astype(np.float32) + np.float32(b[0])
            value = float(sample @ (np.logaddexp(0, z) - y * z)) + l2 / 2 * float(w @ w)
            residual = sample * (expit(z) - y)
            return value, np.append(residual @ x + l2 * w, residual.sum()) * unit

        best = minimize(
            loss,
            np.append(w, b) / unit,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MAX_STEPS, "ftol": 1e-6, "gtol": 1e-5},
        )
        w, (b,) = np.split(best.x * unit, [-1])
        fits.append((w.astype(np.float32), float(b)))
    return fits
