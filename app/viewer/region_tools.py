"""Tools that draw regions: a polygon point by point, and a rectangle.

A drawing that crosses itself or is tiny is refused in plain words and stays for editing; it is
sent when it is finished, and stays on the screen until it is on disk.
"""

from typing import Literal

import numpy as np
import shapely
from PySide6.QtCore import QObject, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPen, QPolygonF

from app.room import Room
from app.theme import CASING, MARKS
from app.viewer.handles import CATCH_PX, paint_handle
from app.viewer.layer import ASSUMED_UM_PER_PX, Surface
from app.viewer.tools import CLICK_PX, BaseTool, paint_band
from app.viewer.transform import ViewTransform
from core.geometry import UM2_PER_MM2, Mpp, area_mm2
from core.reading.view import DeskView

RegionDrawn = Literal["tumour", "excluded"]
#: Smaller regions are slips of the hand: a square of 20 µm.
MIN_REGION_MM2 = 400 / UM2_PER_MM2
_CLOSING = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_REMOVING = (Qt.Key.Key_Backspace, Qt.Key.Key_Delete)


class DrawingTool(BaseTool):
    """What tools that draw regions share: the kind, checking, and sending.

    Attributes:
        kind: what is drawn.
    """

    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, room: Room, parent: QObject | None = None) -> None:
        super().__init__(room, parent)
        self.kind: RegionDrawn = "tumour"
        self._waiting = False
        self._drawing = 0  # counts drawings: an answer clears only the one that it is about

    def fault(self, polygon0: shapely.Polygon) -> str:
        """Why a polygon cannot be a region, in plain words; empty if it can."""
        if polygon0.is_empty or not polygon0.is_valid:
            return self.tr("The outline crosses itself: move or remove a point.")
        view = self._room.view
        mpp = view.mpp if view is not None else None
        if area_mm2(polygon0, mpp or Mpp(*2 * (ASSUMED_UM_PER_PX,))) < MIN_REGION_MM2:
            return self.tr("This region is too small: draw a larger one.")
        return ""

    def send(self, polygon0: shapely.Polygon, lineage: str = "") -> bool:
        """Send a polygon, unless it is faulty; whether it was sent."""
        self.message = self.fault(polygon0)
        if self.message:
            return False
        kind, drawing = self.kind, self._drawing
        self._waiting = True
        self._room.ask(
            lambda desk: desk.draw_region(kind, polygon0, lineage),
            lambda view: self.stored(view, drawing),
        )
        return True

    def answer_failed(self) -> None:
        """Let the reader change what the desk refused."""
        self._waiting = False

    def drop(self) -> None:
        """Forget the drawing."""

    def cancelled(self) -> None:
        """Forget the drawing; what was sent goes on."""
        self._waiting = False
        self._drawing += 1
        self.drop()
        super().cancelled()

    def stored(self, view: DeskView, drawing: int) -> None:
        """What was sent is on disk, and the region layer shows it."""
        if drawing == self._drawing:
            self.cancelled()


