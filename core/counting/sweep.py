"""The exact maximum for rectangles: a sweep from left to right.

The topmost, then leftmost centre of highest count lies on the left border of a drawn rectangle, of
an allowed cell or right of a forbidden place, and likewise on a top border. So a vertical line is
moved over all these left borders and keeps the count at each of these top borders; where a
rectangle begins or ends, or the allowed cells change, the counts change on one stretch of the line.
"""

import numpy as np

from core.counting.domain import REACH, SLACK, Bools, Domain, Floats, Found, Ints, distinct
from core.counting.sieve import WORTH_IT, promising


def best_rectangle(xy: Floats, domain: Domain, forbidden: Floats) -> Found | None:
    """The best placement; None without points or without an allowed centre that holds one.

    Args:
        xy: (N, 2) float64, points in half sides.
        domain: where centres may lie.
        forbidden: (F, 2) float64: centres closer than two half sides to one of these would make
            the shapes overlap; touching is allowed.
    """
    if len(xy) >= WORTH_IT:
        xy = xy[promising(xy, domain, forbidden)]
    if not len(xy):
        return None
    x, y, repeats = distinct(xy)
    columns = _borders(x, domain.x_lines, _changes(domain.mask, 1), forbidden[:, 0])
    rows = _borders(y, domain.y_lines, _changes(domain.mask, 0), forbidden[:, 1])
    tops = np.searchsorted(rows, y - REACH, side="left").tolist()
    ends = np.searchsorted(rows, y + REACH, side="right").tolist()
    enters = np.searchsorted(columns, x - REACH, side="left").tolist()
    leaves = np.searchsorted(columns, x + REACH, side="right").tolist()
    weight = repeats.tolist()
    shutters = _Shutters(domain, forbidden, columns, rows)
    # A row where no centre may lie is this much below every count.
    below = int(repeats.sum()) + 1
    counts = np.zeros(len(rows), dtype=np.int32)
    shut = np.zeros(len(rows), dtype=np.bool_)
    best, best_row, best_column = 0, len(rows), 0
    entered = left = 0
    for column in sorted(shutters.changes.union(enters)):
        while left < entered and leaves[left] <= column:
            counts[tops[left] : ends[left]] -= weight[left]
            left += 1
        low, high = len(rows), 0
        while entered < len(enters) and enters[entered] <= column:
            top, end = tops[entered], ends[entered]
            counts[top:end] += weight[entered]
            low, high = min(low, top), max(high, end)
            entered += 1
        if column in shutters.changes:
            before, shut = shut, shutters.at(column)
            counts += below * np.subtract(before, shut, dtype=np.int32)
            low, high = 0, len(rows)
        row = low + int(counts[low:high].argmax())  # the topmost of the highest
        count = int(counts[row])
        if count > best or (count == best and row < best_row):
            best, best_row, best_column = count, row, column
    if best == 0:
        return None
    return Found(best, float(columns[best_column]), float(rows[best_row]))


class _Shutters:
    """The rows on which no centre may lie, column by column.

    Attributes:
        changes: the columns on which they differ from those of the column before.
    """

    def __init__(self, domain: Domain, forbidden: Floats, columns: Floats, rows: Floats) -> None:
        apart_x = np.abs(columns[None, :] - forbidden[:, :1])
        self._near = apart_x < 2 - SLACK
        self._near_rows = np.abs(rows[None, :] - forbidden[:, 1:]) < 2 - SLACK
        self._tall = None if domain.mask is None else np.ascontiguousarray(domain.mask.T)
        self._columns = _cells(domain.x_lines, columns)
        self._rows = _cells(domain.y_lines, rows)
        self._opened: dict[int, Bools] = {}
        # Cells that look like those to their left need no change.
        looks = np.cumsum(np.concatenate([_changes(domain.mask, 1), [False]]))
        state = np.concatenate([looks[self._columns], self._near])
        differs = (state[:, 1:] != state[:, :-1]).any(axis=0)
        self.changes = {0, *(np.flatnonzero(differs) + 1).tolist()}

    def at(self, column: int) -> Bools:
        """(rows,) bool."""
        shut = self._near_rows[self._near[:, column]].any(axis=0)
        if self._tall is None:
            return np.asarray(shut)
        low, high = self._columns[:, column].tolist()
        self._opened = {cell: self._open(cell) for cell in {low, high}}
        return np.asarray(shut | ~(self._opened[low] | self._opened[high]))

    def _open(self, cell: int) -> Bools:
        """The rows that lie in allowed closed cells of one column of cells."""
        if cell not in self._opened:
            assert self._tall is not None  # else nobody asks
            return np.asarray(self._tall[cell][self._rows].any(axis=0))
        return self._opened[cell]


def _changes(mask: Bools | None, axis: int) -> Bools:
    """(lines,) bool: on which lines across an axis the cells on both sides differ."""
    if mask is None:
        return np.zeros(0, dtype=np.bool_)
    tall = np.moveaxis(mask, axis, 0)
    inner = (tall[1:] != tall[:-1]).any(axis=1)
    return np.concatenate([[False], inner, [False]])


def _borders(at: Floats, lines: Floats, changes: Bools, forbidden: Floats) -> Floats:
    """First borders along one axis: of drawn rectangles, allowed cells and forbidden places."""
    places = np.unique(np.concatenate([at - 1, lines[changes], forbidden + 2]))
    first, last = at.min() - 1, at.max() + REACH
    return np.asarray(places[(places >= first) & (places <= last)])


def _cells(lines: Floats, places: Floats) -> Ints:
    """(2, N) int64: the cells on both sides of each place, the same twice unless on a line."""
    found = [np.searchsorted(lines, places + d, side="right") - 1 for d in (-SLACK, SLACK)]
    return np.clip(found, 0, max(len(lines) - 2, 0))
