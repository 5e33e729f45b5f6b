"""Merging candidates that several windows, or one, proposed for the same nucleus.

`merge` is the rule. `StreamMerger` applies the same rule while windows are still being finished,
so that a slide's candidates need not be held at once.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, hypot

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from core.analysis.evaluate import MATCH_RADIUS_UM
from core.analysis.tiling import BORDER_SLACK_PX, Window, WindowGrid

# House rule: two points nearer than this are one nucleus, in merging as in evaluation.
MERGE_RADIUS_UM = MATCH_RADIUS_UM


@dataclass(frozen=True, slots=True)
class Points:
    """Candidates of a slide before they are classified.

    Attributes:
        xy0: (N, 2) float64 level-0 x, y.
        scores: (N,) float32 detector scores in 0..1.
    """

    xy0: NDArray[np.float64]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)


def _near_pairs(xy_um: NDArray[np.float64], radius_um: float) -> NDArray[np.intp]:
    """(P, 2) index pairs nearer than the radius."""
    if len(xy_um) < 2:
        return np.empty((0, 2), dtype=np.intp)
    # query_pairs takes "not farther than"; the rule says "nearer than".
    pairs = cKDTree(xy_um).query_pairs(np.nextafter(radius_um, 0), output_type="ndarray")
    return np.asarray(pairs, dtype=np.intp)


def merge(
    xy_um: NDArray[np.float64],
    scores: NDArray[np.float32],
    radius_um: float = MERGE_RADIUS_UM,
) -> NDArray[np.intp]:
    """Keep the best of every group of near points.

    Greedy: the highest score stays and takes away all points nearer than `radius_um`, then the
    highest of the rest. Equal scores are decided by y, then x. The order of the input, and so
    the order of the windows, does not matter.

    Args:
        xy_um: (N, 2) float64 points in µm.
        scores: (N,) float32.
        radius_um: two kept points are at least this far apart.

    Returns:
        (M,) indices of the kept points, from top to bottom, then left to right.
    """
    kept = np.ones(len(xy_um), dtype=np.bool_)
    rank = np.empty(len(xy_um), dtype=np.intp)
    rank[np.lexsort((xy_um[:, 0], xy_um[:, 1], -scores))] = np.arange(len(xy_um))
    pairs = _near_pairs(xy_um, radius_um)
    first_better = rank[pairs[:, 0]] < rank[pairs[:, 1]]
    better = np.where(first_better, pairs[:, 0], pairs[:, 1])
    worse = np.where(first_better, pairs[:, 1], pairs[:, 0])
    # A point may take others away only while it stands itself: go through the pairs in the order
    # of their better point, whose own fate is then already settled.
    for pair in np.argsort(rank[better], kind="stable"):
        if kept[better[pair]]:
            kept[worse[pair]] = False
    indices = np.flatnonzero(kept)
    return indices[np.lexsort((xy_um[indices, 0], xy_um[indices, 1]))]


@dataclass(slots=True)
class _Pending:
    """A point that waits for neighbouring windows; `waits` is how many of them."""

    x0: float
    y0: float
    score: float
    waits: int


class StreamMerger:
    """Merges while windows finish, in any order; its total result is that of `merge`.

    A group of near points (a chain of points each nearer than the radius to the next) is settled
    once no unfinished window can add to it: no point of the group lies within the radius of an
    unfinished window's core. Settled groups are given out and forgotten, so memory holds only
    points along the front between finished and unfinished windows.
    """

    def __init__(
        self,
        grid: WindowGrid,
        planned: Iterable[Window],
        radius_um: float = MERGE_RADIUS_UM,
    ) -> None:
        self._grid = grid
        self._radius_um = radius_um
        self._reach_um = radius_um + BORDER_SLACK_PX * grid.mpp
        self._span = ceil(self._reach_um / (grid.core_px * grid.mpp))
        self._unfinished = {(window.col, window.row) for window in planned}
        self._pending: dict[int, _Pending] = {}
        self._waiting: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        self._next = 0

    def __len__(self) -> int:
        """Points that still wait."""
        return len(self._pending)

    def finish(self, window: Window, points: Points) -> Points:
        """Take a finished window's points; returns the candidates that are settled now.

        Args:
            window: a planned window, not finished before.
            points: what it keeps, its core's border zone included.

        Returns:
            Settled candidates, from top to bottom, then left to right.
        """
        return self.restore({(window.col, window.row)}, points)

    def restore(self, cells: Iterable[tuple[int, int]], points: Points) -> Points:
        """Take the points of many finished windows at once, in any order; as `finish`.

        Args:
            cells: columns and rows of the windows; those that were not planned are passed over.
            points: of all of them.
        """
        for cell in cells:
            self._unfinished.discard(cell)
            for key in self._waiting.pop(cell, ()):
                self._pending[key].waits -= 1
        for (x0, y0), score in zip(points.xy0.tolist(), points.scores.tolist(), strict=True):
            waits_for = self._reached(x0, y0)
            for cell in waits_for:
                self._waiting[cell].append(self._next)
            self._pending[self._next] = _Pending(x0, y0, score, len(waits_for))
            self._next += 1
        return self._settle()

    def _reached(self, x0: float, y0: float) -> list[tuple[int, int]]:
        """The unfinished windows that could still add to this point's group."""
        col, row = self._grid.cell(x0, y0)
        steps = range(-self._span, self._span + 1)
        cells = [(col + across, row + down) for down in steps for across in steps]
        return [c for c in cells if c in self._unfinished and self._reaches(c, x0, y0)]

    def _reaches(self, cell: tuple[int, int], x0: float, y0: float) -> bool:
        core, mpp = self._grid.window(*cell).core0, self._grid.slide_mpp
        right_um = max(core.x0 - x0, x0 - core.x1, 0.0) * mpp.x
        down_um = max(core.y0 - y0, y0 - core.y1, 0.0) * mpp.y
        return hypot(right_um, down_um) <= self._reach_um

    def _settle(self) -> Points:
        keys = list(self._pending)
        points = list(self._pending.values())
        xy0 = np.array([(point.x0, point.y0) for point in points]).reshape(-1, 2)
        xy_um = xy0 * (self._grid.slide_mpp.x, self._grid.slide_mpp.y)
        pairs = _near_pairs(xy_um, self._radius_um)
        links = coo_array(
            (np.ones(len(pairs), dtype=np.bool_), (pairs[:, 0], pairs[:, 1])),
            shape=(len(keys), len(keys)),
        )
        groups = connected_components(links, directed=False)[1] if keys else np.empty(0, np.intp)
        open_groups = np.unique(groups[[point.waits > 0 for point in points]])
        settled = np.flatnonzero(~np.isin(groups, open_groups))
        for index in settled:
            del self._pending[keys[index]]
        scores = np.array([points[index].score for index in settled], dtype=np.float32)
        kept = merge(xy_um[settled], scores, self._radius_um)
        return Points(xy0[settled[kept]], scores[kept])


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two sets of candidates of one slide agree.

    Attributes:
        matched: pairs within the radius.
        first: points of the first set.
        second: points of the second set.
        gaps: (matched,) difference of score within each pair.
    """

    matched: int
    first: int
    second: int
    gaps: NDArray[np.float64]

    @property
    def worst_score_gap(self) -> float:
        """Largest difference of score within a pair; 0 without pairs."""
        return float(self.gaps.max(initial=0.0))

    @property
    def share(self) -> float:
        """Matched pairs as a share of the larger set; 1 where both are empty."""
        return self.matched / max(self.first, self.second) if self.first or self.second else 1.0


def agreement(
    first_um: NDArray[np.float64],
    first_scores: NDArray[np.floating],
    second_um: NDArray[np.float64],
    second_scores: NDArray[np.floating],
    radius_um: float = 1.0,
) -> Agreement:
    """Compare two runs of one slide: mutually nearest pairs within `radius_um`.

    Args:
        first_um: (N, 2) float64 points of one run, µm.
        first_scores: (N,) their scores or probabilities.
        second_um: (M, 2) float64 points of the other run, µm.
        second_scores: (M,) their scores or probabilities.
        radius_um: how far apart a pair may lie.
    """
    if len(first_um) == 0 or len(second_um) == 0:
        return Agreement(0, len(first_um), len(second_um), np.empty(0))
    distance, nearest = cKDTree(second_um).query(first_um)
    _, back = cKDTree(first_um).query(second_um)
    mine = np.flatnonzero((distance <= radius_um) & (back[nearest] == np.arange(len(first_um))))
    gaps = np.abs(first_scores[mine] - second_scores[nearest[mine]]).astype(np.float64)
    return Agreement(len(mine), len(first_um), len(second_um), gaps)
