"""Small labels on the slide: light on dark, readable over tissue and over glass."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter

from app.theme import LABEL_GROUND, LABEL_TEXT, MARKS

LABEL_PX = 11
_PAD_X, _PAD_Y = 5.0, 2.0


def label_font(painter: QPainter, px: int = LABEL_PX) -> QFont:
    """The painter's font in the size of labels."""
    font = QFont(painter.font())
    font.setPixelSize(px)
    return font


def paint_label(
    painter: QPainter, at: QPointF, text: str, *, ground: QColor = LABEL_GROUND, above: bool = True
) -> QRectF:
    """Paint a label with its lower (or upper) left corner at a point.

    Args:
        painter: in logical screen pixels; its state is kept.
        at: the corner.
        text: one or more lines.
        ground: behind the text.
        above: whether the label stands above the point rather than below it.

    Returns:
        What it covers.
    """
    painter.save()
    painter.setFont(label_font(painter))
    metrics = QFontMetricsF(painter.font())
    size = metrics.size(0, text)
    width, height = size.width() + 2 * _PAD_X, size.height() + 2 * _PAD_Y
    box = QRectF(at.x(), at.y() - (height if above else 0.0), width, height)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawRoundedRect(box, 4, 4)
    painter.setPen(LABEL_TEXT)
    painter.drawText(box.adjusted(_PAD_X, _PAD_Y, -_PAD_X, -_PAD_Y), text)
    painter.restore()
    return box


def paint_notice(painter: QPainter, width_px: float, text: str) -> None:
    """Paint why something cannot be, in the middle near the view's upper edge.

    Args:
        painter: in logical screen pixels.
        width_px: of the view.
        text: in plain words.
    """
    wide = QFontMetricsF(label_font(painter)).horizontalAdvance(text) + 2 * _PAD_X
    ground = QColor(MARKS.excluded).darker(160)
    ground.setAlpha(235)
    paint_label(painter, QPointF((width_px - wide) / 2, 16.0), text, ground=ground, above=False)
