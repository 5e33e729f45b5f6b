"""Points that cannot lie in the best rectangle are left out before the exact search.

Points are binned in boxes much smaller than the rectangle. Sums over whole boxes say how many a
rectangle around a corner of the boxes holds at least, and how many one centred in a box can hold at
most. Where that is less than what an allowed corner holds, no best centre lies, and what only such
boxes can reach is dropped. The search over the rest finds the same centre: the points about every
centre that may be best are all there, and no other centre gains any.
"""

import numpy as np

from core.counting.domain import SLACK, Bools, Domain, Floats, Ints

# Side of a box in half sides of the rectangle, unless the points lie so far apart that it takes
# more than this many along one axis.
_SIDE = 1 / 8
_MOST = 700
# Points this near to a line between boxes are taken to lie in both, in half sides.
_RIM = 1e-6
# At how many of the fullest corners at least it is looked for an allowed centre.
_CORNERS = 4000
#: Below this many points the search itself is quicker.
WORTH_IT = 400


def promising(xy: Floats, domain: Domain, forbidden: Floats) -> Bools:
    """Which points the best rectangle may hold: (N,) bool.

    Args:
        xy: (N, 2) float64, points in half sides.
        domain: where centres may lie.
        forbidden: (F, 2) float64: centres of rectangles that it must not overlap.
    """
    low = xy.min(axis=0) - 1 - 4 * _SIDE
    span = xy.max(axis=0) + 1 + 4 * _SIDE - low
    side = max(_SIDE, float(span.max()) / _MOST)
    width, height = (int(size // side) + 2 for size in span.tolist())
    at = (xy - low) / side
    column, row = np.floor(at).astype(np.int64).T
    held = np.bincount(row * width + column, minlength=width * height).reshape(height, width)
    reach_in, reach_out = int(1 / side + 1e-9), int(np.ceil(1 / side - 1e-9))
    least = _least(_boxed(held, -reach_in, reach_in), low, side, domain, forbidden)
    most = _boxed(
        held + _on_both_sides(at, column, row, held.shape, side), -reach_out, reach_out + 1
    )
    rows, columns = np.nonzero(most >= max(least, 1))
    some, _ = domain.share(
        low[0] + columns * side, low[1] + rows * side, np.full(len(rows), side + SLACK)
    )
    kept = np.zeros(held.shape, dtype=np.int64)
    kept[rows[some], columns[some]] = 1
    return np.asarray(_boxed(kept, -reach_out - 1, reach_out + 2)[row, column] > 0)


def _boxed(values: Ints, first: int, end: int) -> Ints:
    """Sums over the boxes from `first` to before `end` away along both axes, around each box."""
    for axis in (0, 1):
        sums = np.cumsum(np.insert(values, 0, 0, axis=axis), axis=axis)
        size = values.shape[axis]
        here = np.arange(size)
        low, high = np.clip(here + first, 0, size), np.clip(here + end, 0, size)
        values = np.take(sums, high, axis=axis) - np.take(sums, low, axis=axis)
    return np.asarray(values)


def _on_both_sides(
    at: Floats, column: Ints, row: Ints, shape: tuple[int, ...], side: float
) -> Ints:
    """How many points lie on the far side of a line between boxes, but nearly on it."""
    rim = _RIM / side
    more = np.zeros(shape, dtype=np.int64)
    beside = [
        np.where(part - np.floor(part) < rim, -1, np.where(np.ceil(part) - part < rim, 1, 0))
        for part in at.T
    ]
    for step_x, step_y in ((1, 0), (0, 1), (1, 1)):
        also = np.ones(len(at), dtype=np.bool_)
        for step, moved in ((step_x, beside[0]), (step_y, beside[1])):
            also &= (moved != 0) | (step == 0)
        np.add.at(
            more, (row[also] + step_y * beside[1][also], column[also] + step_x * beside[0][also]), 1
        )
    return more


def _least(held: Ints, low: Floats, side: float, domain: Domain, forbidden: Floats) -> int:
    """What the best of the allowed corners holds; 0 where none of the fullest is allowed."""
    corners = np.cumsum(np.bincount(held.ravel())[::-1])[::-1]  # that hold a number or more
    row, column = np.nonzero(held >= max(1, int(np.count_nonzero(corners >= _CORNERS)) - 1))
    x, y = low[0] + column * side, low[1] + row * side
    good = domain.holds(x, y)
    for fx, fy in forbidden.tolist():
        good &= np.maximum(np.abs(x - fx), np.abs(y - fy)) >= 2
    return int(held[row[good], column[good]].max(initial=0))
