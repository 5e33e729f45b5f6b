"""The hot spot: the placement of the count area that holds the most mitoses, exactly.

Not the best of a grid: no other allowed centre holds more points. Shapes are closed, so points on
the border count, within `shapes.BORDER_TOLERANCE` (0.1 nm on the usual areas): the count is at
least the true maximum, and at most that of a shape larger by this tolerance.

Among placements of equal count the one with the topmost, then leftmost centre is taken; it is then
centred on its points (the middle of their bounding box; for a circle, of their smallest enclosing
circle) if that centre is allowed. The result does not depend on the order of the points.

The next ones follow greedily: the most of the points that no earlier one holds, among placements
that overlap none of the earlier ones (touching is allowed); each of these is exact as well.

One piece of tissue. Unless it is unlocked, the count area lies on one piece: its centre must be one
where that piece's tissue alone meets the coverage rule, and only points of that piece count. A
point off the tissue belongs to the nearest piece.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.counting.allowed import (
    COVERAGE_FLOOR,
    AllowedCentres,
    allowed_from_held,
    tissue_held,
    tissue_mm2,
)
from core.counting.domain import Domain
from core.counting.shapes import CountShape
from core.counting.spot import HotSpot, best_spot, still_best
from core.geometry import UM2_PER_MM2

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the mitoses of a slide are counted.

    Attributes:
        spots: the hot spot and the next best ones; empty when all the tissue is counted.
        whole_tissue: whether the tissue is smaller than the count area and is counted whole.
        counted: points in the count area: of the first spot, or all.
        counted_area_mm2: the tissue's area if it is counted whole, else the shape's.
        covered_mm2: tissue within the first spot (of its piece), to a cell; or all of it. Far
            below the counted area the tissue is too narrow for the shape: say so.
        shape: the count area.
        own_cells: where the tissue is in pieces, the cells of the first spot's piece and those
            nearest to it; None where every point in the shape counts.
    """

    spots: tuple[HotSpot, ...]
    whole_tissue: bool
    counted: int
    counted_area_mm2: float
    covered_mm2: float
    shape: CountShape
    own_cells: AllowedCentres | None = None

    def holds(self, points_um: Floats) -> NDArray[np.bool_]:
        """Which points count: in the first spot's shape and of its piece; all on whole tissue."""
        points = _checked(points_um)
        if self.whole_tissue:
            return np.ones(len(points), dtype=bool)
        inside = self.shape.contains(points, self.spots[0].centre_um)
        return inside if self.own_cells is None else inside & _of_cells(points, self.own_cells)


def find_hot_spots(
    points_um: Floats, shape: CountShape, allowed: AllowedCentres | None = None, k: int = 1
) -> list[HotSpot]:
    """The best placement and the next best that do not overlap; the rules are at the module's head.

    Args:
        points_um: (N, 2) float64, finite; a place that is given twice counts twice.
        shape: the count area.
        allowed: where centres may lie; None for everywhere.
        k: how many at most.

    Returns:
        By the order found, counts not ascending. Fewer than `k` when no point is left or no place.
        Without points: one empty placement amid the allowed cells, none if everywhere is allowed.

    Raises:
        ValueError: wrong shape of `points_um` or places that are not finite.
    """
    points = _checked(points_um)
    if not len(points):
        centre = None if allowed is None else amid(allowed)
        return [] if centre is None else [HotSpot(centre, 0, shape.polygon_um(centre), ())]
    domain = Domain.of(shape, allowed, (float(points[:, 0].min()), float(points[:, 1].min())))
    found: list[HotSpot] = []
    free = np.ones(len(points), dtype=bool)
    for _ in range(k):
        spot = best_spot(points, free, shape, domain, found)
        if spot is None:
            break
        found.append(spot)
        free[list(spot.members)] = False
    return found


def place_count_area(
    points_um: Floats,
    shape: CountShape,
    tissue: NDArray[np.bool_],
    cell_um: tuple[float, float],
    origin_um: tuple[float, float] = (0.0, 0.0),
    *,
    k: int = 1,
    one_piece: bool = True,
) -> Placement:
    """Place the count area on tissue.

    Args:
        points_um: (N, 2) float64, mitoses.
        shape: the count area.
        tissue: (h, w) bool, True on tissue.
        cell_um: width and height of a cell of the mask.
        origin_um: x and y of the top left corner of cell (0, 0).
        k: how many hot spots at most.
        one_piece: whether it must lie on one piece of tissue (cells that touch, also at corners).

    Raises:
        ValueError: no tissue at all, wrong shape of `points_um`, places that are not finite.
    """
    return place_on(
        prepare_ground(shape, tissue, cell_um, origin_um, one_piece=one_piece), points_um, k
    )


