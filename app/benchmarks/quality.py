"""`mitoscope benchmark quality`: the shipped models on screened frames of the test slide.

Thresholds are those that ship; nothing is chosen here. Each frame goes through the same detector,
merging, cropping size and classifier as a slide does, from memory.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from core.analysis.evaluate import (
    Curve,
    Evaluation,
    FilePoints,
    Interval,
    bootstrap_interval,
    evaluate_files,
)
from models.classifier import CropClassifier
from models.detector import HeatmapDetector
from models.heatmap import heat_to_points, pad_to_grid
from models.training.augment import stain_matrix
from models.training.classifier_training import cut_tiles
from models.training.data import Frame, resize_to_mpp

DENSITIES = (50, 100, 200)
#: To draw the FROC, the detector is followed below its operating point: so far and no farther.
FROC_THRESHOLD = 0.01
FROC_PER_MM2 = 300.0

Image8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class FrameScores:
    """What the models found on one frame.

    Attributes:
        xy_um: (N, 2) float64 from the frame's top left corner.
        detector_scores, probabilities: (N,) float64.
    """

    xy_um: NDArray[np.float64]
    detector_scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]


def score_frame(
    detector: HeatmapDetector, classifier: CropClassifier, rgb: Image8, mpp: float
) -> FrameScores:
    """Detect on (H, W, 3) uint8 at `mpp` µm/px; classify the best `FROC_PER_MM2` points per mm²."""
    coarse = resize_to_mpp(rgb, mpp, detector.mpp)
    height, width = coarse.shape[:2]
    logits = detector.heat(pad_to_grid(coarse)[None])[0, 0]
    points = heat_to_points(logits, FROC_THRESHOLD)
    inside = np.flatnonzero((points.xy_px < [width, height]).all(axis=1))
    n = max(1, int(FROC_PER_MM2 * height * width * detector.mpp**2 / 1e6))
    best = inside[np.argsort(-points.scores[inside], kind="stable")[:n]]
    above = inside[points.scores[inside] >= detector.threshold]
    kept = np.union1d(best, above)
    xy_um = points.xy_px[kept].astype(np.float64) * detector.mpp
    scores = points.scores[kept]
    fine = resize_to_mpp(rgb, mpp, classifier.mpp)
    crops = cut_tiles(fine, xy_um / classifier.mpp, classifier.crop_px)
    probabilities = classifier.classify(crops, scores)
    return FrameScores(xy_um, scores.astype(np.float64), probabilities.astype(np.float64))


def level(
    detector: HeatmapDetector, classifier: CropClassifier, scored: Sequence[FrameScores]
) -> list[FrameScores]:
    """Level the probabilities over all frames, by the candidates that an analysis would keep."""
    probabilities = np.concatenate([s.probabilities for s in scored])
    scores = np.concatenate([s.detector_scores for s in scored])
    kept = scores >= detector.threshold
    levelled = probabilities.copy()
    levelled[kept] = classifier.level(probabilities[kept], scores[kept]).probabilities
    ends = np.cumsum([len(s.detector_scores) for s in scored])[:-1]
    return [
        replace(s, probabilities=p) for s, p in zip(scored, np.split(levelled, ends), strict=True)
    ]


def _jpeg(rgb: Image8, quality: int) -> Image8:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _blur(rgb: Image8, sigma_px: float) -> Image8:
    return np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(sigma_px)))


def _stain(rgb: Image8, haematoxylin: float, eosin: float) -> Image8:
    od = -np.log(np.maximum(rgb, 1) / 255.0)
    changed = od @ stain_matrix(np.array([haematoxylin, eosin, 1.0])).T
    return np.asarray((255 * np.exp(-np.maximum(changed, 0))).round(), np.uint8)


def _half_resolution(rgb: Image8) -> Image8:
    """The frame as a 20x scanner would give it, on the same pixel grid."""
    small = resize_to_mpp(rgb, 0.25, 0.5)
    size = (rgb.shape[1], rgb.shape[0])
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))


#: Simulated scanners and laboratories, at strengths fixed before anything was measured.
SHIFTS: dict[str, Callable[[Image8], Image8]] = {
    "as scanned": lambda rgb: rgb,
    "pale haematoxylin (0.7)": lambda rgb: _stain(rgb, 0.7, 1.0),
    "strong haematoxylin (1.4)": lambda rgb: _stain(rgb, 1.4, 1.0),
    "pale eosin (0.6)": lambda rgb: _stain(rgb, 1.0, 0.6),
    "strong eosin (1.5)": lambda rgb: _stain(rgb, 1.0, 1.5),
    "blur (sigma 0.5 µm)": lambda rgb: _blur(rgb, 2.0),
    "JPEG quality 30": lambda rgb: _jpeg(rgb, 30),
    "0.5 µm/px": _half_resolution,
}


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of one set of frames at the shipped thresholds.

    Attributes:
        f1, average_precision: each with its frame-bootstrap interval (95 %).
        best_f1: at the threshold that would have been best here; only to judge the shipped one.
        detector_recall: at candidates per mm², with intervals.
        operating_recall, operating_per_mm2: of the detector at its shipped threshold.
        review_recall, review_per_mm2: of the whole at the review threshold.
    """

    name: str
    frames: int
    area_mm2: float
    mitoses: int
    f1: float
    f1_interval: tuple[float, float]
    precision: float
    recall: float
    average_precision: float
    average_precision_interval: tuple[float, float]
    best_f1: float
    detector_recall: dict[str, float]
    detector_recall_interval: dict[str, tuple[float, float]]
    operating_recall: float
    operating_per_mm2: float
    review_recall: float
    review_per_mm2: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def _ends(interval: Interval) -> tuple[float, float]:
    return round(interval.low, 4), round(interval.high, 4)


