"""The exact maximum: branch and bound over centres, in units of the shape's half sides.

A placed shape holds a point exactly when its centre lies in the same shape drawn around the point.
So the question is where most of these drawn shapes overlap. Divided by the half sides, a circle is
the unit ball of the Euclidean distance and every rectangle that of the maximum distance.

A box of centres has an upper bound: the shapes that touch it. Boxes are split in four and taken by
the highest bound, so most are never opened. When few outlines cross a box, it is solved: the
topmost (then leftmost) centre of a region of highest count is the top of a circle, or lies where
two outlines cross (of shapes, of allowed cells, of forbidden places), so these few places are
counted. No centre between them can be better, and the bound of an unopened box rules it out.
"""

import heapq
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.counting.shapes import BORDER_TOLERANCE

# Half the border tolerance, so that the way back to µm cannot lose a point on the border.
_REACH = 1 + BORDER_TOLERANCE / 2
_TOUCH = 1 + BORDER_TOLERANCE
# Rounding allowed when a place is compared with a box or cell it should lie in.
_SLACK = 1e-9
# A box with at most this many outlines across it is solved, not split.
_CIRCLE_LEAF = 24
# A rectangle box is solved when columns × rows × points stay below this.
_RECTANGLE_LEAF = 60_000
_COARSE, _MANY = 0.02, 1000
# Below this side a box is solved whatever crosses it.
_SMALLEST = 1e-6

Floats = NDArray[np.float64]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Domain:
    """Where centres may lie, in half sides.

    Attributes:
        mask: (h, w) bool, allowed closed cells; None for everywhere.
        x_lines: (w + 1,) float64, vertical cell borders.
        y_lines: (h + 1,) float64, horizontal cell borders.
        forbidden: (F, 2) float64: centres closer than two half sides to one of these would make
            the shapes overlap; touching is allowed.
    """

    mask: NDArray[np.bool_] | None
    x_lines: Floats
    y_lines: Floats
    forbidden: Floats


@dataclass(frozen=True, slots=True)
class Found:
    """The highest count and the topmost, then leftmost centre that has it, in half sides."""

    count: int
    x: float
    y: float