@dataclass(frozen=True, slots=True)
class PlacingGround:
    """What placing a shape on tissue needs besides the points; good as long as the tissue is.

    Attributes:
        shape: the count area.
        cell_um: width and height of a cell of the tissue's mask.
        origin_um: x and y of the top left corner of cell (0, 0).
        tissue_mm2: all the tissue.
        pieces: on which the shape may lie; empty where all the tissue is smaller than the shape.
    """

    shape: CountShape
    cell_um: tuple[float, float]
    origin_um: tuple[float, float]
    tissue_mm2: float
    pieces: "tuple[TissuePiece, ...]"


def prepare_ground(
    shape: CountShape,
    tissue: NDArray[np.bool_],
    cell_um: tuple[float, float],
    origin_um: tuple[float, float] = (0.0, 0.0),
    *,
    one_piece: bool = True,
) -> PlacingGround:
    """The part of `place_count_area` that does not depend on the points, and takes longest.

    Raises:
        ValueError: no tissue at all.
    """
    if not tissue.any():
        raise ValueError("no tissue to count in")
    area_mm2 = tissue_mm2(tissue, *cell_um)
    pieces: list[TissuePiece] = []
    if area_mm2 >= shape.area_mm2:
        pieces = _pieces(shape, tissue, cell_um, origin_um, one_piece=one_piece)
    return PlacingGround(shape, cell_um, origin_um, area_mm2, tuple(pieces))


def place_on(ground: PlacingGround, points_um: Floats, k: int = 1) -> Placement:
    """Place the count area on prepared ground; see `place_count_area`.

    Raises:
        ValueError: wrong shape of `points_um`, places that are not finite.
    """
    points, shape = _checked(points_um), ground.shape
    if not ground.pieces:
        return Placement((), True, len(points), ground.tissue_mm2, ground.tissue_mm2, shape)
    holds = [piece.holds(points) for piece in ground.pieces]
    spots: list[tuple[HotSpot, TissuePiece]] = []
    free = np.ones(len(points), dtype=bool)
    offers: dict[int, HotSpot | None] = {}
    for _ in range(k):
        taken = [spot for spot, _ in spots]
        for index, (piece, own) in enumerate(zip(ground.pieces, holds, strict=True)):
            # A piece away from the newest spot still offers what it offered before.
            if index not in offers or not still_best(offers[index], taken[-1], shape):
                offers[index] = best_spot(points, free & own, shape, piece.domain, taken)
        known = [(spot, index) for index, spot in offers.items() if spot is not None]
        if not known:
            break
        spot, index = min(known, key=lambda offer: (-offer[0].count, *offer[0].centre_um[::-1]))
        spots.append((spot, ground.pieces[index]))
        free[list(spot.members)] = False
    if not spots:  # no points, or none that an allowed placement holds
        centre = amid(ground.pieces[0].allowed)
        assert centre is not None  # the piece that holds the most has a cell by definition
        spots = [(HotSpot(centre, 0, shape.polygon_um(centre), ()), ground.pieces[0])]
    first, piece = spots[0]
    cell_um = ground.cell_um
    at_first = _at_cells(np.array([first.centre_um]), piece.held, cell_um, ground.origin_um)
    return Placement(
        spots=tuple(spot for spot, _ in spots),
        whole_tissue=False,
        counted=first.count,
        counted_area_mm2=shape.area_mm2,
        covered_mm2=float(at_first[0]) * cell_um[0] * cell_um[1] / UM2_PER_MM2,
        shape=shape,
        own_cells=piece.own,
    )


@dataclass(frozen=True, slots=True)
class TissuePiece:
    """A piece of tissue on which a shape may lie.

    Attributes:
        allowed: where the shape's centre may lie.
        domain: the same, as the searches ask for it.
        held: (h, w) float64, cells of the piece's tissue in the shape centred on each cell.
        own: the cells of the piece and those nearest to it; None where all points count.
    """

    allowed: AllowedCentres
    domain: Domain
    held: Floats
    own: AllowedCentres | None

    def holds(self, points: Floats) -> NDArray[np.bool_]:
        """Which points belong to the piece: (N,) bool."""
        if self.own is None:
            return np.ones(len(points), dtype=bool)
        return _of_cells(points, self.own)


