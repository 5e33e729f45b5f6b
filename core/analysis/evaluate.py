"""Candidates against labelled truth: matching at 7.5 µm, F1, average precision and FROC.

The matching rule. Candidates are taken by descending score (equal scores by x, then y, so that the
order of the input does not matter); each takes the nearest truth point that is still free within
the radius, border included. A candidate without one is a false positive, also on an imposter; a
truth point that nobody took is a miss. What a candidate takes depends only on those above it, so
one matching serves every threshold: cutting the list at a score gives the matching of the cut list.

Figures of several files are pooled: counts are added, then divided. A ratio with nothing below the
line (recall without truth, precision without candidates) is nan, not 0 or 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

# One to one within 7.5 µm: the rule of the MIDOG challenges (match radius 7.5e-3 mm).
MATCH_RADIUS_UM = 7.5
# Relative slack on the radius, so that 30 px of 0.25 µm are inside whatever the last bit says.
RADIUS_SLACK = 1e-9
# False positives per file at which FROC is customarily read.
FROC_FP_PER_FILE = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
# Candidates per mm² at which the detector's recall is reported.
FROC_CANDIDATES_PER_MM2 = (25.0, 50.0, 100.0, 200.0)

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Matching:
    """Which candidate took which truth point in one file.

    Attributes:
        truth_index: (N,) int64, the truth point of each candidate in input order, -1 for none.
        distance_um: (N,) float64, distance to it, nan for none.
        n_truth: number of truth points.
    """

    truth_index: NDArray[np.int64]
    distance_um: NDArray[np.float64]
    n_truth: int

    @property
    def hit(self) -> NDArray[np.bool_]:
        """(N,) bool: whether the candidate is a true positive."""
        return self.truth_index >= 0


@dataclass(frozen=True, slots=True)
class FilePoints:
    """What was found and what is true in one completely screened file.

    Attributes:
        name: file or slide name, for the report.
        pred_xy_um: (N, 2) float, candidates in µm.
        scores: (N,) float, higher is more likely a mitosis.
        truth_xy_um: (M, 2) float, mitoses in the same frame; imposters are not listed.
        area_mm2: screened area, None if unknown; figures per mm² need it for every file.
    """

    name: str
    pred_xy_um: Points
    scores: NDArray[np.float64]
    truth_xy_um: Points
    area_mm2: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts at one operating point and the ratios that follow from them."""

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float:
        """TP / (TP + FP); nan without candidates."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN); nan without truth."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); nan without candidates and truth."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


@dataclass(frozen=True, slots=True)
class Curve:
    """Pooled counts at every distinct score, from the highest threshold down.

    Attributes:
        thresholds: (K,) float64, descending; a candidate is in when its score >= threshold.
        tp: (K,) int64, true positives at the threshold.
        fp: (K,) int64, false positives at the threshold.
        n_truth: truth points in all files.
        n_files: files, repeated ones counted repeatedly.
        area_mm2: their area, None if one is unknown.
    """

    thresholds: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    n_truth: int
    n_files: int
    area_mm2: float | None

    def at(self, threshold: float) -> Scores:
        """The counts when candidates with score >= `threshold` are kept."""
        return self._at_index(int(np.searchsorted(-self.thresholds, -threshold, side="right")) - 1)

    def best(self) -> tuple[float, Scores]:
        """The threshold with the highest F1 (the higher one of equals) and its counts.

        Without candidates the threshold is infinite.
        """
        if not len(self.thresholds):
            return inf, self._at_index(-1)
        index = int(np.argmax(self.f1()))
        return float(self.thresholds[index]), self._at_index(index)

    def f1(self) -> NDArray[np.float64]:
        """(K,) float64: F1 at every threshold, 0 where there is neither candidate nor truth."""
        whole = np.maximum(self.tp + self.fp + self.n_truth, 1)
        return np.asarray(2 * self.tp / whole, dtype=np.float64)

    def average_precision(self) -> float:
        """Sum over thresholds of precision times the step in recall, not interpolated.

        Truth that no candidate reaches adds nothing; nan without truth.
        """
        if not self.n_truth:
            return nan
        precision = self.tp / np.maximum(self.tp + self.fp, 1)
        return float(np.sum(np.diff(self.tp, prepend=0) * precision) / self.n_truth)

    def recall_at_candidates_per_mm2(self, rate: float) -> float:
        """Recall of the longest list with at most `rate` candidates per mm²; nan without area."""
        if self.area_mm2 is None:
            return nan
        return self._recall_within(self.tp + self.fp, rate * self.area_mm2)

    def recall_at_fp_per_file(self, rate: float) -> float:
        """Recall of the longest list with at most `rate` false positives per file on average."""
        return self._recall_within(self.fp, rate * self.n_files)

    def candidates_per_mm2(self, threshold: float) -> float:
        """How many candidates a mm² holds at the threshold; nan without area."""
        if self.area_mm2 is None:
            return nan
        kept = self.at(threshold)
        return _ratio(kept.tp + kept.fp, self.area_mm2)

    def _at_index(self, index: int) -> Scores:
        if index < 0:
            return Scores(0, 0, self.n_truth)
        tp = int(self.tp[index])
        return Scores(tp, int(self.fp[index]), self.n_truth - tp)

    def _recall_within(self, counts: NDArray[np.int64], limit: float) -> float:
        index = int(np.searchsorted(counts, limit * (1 + RADIUS_SLACK), side="right")) - 1
        return self._at_index(index).recall


@dataclass(frozen=True, slots=True)
class Interval:
    """A bootstrap percentile interval.

    Attributes:
        low: lower end, nan if no resample had a value.
        high: upper end.
        level: coverage aimed at, 0.95 for 95 %.
        resamples: how many resamples had a value.
    """

    low: float
    high: float
    level: float
    resamples: int


class Evaluation:
    """The matchings of a set of files, from which curves and scores are read."""

    def __init__(self, files: Sequence[FilePoints], radius_um: float = MATCH_RADIUS_UM) -> None:
        self.files = tuple(files)
        self.matchings = tuple(
            match(f.pred_xy_um, f.scores, f.truth_xy_um, radius_um) for f in self.files
        )
        scores = [np.asarray(f.scores, dtype=np.float64) for f in self.files]
        self._scores = np.concatenate([np.empty(0), *scores])
        self._hit = np.concatenate([np.empty(0, bool), *(m.hit for m in self.matchings)])
        self._file = np.repeat(np.arange(len(self.files)), [len(s) for s in scores])
        order = np.argsort(-self._scores, kind="stable")
        self._scores, self._hit, self._file = (
            self._scores[order],
            self._hit[order],
            self._file[order],
        )
        self._n_truth = np.array([m.n_truth for m in self.matchings], dtype=np.int64)

    def curve(self, weights: NDArray[np.int64] | None = None) -> Curve:
        """The pooled curve.

        Args:
            weights: (files,) int64, how often each file counts (bootstrap); None for once each.
        """
        repeats = np.ones(len(self.files), dtype=np.int64) if weights is None else weights
        each = repeats[self._file]
        last = np.flatnonzero(np.diff(self._scores, append=-inf))  # last of each run of equals
        area: float | None = 0.0
        for file, repeat in zip(self.files, repeats.tolist(), strict=True):
            if file.area_mm2 is None:
                area = None
                break
            assert area is not None
            area += repeat * file.area_mm2
        return Curve(
            self._scores[last],
            np.cumsum(np.where(self._hit, each, 0))[last],
            np.cumsum(np.where(self._hit, 0, each))[last],
            int(np.dot(self._n_truth, repeats)),
            int(repeats.sum()),
            area,
        )

    def per_file(self, threshold: float) -> list[tuple[str, Scores]]:
        """Name and counts of every file, candidates with score >= `threshold` kept."""
        rows = []
        for file, matching in zip(self.files, self.matchings, strict=True):
            kept = np.asarray(file.scores) >= threshold
            tp = int(np.count_nonzero(matching.hit & kept))
            rows.append(
                (file.name, Scores(tp, int(np.count_nonzero(kept)) - tp, matching.n_truth - tp))
            )
        return rows


def match(
    pred_xy_um: Points,
    scores: NDArray[np.float64],
    truth_xy_um: Points,
    radius_um: float = MATCH_RADIUS_UM,
) -> Matching:
    """Match candidates to truth one to one; the rule is at the head of this module.

    Args:
        pred_xy_um: (N, 2) float, µm.
        scores: (N,) float, finite.
        truth_xy_um: (M, 2) float, µm, same frame.
        radius_um: largest distance of a pair, border included.

    Raises:
        ValueError: on wrong shapes or scores or places that are not finite.
    """
    pred = np.asarray(pred_xy_um, dtype=np.float64).reshape(-1, 2)
    truth = np.asarray(truth_xy_um, dtype=np.float64).reshape(-1, 2)
    rank = np.asarray(scores, dtype=np.float64)
    if rank.shape != (len(pred),):
        raise ValueError(f"{len(pred)} candidates but scores of shape {rank.shape}")
    if not (np.isfinite(pred).all() and np.isfinite(truth).all() and np.isfinite(rank).all()):
        raise ValueError("places and scores must be finite")
    taken_by = np.full(len(pred), -1, dtype=np.int64)
    distance = np.full(len(pred), nan)
    if len(pred) and len(truth):
        reach = radius_um * (1 + RADIUS_SLACK)
        near = KDTree(truth).query_ball_point(pred, reach * (1 + RADIUS_SLACK))
        free = np.ones(len(truth), dtype=bool)
        for candidate in np.lexsort((pred[:, 1], pred[:, 0], -rank)):
            options = np.array(sorted(near[candidate]), dtype=np.int64)
            options = options[free[options]]
            if not len(options):
                continue
            apart = np.hypot(*(truth[options] - pred[candidate]).T)
            nearest = int(np.argmin(apart))
            if apart[nearest] <= reach:
                taken_by[candidate] = options[nearest]
                distance[candidate] = apart[nearest]
                free[options[nearest]] = False
    return Matching(taken_by, distance, len(truth))


def evaluate_files(files: Sequence[FilePoints], radius_um: float = MATCH_RADIUS_UM) -> Evaluation:
    """Match every file and pool them."""
    return Evaluation(files, radius_um)


def bootstrap_interval(
    evaluation: Evaluation,
    statistic: Callable[[Curve], float],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a pooled figure when files are drawn again with replacement.

    It tells how far the figure hangs on the chance of these files, not of these patients: frames of
    one slide are not independent. Resamples in which the figure is nan are left out and show in
    `Interval.resamples`.

    Args:
        evaluation: the files.
        statistic: a figure of the pooled curve, for instance `Curve.average_precision` or
            `lambda curve: curve.at(0.5).f1`.
        resamples: number of draws.
        level: coverage.
        seed: of numpy's default generator.
    """
    n_files = len(evaluation.files)
    if not n_files:
        return Interval(nan, nan, level, 0)
    random = np.random.default_rng(seed)
    draws = random.multinomial(n_files, np.full(n_files, 1 / n_files), size=resamples)
    values = [statistic(evaluation.curve(weights)) for weights in draws]
    known = np.array([value for value in values if isfinite(value)])
    if not len(known):
        return Interval(nan, nan, level, 0)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, len(known))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else nan
