"""The exact maximum for circles: branch and bound over centres, many boxes at once.

A box of centres has an upper bound: the circles that touch it. The count at its middle is a lower
bound for all. The boxes of a coarse grid are split in four until few outlines cross them; those
whose bound is below the best count are dropped, so most are never split far.

The boxes that are left are solved, the highest bounds first: the topmost (then leftmost) centre of
a region of highest count is the top of a circle, or lies where two outlines cross (of circles, of
allowed cells, of forbidden places), so these few places are counted. No centre between them can be
better, and the bound of a dropped box rules it out.

The hardest points are evenly strewn ones, where every place is as good as the best: 10,000 on a
lattice take some seconds, as many at random a twentieth of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from core.counting.coarse import CoarseGrid
from core.counting.domain import REACH, SLACK, Bools, Domain, Floats, Found, Ints, distinct
from core.counting.shapes import BORDER_TOLERANCE

_TOUCH = 1 + BORDER_TOLERANCE
# A box with at most this many outlines across it is solved, not split.
_FEW = 8
# Below this side a box is solved whatever crosses it: outlines that still lie together meet there.
_SMALLEST = 1e-4
# A forbidden place is a circle of this radius around the centre of the other.
_APART = 2.0
# Boxes that are solved at once at first, and distances that are held in memory at once.
_BATCH = 64
_CHUNK = 1 << 20
# Boxes that wait to be solved.
_MANY = 20_000


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Square boxes of centres, and the circles whose outlines cross them.

    Attributes:
        x0: (B,) float64, left borders.
        y0: (B,) float64, top borders.
        side: (B,) float64.
        full: (B,) float64, weight of the circles that cover each box.
        bound: (B,) float64, weight of the circles that touch each box.
        whole: (B,) bool, whether every centre in the box is allowed.
        crossing: (B,) int64, how many outlines cross each box.
        circles: (C,) int64, these circles, box after box.
    """

    x0: Floats
    y0: Floats
    side: Floats
    full: Floats
    bound: Floats
    whole: Bools
    crossing: Ints
    circles: Ints

    def __len__(self) -> int:
        return len(self.x0)

    def take(self, index: Ints) -> "_Boxes":
        """Some of the boxes, in this order."""
        crossing = self.crossing[index]
        starts = (np.cumsum(self.crossing) - self.crossing)[index]
        at = np.repeat(starts - (np.cumsum(crossing) - crossing), crossing)
        return _Boxes(
            self.x0[index],
            self.y0[index],
            self.side[index],
            self.full[index],
            self.bound[index],
            self.whole[index],
            crossing,
            self.circles[at + np.arange(len(at))],
        )

    def only(self, keep: Bools) -> "_Boxes":
        """Some of the boxes."""
        return self if keep.all() else self.take(np.flatnonzero(keep))


def _joined(parts: list[_Boxes]) -> _Boxes:
    names = _Boxes.__slots__
    return _Boxes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


# (-count, y, x): the least is the best.
Key = tuple[float, float, float]
_NOTHING: Key = (0.0, np.inf, np.inf)


def best_circle(xy: Floats, domain: Domain, forbidden: Floats) -> Found | None:
    """The best placement; None without points or without an allowed centre that holds one.

    Args:
        xy: (N, 2) float64, points in radii.
        domain: where centres may lie.
        forbidden: (F, 2) float64: centres closer than two radii to one of these would make the
            circles overlap; touching is allowed.
    """
    if not len(xy):
        return None
    count, y, x = _Search(xy, domain, forbidden).run()
    return None if count == 0 else Found(round(-count), x, y)


