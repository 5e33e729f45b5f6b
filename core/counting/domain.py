"""Where centres may lie, in units of the shape's half sides, as the searches ask for it.

A placed shape holds a point exactly when its centre lies in the same shape drawn around the point.
So the question is where most of these drawn shapes overlap. Divided by the half sides, a circle is
the unit ball of the Euclidean distance and every rectangle that of the maximum distance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.counting.allowed import AllowedCentres
from core.counting.shapes import BORDER_TOLERANCE, CountShape

# Half the border tolerance, so that the way back to µm cannot lose a point on the border.
REACH = 1 + BORDER_TOLERANCE / 2
# Rounding allowed when a place is compared with a box or cell it should lie in.
SLACK = 1e-9

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Found:
    """The highest count and the topmost, then leftmost centre that has it, in half sides."""

    count: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Domain:
    """Where centres may lie on one ground, in half sides; good for every set of points.

    Attributes:
        zero_um: x and y in µm from which half sides are counted.
        half_um: half the shape's width and height in µm.
        mask: (h, w) bool, allowed closed cells within a rim of others; None for everywhere.
        x_lines: (w + 1,) float64, vertical cell borders, evenly spaced.
        y_lines: (h + 1,) float64, horizontal cell borders, evenly spaced.
        sums: (h + 1, w + 1) int32, allowed cells above and left of each cell corner.
    """

    zero_um: tuple[float, float]
    half_um: tuple[float, float]
    mask: Bools | None
    x_lines: Floats
    y_lines: Floats
    sums: NDArray[np.int32]

    @classmethod
    def of(
        cls,
        shape: CountShape,
        allowed: AllowedCentres | None,
        zero_um: tuple[float, float] = (0.0, 0.0),
    ) -> "Domain":
        """The domain of allowed centres.

        Args:
            shape: the count area.
            allowed: where its centre may lie; None for everywhere.
            zero_um: where half sides are counted from if centres may lie everywhere.
        """
        half = (shape.width_um / 2, shape.height_um / 2)
        if allowed is None:
            none = np.empty(0)
            return cls(zero_um, half, None, none, none, np.zeros((1, 1), dtype=np.int32))
        rows, columns = np.nonzero(allowed.mask.any(axis=1))[0], np.nonzero(allowed.mask.any(0))[0]
        top, bottom = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        left, right = (int(columns[0]), int(columns[-1]) + 1) if len(rows) else (0, 0)
        mask = np.pad(allowed.mask[top:bottom, left:right], 1)
        # Lines are whole steps from the grid's own origin, so that they do not depend on the crop.
        x_lines = np.arange(left - 1.0, right + 2) * allowed.cell_um_x / half[0]
        y_lines = np.arange(top - 1.0, bottom + 2) * allowed.cell_um_y / half[1]
        sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int32)
        np.cumsum(np.cumsum(mask, axis=0, dtype=np.int32), axis=1, out=sums[1:, 1:])
        return cls(allowed.origin_um, half, mask, x_lines, y_lines, sums)

    def to_units(self, points_um: Floats) -> Floats:
        """(N, 2) float64 µm in half sides."""
        return np.asarray((points_um - self.zero_um) / self.half_um)

    def to_um(self, x: float, y: float) -> tuple[float, float]:
        """A centre in half sides in µm."""
        return x * self.half_um[0] + self.zero_um[0], y * self.half_um[1] + self.zero_um[1]

    def holds(self, x: Floats, y: Floats) -> Bools:
        """Which centres lie in allowed closed cells: (N,) bool."""
        if self.mask is None:
            return np.ones(len(x), dtype=np.bool_)
        height, width = self.mask.shape
        found = np.zeros(len(x), dtype=np.bool_)
        columns = [np.searchsorted(self.x_lines, x + d, side="right") - 1 for d in (-SLACK, SLACK)]
        rows = [np.searchsorted(self.y_lines, y + d, side="right") - 1 for d in (-SLACK, SLACK)]
        for column in columns:
            for row in rows:
                # Outside the grid, the rim answers: no.
                found |= self.mask[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        return found

    def share(self, x0: Floats, y0: Floats, side: Floats) -> tuple[Bools, Bools]:
        """Which square boxes touch an allowed closed cell, and which lie in allowed cells whole.

        Args:
            x0: (N,) float64, left borders.
            y0: (N,) float64, top borders.
            side: (N,) float64.

        Returns:
            Two (N,) bool.
        """
        if self.mask is None:
            return np.ones(len(x0), dtype=np.bool_), np.ones(len(x0), dtype=np.bool_)
        left, right = _cells(self.x_lines, x0, side)
        top, bottom = _cells(self.y_lines, y0, side)
        sums = self.sums
        held = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        # A box that reaches beyond the grid touches the rim, or no cell at all.
        return held > 0, (held > 0) & (held == (bottom - top) * (right - left))


def distinct(xy: Floats) -> tuple[Floats, Floats, Ints]:
    """The distinct points from left to right, then from top to bottom.

    Args:
        xy: (N, 2) float64.

    Returns:
        x, y and how often each point is given.
    """
    # Complex numbers are sorted by their real part first, far faster than rows of two.
    places, repeats = np.unique(xy[:, 0] + 1j * xy[:, 1], return_counts=True)
    return np.ascontiguousarray(places.real), np.ascontiguousarray(places.imag), repeats


def _cells(lines: Floats, low: Floats, side: Floats) -> tuple[Ints, Ints]:
    """First and one past the last of the closed cells that touch each [low, low + side]."""
    cells = len(lines) - 1
    first = np.searchsorted(lines, low - SLACK, side="left") - 1
    last = np.searchsorted(lines, low + side + SLACK, side="right")
    return np.clip(first, 0, cells), np.clip(last, 0, cells)
