"""The outline of a count area: an axis-aligned rectangle or a circle of fixed mm²."""

import re
from dataclasses import dataclass
from math import isfinite, pi, sqrt
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from core.errors import ProtocolError
from core.geometry import UM2_PER_MM2

# A point this fraction of the half side (or radius) beyond the border still lies on it: 0.1 nm on
# the usual areas, far below a pixel and far above rounding. Counting and searching share it.
BORDER_TOLERANCE = 1e-7
# Segments per quarter when a circle is drawn as a polygon; its area is then 1.6e-5 short.
CIRCLE_QUARTER_SEGMENTS = 256
_RECTANGLE = re.compile(r"rectangle-(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class CountShape:
    """A closed shape that is placed by its centre.

    Attributes:
        kind: the outline.
        width_um: along x; of a circle the diameter.
        height_um: along y; of a circle the diameter.
    """

    kind: Literal["rectangle", "circle"]
    width_um: float
    height_um: float

    @classmethod
    def from_name(cls, name: str, area_mm2: float) -> "CountShape":
        """The shape of a protocol.

        Args:
            name: `circle`, `square` or `rectangle-W:H`, width to height.
            area_mm2: its area.

        Raises:
            ProtocolError: unknown name, or an area that is not a positive number.
        """
        if not (isfinite(area_mm2) and area_mm2 > 0):
            raise ProtocolError(f"A count area of {area_mm2} mm² is not possible.")
        area_um2 = area_mm2 * UM2_PER_MM2
        if name == "circle":
            diameter = 2 * sqrt(area_um2 / pi)
            return cls("circle", diameter, diameter)
        if name == "square":
            return cls("rectangle", sqrt(area_um2), sqrt(area_um2))
        found = _RECTANGLE.fullmatch(name)
        if found is None or min(map(float, found.groups())) <= 0:
            raise ProtocolError(
                f"Unknown shape {name!r}.", "Use circle, square or rectangle-W:H (rectangle-4:3)."
            )
        aspect = float(found[1]) / float(found[2])
        return cls("rectangle", sqrt(area_um2 * aspect), sqrt(area_um2 / aspect))

    @property
    def area_mm2(self) -> float:
        """Area in mm²."""
        box = self.width_um * self.height_um / UM2_PER_MM2
        return box * pi / 4 if self.kind == "circle" else box

    def contains(
        self, points_um: NDArray[np.float64], centre_um: tuple[float, float]
    ) -> NDArray[np.bool_]:
        """Which points lie in the placed shape or on its border (see `BORDER_TOLERANCE`).

        Args:
            points_um: (N, 2) float64, µm.
            centre_um: x and y of the centre, µm.

        Returns:
            (N,) bool.
        """
        half = np.array([self.width_um, self.height_um]) / 2
        offset = np.abs(np.asarray(points_um).reshape(-1, 2) - centre_um) / half
        reach = np.hypot(*offset.T) if self.kind == "circle" else offset.max(axis=1, initial=0)
        return np.asarray(reach <= 1 + BORDER_TOLERANCE)

    def polygon_um(
        self, centre_um: tuple[float, float], quarter_segments: int = CIRCLE_QUARTER_SEGMENTS
    ) -> shapely.Polygon:
        """The placed outline in µm; a circle as a polygon with four times these segments."""
        x, y = centre_um
        if self.kind == "circle":
            return shapely.Point(x, y).buffer(self.width_um / 2, quad_segs=quarter_segments)
        half_w, half_h = self.width_um / 2, self.height_um / 2
        return shapely.box(x - half_w, y - half_h, x + half_w, y + half_h)