class _Search:
    """One search; `run` gives the answer."""

    def __init__(self, xy: Floats, domain: Domain, forbidden: Floats) -> None:
        self._x, self._y, repeats = distinct(xy)
        self._weight = repeats.astype(np.float64)
        self._domain = domain
        self._forbidden = forbidden
        self._best = _NOTHING
        # A box that holds a cell's border is solved once it is no larger than a cell.
        self._cell = np.inf
        if domain.mask is not None:
            self._cell = min(*np.diff(domain.x_lines[:2]), *np.diff(domain.y_lines[:2]))

    def run(self) -> Key:
        """The best key, or one of count 0."""
        leaves: list[_Boxes] = []
        for start in self._starts():
            stack = [start]
            while stack:
                boxes = self._promising(stack.pop())
                few = (boxes.crossing <= _FEW) | (boxes.side <= _SMALLEST)
                few &= boxes.whole | (boxes.side <= self._cell)
                leaves.append(boxes.only(few))
                boxes = self._quarters(boxes.only(~few))
                if len(boxes) > 1 and len(boxes.circles) > _CHUNK:
                    # The better half first: what it finds may spare the other.
                    order = np.argsort(-boxes.bound, kind="stable")
                    stack += [boxes.take(part) for part in np.array_split(order, 2)[::-1]]
                elif len(boxes):
                    stack.append(boxes)
                if sum(map(len, leaves)) > _MANY:
                    self._solve(_joined(leaves))
                    leaves = []
        if leaves:
            self._solve(_joined(leaves))
        return self._best

    def _starts(self) -> Iterator[_Boxes]:
        """The boxes of a coarse grid that may hold the best centre, the best bounds first."""
        grid = CoarseGrid(self._x, self._y, self._weight)
        order = np.flatnonzero(grid.bound > 0)
        order = order[np.argsort(-grid.bound[order], kind="stable")]
        size = _BATCH
        while len(order):
            part, order = order[:size], order[size:]
            side = np.full(len(part), grid.side)
            some, whole = self._share(grid.x0[part], grid.y0[part], side)
            part, side, whole = part[some], side[some], whole[some]
            crossing, circles = grid.near(part)
            x0, y0, bound = grid.x0[part], grid.y0[part], grid.bound[part]
            full = np.zeros(len(part))
            yield self._measured(_Boxes(x0, y0, side, full, bound, whole, crossing, circles))
            order = order[self._promises(grid.bound[order], grid.y0[order], grid.x0[order])]
            size = min(2 * size, max(1, _CHUNK // (1 + int(crossing.max(initial=0)))))

    def _quarters(self, boxes: _Boxes) -> _Boxes:
        """The quarters of the boxes that may hold a better centre than the best."""
        side = np.repeat(boxes.side, 4) / 2
        x0 = np.repeat(boxes.x0, 4) + np.tile([0, 1, 0, 1], len(boxes)) * side
        y0 = np.repeat(boxes.y0, 4) + np.tile([0, 0, 1, 1], len(boxes)) * side
        some, whole = self._share(x0, y0, side)
        parents = boxes.take(np.repeat(np.arange(len(boxes)), 4)[some])
        return self._measured(
            replace(parents, x0=x0[some], y0=y0[some], side=side[some], whole=whole[some])
        )

    def _measured(self, boxes: _Boxes) -> _Boxes:
        """Those of the boxes that may hold a better centre than the best, with true bounds.

        Args:
            boxes: `full` and `circles` may be those of larger boxes around them, `bound` is not
                looked at.
        """
        half, number = boxes.side / 2, len(boxes)
        owner, circles = np.repeat(np.arange(number), boxes.crossing), boxes.circles
        weight = self._weight[circles]
        # From the middle of the box to the circle's centre, and to the nearest and farthest place.
        dx = np.abs(self._x[circles] - (boxes.x0 + half)[owner])
        dy = np.abs(self._y[circles] - (boxes.y0 + half)[owner])
        held = dx * dx + dy * dy <= REACH * REACH
        reach = half[owner]
        near_x, near_y = np.maximum(dx - reach, 0), np.maximum(dy - reach, 0)
        touched = near_x * near_x + near_y * near_y <= _TOUCH * _TOUCH
        dx += reach
        dy += reach
        covered = dx * dx + dy * dy <= 1
        middle, full, bound = (
            boxes.full + np.bincount(owner, weight * which, number)
            for which in (held, covered, touched)
        )
        self._offer(middle, boxes.x0 + half, boxes.y0 + half)
        crosses = touched & ~covered
        crossing = np.bincount(owner[crosses], minlength=number)
        true = replace(boxes, full=full, bound=bound, crossing=crossing, circles=circles[crosses])
        return self._promising(true)

    def _promises(self, bound: Floats, y0: Floats, x0: Floats) -> Bools:
        """Which boxes may hold a better centre than the best: (B,) bool."""
        count, y, x = self._best
        above = (y0 < y) | ((y0 == y) & (x0 <= x))
        return np.asarray((bound > -count) | ((bound == -count) & (bound > 0) & above))

    def _promising(self, boxes: _Boxes) -> _Boxes:
        """The boxes that may hold a better centre than the best."""
        return boxes.only(self._promises(boxes.bound, boxes.y0, boxes.x0))

    def _offer(self, counts: Floats, x: Floats, y: Floats) -> None:
        """Take the best of these centres if it is better than the best and allowed."""
        good = counts >= max(-self._best[0], 1.0)
        counts, x, y = counts[good], x[good], y[good]
        allowed = self._allowed(x, y)
        counts, x, y = counts[allowed], x[allowed], y[allowed]
        if len(counts):
            first = np.lexsort((x, y, -counts))[0]
            offer = (-float(counts[first]), float(y[first]), float(x[first]))
            self._best = min(self._best, offer)

    def _allowed(self, x: Floats, y: Floats) -> Bools:
        """Which centres are allowed: (N,) bool."""
        keep = self._domain.holds(x, y)
        for fx, fy in self._forbidden.tolist():
            keep &= np.hypot(x - fx, y - fy) >= _APART - SLACK
        return keep

    def _share(self, x0: Floats, y0: Floats, side: Floats) -> tuple[Bools, Bools]:
        """Which boxes may hold an allowed centre, and which hold no other: two (B,) bool."""
        some, whole = self._domain.share(x0, y0, side)
        for fx, fy in self._forbidden.tolist():
            dx, dy = np.abs(fx - x0 - side / 2), np.abs(fy - y0 - side / 2)
            some &= np.hypot(dx + side / 2, dy + side / 2) >= _APART - 2 * SLACK
            near = np.hypot(np.maximum(dx - side / 2, 0), np.maximum(dy - side / 2, 0))
            whole &= near >= _APART + SLACK
        return some, whole

    def _solve(self, leaves: _Boxes) -> None:
        """Offer the best centre of each box, by falling bounds."""
        leaves = leaves.take(np.lexsort((leaves.x0, leaves.y0, -leaves.bound)))
        size = _BATCH
        while len(leaves := self._promising(leaves)):
            widest = np.maximum.accumulate(leaves.crossing + len(self._forbidden) + 2)
            fit = int(np.searchsorted(np.arange(1, len(leaves) + 1) * widest**2, _CHUNK))
            size = max(1, min(size, fit))
            batch, leaves = (
                leaves.take(np.arange(len(leaves))[:size]),
                leaves.take(np.arange(len(leaves))[size:]),
            )
            for whole in (True, False):
                part = batch.only(batch.whole == whole)
                if len(part):
                    self._offer_meetings(part, whole=whole)
            size *= 2

    def _offer_meetings(self, boxes: _Boxes, *, whole: bool) -> None:
        """Offer the tops and crossings of outlines in the boxes.

        Args:
            boxes: all or none of them with allowed centres only.
            whole: whether they are; else the borders of cells and forbidden places count, too.
        """
        number, width = len(boxes), int(boxes.crossing.max(initial=0))
        inside = np.arange(width) < boxes.crossing[:, None]
        index = np.zeros((number, width), dtype=np.int64)
        index[inside] = boxes.circles
        cx, cy = (np.where(inside, at[index], np.nan) for at in (self._x, self._y))
        weight = np.where(inside, self._weight[index], 0.0)
        radius = np.ones(width)
        x_lines = y_lines = np.empty((number, 0))
        if not whole:
            far = np.broadcast_to(self._forbidden, (number, *self._forbidden.shape))
            cx, cy = np.hstack([cx, far[..., 0]]), np.hstack([cy, far[..., 1]])
            weight = np.hstack([weight, np.zeros(far.shape[:2])])
            radius = np.concatenate([radius, np.full(len(self._forbidden), _APART)])
            x_lines = _lines_in(self._domain.x_lines, boxes.x0, boxes.side)
            y_lines = _lines_in(self._domain.y_lines, boxes.y0, boxes.side)
        x, y = _meetings(cx, cy, radius, x_lines, y_lines)
        right, bottom = (boxes.x0 + boxes.side)[:, None], (boxes.y0 + boxes.side)[:, None]
        keep = (x >= boxes.x0[:, None] - SLACK) & (x <= right + SLACK)
        keep &= (y >= boxes.y0[:, None] - SLACK) & (y <= bottom + SLACK)
        owner = np.nonzero(keep)[0]
        x, y = x[keep], y[keep]
        if width > 4 * _FEW:  # many outlines through one place meet there many times
            places = np.stack([owner, x, y], axis=1)
            _, first = np.unique(np.round(places, 10), axis=0, return_index=True)
            owner, x, y = owner[first], x[first], y[first]
        counts = np.empty(len(x))
        step = max(1, _CHUNK // max(width, 1))
        for at in range(0, len(x), step):
            part = slice(at, at + step)
            dx, dy = x[part, None] - cx[owner[part]], y[part, None] - cy[owner[part]]
            held = (dx * dx + dy * dy <= REACH * REACH) * weight[owner[part]]
            counts[part] = boxes.full[owner[part]] + held.sum(axis=1)
        self._offer(counts, x, y)


def _lines_in(lines: Floats, low: Floats, side: Floats) -> Floats:
    """(B, 2) float64: the cell borders across each box, no larger than a cell; nan for none."""
    if not len(lines):
        return np.empty((len(low), 0))
    at = np.searchsorted(lines, low - SLACK)[:, None] + np.arange(2)
    found = lines[np.minimum(at, len(lines) - 1)]
    good = (at < len(lines)) & (found <= (low + side + SLACK)[:, None])
    return np.where(good, found, np.nan)


def _meetings(
    cx: Floats, cy: Floats, radius: Floats, x_lines: Floats, y_lines: Floats
) -> tuple[Floats, Floats]:
    """Tops of circles and crossings of circles and lines, box by box.

    Args:
        cx: (B, M) float64, centres of circles; nan for none.
        cy: (B, M) float64.
        radius: (M,) float64.
        x_lines: (B, X) float64, vertical lines; nan for none.
        y_lines: (B, Y) float64, horizontal lines; nan for none.

    Returns:
        x and y, (B, P) float64; nan where nothing meets.
    """
    columns = _circle_line(cx, cy, radius, x_lines)
    rows = _circle_line(cy, cx, radius, y_lines)[::-1]
    corners = np.broadcast_arrays(x_lines[:, :, None], y_lines[:, None, :])
    parts = [(cx, cy - radius), _circle_circle(cx, cy, radius), columns, rows, corners]
    number = len(cx)
    x, y = (np.hstack([part[axis].reshape(number, -1) for part in parts]) for axis in (0, 1))
    return x, y


def _circle_circle(cx: Floats, cy: Floats, radius: Floats) -> tuple[Floats, Floats]:
    """Both crossings of every pair of circles; of touching ones the same place twice."""
    i, j = np.triu_indices(cx.shape[1], 1)
    dx, dy = cx[:, j] - cx[:, i], cy[:, j] - cy[:, i]
    apart = np.hypot(dx, dy)
    near = (apart > 0) & (apart <= (radius[i] + radius[j]) * REACH)
    near &= apart >= np.abs(radius[i] - radius[j])
    apart = np.where(near, apart, np.nan)
    along = (apart + (radius[i] ** 2 - radius[j] ** 2) / apart) / 2
    aside = np.sqrt(np.maximum(radius[i] ** 2 - along**2, 0))
    ux, uy = dx / apart, dy / apart
    x, y = cx[:, i] + along * ux, cy[:, i] + along * uy
    return (
        np.stack([x - aside * uy, x + aside * uy], axis=-1),
        np.stack([y + aside * ux, y - aside * ux], axis=-1),
    )


def _circle_line(
    across: Floats, along: Floats, radius: Floats, lines: Floats
) -> tuple[Floats, Floats]:
    """Crossings of circles with lines; `across` is the centres' axis on which the lines stand."""
    offset = lines[:, None, :] - across[:, :, None]
    offset[np.abs(offset) > radius[:, None] * REACH] = np.nan
    reach = np.sqrt(np.maximum(radius[:, None] ** 2 - offset**2, 0))
    places = np.stack([along[:, :, None] - reach, along[:, :, None] + reach], axis=-1)
    return np.broadcast_to(lines[:, None, :, None], places.shape), places
