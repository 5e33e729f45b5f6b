"""How the shipped classifier is operated: levelling, calibration, thresholds; all out of fold."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.training.out_of_fold import FrameCandidates
from core.analysis.evaluate import Evaluation, FilePoints, Scores, evaluate_files
from models import calibration
from models.calibration import Calibration, Levelling

REVIEW_RECALL = 0.98

Logits = Mapping[str, NDArray[np.float64]]
"""The classifier's logit of every candidate, by file."""


def level(
    found: Sequence[FrameCandidates], logits: Logits, threshold: float
) -> tuple[Levelling, dict[str, NDArray[np.float64]]]:
    """Bring every slide's candidates to one level, as an analysis does at its end.

    Returns:
        The levelling, and the logits of every candidate after it, by file.
    """
    by_slide: dict[str, list[FrameCandidates]] = {}
    for c in found:
        if c.whole:
            by_slide.setdefault(c.slide, []).append(c)
    kept = {
        slide: np.concatenate([logits[c.file][c.scores >= threshold] for c in frames])
        for slide, frames in by_slide.items()
    }
    medians = [float(np.median(z)) for z in kept.values() if len(z)]
    levelling = Levelling(float(np.median(medians)))
    shift = {slide: levelling.shift(z) for slide, z in kept.items()}
    return levelling, {c.file: logits[c.file] - shift.get(c.slide, 0.0) for c in found}


@dataclass(frozen=True, slots=True)
class Judged:
    """Whole frames under calibrated probabilities.

    Attributes:
        calibration: that was fitted on them.
        files: their candidates and truth.
        slides: that each file belongs to.
        p: (N,) float32, of all candidates.
        mitosis: (N,) bool, whether they are.
    """

    calibration: Calibration
    files: tuple[FilePoints, ...]
    slides: tuple[str, ...]
    p: NDArray[np.float32]
    mitosis: NDArray[np.bool_]

    def evaluation(self, slides: Collection[str] | None = None) -> Evaluation:
        """Of the frames of some slides, or of all."""
        pairs = zip(self.files, self.slides, strict=True)
        return evaluate_files([f for f, s in pairs if slides is None or s in slides])


def judge(found: Sequence[FrameCandidates], logits: Logits, threshold: float) -> Judged:
    """Fit the probability on whole frames' candidates at the detector's operating threshold.

    Args:
        found: of every frame.
        logits: of their candidates.
        threshold: of the detector.
    """
    whole = [c for c in found if c.whole]
    kept = [c.scores >= threshold for c in whole]
    z = np.concatenate([logits[c.file][k] for c, k in zip(whole, kept, strict=True)])
    score = np.concatenate([c.scores[k] for c, k in zip(whole, kept, strict=True)])
    mitosis = np.concatenate([c.is_mitosis[k] for c, k in zip(whole, kept, strict=True)])
    fitted = calibration.fit(z.astype(np.float32), score.astype(np.float32), mitosis)
    files = []
    for c, k in zip(whole, kept, strict=True):
        p = fitted(logits[c.file][k].astype(np.float32), c.scores[k].astype(np.float32))
        files.append(replace(c, xy_um=c.xy_um[k]).with_scores(p.astype(np.float64)))
    p_all = fitted(z.astype(np.float32), score.astype(np.float32))
    return Judged(fitted, tuple(files), tuple(c.slide for c in whole), p_all, mitosis)


def thresholds(evaluation: Evaluation) -> tuple[float, float]:
    """Review threshold (recall ≥ 0.98 of what the detector found) and count threshold (best F1)."""
    curve = evaluation.curve()
    count, _ = curve.best()
    enough = curve.tp >= REVIEW_RECALL * curve.tp[-1]
    review = float(curve.thresholds[int(np.argmax(enough))])
    return review, count


def carried(judged: Judged) -> Scores:
    """Pooled counts when every slide is judged at the threshold that is best on all others."""
    slides = sorted(set(judged.slides))
    total = Scores(0, 0, 0)
    for slide in slides:
        others, _ = judged.evaluation([s for s in slides if s != slide]).curve().best()
        at = judged.evaluation([slide]).curve().at(others)
        total = Scores(total.tp + at.tp, total.fp + at.fp, total.fn + at.fn)
    return total


def figures(judged: Judged, groups: Sequence[Sequence[str]], threshold: float) -> dict[str, Any]:
    """Out-of-fold figures for the manifest.

    Args:
        judged: all whole frames.
        groups: the slides of each fold.
        threshold: from which on a candidate is counted.
    """
    return {
        "folds": len(groups),
        **_at(judged.evaluation(), threshold),
        "f1_at_threshold_of_other_slides": round(carried(judged).f1, 4),
        "groups": [
            {"slides": list(group), **_at(judged.evaluation(group), threshold)} for group in groups
        ],
        "reliability": [
            [round(a, 4), round(b, 4), n]
            for a, b, n in calibration.reliability(judged.p, judged.mitosis)
        ],
    }


def _at(evaluation: Evaluation, threshold: float) -> dict[str, Any]:
    curve = evaluation.curve()
    at = curve.at(threshold)
    return {
        "mitoses": curve.n_truth,
        "f1": round(at.f1, 4),
        "precision": round(at.precision, 4),
        "recall": round(at.recall, 4),
        "average_precision": round(curve.average_precision(), 4),
    }
