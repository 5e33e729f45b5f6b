"""The count area as it is dragged: moved, turned, resized with its mm² held. No Qt, no desk."""

from dataclasses import dataclass, replace
from math import atan2, cos, degrees, hypot, radians, sin, sqrt
from typing import Literal, Self

import shapely

from core.counting.shapes import CountShape
from core.geometry import UM2_PER_MM2, Mpp
from core.reading.areas import MAX_ASPECT, outline0
from core.reading.view import AreaView

#: No side of an unlocked area is shorter.
MIN_SIDE_UM = 50.0
#: Corners by the side of the middle on which they lie, clockwise from the upper left.
CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))

PointUm = tuple[float, float]


@dataclass(frozen=True, slots=True)
class AreaShape:
    """A count area in µm; changing it makes another one.

    Attributes:
        kind: its outline.
        centre_um: µm from the slide's top left corner.
        width_um, height_um: of its sides; of a circle the diameter.
        angle_deg: clockwise turn on the screen, 0 <= angle < 360.
    """

    kind: Literal["rectangle", "circle"]
    centre_um: PointUm
    width_um: float
    height_um: float
    angle_deg: float = 0.0

    @classmethod
    def of(cls, area: AreaView, mpp: Mpp) -> Self | None:
        """The shape of a count area of one outline; None of any other."""
        if area.kind == "tissue" or area.kind == "fields":
            return None
        centre_um = (area.centre0[0] * mpp.x, area.centre0[1] * mpp.y)
        return cls(area.kind, centre_um, area.width_um, area.height_um, area.angle_deg % 360.0)

    @property
    def mm2(self) -> float:
        """Its area."""
        return CountShape(self.kind, self.width_um, self.height_um).area_mm2

    def polygon0(self, mpp: Mpp) -> shapely.Polygon:
        """Its outline, level-0 pixels."""
        shape = CountShape(self.kind, self.width_um, self.height_um)
        return outline0(shape, self.centre0(mpp), self.angle_deg, mpp)

    def centre0(self, mpp: Mpp) -> tuple[float, float]:
        """Its centre, level-0 pixels."""
        return self.centre_um[0] / mpp.x, self.centre_um[1] / mpp.y

    def corner_um(self, corner: int) -> PointUm:
        """A corner, or for a circle that of the square around it."""
        side_x, side_y = CORNERS[corner]
        return self._out(side_x * self.width_um / 2, side_y * self.height_um / 2)

    def top_um(self) -> PointUm:
        """The middle of the upper side."""
        return self._out(0.0, -self.height_um / 2)

    def holds(self, point_um: PointUm) -> bool:
        """Whether a point lies inside."""
        x, y = self._in(*point_um)
        x, y = x / (self.width_um / 2), y / (self.height_um / 2)
        return (hypot(x, y) if self.kind == "circle" else max(abs(x), abs(y))) <= 1

    def moved(self, dx_um: float, dy_um: float) -> Self:
        """Elsewhere."""
        return replace(self, centre_um=(self.centre_um[0] + dx_um, self.centre_um[1] + dy_um))

    def turned(self, pointer_um: PointUm) -> Self:
        """Turned so that its upper side looks at a point; a circle stays."""
        dx, dy = pointer_um[0] - self.centre_um[0], pointer_um[1] - self.centre_um[1]
        if self.kind == "circle" or hypot(dx, dy) == 0:
            return self
        return replace(self, angle_deg=degrees(atan2(dx, -dy)) % 360.0)

    def resized(self, corner: int, pointer_um: PointUm, locked_mm2: float | None) -> Self:
        """With a corner dragged to a point.

        A rectangle keeps the opposite corner. Locked, it keeps its mm²: the corner then lies on
        the line from the opposite corner to the point. A circle keeps its centre, and locked its
        size.

        Args:
            corner: index into `CORNERS`.
            pointer_um: where it is dragged.
            locked_mm2: the area to hold to; None for any.
        """
        if self.kind == "circle":
            return self._resized_circle(pointer_um, locked_mm2)
        side_x, side_y = CORNERS[corner]
        x, y = self._in(*pointer_um)
        width_um = max(side_x * x + self.width_um / 2, 1.0)
        height_um = max(side_y * y + self.height_um / 2, 1.0)
        if locked_mm2 is not None:
            aspect = min(max(width_um / height_um, 1 / MAX_ASPECT), MAX_ASPECT)
            width_um = sqrt(locked_mm2 * UM2_PER_MM2 * aspect)
            height_um = width_um / aspect
        else:
            width_um, height_um = max(width_um, MIN_SIDE_UM), max(height_um, MIN_SIDE_UM)
        centre_um = self._out(
            side_x * (width_um - self.width_um) / 2, side_y * (height_um - self.height_um) / 2
        )
        return replace(self, centre_um=centre_um, width_um=width_um, height_um=height_um)

    def _resized_circle(self, pointer_um: PointUm, locked_mm2: float | None) -> Self:
        if locked_mm2 is not None:
            return self
        x, y = self._in(*pointer_um)
        # The handle is a corner of the square around the circle.
        diameter_um = max(2 * max(abs(x), abs(y)), MIN_SIDE_UM)
        return replace(self, width_um=diameter_um, height_um=diameter_um)

    def _out(self, x_um: float, y_um: float) -> PointUm:
        """A point given from the centre along the sides, in µm of the slide."""
        c, s = cos(radians(self.angle_deg)), sin(radians(self.angle_deg))
        return (
            self.centre_um[0] + x_um * c - y_um * s,
            self.centre_um[1] + x_um * s + y_um * c,
        )

    def _in(self, x_um: float, y_um: float) -> PointUm:
        """The inverse of `_out`."""
        c, s = cos(radians(self.angle_deg)), sin(radians(self.angle_deg))
        dx, dy = x_um - self.centre_um[0], y_um - self.centre_um[1]
        return dx * c + dy * s, -dx * s + dy * c
