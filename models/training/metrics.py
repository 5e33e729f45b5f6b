"""What a two-class judge is measured by: accuracy, κ, F1, AUROC, and bootstrap intervals by slide.

The five figures are those of Ammeling et al. 2025 (arXiv 2508.04441). All functions take the truth
as (N,) bool, true for the positive class, and a score as (N,) float that is high for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Truth = NDArray[np.bool_]
Score = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures of one judge on one set; nan where the set has one class only.

    Attributes:
        cells, positives: of the set.
        accuracy: share judged right.
        balanced_accuracy: mean of the recalls of both classes.
        kappa: Cohen's κ; with two classes the quadratic weights of the paper change nothing.
        weighted_f1: mean of both classes' F1, weighted by how many cells each has.
        f1: of the positive class.
        auroc: area under the ROC curve; ties count half.
    """

    cells: int
    positives: int
    accuracy: float
    balanced_accuracy: float
    kappa: float
    weighted_f1: float
    f1: float
    auroc: float


def measure(truth: Truth, score: Score, threshold: float = 0.5) -> Metrics:
    """All figures; a score from `threshold` on is called positive."""
    called = score >= threshold
    n = len(truth)
    positives = int(truth.sum())
    tp, fp = int((called & truth).sum()), int((called & ~truth).sum())
    fn, tn = positives - tp, n - positives - fp
    f1, f1_negative = _ratio(2 * tp, 2 * tp + fp + fn), _ratio(2 * tn, 2 * tn + fp + fn)
    by_chance = _ratio((tp + fp) * positives + (tn + fn) * (n - positives), n * n)
    accuracy = _ratio(tp + tn, n)
    return Metrics(
        cells=n,
        positives=positives,
        accuracy=accuracy,
        balanced_accuracy=balanced_accuracy(truth, called),
        kappa=_ratio(accuracy - by_chance, 1 - by_chance),
        weighted_f1=_ratio(f1 * positives, n) + _ratio(f1_negative * (n - positives), n)
        if 0 < positives < n
        else float("nan"),
        f1=f1,
        auroc=auroc(truth, score),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def balanced_accuracy(truth: Truth, called: Truth) -> float:
    """Mean of sensitivity and specificity; nan if a class is missing."""
    positives = int(truth.sum())
    sensitivity = _ratio(int((called & truth).sum()), positives)
    return (sensitivity + _ratio(int((~called & ~truth).sum()), len(truth) - positives)) / 2


def auroc(truth: Truth, score: Score) -> float:
    """Probability that a positive scores above a negative (Mann & Whitney 1947)."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = float(rankdata(score)[truth].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def average_precision(truth: Truth, score: Score) -> float:
    """Mean over the positives of the precision down to each; nan without any."""
    ranked = truth[np.argsort(-score, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].mean()) if ranked.any() else float("nan")


def best_threshold(truth: Truth, score: Score) -> float:
    """The threshold of the highest balanced accuracy, half way to the next lower score.

    Args:
        truth: both classes must be there.
        score: of every cell.
    """
    order = np.argsort(-score, kind="stable")
    ranked, right = np.asarray(score, np.float64)[order], truth[order]
    value = np.cumsum(right) / right.sum() - np.cumsum(~right) / (~right).sum()
    value[:-1][ranked[:-1] == ranked[1:]] = -np.inf  # no threshold parts equal scores
    best = int(np.argmax(value))
    below = ranked[best + 1] if best + 1 < len(ranked) else ranked[best]
    return float((ranked[best] + below) / 2)


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    unit: NDArray[np.str_],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a statistic when whole units are drawn with replacement.

    Args:
        statistic: of the cells with these indices (M,); nan is left out.
        unit: (N,) what each cell belongs to: its slide, or itself where slides are unknown.
        resamples: draws.
        level: coverage aimed at.
        seed: of the draws; the same seed gives paired draws to paired statistics.

    Returns:
        Lower and upper end; both nan if no draw had a value.
    """
    _, inverse = np.unique(unit, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(members), len(members))
        values.append(statistic(np.concatenate([members[k] for k in drawn])))
    known = np.array(values)[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
