"""Fonts, colours and measures of a PDF page, and text that is laid out on it."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QPaintDevice,
    QPainter,
    QPen,
    QTextLayout,
    QTextOption,
)

MM_AN_INCH = 25.4


class Style:
    """Fonts, colours and measures of a page.

    Args:
        device: that is painted on.

    Attributes:
        mm: dots in a millimetre.
    """

    TEXT, FAINT = QColor("#1c1f23"), QColor("#5a6068")
    ALERT, GOOD = QColor("#b3261e"), QColor("#1b6b3a")
    LINE, STRONG_LINE = QColor("#e3e5e8"), QColor("#b9bec5")
    PANEL, PANEL_LINE = QColor("#f6f7f9"), QColor("#dde0e4")
    CAUTION, CAUTION_LINE = QColor("#fdf6e7"), QColor("#ecd9a8")
    ATYPICAL = QColor("#006e8c")

    def __init__(self, device: QPaintDevice) -> None:
        self.device = device
        self.mm = device.logicalDpiX() / MM_AN_INCH
        self.text, self.strong = page_font(9.0), page_font(9.0, bold=True)
        self.small, self.small_strong = page_font(7.4), page_font(7.4, bold=True)
        self.heading = page_font(11.0, bold=True)
        self.title = page_font(17.0, bold=True)
        self.number = page_font(32.0, bold=True)
        self.larger = page_font(10.5)
        self.larger_strong = page_font(10.5, bold=True)

    def rule(self, painter: QPainter, left: float, right: float, y: float) -> None:
        """A thin line across the page."""
        painter.setPen(QPen(self.LINE, 0.2 * self.mm))
        painter.drawLine(QPointF(left, y), QPointF(right, y))

    def panel(self, painter: QPainter, rect: QRectF, ground: QColor, line: QColor) -> None:
        """A filled box with a thin border."""
        painter.setPen(QPen(line, 0.2 * self.mm))
        painter.setBrush(ground)
        painter.drawRoundedRect(rect, self.mm, self.mm)
        painter.setBrush(Qt.BrushStyle.NoBrush)


class Text:
    """A text laid out within a width, so that it is as high as it was measured.

    Args:
        style: of the page.
        text: to lay out; wraps at words, or anywhere where a word is too long.
        font: of the style.
        width: in dots.
        colour: of the text.
        lines: at most; the last one is shortened.

    Attributes:
        height: in dots.
        width: of the widest line.
    """

    def __init__(
        self,
        style: Style,
        text: str,
        font: QFont,
        width: float,
        colour: QColor = Style.TEXT,
        lines: int = 0,
    ) -> None:
        if lines == 1:
            metrics = QFontMetricsF(font, style.device)
            text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)
        self._colour = colour
        self._layout = QTextLayout(text, font, style.device)
        option = QTextOption(Qt.AlignmentFlag.AlignLeft)
        # Left stays left beside a caption, whatever the script of a name.
        option.setTextDirection(Qt.LayoutDirection.LeftToRight)
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self._layout.setTextOption(option)
        self._layout.beginLayout()
        self.height = self.width = 0.0
        while (line := self._layout.createLine()).isValid():
            line.setLineWidth(width if lines != 1 else 1e7)
            line.setPosition(QPointF(0, self.height))
            self.height += line.height()
            self.width = max(self.width, line.naturalTextWidth())
        self._layout.endLayout()

    def paint(self, painter: QPainter, left: float, top: float) -> None:
        """Paint it from its upper left corner on."""
        painter.setPen(self._colour)
        self._layout.draw(painter, QPointF(left, top))


def page_font(points: float, *, bold: bool = False) -> QFont:
    """The page's font; Qt takes signs that its families lack from others of the computer."""
    font = QFont(["Noto Sans", "Segoe UI", "Helvetica Neue", "DejaVu Sans", "Arial"])
    font.setPointSizeF(points)
    # Joined letters are copied and searched as one sign.
    font.setFeature(QFont.Tag("liga"), 0)
    if bold:
        font.setWeight(QFont.Weight.DemiBold)
    return font
