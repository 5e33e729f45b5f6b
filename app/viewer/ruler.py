"""Tools that measure between two points: the ruler, and the calibration of a slide without mpp."""

from math import hypot

from PySide6.QtCore import QObject, QPointF, Qt, Signal, Slot
from PySide6.QtGui import QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QInputDialog, QWidget

from app.room import Room
from app.theme import CASING, MARKS
from app.viewer.labels import paint_label
from app.viewer.layer import Surface
from app.viewer.tools import CLICK_PX, BaseTool
from app.viewer.transform import ViewTransform
from core.geometry import Mpp

Place0 = tuple[float, float]
#: Two points nearer than this on the slide do not calibrate it: a slip of 1 px would be 2 %.
MIN_CALIBRATION_PX0 = 50.0
_MAX_LENGTH_UM = 100_000.0


class TwoPointTool(BaseTool):
    """A line from a press to a release, or from one click to another."""

    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, room: Room, parent: QObject | None = None) -> None:
        super().__init__(room, parent)
        self._start0: Place0 | None = None
        self._end0: Place0 | None = None
        self._drawing = False

    @property
    def line0(self) -> tuple[Place0, Place0] | None:
        """The line so far, level-0 pixels."""
        if self._start0 is None or self._end0 is None:
            return None
        return self._start0, self._end0

    def mouse_pressed(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Set the first point, or the second."""
        super().mouse_pressed(event, canvas)
        if self._pressed is None or self._room.view is None:
            return False
        at0 = canvas.transform.to_slide(self._pressed.x(), self._pressed.y())
        self.message = ""
        if not self._drawing:
            self._start0, self._drawing = at0, True
        else:
            self._pressed = None
        self._end0 = at0
        canvas.update_layers()
        return True

    def mouse_moved(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Draw the line to the cursor."""
        self._surface = canvas
        if not self._drawing:
            return False
        at = event.position()
        self._end0 = canvas.transform.to_slide(at.x(), at.y())
        canvas.update_layers()
        return bool(event.buttons() & Qt.MouseButton.LeftButton)

    def mouse_released(self, event: QMouseEvent, canvas: Surface) -> bool:
        """End the line, unless this was the click that set its first point."""
        if not self._drawing or event.button() != Qt.MouseButton.LeftButton:
            return False
        if not self.clicked(event):
            at = event.position()
            self._end0 = canvas.transform.to_slide(at.x(), at.y())
            self._drawing = False
            self.finished()
        canvas.update_layers()
        return True

    def finished(self) -> None:
        """Both points are set."""

    def busy(self) -> bool:
        """While there is a line."""
        return self._start0 is not None or super().busy()

    def cancelled(self) -> None:
        """Drop the line."""
        self._start0 = self._end0 = None
        self._drawing = False
        super().cancelled()

    def text(self) -> str:
        """What stands beside the line."""
        if self.line0 is None:
            return ""
        view = self._room.view
        return length_text(*self.line0, view.mpp if view is not None else None)

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint the line with ticks at its ends, and its length."""
        super().paint(painter, transform)
        if self.line0 is None:
            return
        start, end = (QPointF(*transform.to_screen(*point)) for point in self.line0)
        along = end - start
        length = hypot(along.x(), along.y())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        across = QPointF(-along.y(), along.x()) * (6 / length) if length else QPointF(0, 6)
        for pen in (QPen(CASING, 4), QPen(MARKS.count_area, 1.5)):
            painter.setPen(pen)
            painter.drawLine(start, end)
            for point in (start, end):
                painter.drawLine(point - across, point + across)
        if length >= CLICK_PX:
            paint_label(painter, end + QPointF(10, -8), self.text())


class RulerTool(TwoPointTool):
    """Measures in µm, in pixels where the slide has no pixel size; the line stays until Escape."""


class CalibrateTool(TwoPointTool):
    """Two points and their distance, which the reader types, give the slide its pixel size.

    Args:
        room: what is open, and its desk.
        window: over which the length is asked for.
        parent: of the object.

    Signals:
        asked: the `QInputDialog` that asks for the length is open.
        calibrated: the length was given, and goes to the desk.
    """

    asked = Signal(object)
    calibrated = Signal()

    def __init__(
        self, room: Room, window: QWidget | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(room, parent)
        self._window = window
        self._dialog: QInputDialog | None = None

    def text(self) -> str:
        """The length in pixels: the µm are not known yet, or are being put right."""
        return length_text(*self.line0, None) if self.line0 is not None else ""

    def finished(self) -> None:
        """Ask for the length."""
        if self.line0 is None or _length_px0(*self.line0) < MIN_CALIBRATION_PX0:
            self.cancelled()
            self.message = self.tr("These points are too close together: zoom out or go farther.")
            return
        dialog = QInputDialog(self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(self.tr("Pixel size from two points"))
        dialog.setLabelText(self.tr("Distance between the two points in µm:"))
        dialog.setInputMode(QInputDialog.InputMode.DoubleInput)
        dialog.setDoubleDecimals(2)
        dialog.setDoubleRange(0.0, _MAX_LENGTH_UM)
        # doubleValueSelected comes after finished, when the line is gone.
        dialog.finished.connect(self._answered)
        self._dialog = dialog
        dialog.open()
        self.asked.emit(dialog)

    def cancelled(self) -> None:
        """Drop the line, and the question."""
        dialog, self._dialog = self._dialog, None
        if dialog is not None:
            dialog.close()
        super().cancelled()

    @Slot(int)
    def _answered(self, result: int) -> None:
        dialog, line0 = self._dialog, self.line0
        self._dialog = None
        self.cancelled()
        if result != QInputDialog.DialogCode.Accepted or dialog is None or line0 is None:
            return
        length_um = dialog.doubleValue()
        if length_um <= 0:
            self.message = self.tr("The distance must be more than 0 µm.")
            return
        um_per_px0 = length_um / _length_px0(*line0)
        mpp = Mpp(um_per_px0, um_per_px0)
        self._room.ask(lambda desk: desk.set_mpp(mpp, "two points and a length"))
        self.calibrated.emit()


def length_text(start0: Place0, end0: Place0, mpp: Mpp | None) -> str:
    """The distance of two points in µm or mm; in pixels without a pixel size."""
    if mpp is None:
        return f"{_length_px0(start0, end0):.0f} px"
    um = hypot((end0[0] - start0[0]) * mpp.x, (end0[1] - start0[1]) * mpp.y)
    return f"{um:.1f} µm" if um < 1000 else f"{um / 1000:.3f} mm"


def _length_px0(start0: Place0, end0: Place0) -> float:
    return hypot(end0[0] - start0[0], end0[1] - start0[1])