def measure(
    name: str,
    frames: Sequence[Frame],
    detector: HeatmapDetector,
    classifier: CropClassifier,
    change: Callable[[Image8], Image8],
    *,
    resamples: int = 1000,
) -> Quality:
    """Score all frames of a slide after `change`, level them as one, and read the figures."""
    detected, classified = [], []
    scored = [score_frame(detector, classifier, change(f.rgb), f.mpp) for f in frames]
    for frame, found in zip(frames, level(detector, classifier, scored), strict=True):
        truth = frame.mitoses_px.astype(np.float64) * frame.mpp
        area_mm2 = frame.rgb.shape[0] * frame.rgb.shape[1] * frame.mpp**2 / 1e6
        detected.append(FilePoints(frame.file, found.xy_um, found.detector_scores, truth, area_mm2))
        kept = found.detector_scores >= detector.threshold
        classified.append(
            FilePoints(frame.file, found.xy_um[kept], found.probabilities[kept], truth, area_mm2)
        )
    return _figures(
        name, evaluate_files(detected), evaluate_files(classified), detector, classifier, resamples
    )


def _figures(
    name: str,
    detected: Evaluation,
    classified: Evaluation,
    detector: HeatmapDetector,
    classifier: CropClassifier,
    resamples: int,
) -> Quality:
    froc, curve = detected.curve(), classified.curve()
    at, operating = curve.at(classifier.count_threshold), froc.at(detector.threshold)

    def interval(
        evaluation: Evaluation, statistic: Callable[[Curve], float]
    ) -> tuple[float, float]:
        return _ends(bootstrap_interval(evaluation, statistic, resamples=resamples))

    assert curve.area_mm2 is not None
    return Quality(
        name=name,
        frames=curve.n_files,
        area_mm2=round(curve.area_mm2, 2),
        mitoses=curve.n_truth,
        f1=round(at.f1, 4),
        f1_interval=interval(classified, lambda c: c.at(classifier.count_threshold).f1),
        precision=round(at.precision, 4),
        recall=round(at.recall, 4),
        average_precision=round(curve.average_precision(), 4),
        average_precision_interval=interval(classified, Curve.average_precision),
        best_f1=round(curve.best()[1].f1, 4),
        detector_recall={str(d): round(froc.recall_at_candidates_per_mm2(d), 4) for d in DENSITIES},
        detector_recall_interval={
            str(d): interval(detected, lambda c, d=d: c.recall_at_candidates_per_mm2(d))
            for d in DENSITIES
        },
        operating_recall=round(operating.recall, 4),
        operating_per_mm2=round(froc.candidates_per_mm2(detector.threshold), 1),
        review_recall=round(curve.at(classifier.review_threshold).recall, 4),
        review_per_mm2=round(curve.candidates_per_mm2(classifier.review_threshold), 1),
    )
