"""Handles of shapes that are being edited, and which of them is under the cursor."""

from collections.abc import Sequence
from math import hypot

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter, QPen

from app.theme import LABEL_TEXT, MARKS

HANDLE_PX = 4.5
CATCH_PX = 9.0


def nearest(at: QPointF, places: Sequence[tuple[float, float]]) -> int | None:
    """The index of the handle under a place of the screen.

    Args:
        at: of the cursor, logical pixels.
        places: of the handles likewise.
    """
    best, reach = None, CATCH_PX
    for index, (x, y) in enumerate(places):
        away = hypot(x - at.x(), y - at.y())
        if away <= reach:
            best, reach = index, away
    return best


def paint_handle(
    painter: QPainter,
    at: QPointF,
    colour: QColor,
    *,
    round_: bool = True,
    small: bool = False,
    lit: bool = False,
) -> None:
    """Paint a handle: white with a coloured border, or yellow under the cursor.

    Args:
        painter: in logical pixels; its pen and brush are changed.
        at: its middle.
        colour: of the border.
        round_: a disc rather than a square.
        small: of lesser weight.
        lit: under the cursor.
    """
    size = HANDLE_PX * (0.65 if small else 1.0) + (1.0 if lit else 0.0)
    painter.setPen(QPen(colour, 1.5))
    painter.setBrush(MARKS.selected if lit else LABEL_TEXT)
    box = QRectF(at.x() - size, at.y() - size, 2 * size, 2 * size)
    if round_:
        painter.drawEllipse(box)
    else:
        painter.drawRect(box)
