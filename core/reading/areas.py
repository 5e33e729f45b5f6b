"""Count areas that a reader places: their geometry, which figures they hold, how many mm² count.

A rectangle of any aspect turned by any angle, a circle, fields of one size, or all the tissue. What
counts:

- Parts outside the tumour region, excluded parts and windows that could not be read are always cut
  out of the count area, and nothing in them counts.
- What is left counts as a whole if it is mostly tissue, as a microscope's field does; else only the
  tissue in it counts.
- It lies on one piece of tissue: that of which it holds the most, or on which a hot spot was found.
  Only this piece's tissue and figures count; a figure off the tissue belongs to the nearest piece.
  An unlocked area counts on all pieces.
"""

from math import pi, sqrt
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from core.counting.protocols import Protocol
from core.counting.shapes import CountShape
from core.geometry import UM2_PER_MM2, Mpp, to_px0
from core.reading.ground import Ground, read_mm2, tissue_px0
from core.reading.view import AreaView
from core.slides.tissue import Tissue

Kind = Literal["rectangle", "circle"]
Floats = NDArray[np.float64]
# Below this share of tissue in the count area only the tissue counts as counted area.
COVERED_ENOUGH = 0.9
# No side of a count area is longer than this many times the other.
MAX_ASPECT = 20.0
# Of areas that are sums of clipped cells.
_ROUNDING = 1e-9


# The outline.


def locked_sides(
    area_mm2: float, kind: Kind, width_um: float | None, height_um: float | None, shape: CountShape
) -> tuple[float, float]:
    """Width and height in µm of an outline of this area with the aspect that the reader drew.

    Args:
        area_mm2: to hold to.
        kind: a circle is as wide as high.
        width_um: as drawn; None for the protocol's.
        height_um: likewise.
        shape: the protocol's.
    """
    area_um2 = area_mm2 * UM2_PER_MM2
    if kind == "circle":
        diameter = 2 * sqrt(area_um2 / pi)
        return diameter, diameter
    aspect = shape.width_um / shape.height_um
    if width_um is not None and height_um is not None and min(width_um, height_um) > 0:
        aspect = min(max(width_um / height_um, 1 / MAX_ASPECT), MAX_ASPECT)
    return sqrt(area_um2 * aspect), sqrt(area_um2 / aspect)


def outline0(
    shape: CountShape, centre0: tuple[float, float], angle_deg: float, mpp: Mpp
) -> shapely.Polygon:
    """The outline of a placed count area, level-0 pixels; turned in µm, clockwise on the screen."""
    centre_um = (centre0[0] * mpp.x, centre0[1] * mpp.y)
    polygon_um = shape.polygon_um(centre_um)
    if angle_deg and shape.kind != "circle":
        # y points down, so that shapely's counter-clockwise is clockwise on the screen.
        polygon_um = affinity.rotate(polygon_um, angle_deg, origin=centre_um)
    return to_px0(polygon_um, mpp)


def make_area(
    ground: Ground,
    protocol: Protocol,
    centre0: tuple[float, float],
    *,
    kind: Kind | None = None,
    width_um: float | None = None,
    height_um: float | None = None,
    angle_deg: float = 0.0,
    locked: bool = True,
    state: Literal["proposed", "accepted"] = "accepted",
    lineage: str = "",
    anchor0: tuple[float, float] | None = None,
) -> AreaView:
    """Place a count area.

    Args:
        ground: where figures count.
        protocol: whose area it is held to.
        centre0: of the area, level-0 pixels.
        kind: None for the protocol's.
        width_um: as drawn; while locked only the ratio to the height matters. None for the
            protocol's.
        height_um: likewise.
        angle_deg: clockwise turn on the screen.
        locked: whether the area in mm² is held to the protocol's, on one piece of tissue.
        state: who placed it.
        lineage: of its region.
        anchor0: see `AreaView`.
    """
    planned = protocol.shape
    kind = kind or planned.kind
    if locked or not width_um or not height_um:
        width_um, height_um = locked_sides(protocol.area_mm2, kind, width_um, height_um, planned)
    elif kind == "circle":
        height_um = width_um
    shape = CountShape(kind, width_um, height_um)
    polygon0 = outline0(shape, centre0, angle_deg, ground.mpp)
    piece = 0
    if locked and ground.read.any():
        piece = piece_of(polygon0, anchor0, ground)
    return AreaView(
        polygon0=polygon0,
        centre0=centre0,
        kind=kind,
        width_um=width_um,
        height_um=height_um,
        angle_deg=angle_deg,
        planned_mm2=protocol.area_mm2,
        counted_mm2=counted_mm2(polygon0, shape.area_mm2, ground, piece),
        locked=locked,
        state=state,
        lineage=lineage,
        piece=piece,
        anchor0=anchor0,
    )