class PolygonTool(DrawingTool):
    """Clicks set points; double click, Enter or the first point closes; a drag pans.

    Escape drops the outline, Backspace its last point.
    """

    def __init__(self, room: Room, parent: QObject | None = None) -> None:
        super().__init__(room, parent)
        self._points0: list[tuple[float, float]] = []
        self._at: QPointF | None = None

    @property
    def points0(self) -> tuple[tuple[float, float], ...]:
        """The points set so far, level-0 pixels."""
        return tuple(self._points0)

    def mouse_moved(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Draw the line to the cursor."""
        self._surface = canvas
        self._at = event.position()
        if self._points0:
            canvas.update_layers()
        return False

    def left(self) -> None:
        """Draw no line to the cursor."""
        self._at = None
        self.refresh()

    def mouse_released(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Set a point where a click ends, or close on the first point."""
        if not self.clicked(event) or self._waiting or self._room.view is None:
            return False
        self.message = ""
        at = event.position()
        if len(self._points0) > 2:
            x, y = canvas.transform.to_screen(*self._points0[0])
            if (at - QPointF(x, y)).manhattanLength() < CATCH_PX:
                self.finish()
                return False
        self._points0.append(canvas.transform.to_slide(at.x(), at.y()))
        canvas.update_layers()
        return False

    def double_clicked(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Close: the first click of the two has set the last point."""
        self._surface = canvas
        self._pressed = None
        if event.button() != Qt.MouseButton.LeftButton or not self._points0:
            return False
        self.finish()
        return True

    def key_pressed(self, event: QKeyEvent, canvas: Surface) -> bool:
        """Enter closes, Backspace removes the last point, Escape drops all."""
        self._surface = canvas
        if event.key() in _CLOSING and self._points0:
            self.finish()
            return True
        if event.key() in _REMOVING and self._points0:
            if not self._waiting:
                self._points0.pop()
                self.message = ""
            canvas.update_layers()
            return True
        return super().key_pressed(event, canvas)

    def wants_key(self, event: QKeyEvent) -> bool:
        """While points are set, the keys that edit them."""
        mine = event.key() in (*_CLOSING, *_REMOVING)
        return (mine and bool(self._points0)) or super().wants_key(event)

    def busy(self) -> bool:
        """While points are set."""
        return bool(self._points0) or super().busy()

    def finish(self) -> None:
        """Close the outline and send it, unless it is faulty."""
        if self._waiting:
            return
        if len(self._points0) < 3:
            self.message = self.tr("A region needs three points or more.")
        else:
            self.send(shapely.Polygon(self._points0))
        self.refresh()

    def drop(self) -> None:
        """Forget the points."""
        self._points0.clear()

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint the outline so far, with the line to the cursor."""
        super().paint(painter, transform)
        if not self._points0:
            return
        colour = region_colour(self.kind)
        places = [QPointF(*transform.to_screen(*point)) for point in self._points0]
        line = [*places, self._at] if self._at is not None and not self._waiting else places
        paint_outline(painter, line, colour, closed=self._waiting)
        for number, place in enumerate(places):
            first = number == 0 and len(places) > 2 and self._at is not None
            lit = first and (place - self._at).manhattanLength() < CATCH_PX
            paint_handle(painter, place, colour, lit=bool(lit))


class RectangleTool(DrawingTool):
    """A drag draws a rectangle along the screen's edges."""

    def __init__(self, room: Room, parent: QObject | None = None) -> None:
        super().__init__(room, parent)
        self._corners0: tuple[tuple[float, float], tuple[float, float]] | None = None
        self._dragging = False

    def mouse_pressed(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Begin a rectangle."""
        super().mouse_pressed(event, canvas)
        if self._pressed is None or self._waiting or self._room.view is None:
            return False
        self.message = ""
        start0 = canvas.transform.to_slide(self._pressed.x(), self._pressed.y())
        self._corners0, self._dragging = (start0, start0), True
        return True

    def mouse_moved(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Draw it."""
        if not self._dragging or self._corners0 is None:
            return False
        at = event.position()
        self._corners0 = (self._corners0[0], canvas.transform.to_slide(at.x(), at.y()))
        canvas.update_layers()
        return True

    def mouse_released(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Send it; a mere click draws nothing."""
        if not self._dragging or self._corners0 is None:
            return False
        self._dragging = False
        box = _box(self._corners0, canvas.transform)
        if max(box.width(), box.height()) < CLICK_PX:
            self.drop()
        else:
            corners = np.array(
                [
                    (box.left(), box.top()),
                    (box.right(), box.top()),
                    (box.right(), box.bottom()),
                    (box.left(), box.bottom()),
                ]
            )
            if not self.send(shapely.Polygon(canvas.transform.points_to_slide(corners))):
                self.drop()
        canvas.update_layers()
        return True

    def busy(self) -> bool:
        """While it is drawn."""
        return self._corners0 is not None or super().busy()

    def drop(self) -> None:
        """Forget it."""
        self._corners0, self._dragging = None, False

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint it."""
        super().paint(painter, transform)
        if self._corners0 is not None:
            paint_band(painter, _box(self._corners0, transform), region_colour(self.kind))


def region_colour(kind: RegionDrawn) -> QColor:
    """The colour of a kind of region."""
    return MARKS.tumour if kind == "tumour" else MARKS.excluded


def paint_outline(
    painter: QPainter, places: list[QPointF], colour: QColor, *, closed: bool
) -> None:
    """Paint an outline that is being edited, with a thin veil inside."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    veil = QColor(colour)
    veil.setAlpha(28)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(veil)
    painter.drawPolygon(QPolygonF(places))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    line = [*places, places[0]] if closed else places
    for pen in (QPen(CASING, 4.0), QPen(colour, 1.75)):
        painter.setPen(pen)
        painter.drawPolyline(QPolygonF(line))


def _box(
    corners0: tuple[tuple[float, float], tuple[float, float]], transform: ViewTransform
) -> QRectF:
    one, other = (QPointF(*transform.to_screen(*corner)) for corner in corners0)
    return QRectF(one, other).normalized()
