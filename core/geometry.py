"""Points, rectangles and polygons with their frames and units.

Frames: `x0, y0` are level-0 pixels, origin top left of the file as OpenSlide gives it. `_um` are
micrometres, `_mm2` square millimetres, `mpp` micrometres per pixel. The two axes may differ in mpp.
Shapely geometries are in level-0 pixels unless a name says `_um`.
"""

from dataclasses import dataclass
from math import sqrt

import shapely
from shapely import affinity
from shapely.geometry.base import BaseGeometry

UM2_PER_MM2 = 1e6
#: Types of geometry that have an area.
POLYGONAL = ("Polygon", "MultiPolygon")


@dataclass(frozen=True, slots=True)
class Mpp:
    """Micrometres per level-0 pixel along x and y."""

    x: float
    y: float

    @property
    def mean(self) -> float:
        """Geometric mean of the axes: the side of a square pixel of the same area."""
        return sqrt(self.x * self.y)

    @property
    def px_area_um2(self) -> float:
        """Area of one level-0 pixel in µm²."""
        return self.x * self.y


@dataclass(frozen=True, slots=True)
class Rect0:
    """A rectangle in level-0 pixels; `x0, y0` is its top left corner."""

    x0: float
    y0: float
    width0: float
    height0: float

    @property
    def x1(self) -> float:
        """Right edge, level-0 pixels."""
        return self.x0 + self.width0

    @property
    def y1(self) -> float:
        """Bottom edge, level-0 pixels."""
        return self.y0 + self.height0

    def polygon(self) -> shapely.Polygon:
        """The rectangle as a polygon in level-0 pixels."""
        return shapely.box(self.x0, self.y0, self.x1, self.y1)


def area_mm2(geometry0: BaseGeometry, mpp: Mpp) -> float:
    """Area in mm² of a geometry given in level-0 pixels."""
    return float(geometry0.area) * mpp.px_area_um2 / UM2_PER_MM2


def valid_polygons(geometry: BaseGeometry) -> BaseGeometry:
    """The geometry mended where its outline crosses itself; lines and points of it left out.

    Returns:
        A polygon or multi-polygon, empty if nothing has an area.
    """
    whole = geometry if geometry.is_valid else shapely.make_valid(geometry)
    if whole.geom_type in POLYGONAL:
        return whole
    return shapely.union_all([p for p in shapely.get_parts(whole) if p.geom_type in POLYGONAL])


def to_um(geometry0: BaseGeometry, mpp: Mpp) -> BaseGeometry:
    """A level-0 geometry in micrometres from the slide's top left corner."""
    return affinity.scale(geometry0, mpp.x, mpp.y, origin=(0, 0))


def to_px0(geometry_um: BaseGeometry, mpp: Mpp) -> BaseGeometry:
    """A geometry in micrometres as level-0 pixels; the inverse of `to_um`."""
    return affinity.scale(geometry_um, 1 / mpp.x, 1 / mpp.y, origin=(0, 0))