def tissue_area(
    ground: Ground,
    protocol: Protocol,
    *,
    state: Literal["proposed", "accepted"] = "proposed",
    lineage: str = "",
) -> AreaView:
    """All the readable tissue in the regions as the count area.

    Args:
        ground: where figures count.
        protocol: the rule.
        state: `accepted` where a reader wants the whole tumour counted; else `proposed`.
        lineage: of its region.

    Raises:
        ValueError: there is none.
    """
    if not ground.read.any():
        raise ValueError("no tissue to count in")
    whole0 = _cells_outline0(ground)
    x0, y0, x1, y1 = whole0.bounds
    return AreaView(
        polygon0=whole0,
        centre0=((x0 + x1) / 2, (y0 + y1) / 2),
        kind="tissue",
        width_um=(x1 - x0) * ground.mpp.x,
        height_um=(y1 - y0) * ground.mpp.y,
        angle_deg=0.0,
        planned_mm2=protocol.area_mm2,
        counted_mm2=read_mm2(ground),
        locked=True,
        state=state,
        lineage=lineage,
    )


def counted_mm2(polygon0: BaseGeometry, area_mm2: float, ground: Ground, piece: int) -> float:
    """The area to which a count in this outline refers; the rule is at the head of the module.

    Args:
        polygon0: the outline, level-0 pixels.
        area_mm2: its area; a circle's polygon has a little less.
        ground: where figures count.
        piece: that counts; 0 for all.
    """
    open0 = polygon0
    if ground.where0 is not None:
        open0 = open0.intersection(ground.where0)
    if ground.failed0 is not None:
        open0 = open0.difference(ground.failed0)
    per_px0 = area_mm2 / float(polygon0.area)
    tissue_mm2 = float(sum(tissue_px0(open0, ground, piece).values())) * per_px0
    open_mm2 = float(open0.area) * per_px0
    enough_mm2 = COVERED_ENOUGH * open_mm2 * (1 - _ROUNDING)
    return open_mm2 if tissue_mm2 >= enough_mm2 else tissue_mm2


def holds(area: AreaView, ground: Ground, x0: Floats, y0: Floats) -> NDArray[np.bool_]:
    """Which level-0 points count in the area, its border included: (N,) bool.

    Args:
        area: placed on this ground.
        ground: where figures count.
        x0: (N,) float64.
        y0: (N,) float64.
    """
    mpp = ground.mpp
    x0, y0 = np.asarray(x0, np.float64), np.asarray(y0, np.float64)
    if area.kind == "tissue":
        return ground.open_at(x0, y0)
    if area.kind == "fields":
        inside = _in_fields(area, mpp, x0, y0)
    else:
        inside = _in_outline(area, mpp, x0, y0)
    inside[inside] = ground.open_at(x0[inside], y0[inside])
    if area.piece:
        inside[inside] = ground.piece_at(x0[inside], y0[inside]) == area.piece
    return inside


def _in_fields(area: AreaView, mpp: Mpp, x0: Floats, y0: Floats) -> NDArray[np.bool_]:
    points_um = np.stack([x0 * mpp.x, y0 * mpp.y], axis=1)
    field = CountShape(area.field_kind, area.width_um, area.height_um)
    inside = np.zeros(len(points_um), dtype=np.bool_)
    for field_x0, field_y0 in area.centres0:
        inside |= field.contains(points_um, (field_x0 * mpp.x, field_y0 * mpp.y))
    return inside


def _in_outline(area: AreaView, mpp: Mpp, x0: Floats, y0: Floats) -> NDArray[np.bool_]:
    away_um = np.stack([(x0 - area.centre0[0]) * mpp.x, (y0 - area.centre0[1]) * mpp.y], axis=1)
    if area.kind == "rectangle" and area.angle_deg:
        turn = np.deg2rad(area.angle_deg)
        cos, sin = np.cos(turn), np.sin(turn)
        away_um = away_um @ np.array([[cos, -sin], [sin, cos]])
    kind: Kind = "circle" if area.kind == "circle" else "rectangle"
    return CountShape(kind, area.width_um, area.height_um).contains(away_um, (0.0, 0.0))


def piece_of(polygon0: BaseGeometry, anchor0: tuple[float, float] | None, ground: Ground) -> int:
    """The piece on which a placed outline counts."""
    if anchor0 is not None:
        return int(ground.piece_at(np.array([anchor0[0]]), np.array([anchor0[1]]))[0])
    held = tissue_px0(polygon0, ground, 0)
    if held:
        return max(held, key=lambda piece: (held[piece], -piece))
    x, y = polygon0.centroid.coords[0]
    return int(ground.piece_at(np.array([x]), np.array([y]))[0])


def _cells_outline0(ground: Ground) -> shapely.Polygon:
    """The cells of `read` as one geometry, level-0 pixels."""
    tissue = ground.tissue
    whole = Tissue(
        ground.read, tissue.um_per_px, tissue.cell0_x, tissue.cell0_y, tissue.origin0, 0.0
    )
    return whole.polygon0()
