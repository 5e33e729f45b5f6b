"""How a slide looks in the list: thumbnail, name, and its state in words and colour."""

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPixmap
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.theme import SLIDE_STATES, theme_in_use

THUMBNAIL_PX = 44
ROW = Qt.ItemDataRole.UserRole + 1
_GAP_PX = 8
_DOT_PX = 7

Index = QModelIndex | QPersistentModelIndex


class SlideDelegate(QStyledItemDelegate):
    """Paints slides; headings of cases are left to Qt.

    Args:
        picture: gives the thumbnail of a slide id, or None while it is read.
        parent: the list.
    """

    def __init__(self, picture: Callable[[int], QPixmap | None], parent: QWidget) -> None:
        super().__init__(parent)
        self._picture = picture

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Room for the thumbnail."""
        if index.data(ROW) is None:
            return QSize(0, option.fontMetrics.height() + 10)
        return QSize(0, THUMBNAIL_PX + 10)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Thumbnail, name, and below it a dot in the state's colour with the state in words."""
        row = index.data(ROW)
        if row is None:
            super().paint(painter, option, index)
            return
        state, words, is_open = row
        theme, rect = theme_in_use(), option.rect
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(theme.raised))
        if is_open:
            painter.fillRect(QRect(rect.left(), rect.top(), 3, rect.height()), QColor(theme.accent))
        frame = QRect(
            rect.left() + _GAP_PX,
            rect.top() + (rect.height() - THUMBNAIL_PX) // 2,
            THUMBNAIL_PX,
            THUMBNAIL_PX,
        )
        self._paint_picture(painter, frame, index.data(Qt.ItemDataRole.UserRole))
        left = frame.right() + _GAP_PX
        text = QRect(left, rect.top() + 6, rect.right() - left - 4, rect.height() // 2 - 6)
        font = QFont(option.font)
        font.setWeight(QFont.Weight.DemiBold if is_open else QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(QColor(theme.text))
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        name = painter.fontMetrics().elidedText(
            index.data(), Qt.TextElideMode.ElideMiddle, text.width()
        )
        painter.drawText(text, flags, name)
        painter.setFont(option.font)
        below = text.translated(0, rect.height() // 2 - 4)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(SLIDE_STATES[state])
        painter.drawEllipse(left, below.center().y() - _DOT_PX // 2 + 1, _DOT_PX, _DOT_PX)
        painter.setPen(QColor(theme.faint))
        below.setLeft(left + _DOT_PX + 5)
        words = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, below.width())
        painter.drawText(below, flags, words)
        painter.restore()

    def _paint_picture(self, painter: QPainter, frame: QRect, slide_id: int) -> None:
        picture = self._picture(slide_id)
        if picture is None:
            painter.fillRect(frame, QColor(theme_in_use().raised))
            return
        size = picture.size().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(frame.topLeft(), size)
        place.moveCenter(frame.center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(place, picture)
