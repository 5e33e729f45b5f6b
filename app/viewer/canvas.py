"""The canvas: the slide with its layers, and what mouse, wheel, fingers and keys do to it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, Qt, Signal, Slot
from PySide6.QtGui import (
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from app.bridge import GuiBridge
from app.viewer.layer import Layer, Tool
from app.viewer.slideview import SlideView

if TYPE_CHECKING:
    from app.room import OpenedSlide

# Two notches of a wheel (120 eighths of a degree each) or this many finger pixels double the size.
_ANGLE_PER_DOUBLING, _PIXELS_PER_DOUBLING = 240.0, 200.0
_OPEN_HAND, _CLOSED_HAND = Qt.CursorShape.OpenHandCursor, Qt.CursorShape.ClosedHandCursor


@dataclass(slots=True)
class _Hand:
    """How the view is being moved."""

    at: QPointF | None = None  # where the mouse was; None while nothing is dragged
    space: bool = False  # the space bar is down: any drag moves the view
    told: bool = False  # the tool was offered the press, so it hears of the release


class Canvas(SlideView):
    """The slide with layers above it; a tool may take the mouse, else it moves the view.

    Args:
        bridge: takes what is a bug in a reader thread.
        parent: owner.
        threads: reader threads; default one less than there are processors, 1 to 4.

    Attributes:
        layers: painted in order over the tiles; call `update_layers` after a change.

    Signals:
        hovered0: (x0, y0) under the mouse, or None where it left.
        tool_changed: the `Tool` in hand, or None.
        Those of `SlideView` besides.
    """

    hovered0 = Signal(object)
    tool_changed = Signal(object)

    def __init__(
        self, bridge: GuiBridge, parent: QWidget | None = None, *, threads: int | None = None
    ) -> None:
        super().__init__(bridge, parent, threads=threads)
        self.layers: list[Layer] = []
        self._tool: Tool | None = None
        self._hand = _Hand()
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._point_cursor()

    @property
    def tool(self) -> Tool | None:
        """What the mouse does; None: it only moves the view."""
        return self._tool

    def set_tool(self, tool: Tool | None) -> None:
        """Give the mouse to a tool; what the former was making is dropped."""
        if self._tool is not None and self._tool is not tool:
            self._tool.cancelled()
        self._tool = tool
        self._point_cursor()
        self.tool_changed.emit(tool)
        self.update()

    @Slot()
    def update_layers(self) -> None:
        """Paint layers and tool again, soon."""
        self.update()

    def set_slide(self, opened: "OpenedSlide | None") -> None:
        """See `SlideView`; what a tool was making of the former slide is dropped."""
        if self._tool is not None:
            self._tool.cancelled()
        super().set_slide(opened)

    def paint_above(self, painter: QPainter) -> None:
        """Layers in order, then the tool."""
        for layer in self.layers:
            if layer.visible:
                painter.save()
                layer.paint(painter, self.transform)
                painter.restore()
        if self._tool is not None:
            self._tool.paint(painter, self.transform)

    def event(self, event: QEvent) -> bool:
        """Keys that the canvas or the tool takes before any shortcut does, and pinching."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            if event.key() == Qt.Key.Key_Space or (self._tool and self._tool.wants_key(event)):
                event.accept()
                return True
        elif event.type() == QEvent.Type.NativeGesture and isinstance(event, QNativeGestureEvent):
            return self._gesture(event)
        return super().event(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the cursor; fine wheels and touchpads zoom in small steps."""
        if event.pixelDelta().y() and event.phase() != Qt.ScrollPhase.NoScrollPhase:
            doublings = event.pixelDelta().y() / _PIXELS_PER_DOUBLING
        else:
            doublings = event.angleDelta().y() / _ANGLE_PER_DOUBLING
        if doublings:
            self.zoom(2.0**doublings, event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """The tool takes it, or the view is dragged; the middle button always drags."""
        moves = event.button() == Qt.MouseButton.MiddleButton or self._hand.space
        self._hand.told = not moves and self._tool is not None
        if self._hand.told and self._tool is not None and self._tool.mouse_pressed(event, self):
            return
        if moves or event.button() == Qt.MouseButton.LeftButton:
            self._hand.at = event.position()
            self._point_cursor()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the view, or let the tool follow."""
        position = event.position()
        if self._hand.at is not None:
            moved = position - self._hand.at
            self._hand.at = position
            self.pan_by(-moved.x(), -moved.y())
        elif self._tool is not None:
            self._tool.mouse_moved(event, self)
        if self.opened is not None:
            self.hovered0.emit(self.transform.to_slide(position.x(), position.y()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End of a drag; the tool hears of it too, for a press that did not move is a click."""
        if self._hand.at is not None and event.buttons() == Qt.MouseButton.NoButton:
            self._hand.at = None
            self._point_cursor()
        if self._tool is not None and self._hand.told:
            self._tool.mouse_released(event, self)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """The tool's."""
        if self._tool is None or not self._tool.double_clicked(event, self):
            self.mousePressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """See `QWidget`."""
        self.hovered0.emit(None)
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space moves the view while it is down; other keys are the tool's, then the window's."""
        if event.key() == Qt.Key.Key_Space:
            self._hand.space = True
            self._point_cursor()
        elif self._tool is None or not self._tool.key_pressed(event, self):
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """See `QWidget`."""
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._hand.space = False
                self._point_cursor()
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """See `QWidget`; a release of the space bar elsewhere would go unheard."""
        self._hand.space = False
        self._point_cursor()
        super().focusOutEvent(event)

    def _gesture(self, event: QNativeGestureEvent) -> bool:
        if event.gestureType() != Qt.NativeGestureType.ZoomNativeGesture:
            return False
        self.zoom(max(0.1, 1.0 + event.value()), event.position())
        return True

    def _point_cursor(self) -> None:
        if self._hand.at is not None:
            self.setCursor(_CLOSED_HAND)
        elif self._hand.space or self._tool is None:
            self.setCursor(_OPEN_HAND)
        else:
            self.setCursor(self._tool.cursor)
