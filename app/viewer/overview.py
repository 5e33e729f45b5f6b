"""The whole slide in a corner: where the view is, what was viewed, and where the hot spots lie."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, QPointF, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
)
from PySide6.QtWidgets import QWidget

from app.theme import MARKS
from app.viewer.slideview import SlideView
from app.viewer.transform import ViewTransform
from core.slides.viewedgrid import ViewedGrid

if TYPE_CHECKING:
    from app.room import OpenedSlide

#: From this magnification on a mitosis can be told from its look-alikes.
READING_MAGNIFICATION = 20.0
#: A view counts as seen once it has rested this long.
SEEN_AFTER_MS = 300
# The screen's rounding of a magnification must not decide.
_SLACK = 0.99
_VIEWED_ALPHA = 90
# A view smaller than this is drawn as a cross of this size, or nobody would find it.
_SMALLEST_VIEW_PX = 8.0


class ViewedTracker(QObject):
    """Marks what rests on the screen, sharp and at reading magnification, as viewed.

    Args:
        view: watched.
        parent: owner.

    Signals:
        changed: the `ViewedGrid`, with new cells or of another slide; None without a slide.
    """

    changed = Signal(object)

    def __init__(self, view: SlideView, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._view = view
        self._grid: ViewedGrid | None = None
        self._rest = QTimer(self, singleShot=True, interval=SEEN_AFTER_MS)
        self._rest.timeout.connect(self._rested)
        view.slide_changed.connect(self._slide_changed)
        view.transform_changed.connect(self._moved)

    @property
    def grid(self) -> ViewedGrid | None:
        """What was viewed of the open slide."""
        return self._grid

    def load(self, data: bytes) -> None:
        """Take over what the store kept of the open slide.

        Raises:
            ValueError: it is not a map of this slide.
        """
        opened = self._view.opened
        if opened is not None:
            self._grid = ViewedGrid.from_bytes(data, opened.slide.width0, opened.slide.height0)
            self.changed.emit(self._grid)

    def clear(self) -> None:
        """Begin anew, as for another reader."""
        self._slide_changed(self._view.opened)

    @Slot(object)
    def _slide_changed(self, opened: "OpenedSlide | None") -> None:
        self._rest.stop()
        self._grid = None
        if opened is not None:
            slide = opened.slide
            self._grid = ViewedGrid.for_slide(slide.width0, slide.height0, slide.mpp)
        self.changed.emit(self._grid)

    @Slot(object)
    def _moved(self, _: ViewTransform) -> None:
        if self._grid is not None and self._reads():
            self._rest.start()
        else:
            self._rest.stop()

    @Slot()
    def _rested(self) -> None:
        if self._grid is None or not self._view.isVisible():
            return
        if not self._view.is_sharp():
            self._rest.start()  # what is not there yet has not been seen
        elif self._grid.mark(self._view.transform.corners0()):
            self.changed.emit(self._grid)

    def _reads(self) -> bool:
        return self._view.magnification() >= READING_MAGNIFICATION * _SLACK


class Overview(QWidget):
    """A thumbnail of the slide; a click or drag moves the view there.

    Args:
        view: whose slide is shown, and which is moved.
        parent: owner.
    """

    def __init__(self, view: SlideView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = view
        self._picture: QPixmap | None = None
        self._viewed: QImage | None = None
        self._viewed_rect = QRectF()
        self._spots: tuple[tuple[float, float], ...] = ()
        self.setMinimumSize(QSize(120, 90))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(self.tr("Click or drag to go there; shaded parts have been viewed"))
        view.coarse_arrived.connect(self._redraw)
        view.slide_changed.connect(self._slide_changed)
        view.transform_changed.connect(self._moved)

    def sizeHint(self) -> QSize:
        """See `QWidget`."""
        return QSize(220, 170)

    @Slot(object)
    def set_viewed(self, grid: ViewedGrid | None) -> None:
        """Shade these cells."""
        self._viewed = None if grid is None else _shade(grid)
        if grid is not None:
            rect0 = grid.rect0
            self._viewed_rect = QRectF(rect0.x0, rect0.y0, rect0.width0, rect0.height0)
        self.update()

    def set_spots(self, spots0: Sequence[tuple[float, float]]) -> None:
        """Mark these hot spots, best first, level-0 pixels."""
        self._spots = tuple(spots0)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """See `QWidget`."""
        painter = QPainter(self)
        target = self._target()
        if target is None:
            return
        if self._picture is None:
            self._picture = self._drawn()
        painter.drawPixmap(0, 0, self._picture)
        painter.save()
        painter.setClipRect(target)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._viewed is not None:
            corners = (self._viewed_rect.topLeft(), self._viewed_rect.bottomRight())
            first, last = (self._to_widget(p.x(), p.y(), target) for p in corners)
            painter.drawImage(QRectF(first, last), self._viewed)
        for number, (x0, y0) in enumerate(self._spots, 1):
            _paint_spot(painter, self._to_widget(x0, y0, target), number)
        corners0 = self._view.transform.corners0()
        _paint_view(painter, QPolygonF([self._to_widget(x, y, target) for x, y in corners0]))
        painter.restore()
        painter.setPen(self.palette().color(QPalette.ColorRole.Mid))
        painter.drawRect(target.adjusted(-0.5, -0.5, 0.5, 0.5))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """See `QWidget`."""
        self._picture = None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go there."""
        self._go(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the view along."""
        self._go(event)

    def _go(self, event: QMouseEvent) -> None:
        target = self._target()
        if target is None or not event.buttons() & Qt.MouseButton.LeftButton:
            return
        bounds = self._view.opened.slide.bounds if self._view.opened else None
        if bounds is None:
            return
        scale = bounds.width0 / target.width()
        x0 = bounds.x0 + (event.position().x() - target.x()) * scale
        y0 = bounds.y0 + (event.position().y() - target.y()) * scale
        self._view.set_transform(replace(self._view.transform, centre0=(x0, y0)))

    def _target(self) -> QRectF | None:
        """Where the slide lies in the widget, in the middle and as large as fits."""
        if self._view.opened is None:
            return None
        bounds = self._view.opened.slide.bounds
        room = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        scale = min(room.width() / bounds.width0, room.height() / bounds.height0)
        width, height = max(1.0, bounds.width0 * scale), max(1.0, bounds.height0 * scale)
        return QRectF(room.center().x() - width / 2, room.center().y() - height / 2, width, height)

    def _to_widget(self, x0: float, y0: float, target: QRectF) -> QPointF:
        assert self._view.opened is not None
        bounds = self._view.opened.slide.bounds
        scale = target.width() / bounds.width0
        return QPointF(target.x() + (x0 - bounds.x0) * scale, target.y() + (y0 - bounds.y0) * scale)

    def _drawn(self) -> QPixmap:
        """The slide at the widget's size; drawn smoothly once, not with every move."""
        ratio = self.devicePixelRatioF()
        picture = QPixmap(self.size() * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if (target := self._target()) is not None:
            self._view.paint_coarse(painter, target)
        painter.end()
        return picture

    @Slot()
    def _redraw(self) -> None:
        self._picture = None
        self.update()

    @Slot(object)
    def _slide_changed(self, _: "OpenedSlide | None") -> None:
        self._viewed, self._spots = None, ()
        self._redraw()

    @Slot(object)
    def _moved(self, _: ViewTransform) -> None:
        self.update()


def _shade(grid: ViewedGrid) -> QImage:
    colour = QColor(MARKS.tissue)
    colour.setAlpha(_VIEWED_ALPHA)
    rows, columns = grid.cells.shape
    image = QImage(columns, rows, QImage.Format.Format_Indexed8)
    image.setColorTable([0, colour.rgba()])
    pixels = np.frombuffer(image.bits(), np.uint8).reshape(rows, image.bytesPerLine())
    pixels[:, :columns] = grid.cells
    return image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)


def _paint_spot(painter: QPainter, at: QPointF, number: int) -> None:
    painter.setPen(QPen(Qt.GlobalColor.white, 1.5))
    painter.setBrush(MARKS.hot_spot)
    box = QRectF(at.x() - 8, at.y() - 8, 16, 16)
    painter.drawEllipse(box)
    font = painter.font()
    font.setPixelSize(10)
    font.setBold(True)
    painter.setFont(font)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(number))


def _paint_view(painter: QPainter, corners: QPolygonF) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    box = corners.boundingRect()
    middle = box.center()
    half = _SMALLEST_VIEW_PX / 2
    small = max(box.width(), box.height()) < _SMALLEST_VIEW_PX
    for pen in (QPen(Qt.GlobalColor.white, 4.0), QPen(MARKS.candidate, 2.0)):
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        painter.setPen(pen)
        if small:
            painter.drawRect(QRectF(middle.x() - half, middle.y() - half, 2 * half, 2 * half))
        else:
            painter.drawPolygon(corners)