class Search:
    """One search; `run` gives the answer.

    Args:
        xy: (N, 2) float64, points in half sides.
        metric: `circle` or `rectangle`.
        domain: where centres may lie.
    """

    def __init__(self, xy: Floats, metric: Literal["circle", "rectangle"], domain: Domain) -> None:
        unique, repeats = np.unique(xy, axis=0, return_counts=True)
        self._x, self._y = np.ascontiguousarray(unique[:, 0]), np.ascontiguousarray(unique[:, 1])
        self._weight = repeats.astype(np.float64)
        self._round = metric == "circle"
        self._domain = domain
        self._sum = None if domain.mask is None else _integral(domain.mask)

    def run(self) -> Found | None:
        """The best placement; None without points or without an allowed centre that holds one."""
        if not len(self._x):
            return None
        root = self._root()
        everything = np.arange(len(self._x))
        tie = 0
        heap: list[tuple[float, float, float, int, Box, float, NDArray[np.int64]]] = [
            (-float(self._weight.sum()), root[1], root[0], tie, root, 0.0, everything)
        ]
        best: tuple[float, float, float] = (0.0, np.inf, np.inf)
        while heap:
            bound, y, x, _, box, full, crossing = heapq.heappop(heap)
            if (bound, y, x) > best or bound == 0:
                break
            if self._is_leaf(box, crossing):
                best = min(best, self._solve(box, full, crossing))
                continue
            for child in self._split(box, full, crossing):
                tie += 1
                key = (-child[1] - float(self._weight[child[2]].sum()), child[0][1], child[0][0])
                if key <= best and key[0] < 0:
                    heapq.heappush(heap, (*key, tie, *child))
        if best[0] == 0:
            return None
        return Found(round(-best[0]), best[2], best[1])

    def _root(self) -> Box:
        x0, x1 = float(self._x.min()) - 1, float(self._x.max()) + 1
        y0, y1 = float(self._y.min()) - 1, float(self._y.max()) + 1
        side = max(x1 - x0, y1 - y0) * (1 + 1e-6)
        return (x0 - 1e-6, y0 - 1e-6, x0 + side, y0 + side)

    def _split(
        self, box: Box, full: float, crossing: NDArray[np.int64]
    ) -> list[tuple[Box, float, NDArray[np.int64]]]:
        """The quarters that hold an allowed centre, with what covers and what crosses each."""
        x0, y0, x1, y1 = box
        xm, ym = (x0 + x1) / 2, (y0 + y1) / 2
        px, py = self._x[crossing], self._y[crossing]
        spans_x = [_span(px, low, high) for low, high in pairwise((x0, xm, x1))]
        spans_y = [_span(py, low, high) for low, high in pairwise((y0, ym, y1))]
        children = []
        for j, (bottom, top) in enumerate(((y0, ym), (ym, y1))):
            for i, (left, right) in enumerate(((x0, xm), (xm, x1))):
                child = (left, bottom, right, top)
                if not self._may_hold_centre(child):
                    continue
                near_x, far_x = spans_x[i]
                near_y, far_y = spans_y[j]
                if self._round:
                    touched = near_x * near_x + near_y * near_y <= _TOUCH * _TOUCH
                    covered = far_x * far_x + far_y * far_y <= 1
                else:
                    touched = np.maximum(near_x, near_y) <= _TOUCH
                    covered = np.maximum(far_x, far_y) <= 1
                inside = full + float(self._weight[crossing[covered]].sum())
                children.append((child, inside, crossing[touched & ~covered]))
        return children

    def _may_hold_centre(self, box: Box) -> bool:
        x0, y0, x1, y1 = box
        if self._sum is not None:
            left, right = _cells(self._domain.x_lines, x0, x1)
            top, bottom = _cells(self._domain.y_lines, y0, y1)
            total = self._sum
            held = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
            if not held:
                return False
        for fx, fy in self._domain.forbidden.tolist():
            far_x, far_y = max(fx - x0, x1 - fx), max(fy - y0, y1 - fy)
            far = np.hypot(far_x, far_y) if self._round else max(far_x, far_y)
            if far < 2 - 2 * _SLACK:
                return False
        return True

    def _is_leaf(self, box: Box, crossing: NDArray[np.int64]) -> bool:
        if box[2] - box[0] < _SMALLEST:
            return True
        if self._round:
            return len(crossing) <= _CIRCLE_LEAF
        if box[2] - box[0] > _COARSE and len(crossing) > _MANY:
            return False  # a large box among many points: not worth counting its columns
        columns, rows = self._columns_rows(box, crossing)
        return len(columns) * len(rows) * len(crossing) <= _RECTANGLE_LEAF

    def _solve(
        self, box: Box, full: float, crossing: NDArray[np.int64]
    ) -> tuple[float, float, float]:
        """(-count, y, x) of the best place in the box, (0, inf, inf) without one."""
        if self._round:
            x, y = self._meetings(box, crossing)
            keep = self._allowed(x, y)
            x, y = x[keep], y[keep]
            apart = np.hypot(
                x[:, None] - self._x[crossing][None, :], y[:, None] - self._y[crossing][None, :]
            )
            counts = full + (apart <= _REACH) @ self._weight[crossing]
        else:
            columns, rows = self._columns_rows(box, crossing)
            in_x = np.abs(columns[:, None] - self._x[crossing][None, :]) <= _REACH
            in_y = np.abs(rows[:, None] - self._y[crossing][None, :]) <= _REACH
            grid = full + (in_y * self._weight[crossing]) @ in_x.T.astype(np.float64)
            y, x = (a.ravel() for a in np.meshgrid(rows, columns, indexing="ij"))
            counts = grid.ravel()
            keep = self._allowed(x, y)
            x, y, counts = x[keep], y[keep], counts[keep]
        if not len(counts):
            return (0.0, np.inf, np.inf)
        first = np.lexsort((x, y, -counts))[0]
        return (-float(counts[first]), float(y[first]), float(x[first]))

    def _allowed(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        keep = np.ones(len(x), dtype=bool)
        if self._domain.mask is not None:
            mask, keep = self._domain.mask, np.zeros(len(x), dtype=bool)
            height, width = mask.shape
            for dx in (-_SLACK, _SLACK):
                column = np.searchsorted(self._domain.x_lines, x + dx, side="right") - 1
                for dy in (-_SLACK, _SLACK):
                    row = np.searchsorted(self._domain.y_lines, y + dy, side="right") - 1
                    ok = (column >= 0) & (column < width) & (row >= 0) & (row < height)
                    keep[ok] |= mask[row[ok], column[ok]]
        for fx, fy in self._domain.forbidden.tolist():
            if self._round:
                keep &= np.hypot(x - fx, y - fy) >= 2 - _SLACK
            else:
                keep &= np.maximum(np.abs(x - fx), np.abs(y - fy)) >= 2 - _SLACK
        return keep

    def _columns_rows(self, box: Box, crossing: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Left and top borders of drawn rectangles, cells and forbidden places in the box."""
        x0, y0, x1, y1 = box
        lines, forbidden = self._domain, self._domain.forbidden
        columns = np.concatenate([self._x[crossing] - 1, forbidden[:, 0] + 2])
        rows = np.concatenate([self._y[crossing] - 1, forbidden[:, 1] + 2])
        return (
            np.unique(np.concatenate([_within(columns, x0, x1), _within(lines.x_lines, x0, x1)])),
            np.unique(np.concatenate([_within(rows, y0, y1), _within(lines.y_lines, y0, y1)])),
        )

    def _meetings(self, box: Box, crossing: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Tops of circles and crossings of circles, cell borders and forbidden circles."""
        x0, y0, x1, y1 = box
        forbidden = self._domain.forbidden
        cx = np.concatenate([self._x[crossing], forbidden[:, 0]])
        cy = np.concatenate([self._y[crossing], forbidden[:, 1]])
        radius = np.concatenate([np.ones(len(crossing)), np.full(len(forbidden), 2.0)])
        columns = _within(self._domain.x_lines, x0, x1)
        rows = _within(self._domain.y_lines, y0, y1)
        parts = [
            (cx, cy - radius),
            _circle_circle(cx, cy, radius),
            _circle_column(cx, cy, radius, columns),
            _circle_column(cy, cx, radius, rows)[::-1],
            (np.tile(columns, len(rows)), np.repeat(rows, len(columns))),
        ]
        x = np.concatenate([part[0] for part in parts])
        y = np.concatenate([part[1] for part in parts])
        keep = (x >= x0 - _SLACK) & (x <= x1 + _SLACK) & (y >= y0 - _SLACK) & (y <= y1 + _SLACK)
        return x[keep], y[keep]


def _integral(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(h + 1, w + 1): sums of the mask above and left of each cell corner."""
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.int64), axis=1, out=total[1:, 1:])
    return total


def _cells(lines: Floats, low: float, high: float) -> tuple[int, int]:
    """First and one past the last of the closed cells that touch [low, high]."""
    first = int(np.searchsorted(lines, low - _SLACK, side="left")) - 1
    last = int(np.searchsorted(lines, high + _SLACK, side="right"))
    cells = len(lines) - 1
    return min(max(first, 0), cells), max(min(last, cells), 0)


def _span(at: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Least and greatest distance along one axis from each place to [low, high]."""
    below, above = low - at, at - high
    return np.maximum(np.maximum(below, above), 0), np.maximum(-below, -above)


def _within(values: Floats, low: float, high: float) -> Floats:
    return values[(values >= low - _SLACK) & (values <= high + _SLACK)]


def _circle_circle(cx: Floats, cy: Floats, radius: Floats) -> tuple[Floats, Floats]:
    """Both crossings of every pair of circles; of touching ones the same place twice."""
    i, j = np.triu_indices(len(cx), 1)
    dx, dy = cx[j] - cx[i], cy[j] - cy[i]
    apart = np.hypot(dx, dy)
    reach = radius[i] + radius[j]
    near = (apart > 0) & (apart <= reach * _REACH) & (apart >= np.abs(radius[i] - radius[j]))
    i, j, dx, dy, apart = i[near], j[near], dx[near], dy[near], apart[near]
    along = (apart + (radius[i] ** 2 - radius[j] ** 2) / apart) / 2
    aside = np.sqrt(np.maximum(radius[i] ** 2 - along**2, 0))
    ux, uy = dx / apart, dy / apart
    x, y = cx[i] + along * ux, cy[i] + along * uy
    return (
        np.concatenate([x - aside * uy, x + aside * uy]),
        np.concatenate([y + aside * ux, y - aside * ux]),
    )


def _circle_column(
    across: Floats, along: Floats, radius: Floats, lines: Floats
) -> tuple[Floats, Floats]:
    """Crossings of circles with lines; `across` is the centres' axis on which the lines stand."""
    offset = lines[None, :] - across[:, None]
    circle, line = np.nonzero(np.abs(offset) <= radius[:, None] * _REACH)
    reach = np.sqrt(np.maximum(radius[circle] ** 2 - offset[circle, line] ** 2, 0))
    places = np.concatenate([along[circle] - reach, along[circle] + reach])
    return np.tile(lines[line], 2), places
