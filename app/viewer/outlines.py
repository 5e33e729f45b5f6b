"""Polygons of the slide as outlines: simplified to the scale, clipped, kept while panning."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import floor, log2

import shapely
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPainterPath, QPen, QPolygonF
from shapely.geometry.base import BaseGeometry

from app.theme import CASING
from app.viewer.labels import paint_label
from app.viewer.pancache import PanCache
from app.viewer.transform import ViewTransform

#: An outline is off by at most this, logical pixels.
TOLERANCE_PX = 0.4
#: Outlines are cut this far outside the view, so that the cut's edge is never seen.
CLIP_PX = 24
HATCH_PX = 16
#: A path with more corners is painted with thin lines.
MANY_CORNERS = 600


@dataclass(frozen=True, slots=True)
class Style:
    """How an outline is painted.

    Attributes:
        colour: of the line and the hatching.
        width: of the line, logical pixels; 1 without casing is fast for outlines of many corners.
        cased: whether a light line lies behind it.
        dashed: whether the line is broken; only for outlines of few corners.
        hatched: whether the inside is hatched.
        fill_alpha: of the inside, in the line's colour.
    """

    colour: QColor
    width: float = 1.5
    cased: bool = True
    dashed: bool = False
    hatched: bool = False
    fill_alpha: int = 0


@dataclass(slots=True)
class Outline:
    """A polygon, or several, with its style and name; simplified once per octave of scale.

    Attributes:
        geometry0: in level-0 pixels.
        style: how it is painted.
        text: its name; may be empty.
        coarse0: the outline may be off by this much at any scale, level-0 pixels.
    """

    geometry0: BaseGeometry
    style: Style
    text: str = ""
    coarse0: float = 0.0
    _base: BaseGeometry | None = None
    _simple: dict[int, BaseGeometry] = field(default_factory=dict)

    def path(self, transform: ViewTransform) -> QPainterPath:
        """The outline in logical pixels of a view, cut somewhat outside it."""
        octave = floor(log2(transform.px0_per_px))
        simple = self._simple.get(octave)
        if simple is None:
            if self._base is None:
                self._base = self.geometry0
                if self.coarse0:
                    self._base = simplified(self.geometry0, self.coarse0)
            tolerance0 = TOLERANCE_PX * 2.0**octave
            simple = self._base if tolerance0 < self.coarse0 else simplified(self._base, tolerance0)
            self._simple[octave] = simple
        return path_of(simple, transform)


def simplified(geometry0: BaseGeometry, tolerance0: float) -> BaseGeometry:
    """A geometry with fewer corners, off by at most the tolerance, level-0 pixels."""
    # Ten times as fast as the way that keeps the topology, which is seldom needed.
    fast = shapely.simplify(geometry0, tolerance0, preserve_topology=False)
    if not fast.is_empty and fast.is_valid:
        return fast
    return shapely.simplify(geometry0, tolerance0, preserve_topology=True)


def path_of(geometry0: BaseGeometry, transform: ViewTransform) -> QPainterPath:
    """A geometry as a path in logical pixels of a view, cut somewhat outside it."""
    rect, margin = transform.visible_rect0(), CLIP_PX * transform.px0_per_px
    box = (rect.x0 - margin, rect.y0 - margin, rect.x1 + margin, rect.y1 + margin)
    inside = geometry0
    left, top, right, bottom = geometry0.bounds if not geometry0.is_empty else box
    if left < box[0] or top < box[1] or right > box[2] or bottom > box[3]:
        inside = shapely.clip_by_rect(geometry0, *box)
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.OddEvenFill)
    for part in shapely.get_parts(inside):
        if isinstance(part, shapely.Polygon) and not part.is_empty:
            for ring in (part.exterior, *part.interiors):
                points = transform.points_to_screen(shapely.get_coordinates(ring))
                path.addPolygon(QPolygonF([QPointF(x, y) for x, y in points.tolist()]))
                path.closeSubpath()
    return path


def stroke(painter: QPainter, path: QPainterPath, style: Style) -> None:
    """Paint the line of an outline."""
    if path.elementCount() > MANY_CORNERS or (style.width <= 1 and not style.cased):
        _stroke_thin(painter, path, style)
        return
    if style.cased:
        painter.strokePath(path, QPen(CASING, style.width + 2.5))
    pen = QPen(style.colour, style.width)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    if style.dashed:
        pen.setDashPattern([5.0, 3.0])
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    painter.strokePath(path, pen)


def _stroke_thin(painter: QPainter, path: QPainterPath, style: Style) -> None:
    """Paint thin lines side by side: a wide pen takes 20 µs for each corner, a thin one 0.5."""
    painter.save()
    pen = QPen(style.colour, 1)
    pen.setCosmetic(True)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPath(path)
    if style.width > 1:
        painter.translate(0.7, 0.7)
        painter.drawPath(path)
    painter.restore()


def fill(painter: QPainter, path: QPainterPath, style: Style, origin: QPointF) -> None:
    """Paint the inside of an outline.

    Args:
        painter: in logical pixels.
        path: of the outline.
        style: of the outline.
        origin: any fixed place of the slide, so that hatching moves with it.
    """
    if style.fill_alpha:
        colour = QColor(style.colour)
        colour.setAlpha(style.fill_alpha)
        painter.fillPath(path, colour)
    if style.hatched:
        painter.setBrushOrigin(QPointF(origin.x() % HATCH_PX, origin.y() % HATCH_PX))
        painter.fillPath(path, _hatch(style.colour.rgba()))


class OutlineLayer:
    """A layer of outlines.

    Args:
        name: of the layer.
        visible: whether it is shown at first.
    """

    def __init__(self, name: str, *, visible: bool = True) -> None:
        self.name = name
        self.visible = visible
        self._outlines: tuple[Outline, ...] = ()
        self._paths: PanCache[list[tuple[QPainterPath, Outline]]] = PanCache()

    def set_outlines(self, outlines: Sequence[Outline]) -> None:
        """Show these instead."""
        self._outlines = tuple(outlines)
        self._paths.clear()

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint insides, lines and names."""
        if not self._outlines:
            return
        held = self._paths.at(transform, 1.0, self._build)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(held.dx, held.dy)
        x, y = transform.to_screen(0.0, 0.0)
        origin = QPointF(x - held.dx, y - held.dy)
        for path, outline in held.value:
            fill(painter, path, outline.style, origin)
        for path, outline in held.value:
            stroke(painter, path, outline.style)
        for path, outline in held.value:
            if outline.text:
                at, ground = _bottom(path), _ground(outline.style)
                paint_label(painter, at, outline.text, ground=ground, above=False)
        painter.restore()

    def _build(self, wide: ViewTransform) -> list[tuple[QPainterPath, Outline]]:
        paths = ((outline.path(wide), outline) for outline in self._outlines)
        return [(path, outline) for path, outline in paths if not path.isEmpty()]


def _bottom(path: QPainterPath) -> QPointF:
    """Below the lowest corner: above the topmost stands the label of a count area."""
    corners = [path.elementAt(index) for index in range(path.elementCount())]
    lowest = max(corners, key=lambda corner: (round(corner.y), -corner.x))
    return QPointF(lowest.x, lowest.y + 4)


def _ground(style: Style) -> QColor:
    ground = QColor(style.colour).darker(140)
    ground.setAlpha(225)
    return ground


@lru_cache(maxsize=16)
def _hatch(rgba: int) -> QBrush:
    """Diagonal lines with light ones beside them, seen on dark and on pale tissue alike."""
    image = QImage(HATCH_PX, HATCH_PX, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    colour = QColor.fromRgba(rgba)
    colour.setAlpha(120)
    for pen, shift in ((QPen(QColor(255, 255, 255, 70), 1.2), 1.5), (QPen(colour, 1.3), 0.0)):
        painter.setPen(pen)
        for start in (-HATCH_PX, 0, HATCH_PX):
            at = start + shift
            painter.drawLine(QPointF(at - 2, HATCH_PX + 2.0), QPointF(at + HATCH_PX + 2, -2.0))
    painter.end()
    return QBrush(image)
