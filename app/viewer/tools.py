"""What all tools share, and the two that work on figures: select, and add a mitosis."""

import numpy as np
from PySide6.QtCore import QObject, QPointF, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPen

from app.room import Room
from app.theme import CASING, MARKS
from app.viewer.candidates import CandidateLayer
from app.viewer.labels import paint_notice
from app.viewer.layer import Surface
from app.viewer.marks import MarkKind, mark_radius_px, paint_mark
from app.viewer.transform import ViewTransform
from core.reading.view import DELETED, DeskView

#: A press and a release closer than this are a click.
CLICK_PX = 4.0
_LEFT = Qt.MouseButton.LeftButton


class BaseTool(QObject):
    """A tool that does nothing: the canvas pans.

    Args:
        room: what is open, and its desk.
        parent: of the object.

    Attributes:
        cursor: shown over the canvas.
        message: why something was refused, in plain words; painted until the next try.
    """

    cursor = Qt.CursorShape.ArrowCursor

    def __init__(self, room: Room, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._room = room
        self._surface: Surface | None = None
        self._pressed: QPointF | None = None
        self.message = ""
        room.slide_closing.connect(self._slide_closing)
        room.failed.connect(self._failed)

    def mouse_pressed(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Remember where the left button went down."""
        self._surface = canvas
        self._pressed = event.position() if event.button() == _LEFT else None
        return False

    def mouse_moved(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Leave it to the canvas."""
        return False

    def mouse_released(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Leave it to the canvas."""
        return False

    def double_clicked(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Leave it to the canvas."""
        return False

    def key_pressed(self, event: QKeyEvent, canvas: Surface) -> bool:
        """Escape cancels what is being made."""
        self._surface = canvas
        if event.key() == Qt.Key.Key_Escape and self.wants_key(event):
            self.escaped()
            return True
        return False

    def wants_key(self, event: QKeyEvent) -> bool:
        """Escape, while something is being made."""
        return event.key() == Qt.Key.Key_Escape and self.busy()

    def busy(self) -> bool:
        """Whether something is being made that Escape would drop."""
        return bool(self.message)

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint the message, if there is one."""
        if self.message:
            paint_notice(painter, transform.width_px, self.message)

    def cancelled(self) -> None:
        """Drop what is being made."""
        self._pressed = None
        self.message = ""
        self.refresh()

    def escaped(self) -> None:
        """Escape was pressed while something was being made."""
        self.cancelled()

    def left(self) -> None:
        """The cursor left the canvas."""

    def refresh(self) -> None:
        """Have the canvas paint again."""
        if self._surface is not None:
            self._surface.update_layers()

    def clicked(self, event: QMouseEvent) -> bool:
        """Whether a release ends a click; forgets the press."""
        pressed, self._pressed = self._pressed, None
        if pressed is None or event.button() != _LEFT:
            return False
        away = event.position() - pressed
        return abs(away.x()) < CLICK_PX and abs(away.y()) < CLICK_PX

    @Slot(object)
    def _slide_closing(self, _closing: object) -> None:
        self.cancelled()
        self._surface = None

    @Slot(object)
    def _failed(self, _error: object) -> None:
        self.answer_failed()

    def answer_failed(self) -> None:
        """The desk refused what was sent: what was made can be edited on."""


class SelectTool(BaseTool):
    """Click selects a figure, Ctrl adds one, Shift draws a band around several; a drag pans.

    Args:
        room: what is open, and its desk.
        candidates: the layer of figures.
        parent: of the object.

    Signals:
        double_click_at: the place of a double click, logical pixels of the canvas.
    """

    double_click_at = Signal(QPointF)

    def __init__(
        self, room: Room, candidates: CandidateLayer, parent: QObject | None = None
    ) -> None:
        super().__init__(room, parent)
        self._candidates = candidates
        self._band: QRectF | None = None

    def mouse_pressed(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Begin a band with Shift."""
        super().mouse_pressed(event, canvas)
        shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if self._pressed is None or not shift or not self._candidates.visible:
            return False
        self._band = QRectF(self._pressed, self._pressed)
        return True

    def mouse_moved(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Draw the band, or show the label of the figure under the cursor."""
        self._surface = canvas
        if self._band is not None and self._pressed is not None:
            self._band = QRectF(self._pressed, event.position()).normalized()
            canvas.update_layers()
            return True
        if event.buttons() == Qt.MouseButton.NoButton:
            self.hover(event.position())
        return False

    def mouse_released(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Select what was clicked or what lies in the band."""
        band, self._band = self._band, None
        if self.clicked(event):
            self._select_at(event, canvas)
        elif band is not None:
            keys = self._candidates.figures_in(band, canvas.transform)
            if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
                keys = tuple(dict.fromkeys((*self._room.selection, *keys)))
            self._room.select(keys)
        canvas.update_layers()
        return band is not None

    def double_clicked(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Tell of it: a region may be edited from there."""
        self._surface = canvas
        if event.button() == _LEFT:
            self.double_click_at.emit(event.position())
        return False

    def busy(self) -> bool:
        """While a band is drawn."""
        return self._band is not None or super().busy()

    def cancelled(self) -> None:
        """Drop the band."""
        self._band = None
        super().cancelled()

    def left(self) -> None:
        """Hide the label."""
        self.hover(None)

    def hover(self, at: QPointF | None) -> None:
        """Show the label of the figure at a place of the screen; None: the cursor is elsewhere."""
        key = None
        if at is not None and self._surface is not None and self._candidates.visible:
            key = self._candidates.figure_at(at.x(), at.y(), self._surface.transform)
        if self._candidates.set_hovered(key):
            self.refresh()

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint the band."""
        super().paint(painter, transform)
        if self._band is not None:
            paint_band(painter, self._band, MARKS.selected)

    def _select_at(self, event: QMouseEvent, canvas: Surface) -> None:
        at = event.position()
        visible = self._candidates.visible
        key = self._candidates.figure_at(at.x(), at.y(), canvas.transform) if visible else None
        many = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier
        if not event.modifiers() & many:
            self._room.select(() if key is None else (key,))
        elif key is not None:
            chosen = self._room.selection
            without = tuple(other for other in chosen if other != key)
            self._room.select(without if key in chosen else (key, *without))


class AddMitosisTool(BaseTool):
    """A click places a mitosis, with Shift an atypical one; a drag pans.

    The point is then the selected figure, so that the keys of the verdicts go on from there.
    """

    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, room: Room, parent: QObject | None = None) -> None:
        super().__init__(room, parent)
        self.atypical = False
        self._at: QPointF | None = None
        self._shift = False

    def mouse_moved(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Move the ring that shows what a click would place."""
        self._surface = canvas
        self._at = event.position()
        self._shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        canvas.update_layers()
        return False

    def mouse_released(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Place a point where a click ends."""
        if self.clicked(event) and self._room.view is not None:
            shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            at = event.position()
            self._place(canvas.transform.to_slide(at.x(), at.y()), shift != self.atypical)
        return False

    def left(self) -> None:
        """Hide the ring."""
        self._at = None
        self.refresh()

    def cancelled(self) -> None:
        """Drop the ring."""
        self._at = None
        super().cancelled()

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint the ring of what a click would place."""
        super().paint(painter, transform)
        if self._at is None:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setOpacity(0.75)
        painter.translate(self._at)
        view = self._room.view
        kind = MarkKind.ATYPICAL if self._shift != self.atypical else MarkKind.MITOSIS
        paint_mark(painter, kind, mark_radius_px(view.mpp if view is not None else None, transform))
        painter.restore()

    def _place(self, place0: tuple[float, float], atypical: bool) -> None:
        x0, y0 = place0

        def select_placed(view: DeskView) -> None:
            key = nearest_key(view, x0, y0)
            if key is not None:
                self._room.select((key,))

        verdict = "atypical" if atypical else "mitosis"
        self._room.ask(lambda desk: desk.place(x0, y0, verdict), select_placed)


def paint_band(painter: QPainter, band: QRectF, colour: QColor) -> None:
    """Paint a rectangle that is being drawn."""
    painter.save()
    inside = QColor(colour)
    inside.setAlpha(40)
    painter.setBrush(inside)
    painter.setPen(QPen(CASING, 3))
    painter.drawRect(band)
    painter.setPen(QPen(QColor(colour).darker(150), 1.25))
    painter.drawRect(band)
    painter.restore()


def nearest_key(view: DeskView, x0: float, y0: float) -> int | None:
    """The key of the figure nearest to a place of the slide."""
    figures = view.figures
    there = np.flatnonzero(figures.verdict != DELETED)
    if not len(there):
        return None
    away = np.hypot(figures.x0[there] - x0, figures.y0[there] - y0)
    return int(figures.key[there[away.argmin()]])
