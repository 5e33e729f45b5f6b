"""The new adapter beside the current model, on cells that were held out of everything chosen.

Calibration and threshold of a fold are fitted to the other folds' held-out scores, never to its
own; those that are saved are fitted to all.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.adapting.request import MetricRow, Task
from models.calibration import Calibration, brier, calibration_error, fit_with_detector
from models.training.metrics import auroc, balanced_accuracy, best_threshold, bootstrap

#: From so many slides on, the bootstrap draws slides; fewer would give intervals of chance.
SLIDES_FOR_BOOTSTRAP = 5
RESAMPLES = 1000
#: Share of held-out positives that a reader must be shown, as for the shipped classifier.
REVIEW_RECALL = 0.98

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a model says of the held-out cells.

    Attributes:
        probability: (N,) float64.
        called: (N,) bool, at the model's threshold.
    """

    probability: Floats
    called: Bools


@dataclass(frozen=True, slots=True)
class Fitted:
    """From logits to calls.

    Attributes:
        calibration: logit (and detector score) to probability.
        count_threshold: from here on it is called positive.
        review_threshold: from here on a reader must look.
    """

    calibration: Calibration
    count_threshold: float
    review_threshold: float


def fit(
    logits: NDArray[np.float32],
    scores: NDArray[np.float32],
    positive: Bools,
    detector_weight: float,
    task: Task,
) -> Fitted:
    """Fit calibration and thresholds to held-out logits.

    The threshold is the best for F1 (mitosis against imposter, as the field measures it) or for
    balanced accuracy (atypical against normal, likewise).
    """
    calibration = fit_with_detector(logits, scores, positive, detector_weight)
    p = calibration(logits, scores).astype(np.float64)
    count = best_f1_threshold(positive, p) if task == "mitosis" else best_threshold(positive, p)
    review = float(np.quantile(p[positive], 1 - REVIEW_RECALL, method="lower"))
    return Fitted(calibration, count, min(review, count))


def best_f1_threshold(positive: Bools, probability: Floats) -> float:
    """The threshold of the highest F1, half way to the next lower probability."""
    order = np.argsort(-probability, kind="stable")
    ranked, hits = probability[order], np.cumsum(positive[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + positive.sum())
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # no threshold parts equal probabilities
    best = int(np.argmax(f1))
    below = ranked[best + 1] if best + 1 < len(ranked) else ranked[best]
    return float((ranked[best] + below) / 2)


def cross_fitted(
    logits: NDArray[np.float32],
    scores: NDArray[np.float32],
    positive: Bools,
    folds: NDArray[np.int64],
    detector_weight: float,
    task: Task,
) -> Judged:
    """Judge every cell with calibration and threshold fitted to the other folds.

    Args:
        logits: (N,) of each cell by a network that had not seen its fold.
        scores: (N,) of the detector; NaN where it was not asked.
        positive: (N,).
        folds: (N,); without one of them both classes remain.
        detector_weight: of the detector's log odds.
        task: decides what the threshold is best for.
    """
    probability, called = np.zeros(len(logits)), np.zeros(len(logits), np.bool_)
    for k in np.unique(folds):
        held = folds == k
        rest = ~held
        fitted = fit(logits[rest], scores[rest], positive[rest], detector_weight, task)
        probability[held] = fitted.calibration(logits[held], scores[held])
        called[held] = probability[held] >= fitted.count_threshold
    return Judged(probability, called)


def _f1(positive: Bools, judged: Judged, ids: NDArray[np.int64]) -> float:
    truth, called = positive[ids], judged.called[ids]
    whole = int(truth.sum()) + int(called.sum())
    return 2 * int((truth & called).sum()) / whole if whole else math.nan


_METRICS: dict[str, tuple[bool, Callable[[Bools, Judged, NDArray[np.int64]], float]]] = {
    "f1": (True, _f1),
    "balanced_accuracy": (True, lambda y, j, ids: balanced_accuracy(y[ids], j.called[ids])),
    "auroc": (True, lambda y, j, ids: auroc(y[ids], j.probability[ids])),
    "brier": (False, lambda y, j, ids: brier(j.probability[ids], y[ids])),
    "calibration_error": (
        False,
        lambda y, j, ids: calibration_error(j.probability[ids], y[ids]),
    ),
}


def compare(
    positive: Bools,
    slide: NDArray[np.str_],
    new: Judged,
    shipped: Judged | None,
    refitted: Judged | None,
    *,
    seed: int,
) -> tuple[tuple[MetricRow, ...], Literal["slide", "cell"]]:
    """All figures with paired intervals, and what the bootstrap drew.

    Args:
        positive: (N,) the truth.
        slide: (N,).
        new: the adapter.
        shipped: the current model as it is; None where there is none.
        refitted: the same with calibration and threshold fitted here.
        seed: of the bootstrap.
    """
    enough = len(np.unique(slide)) >= SLIDES_FOR_BOOTSTRAP
    unit = slide if enough else np.arange(len(slide)).astype(str)
    everything = np.arange(len(positive))
    rows = []
    for name, (higher, metric) in _METRICS.items():
        value = metric(positive, new, everything)
        ends: list[float | None] = []
        for other in (shipped, refitted):
            if other is None:
                ends += [None] * 4
                continue

            def difference(
                ids: NDArray[np.int64],
                other: Judged = other,
                metric: Callable[[Bools, Judged, NDArray[np.int64]], float] = metric,
            ) -> float:
                return metric(positive, new, ids) - metric(positive, other, ids)

            low, high = bootstrap(difference, unit, resamples=RESAMPLES, seed=seed)
            own = metric(positive, other, everything)
            ends += [_finite(v) for v in (own, value - own, low, high)]
        rows.append(
            MetricRow(
                metric=name,
                higher_is_better=higher,
                shipped=ends[0],
                refitted=ends[4],
                new=round(value, 6),
                difference=ends[1],
                low=ends[2],
                high=ends[3],
                refitted_difference=ends[5],
                refitted_low=ends[6],
                refitted_high=ends[7],
            )
        )
    return tuple(rows), "slide" if enough else "cell"


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
