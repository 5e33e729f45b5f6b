"""Count areas of several fields of one size, as they are counted at a microscope.

- **Contiguous** fields form one patch: the first is the exact hot spot of one field; then, again
  and again, the neighbour that holds the most points not yet counted is taken. Neighbours of a
  rectangle share a whole side with it, those of a circle touch it (six around each). From some of
  the densest places a patch is grown, and the one with the most points is kept.
- **Free** fields: the exact hot spot of one field among what the earlier ones left, without
  overlap. Where no point is left, neighbours of the fields found make up their number.

Both are greedy: more points may be possible. How many at most is stated as `FieldPlacement.bound`:
no such fields on one piece of tissue hold more. It is the least of all the points, of the number of
fields times the best single one, and of what the fields hold plus their number times the best
single field for the points that they leave out (n fields add at most n times that). A patch lies in
a box besides: one of n rectangles in a by b of them with a + b = n + 1, one of n circles in a box
that grows by a diameter for a neighbour at the side, by half of one and by its height for one at a
slant; so the exact hot spots of these boxes bound it, too.

All fields lie on one piece of tissue, and each where a single field may lie (`core.counting.
allowed`). Where a piece has no room for all of them there are fewer. Sets follow one another: the
next one is placed for the points that no earlier one holds, and overlaps none of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from core.counting.hotspot import PlacingGround, TissuePiece, amid, find_hot_spots
from core.counting.shapes import BORDER_TOLERANCE, CountShape
from core.counting.spot import HotSpot, best_spot, clear, still_best

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Centre = tuple[float, float]

# From how many of the densest places patches of contiguous fields are grown for the first set; the
# later sets are alternatives, and grow from one.
_STARTS = 3
# On more points than this the boxes around patches are not searched for the bound.
_BOXED = 10_000


@dataclass(frozen=True, slots=True)
class FieldSet:
    """Fields that are counted together.

    Attributes:
        shape: one field.
        centres_um: their centres in the order in which they were taken.
        count: points in them that no earlier set holds.
        members: indices of these points, ascending.
    """

    shape: CountShape
    centres_um: tuple[Centre, ...]
    count: int
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FieldPlacement:
    """Where fields are counted.

    Attributes:
        sets: the best set and those that follow it; empty without a place for a single field.
        bound: no fields of this number, size and order on one piece hold more points than this.
    """

    sets: tuple[FieldSet, ...]
    bound: int


def place_fields(
    ground: PlacingGround, points_um: Floats, number: int, *, contiguous: bool, sets: int = 1
) -> FieldPlacement:
    """Place sets of fields on prepared ground; the rules are at the head of the module.

    Args:
        ground: prepared for the shape of one field.
        points_um: (N, 2) float64, finite.
        number: of fields in a set.
        contiguous: whether they must form one patch.
        sets: how many at most; fewer where no further point is held.

    Raises:
        ValueError: `number` or `sets` below 1.
    """
    if number < 1 or sets < 1:
        raise ValueError(f"{number} fields in {sets} sets cannot be placed")
    points = np.asarray(points_um, dtype=np.float64).reshape(-1, 2)
    half = np.array([ground.shape.width_um, ground.shape.height_um]) / 2
    tree = cKDTree(points / half)
    pieces = [
        _Piece(piece, points, piece.holds(points), tree, half, 1 + BORDER_TOLERANCE)
        for piece in ground.pieces
    ]
    found: list[FieldSet] = []
    bound = 0
    firsts: list[HotSpot | None] = [None] * len(pieces)
    stale = list(range(len(pieces)))
    for index in range(sets if pieces else 0):
        starts = 1 if index or not contiguous else _STARTS
        task = _Task(ground.shape, number, contiguous, starts, tuple(found))
        for at in stale:
            firsts[at] = pieces[at].best(task.shape, task.taken)
        best = _best_set(pieces, firsts, task)
        if best is None or (index and not best.count):
            break
        if not index:
            bound = _bound(pieces, firsts, best, task)
        found.append(best)
        new = [_spot(ground.shape, centre) for centre in best.centres_um]
        stale = [
            at
            for at, first in enumerate(firsts)
            if not all(still_best(first, spot, ground.shape) for spot in new)
        ]
        for piece in pieces:
            piece.free[list(best.members)] = False
    return FieldPlacement(tuple(found), bound)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is asked of each piece."""

    shape: CountShape
    number: int
    contiguous: bool
    starts: int
    earlier: tuple[FieldSet, ...]

    @property
    def taken(self) -> list[HotSpot]:
        """The fields of the earlier sets."""
        return [_spot(self.shape, at) for one in self.earlier for at in one.centres_um]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of tissue with the points on it that are still free."""

    tissue: TissuePiece
    points: Floats
    free: Bools
    tree: cKDTree
    half_um: Floats
    reach: float

    def best(
        self, shape: CountShape, taken: Sequence[HotSpot], left: Bools | None = None
    ) -> HotSpot | None:
        """The exact best field for the free points, or for those left, overlapping none taken."""
        free = self.free if left is None else left
        return best_spot(self.points, free, shape, self.tissue.domain, taken)

    def held(self, shape: CountShape, centre: Centre) -> NDArray[np.int64]:
        """Indices of the free points in a field."""
        norm = 2.0 if shape.kind == "circle" else np.inf
        near = self.tree.query_ball_point(np.asarray(centre) / self.half_um, self.reach, p=norm)
        index = np.asarray(near, dtype=np.int64)
        return index[self.free[index]]


def _best_set(
    pieces: Sequence[_Piece], firsts: Sequence[HotSpot | None], task: _Task
) -> FieldSet | None:
    """The best set of all pieces; `firsts` are the best single fields on each."""
    best: FieldSet | None = None
    order = sorted(range(len(pieces)), key=lambda index: -_count(firsts[index]))
    for index in order:
        piece, first = pieces[index], firsts[index]
        most = _most(piece, first, task.number)
        if first is None or (best is not None and _rank(best) >= (task.number, most)):
            continue
        offer = _on_piece(piece, task, first)
        if best is None or _rank(offer) > _rank(best):
            best = offer
    if best is None and not task.earlier:
        best = _empty(pieces, task)
    return best


def _bound(
    pieces: Sequence[_Piece], firsts: Sequence[HotSpot | None], best: FieldSet, task: _Task
) -> int:
    """How many points no set on one piece can exceed."""
    bound, number = 0, task.number
    for piece, first in zip(pieces, firsts, strict=True):
        most = _most(piece, first, number)
        if most > best.count:
            # What the best set leaves out of this piece.
            left = piece.free.copy()
            left[list(best.members)] = False
            held = int(np.count_nonzero(piece.free & ~left))
            most = min(most, held + number * _count(piece.best(best.shape, (), left)))
            if task.contiguous and len(piece.points) <= _BOXED:
                most = _in_boxes(piece.points[piece.free], task, most)
        bound = max(bound, most)
    return bound


def _in_boxes(points: Floats, task: _Task, most: int) -> int:
    """The bound by the boxes in which a patch lies, where it is less than `most`."""
    highest = 0
    for box in _boxes(task.shape, task.number):
        highest = max([highest, *(spot.count for spot in find_hot_spots(points, box))])
        if highest >= most:
            return most
    return highest


def _boxes(shape: CountShape, number: int) -> list[CountShape]:
    """The boxes in which a patch of fields lies, the largest first."""
    width, height = shape.width_um * (1 + 1e-6), shape.height_um * (1 + 1e-6)
    sides = [(width * (1 + n), height * (number - n)) for n in range(number)]
    if shape.kind == "circle":
        sides = [
            (width * (number - slanted / 2), width * (1 + slanted * sqrt(3) / 2))
            for slanted in range(number)
        ]
    sides.sort(key=lambda side: -side[0] * side[1])
    return [CountShape("rectangle", *side) for side in sides]


def _most(piece: _Piece, first: HotSpot | None, number: int) -> int:
    return min(number * _count(first), int(np.count_nonzero(piece.free)))


def _count(spot: HotSpot | None) -> int:
    return 0 if spot is None else spot.count


def _rank(offer: FieldSet) -> tuple[int, int]:
    """Whole sets go before those that lack fields, then the most points."""
    return len(offer.centres_um), offer.count


def _on_piece(piece: _Piece, task: _Task, first: HotSpot) -> FieldSet:
    """The best set on one piece, of which this is the best single field."""
    offers = [_grown(piece, task, [first.centre_um])]
    if not task.contiguous:
        found = _free_fields(piece, task, first)
        free = _grown(piece, task, [spot.centre_um for spot in found])
        # On little tissue a patch may find room for more fields than those that lie anywhere.
        return max(free, *offers, key=_rank)
    tried = [first]
    while len(tried) < task.starts:
        start = _next(piece, task, tried)
        if start is None:
            break
        tried.append(start)
        offers.append(_grown(piece, task, [start.centre_um]))
    return max(offers, key=_rank)  # the first of equals: from the densest start


def _free_fields(piece: _Piece, task: _Task, first: HotSpot) -> list[HotSpot]:
    """Fields by falling number of points that no earlier one holds."""
    found = [first]
    while len(found) < task.number:
        spot = _next(piece, task, found)
        if spot is None:
            break
        found.append(spot)
    return found


def _next(piece: _Piece, task: _Task, found: Sequence[HotSpot]) -> HotSpot | None:
    """The best field for the points that those found leave, overlapping none."""
    left = piece.free.copy()
    for spot in found:
        left[list(spot.members)] = False
    return piece.best(task.shape, [*task.taken, *found], left)


def _grown(piece: _Piece, task: _Task, centres: Sequence[Centre]) -> FieldSet:
    """Add neighbours until the number is reached, or there is no room."""
    shape, taken = task.shape, [at for one in task.earlier for at in one.centres_um]
    fields = list(centres)
    counted = np.zeros(len(piece.points), dtype=np.bool_)
    for centre in fields:
        counted[piece.held(shape, centre)] = True
    gains: dict[Centre, NDArray[np.int64]] = {}
    fresh = fields[:]
    while len(fields) < task.number:
        for centre in fresh:
            gains |= {at: piece.held(shape, at) for at in _neighbours(centre, shape)}
        around = np.array([*fields, *taken])
        gains = {
            at: held
            for at, held in gains.items()
            if clear(shape, at, around).all() and piece.tissue.allowed.contains(np.array([at]))[0]
        }
        if not gains:
            break
        far = {at: np.hypot(at[0] - fields[0][0], at[1] - fields[0][1]) for at in gains}
        best = min(
            gains,
            key=lambda at: (
                -int(np.count_nonzero(~counted[gains[at]])), round(far[at], 3), at[1], at[0]
            ),
        )  # fmt: skip
        counted[gains.pop(best)] = True
        fields.append(best)
        fresh = [best]
    members = tuple(np.flatnonzero(counted).tolist())
    return FieldSet(shape, tuple(fields), len(members), members)


def _neighbours(centre: Centre, shape: CountShape) -> list[Centre]:
    """Fields that share a side with a rectangle, or touch a circle."""
    x, y = centre
    width, height = shape.width_um, shape.height_um
    if shape.kind == "circle":
        half, rise = width / 2, width * sqrt(3) / 2
        steps = [(width, 0.0), (-width, 0.0)]
        steps += [(side * half, up * rise) for side in (1, -1) for up in (1, -1)]
    else:
        steps = [(width, 0.0), (-width, 0.0), (0.0, height), (0.0, -height)]
    return [(x + dx, y + dy) for dx, dy in steps]


def _empty(pieces: Sequence[_Piece], task: _Task) -> FieldSet | None:
    """Fields on tissue without points: amid the piece that has the most room."""
    best: FieldSet | None = None
    for piece in pieces:
        centre = amid(piece.tissue.allowed)
        if centre is None:
            continue
        offer = _grown(piece, task, [centre])
        if best is None or _rank(offer) > _rank(best):
            best = offer
        if len(best.centres_um) == task.number:
            break
    return best


def _spot(shape: CountShape, centre: Centre) -> HotSpot:
    return HotSpot(centre, 0, shape.polygon_um(centre), ())
