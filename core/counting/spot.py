"""One hot spot: the best placement of a shape for the points that no earlier one holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from core.counting.domain import Domain
from core.counting.search import best_circle
from core.counting.shapes import CountShape
from core.counting.sweep import best_rectangle

# Two placements count as disjoint when they overlap by less than this fraction of a half side.
_OVERLAP_SLACK = 1e-8

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HotSpot:
    """One placement of the count area.

    Attributes:
        centre_um: x and y of its centre.
        count: points that it holds and that no earlier hot spot holds.
        polygon_um: its outline.
        members: indices of these points, ascending.
    """

    centre_um: tuple[float, float]
    count: int
    polygon_um: shapely.Polygon
    members: tuple[int, ...]


def best_spot(
    points_um: Floats,
    free: NDArray[np.bool_],
    shape: CountShape,
    domain: Domain,
    taken: Sequence[HotSpot],
) -> HotSpot | None:
    """The best placement for the free points that overlaps none of the taken ones.

    Args:
        points_um: (N, 2) float64.
        free: (N,) bool, the points that count.
        shape: the count area.
        domain: where its centre may lie.
        taken: earlier hot spots.

    Returns:
        None where no allowed placement holds a free point.
    """
    centres = np.array([spot.centre_um for spot in taken], dtype=np.float64).reshape(-1, 2)
    search = best_circle if shape.kind == "circle" else best_rectangle
    found = search(domain.to_units(points_um[free]), domain, domain.to_units(centres))
    if found is None:
        return None
    spot = _spot(points_um, free, shape, domain.to_um(found.x, found.y))
    moved = _centred(points_um[list(spot.members)], shape)
    unit = domain.to_units(np.array([moved]))
    if not clear(shape, moved, centres).all() or not domain.holds(unit[:, 0], unit[:, 1])[0]:
        return spot
    again = _spot(points_um, free, shape, moved)
    return again if again.count >= spot.count else spot


def still_best(offer: HotSpot | None, newest: HotSpot, shape: CountShape) -> bool:
    """Whether the best spot of a piece stays the best once another spot is taken.

    It does if it is two shapes away: its region of highest count is no larger than the shape, so
    all of that is as free as before, and what is taken makes no other place better.

    Args:
        offer: the best of the piece so far; None if it had none.
        newest: the spot taken since, of whatever piece.
        shape: of both.
    """
    if offer is None:
        return True
    half = np.array([shape.width_um, shape.height_um]) / 2
    return bool(np.max(np.abs(np.subtract(offer.centre_um, newest.centre_um)) / half) >= 4)


def _spot(
    points: Floats, free: NDArray[np.bool_], shape: CountShape, centre: tuple[float, float]
) -> HotSpot:
    members = np.flatnonzero(free & shape.contains(points, centre))
    return HotSpot(centre, len(members), shape.polygon_um(centre), tuple(members.tolist()))


def clear(shape: CountShape, centre: tuple[float, float], others: Floats) -> NDArray[np.bool_]:
    """Which placements do not overlap one at this centre: (N,) bool."""
    apart = np.abs(others - centre) / (shape.width_um / 2, shape.height_um / 2)
    gap = np.hypot(*apart.T) if shape.kind == "circle" else apart.max(axis=1, initial=0)
    return np.asarray(gap >= 2 - _OVERLAP_SLACK)


def _centred(members: Floats, shape: CountShape) -> tuple[float, float]:
    """The middle of the points: of their bounding box or of their smallest enclosing circle."""
    bounds = np.concatenate([members.min(axis=0), members.max(axis=0)])
    if shape.kind == "circle" and len(members) > 1:
        with np.errstate(all="ignore"):  # nearly equal points: GEOS may answer nan
            circle = shapely.minimum_bounding_circle(shapely.MultiPoint(members))
        if np.isfinite(circle.bounds).all():
            bounds = np.array(circle.bounds)
    return float((bounds[0] + bounds[2]) / 2), float((bounds[1] + bounds[3]) / 2)
