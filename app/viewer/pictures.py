"""Layers that are pictures in the slide's frame: the density of mitoses, and what was viewed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPixmap

from app.bridge import WorkThread
from app.theme import MARKS
from app.viewer.density import DensityMap, density_map
from app.viewer.pancache import PanCache
from app.viewer.transform import ViewTransform
from core.geometry import Mpp, Rect0
from core.reading.view import ATYPICAL, LABELS, MITOSIS, NONE, DeskView

_VIEWED_ALPHA = 46


class PictureLayer:
    """A picture stretched over a part of the slide.

    Args:
        name: of the layer.
        opacity: 0 to 1.
    """

    def __init__(self, name: str, opacity: float = 1.0) -> None:
        self.name = name
        self.visible = False
        self.opacity = opacity
        self._picture: tuple[QImage, Rect0] | None = None
        self._screen: PanCache[QPixmap] = PanCache(128)

    def set_picture(self, image: QImage | None, rect0: Rect0 | None) -> None:
        """Show an image over a rectangle of the slide, or nothing."""
        self._picture = None if image is None or rect0 is None else (image, rect0)
        self._screen.clear()

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint the part that is in view."""
        if self._picture is None or self.opacity <= 0:
            return
        dpr = painter.device().devicePixelRatioF()
        held = self._screen.at(transform, dpr, lambda wide: self._stretched(wide, dpr))
        painter.save()
        painter.setOpacity(self.opacity)
        painter.drawPixmap(round(held.dx), round(held.dy), held.value)
        painter.restore()

    def _stretched(self, wide: ViewTransform, dpr: float) -> QPixmap:
        assert self._picture is not None
        image, rect0 = self._picture
        size = (round(wide.width_px * dpr), round(wide.height_px * dpr))
        canvas = QImage(*size, QImage.Format.Format_ARGB32_Premultiplied)
        canvas.setDevicePixelRatio(dpr)
        canvas.fill(Qt.GlobalColor.transparent)
        painter = QPainter(canvas)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setTransform(wide.qtransform(), True)
        painter.drawImage(QRectF(rect0.x0, rect0.y0, rect0.width0, rect0.height0), image)
        painter.end()
        return QPixmap.fromImage(canvas)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a density map is made of; two wishes of one digest make the same map."""

    points_um: NDArray[np.float64]
    area_mm2: float
    mpp: Mpp
    within0: tuple[shapely.Polygon, ...]
    digest: tuple[object, ...]


class DensityLayer(PictureLayer):
    """Mitoses per mm², smoothed over the size of the count area, made on a work thread.

    Args:
        thread: where maps are made.
        ready: called in the GUI thread when a new map is there.
    """

    def __init__(self, thread: WorkThread, ready: Callable[[], None]) -> None:
        super().__init__("density", 0.6)
        self._thread = thread
        self._ready = ready
        self._wish: _Wish | None = None
        self._made: tuple[object, ...] | None = None
        self._busy = False
        self.peak_per_mm2 = 0.0

    def set_view(self, view: DeskView | None) -> None:
        """Show the density of a view's mitoses: by verdict, else by label, as they are counted."""
        self._wish = _wish(view) if view is not None else None
        if self._wish is None:
            self._made = None
            self.peak_per_mm2 = 0.0
            self.set_picture(None, None)
        self.make_if_shown()

    def make_if_shown(self) -> None:
        """Have a map made if it is wanted and out of date; one at a time, the newest next."""
        wish = self._wish
        if not self.visible or self._busy or wish is None or wish.digest == self._made:
            return
        self._busy = True
        self._thread.submit(
            lambda: density_map(wish.points_um, wish.area_mm2, wish.mpp, wish.within0),
            lambda made: self._take(wish, made),
            priority=1,
        )

    def _take(self, wish: _Wish, made: DensityMap | None) -> None:
        self._busy = False
        if self._wish is not None and self._wish.mpp == wish.mpp:
            self._made = wish.digest
            self.peak_per_mm2 = made.peak_per_mm2 if made is not None else 0.0
            self.set_picture(*((made.image, made.rect0) if made is not None else (None, None)))
            self._ready()
        self.make_if_shown()


class ViewedLayer(PictureLayer):
    """What was seen at reading magnification."""

    def __init__(self) -> None:
        super().__init__("viewed")

    def set_viewed(self, mask: NDArray[np.bool_] | None, rect0: Rect0 | None) -> None:
        """Show these cells as viewed.

        Args:
            mask: (rows, columns) bool; None for none.
            rect0: what the mask covers.
        """
        if mask is None or rect0 is None or not mask.size:
            self.set_picture(None, None)
            return
        colour = QColor(MARKS.tissue)
        colour.setAlpha(_VIEWED_ALPHA)
        height, width = mask.shape
        image = QImage(width, height, QImage.Format.Format_Indexed8)
        image.setColorTable([0, colour.rgba()])
        rows = np.frombuffer(image.bits(), np.uint8).reshape(height, image.bytesPerLine())
        rows[:, :width] = mask
        self.set_picture(image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied), rect0)


def _wish(view: DeskView) -> _Wish | None:
    if view.mpp is None or view.area is None:
        return None
    figures = view.figures
    mitosis = np.isin(figures.verdict, (MITOSIS, ATYPICAL))
    if not view.blinded:
        called = np.isin(figures.label, (LABELS.index("mitosis"), LABELS.index("atypical")))
        mitosis |= (figures.verdict == NONE) & called
    points = np.column_stack((figures.x0[mitosis] * view.mpp.x, figures.y0[mitosis] * view.mpp.y))
    area = view.area.planned_mm2
    within0 = tuple(piece.polygon0 for piece in view.pieces)
    digest = (points.tobytes(), area, view.mpp, tuple(map(id, within0)))
    return _Wish(points, area, view.mpp, within0, digest)
