"""A coarse grid over points: quick upper bounds for circles, and the points near a box."""

import numpy as np
from numpy.typing import NDArray

from core.counting.domain import Floats, Ints

# Side of a grid box in radii, unless the points lie so far apart that it takes more than this many
# boxes along one axis.
_SIDE = 1 / 8
_MOST = 500
# A circle is taken to reach this much farther, against rounding at the borders of boxes.
_MARGIN = 1e-6


class CoarseGrid:
    """Square boxes that cover all the unit circles around points.

    Args:
        x: (N,) float64, points in radii.
        y: (N,) float64.
        weight: (N,) float64.

    Attributes:
        x0: (B,) float64, left borders of the boxes, row after row.
        y0: (B,) float64, top borders.
        side: of all of them.
        bound: (B,) float64: no centre in the box holds more.
    """

    def __init__(self, x: Floats, y: Floats, weight: Floats) -> None:
        left, top = float(x.min()) - 1 - _MARGIN, float(y.min()) - 1 - _MARGIN
        width, height = float(x.max()) + 1 + _MARGIN - left, float(y.max()) + 1 + _MARGIN - top
        self.side = max(_SIDE, width / _MOST, height / _MOST)
        self._columns, self._rows = int(width // self.side) + 1, int(height // self.side) + 1
        # How many boxes to each side a circle reaches, by rows away.
        reach = 1 + _MARGIN
        away = np.arange(int(reach // self.side) + 2)
        rest = reach**2 - (np.maximum(away - 1, 0) * self.side) ** 2
        self._spans = [int(np.sqrt(r) // self.side) + 1 for r in rest.tolist() if r >= 0]
        cell = ((y - top) // self.side).astype(np.int64) * self._columns
        cell += ((x - left) // self.side).astype(np.int64)
        self._order = np.argsort(cell, kind="stable")
        cells = self._columns * self._rows
        self._starts: Ints = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=cells))])
        self.bound = self._bounds(np.bincount(cell, weight, cells).astype(np.float64))
        row, column = np.divmod(np.arange(cells), self._columns)
        self.x0, self.y0 = left + column * self.side, top + row * self.side

    def _bounds(self, held: Floats) -> Floats:
        """Weight of the points in the boxes that a circle from each box may reach."""
        wide = self._spans[0]
        rim = len(self._spans) - 1
        padded = np.pad(held.reshape(self._rows, self._columns), ((rim, rim), (wide + 1, wide)))
        sums = np.cumsum(padded, axis=1)
        bound = np.zeros((self._rows, self._columns))
        for away in range(-rim, rim + 1):
            span = self._spans[abs(away)]
            rows = sums[rim + away : rim + away + self._rows]
            right = wide + 1 + span
            left = wide - span
            bound += rows[:, right : right + self._columns] - rows[:, left : left + self._columns]
        return bound.ravel()

    def near(self, boxes: Ints) -> tuple[Ints, Ints]:
        """The points that the circles from some of the boxes may reach, and some more.

        Args:
            boxes: (M,) their indices.

        Returns:
            (M,) how many are near each box, and their indices, box after box.
        """
        row, column = np.divmod(boxes[:, None], self._columns)
        rim = len(self._spans) - 1
        away = np.arange(-rim, rim + 1)
        span = np.array(self._spans)[np.abs(away)]
        rows = row + away
        good = (rows >= 0) & (rows < self._rows)
        at = np.clip(rows, 0, self._rows - 1) * self._columns
        first = self._starts[at + np.maximum(column - span, 0)]
        last = self._starts[at + np.minimum(column + span, self._columns - 1) + 1]
        length: NDArray[np.int64] = np.where(good, last - first, 0)
        flat = length.ravel()
        begin = np.repeat(first.ravel() - (np.cumsum(flat) - flat), flat)
        return length.sum(axis=1), self._order[begin + np.arange(len(begin))]
