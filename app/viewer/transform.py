"""Where the viewer looks: level-0 pixels of the slide to logical pixels of the screen and back."""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QTransform

from core.geometry import Mpp, Rect0

#: The usual meaning of a magnification: 40× shows 0.25 µm per pixel.
UM_PER_PX_AT_1X = 10.0


@dataclass(frozen=True, slots=True)
class ViewTransform:
    """A view of the slide; changing it makes another one.

    Attributes:
        centre0: what lies in the middle of the view, level-0 pixels.
        px0_per_px: level-0 pixels per logical pixel of the screen.
        angle_deg: by which the slide is turned clockwise on the screen, 0 <= angle < 360.
        width_px, height_px: size of the view in logical pixels.
    """

    centre0: tuple[float, float]
    px0_per_px: float
    angle_deg: float
    width_px: int
    height_px: int

    def to_screen(self, x0: float, y0: float) -> tuple[float, float]:
        """A point of the slide in logical pixels of the view."""
        cos, sin = self._turn()
        dx, dy = (x0 - self.centre0[0]) / self.px0_per_px, (y0 - self.centre0[1]) / self.px0_per_px
        return (
            dx * cos - dy * sin + self.width_px / 2,
            dx * sin + dy * cos + self.height_px / 2,
        )

    def to_slide(self, x: float, y: float) -> tuple[float, float]:
        """A point of the view, in logical pixels, in level-0 pixels."""
        cos, sin = self._turn()
        dx, dy = (
            (x - self.width_px / 2) * self.px0_per_px,
            (y - self.height_px / 2) * self.px0_per_px,
        )
        return self.centre0[0] + dx * cos + dy * sin, self.centre0[1] - dx * sin + dy * cos

    def points_to_screen(self, points0: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `to_screen`: (N, 2) level-0 pixels to (N, 2) logical pixels."""
        offset = (np.asarray(points0, np.float64) - self.centre0) / self.px0_per_px
        return offset @ self._matrix().T + (self.width_px / 2, self.height_px / 2)

    def points_to_slide(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `to_slide`: (N, 2) logical pixels to (N, 2) level-0 pixels."""
        offset = np.asarray(points, np.float64) - (self.width_px / 2, self.height_px / 2)
        return offset * self.px0_per_px @ self._matrix() + self.centre0

    def zoomed_at(self, x: float, y: float, factor: float) -> Self:
        """Closer by `factor`, with what lies under the point (x, y) of the view staying there."""
        x0, y0 = self.to_slide(x, y)
        centre0 = (
            x0 + (self.centre0[0] - x0) / factor,
            y0 + (self.centre0[1] - y0) / factor,
        )
        return replace(self, centre0=centre0, px0_per_px=self.px0_per_px / factor)

    def panned(self, dx: float, dy: float) -> Self:
        """The slide moved with the hand by (dx, dy) logical pixels."""
        return replace(self, centre0=self.to_slide(self.width_px / 2 - dx, self.height_px / 2 - dy))

    def rotated(self, deg: float) -> Self:
        """The slide turned clockwise about the middle of the view."""
        # Twice: a tiny negative angle is rounded up to 360 itself.
        return replace(self, angle_deg=(self.angle_deg + deg) % 360.0 % 360.0)

    def resized(self, width_px: int, height_px: int) -> Self:
        """The same middle and scale in a view of another size."""
        return replace(self, width_px=width_px, height_px=height_px)

    def visible_rect0(self) -> Rect0:
        """The rectangle along the slide's axes around all that is seen, level-0 pixels."""
        cos, sin = (abs(part) for part in self._turn())
        width0 = (self.width_px * cos + self.height_px * sin) * self.px0_per_px
        height0 = (self.width_px * sin + self.height_px * cos) * self.px0_per_px
        return Rect0(self.centre0[0] - width0 / 2, self.centre0[1] - height0 / 2, width0, height0)

    def corners0(self) -> NDArray[np.float64]:
        """The view's corners on the slide, clockwise from the top left: (4, 2) level-0 pixels."""
        width, height = float(self.width_px), float(self.height_px)
        return self.points_to_slide(np.array([(0, 0), (width, 0), (width, height), (0, height)]))

    def qtransform(self) -> QTransform:
        """Level-0 pixels to logical pixels, for a painter."""
        matrix = QTransform()
        matrix.translate(self.width_px / 2, self.height_px / 2)
        matrix.rotate(self.angle_deg)
        matrix.scale(1 / self.px0_per_px, 1 / self.px0_per_px)
        matrix.translate(-self.centre0[0], -self.centre0[1])
        return matrix

    def magnification(self, mpp: Mpp) -> float:
        """40 where a logical pixel shows 0.25 µm."""
        return UM_PER_PX_AT_1X / (self.px0_per_px * mpp.mean)

    def _turn(self) -> tuple[float, float]:
        """Cosine and sine of the turn, exact at right angles."""
        quarters, rest = divmod(self.angle_deg, 90.0)
        if rest == 0.0:
            return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarters) % 4]
        angle = math.radians(self.angle_deg)
        return math.cos(angle), math.sin(angle)

    def _matrix(self) -> NDArray[np.float64]:
        cos, sin = self._turn()
        return np.array([(cos, -sin), (sin, cos)])


def fitted(bounds0: Rect0, width_px: int, height_px: int, angle_deg: float = 0.0) -> ViewTransform:
    """The view that just shows a whole rectangle, with a small margin.

    Args:
        bounds0: what to show, level-0 pixels.
        width_px: of the view, logical pixels.
        height_px: likewise.
        angle_deg: turn of the slide.
    """
    centre0 = (bounds0.x0 + bounds0.width0 / 2, bounds0.y0 + bounds0.height0 / 2)
    turned = ViewTransform(centre0, 1.0, angle_deg, int(bounds0.width0), int(bounds0.height0))
    across = turned.visible_rect0()
    scale = max(across.width0 / max(1, width_px), across.height0 / max(1, height_px)) * 1.02
    return ViewTransform(centre0, scale, angle_deg, width_px, height_px)
