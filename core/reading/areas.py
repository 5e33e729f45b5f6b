"""Count areas that a reader places: their geometry, which figures they hold, how many mm² count.

A rectangle of any aspect turned by any angle, a circle, or all the tissue where that is smaller
than the area that the protocol asks for. What counts:

- Parts outside the tumour region, excluded parts and windows that could not be read are always cut
  out of the count area, and nothing in them counts.
- What is left counts as a whole if it is mostly tissue, as a microscope's field does; else only the
  tissue in it counts (the same rule as in `core.analysis.count`).
- It lies on one piece of tissue: that of which it holds the most, or on which a hot spot was found.
  Only this piece's tissue and figures count; a figure off the tissue belongs to the nearest piece.
  An unlocked area counts on all pieces.
"""

from collections.abc import Mapping
from math import pi, sqrt
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity

from core.analysis.count import COVERED_ENOUGH
from core.counting.protocols import Protocol
from core.counting.shapes import CountShape
from core.geometry import UM2_PER_MM2, Mpp, to_px0
from core.reading.ground import Ground, read_mm2, tissue_px0
from core.reading.view import AreaView
from core.slides.tissue import Tissue
from core.store.records import RegionRecord

Kind = Literal["rectangle", "circle"]
Floats = NDArray[np.float64]
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
        piece = _piece_of(polygon0, anchor0, ground)
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


def tissue_area(ground: Ground, protocol: Protocol) -> AreaView:
    """All the readable tissue in the regions as the count area.

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
        state="proposed",
    )


def counted_mm2(polygon0: shapely.Polygon, area_mm2: float, ground: Ground, piece: int) -> float:
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
    away_um = np.stack([(x0 - area.centre0[0]) * mpp.x, (y0 - area.centre0[1]) * mpp.y], axis=1)
    if area.kind == "rectangle" and area.angle_deg:
        turn = np.deg2rad(area.angle_deg)
        cos, sin = np.cos(turn), np.sin(turn)
        away_um = away_um @ np.array([[cos, -sin], [sin, cos]])
    inside = CountShape(area.kind, area.width_um, area.height_um).contains(away_um, (0.0, 0.0))
    inside[inside] = ground.open_at(x0[inside], y0[inside])
    if area.piece:
        inside[inside] = ground.piece_at(x0[inside], y0[inside]) == area.piece
    return inside


# To and from the store.


def properties(area: AreaView, mpp: Mpp, protocol: Protocol) -> dict[str, Any]:
    """What a count area's region keeps besides its polygon, JSON-able."""
    return {
        "shape": area.kind,
        "centre_um": [area.centre0[0] * mpp.x, area.centre0[1] * mpp.y],
        "width_um": area.width_um,
        "height_um": area.height_um,
        "angle_deg": area.angle_deg,
        "locked": area.locked,
        "state": area.state,
        "anchor0": None if area.anchor0 is None else list(area.anchor0),
        "protocol": protocol.id,
    }


def area_from_region(region: RegionRecord, ground: Ground, protocol: Protocol) -> AreaView | None:
    """A reader's count area as the store has it; None for one that only a program proposed.

    The place comes from the polygon, in level-0 pixels, so that it stays where it was when the
    pixel size is set anew; a locked area then takes on the protocol's mm² at the new size.

    Args:
        region: a current region of kind `count_area`.
        ground: where figures count.
        protocol: the present rule.
    """
    kept: Mapping[str, Any] = region.properties
    if kept.get("state") != "accepted" or kept.get("shape") not in ("rectangle", "circle"):
        return None
    centre = shapely.from_wkb(region.wkb).centroid
    anchor0 = kept.get("anchor0")
    return make_area(
        ground,
        protocol,
        (float(centre.x), float(centre.y)),
        kind=kept["shape"],
        width_um=float(kept["width_um"]),
        height_um=float(kept["height_um"]),
        angle_deg=float(kept["angle_deg"]),
        locked=bool(kept["locked"]),
        lineage=region.lineage,
        anchor0=None if anchor0 is None else (float(anchor0[0]), float(anchor0[1])),
    )


def _piece_of(
    polygon0: shapely.Polygon, anchor0: tuple[float, float] | None, ground: Ground
) -> int:
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