def _pieces(
    shape: CountShape,
    tissue: NDArray[np.bool_],
    cell_um: tuple[float, float],
    origin_um: tuple[float, float],
    *,
    one_piece: bool,
) -> list[TissuePiece]:
    """The pieces on which the shape may lie, that which holds the most tissue first."""
    if not one_piece:
        held = tissue_held(tissue, *cell_um, shape)
        allowed = allowed_from_held(held, *cell_um, origin_um)
        return [TissuePiece(allowed, Domain.of(shape, allowed), held, None)]
    labels, _ = ndimage.label(tissue, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    most = 0.0
    held_by: list[tuple[int, Floats]] = []
    for label in np.argsort(-sizes, kind="stable").tolist():
        if sizes[label] == 0 or sizes[label] < COVERAGE_FLOOR * most:
            break  # this one and all smaller ones cannot hold enough
        held = _held_by_piece(labels, label, cell_um, shape)
        most = max(most, float(held.max()))
        held_by.append((label, held))
    _, (rows, columns) = ndimage.distance_transform_edt(
        labels == 0, sampling=(cell_um[1], cell_um[0]), return_indices=True
    )
    nearest = labels[rows, columns]
    pieces = []
    for label, held in held_by:
        own = AllowedCentres(nearest == label, *cell_um, origin_um)
        allowed = allowed_from_held(held, *cell_um, origin_um, most)
        if allowed.mask.any():
            pieces.append(TissuePiece(allowed, Domain.of(shape, allowed), held, own))
    return sorted(pieces, key=lambda piece: -float(piece.held.max()))


def _held_by_piece(
    labels: NDArray[np.int32], label: int, cell_um: tuple[float, float], shape: CountShape
) -> Floats:
    """`tissue_held` of one piece, computed only where the shape can reach the piece."""
    rows, columns = np.nonzero(labels == label)
    reach_x = int(np.ceil(shape.width_um / 2 / cell_um[0])) + 1
    reach_y = int(np.ceil(shape.height_um / 2 / cell_um[1])) + 1
    part = (
        slice(max(int(rows.min()) - reach_y, 0), int(rows.max()) + reach_y + 1),
        slice(max(int(columns.min()) - reach_x, 0), int(columns.max()) + reach_x + 1),
    )
    held = np.zeros(labels.shape)
    held[part] = tissue_held(labels[part] == label, *cell_um, shape)
    return held


def _of_cells(points: Floats, cells: AllowedCentres) -> NDArray[np.bool_]:
    """Which points lie in a cell of the mask; one outside it goes with the nearest cell."""
    step = (cells.cell_um_x, cells.cell_um_y)
    return np.asarray(_at_cells(points, cells.mask, step, cells.origin_um), dtype=bool)


def _at_cells(
    points: Floats,
    values: NDArray[Any],
    cell_um: tuple[float, float],
    origin_um: tuple[float, float],
) -> NDArray[Any]:
    """The value of each point's cell; outside the grid that of the nearest cell."""
    at = np.floor((points - origin_um) / cell_um).astype(np.int64)
    column = np.clip(at[:, 0], 0, values.shape[1] - 1)
    row = np.clip(at[:, 1], 0, values.shape[0] - 1)
    return np.asarray(values[row, column])


def amid(allowed: AllowedCentres) -> tuple[float, float] | None:
    """The centre of the allowed cell nearest to the middle of all of them."""
    rows, columns = np.nonzero(allowed.mask)
    if not len(rows):
        return None
    far = (columns - columns.mean()) ** 2 + (rows - rows.mean()) ** 2
    nearest = int(np.argmin(far))
    return (
        float(allowed.origin_um[0] + (columns[nearest] + 0.5) * allowed.cell_um_x),
        float(allowed.origin_um[1] + (rows[nearest] + 0.5) * allowed.cell_um_y),
    )


def _checked(points_um: Floats) -> Floats:
    points = np.asarray(points_um, dtype=np.float64)
    if points.size == 0:
        return np.empty((0, 2))
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"points must be (N, 2) and finite, not {points.shape}")
    return points
