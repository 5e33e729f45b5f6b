"""The blocks of a PDF page: each knows its height at a width, and paints itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPen

from app.reporting.style import Style, Text
from core.exchange.report.model import DRAFT, NO_PICTURE, Crop, Picture, Report, Row, Tick

#: Millimetres.
CAPTION_MM = 50.0
PICTURE_MM, LARGE_PICTURE_MM = 88.0, 168.0
CROP_GAP_MM = 3.4


class Block(Protocol):
    """Something on a page that is not parted.

    Attributes:
        before_mm: room above it, except at the top of a page.
    """

    before_mm: float

    def height(self, width: float) -> float:
        """How high it is at a width, in dots."""
        ...

    def paint(self, painter: QPainter, left: float, top: float, width: float) -> None:
        """Paint it from its upper left corner on."""
        ...


class TitleBlock:
    """What the report is of, by which rule, and whether it is signed."""

    before_mm = 0.0

    def __init__(self, style: Style, report: Report) -> None:
        self._style, self._report = style, report

    def height(self, width: float) -> float:
        """See `Block`."""
        return sum(text.height + gap for text, gap in self._texts(width)) + self._badge_height()

    def paint(self, painter: QPainter, left: float, top: float, width: float) -> None:
        """See `Block`."""
        for text, gap in self._texts(width):
            text.paint(painter, left, top)
            top += text.height + gap
        self._paint_status(painter, left, top, width)

    def _texts(self, width: float) -> list[tuple[Text, float]]:
        style, report = self._style, self._report
        return [
            (Text(style, report.slide, style.title, width), 0.6 * style.mm),
            (Text(style, report.protocol, style.larger, width, style.FAINT), 3.0 * style.mm),
        ]

    def _badge_height(self) -> float:
        return 10.0 * self._style.mm

    def _paint_status(self, painter: QPainter, left: float, top: float, width: float) -> None:
        style, mm = self._style, self._style.mm
        signed = self._report.signed
        colour = style.GOOD if signed else style.ALERT
        word = Text(style, "SIGNED" if signed else DRAFT, style.strong, width, colour)
        badge = QRectF(left, top, word.width + 4 * mm, word.height + 1.6 * mm)
        painter.setPen(QPen(colour, 0.4 * mm))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(badge, mm, mm)
        word.paint(painter, left + 2 * mm, top + 0.8 * mm)
        room = width - badge.width() - 3 * mm
        said = Text(style, self._report.status, style.text, room)
        if said.height > 2 * word.height:
            said = Text(style, self._report.status, style.small, room)
        said.paint(painter, badge.right() + 3 * mm, badge.center().y() - said.height / 2)


class Summary:
    """The number, large, with area, rate and category beside it."""

    before_mm = 1.0

    def __init__(self, style: Style, report: Report) -> None:
        self._style, self._report = style, report

    def height(self, width: float) -> float:
        """See `Block`."""
        number, texts = self._texts(width)
        return max(number.height, sum(text.height for text in texts)) + 6 * self._style.mm

    def paint(self, painter: QPainter, left: float, top: float, width: float) -> None:
        """See `Block`."""
        style, mm = self._style, self._style.mm
        number, texts = self._texts(width)
        high = self.height(width)
        style.panel(painter, QRectF(left, top, width, high), style.PANEL, style.PANEL_LINE)
        number.paint(painter, left + 6 * mm, top + (high - number.height) / 2)
        y = top + (high - sum(text.height for text in texts)) / 2
        for text in texts:
            text.paint(painter, left + number.width + 13 * mm, y)
            y += text.height

    def _texts(self, width: float) -> tuple[Text, list[Text]]:
        style, report = self._style, self._report
        number = Text(style, report.number, style.number, width)
        room = width - number.width - 19 * style.mm
        lines = [(f"mitoses in {report.area}", style.larger_strong), (report.rate, style.larger)]
        if report.category:
            lines.append((report.category, style.larger_strong))
        return number, [Text(style, line, font, room) for line, font in lines]


class Warnings:
    """What must be known before the number is used."""

    before_mm = 3.0

    def __init__(self, style: Style, texts: Sequence[str]) -> None:
        self._style, self._warnings = style, texts

    def height(self, width: float) -> float:
        """See `Block`."""
        texts = self._texts(width)
        return sum(t.height for t in texts) + (len(texts) * 0.8 + 3.2) * self._style.mm

    def paint(self, painter: QPainter, left: float, top: float, width: float) -> None:
        """See `Block`."""
        style, mm = self._style, self._style.mm
        rect = QRectF(left, top, width, self.height(width))
        style.panel(painter, rect, style.CAUTION, style.CAUTION_LINE)
        y = top + 2 * mm
        for text in self._texts(width):
            Text(style, "•", style.text, width).paint(painter, left + 3 * mm, y)
            text.paint(painter, left + 6 * mm, y)
            y += text.height + 0.8 * mm

    def _texts(self, width: float) -> list[Text]:
        style = self._style
        room = width - 9 * style.mm
        return [Text(style, text, style.text, room) for text in self._warnings]


class Heading:
    """A heading with a line below it."""

    before_mm = 6.5

    def __init__(self, style: Style, title: str) -> None:
        self._style, self._title = style, title

    def height(self, width: float) -> float:
        """See `Block`."""
        return self._text(width).height + 2.2 * self._style.mm

    def paint(self, painter: QPainter, left: float, top: float, width: float) -> None:
        """See `Block`."""
        text, mm = self._text(width), self._style.mm
        text.paint(painter, left, top)
        painter.setPen(QPen(self._style.STRONG_LINE, 0.3 * mm))
        y = top + text.height + 0.9 * mm
        painter.drawLine(QPointF(left, y), QPointF(left + width, y))

    def _text(self, width: float) -> Text:
        return Text(self._style, self._title, self._style.heading, width)


class RowLine:
    """A line of a table: what, and how much."""

    before_mm = 0.0

    def __init__(self, style: Style, row: Row) -> None:
        self._style, self._row = style, row

    def height(self, width: float) -> float:
        """See `Block`."""
        return max(text.height for text in self._texts(width)) + 1.7 * self._style.mm

    def paint(self, painter: QPainter, left: float, top: float, width: float) -> None:
        """See `Block`."""
        mm = self._style.mm
        caption, text = self._texts(width)
        caption.paint(painter, left, top + 0.8 * mm)
        text.paint(painter, left + CAPTION_MM * mm, top + 0.8 * mm)
        self._style.rule(painter, left, left + width, top + self.height(width))

    def _texts(self, width: float) -> tuple[Text, Text]:
        style, row = self._style, self._row
        aside = CAPTION_MM * style.mm
        font = style.strong if row.strong else style.text
        caption = Text(style, row.caption, style.text, aside - 3 * style.mm, style.FAINT)
        return caption, Text(style, row.text, font, width - aside)


class TickLine:
    """A point of the checklist with its box, drawn: not every font has one."""

    before_mm = 0.0

    def __init__(self, style: Style, tick: Tick) -> None:
        self._style, self._tick = style, tick

    def height(self, width: float) -> float:
        """See `Block`."""
        return self._text(width).height + 1.2 * self._style.mm

    def paint(self, painter: QPainter, left: float, top: float, width: float) -> None:
        """See `Block`."""
        mm = self._style.mm
        text = self._text(width)
        text.paint(painter, left + 6 * mm, top + 0.6 * mm)
        side = 3.0 * mm
        box = QRectF(left + 0.6 * mm, top + 1.2 * mm, side, side)
        painter.setPen(QPen(self._style.TEXT, 0.25 * mm))
        painter.drawRect(box)
        if self._tick.ticked:
            painter.setPen(QPen(self._style.GOOD, 0.55 * mm))
            points = [(0.18, 0.52), (0.42, 0.78), (0.85, 0.2)]
            painter.drawPolyline(
                [QPointF(box.left() + x * side, box.top() + y * side) for x, y in points]
            )

    def _text(self, width: float) -> Text:
        return Text(self._style, self._tick.text, self._style.text, width - 6 * self._style.mm)


class Note:
    """A sentence below a table or a picture."""

    before_mm = 1.6

    def __init__(self, style: Style, text: str) -> None:
        self._style, self._note = style, text

    def height(self, width: float) -> float:
        """See `Block`."""
        return self._text(width).height

    def paint(self, painter: QPainter, left: float, top: float, width: float) -> None:
        """See `Block`."""
        self._text(width).paint(painter, left, top)

    def _text(self, width: float) -> Text:
        return Text(self._style, self._note, self._style.small, width, self._style.FAINT)


class PictureBlock:
    """A picture with its caption."""

    before_mm = 2.5

    def __init__(self, style: Style, picture: Picture) -> None:
        self._style, self._picture = style, picture

    def height(self, width: float) -> float:
        """See `Block`."""
        return self._size(width)[1] + self._caption(width).height + 3.0 * self._style.mm

    def paint(self, painter: QPainter, left: float, top: float, width: float) -> None:
        """See `Block`."""
        wide, high = self._size(width)
        rect = QRectF(left, top, wide, high)
        painter.drawImage(rect, QImage.fromData(self._picture.data))
        painter.setPen(QPen(self._style.STRONG_LINE, 0.2 * self._style.mm))
        painter.drawRect(rect)
        self._caption(width).paint(painter, left, top + high + 1.0 * self._style.mm)

    def _size(self, width: float) -> tuple[float, float]:
        picture = self._picture
        most = (LARGE_PICTURE_MM if picture.large else PICTURE_MM) * self._style.mm
        scale = min(width / picture.width_px, most / picture.height_px)
        return picture.width_px * scale, picture.height_px * scale

    def _caption(self, width: float) -> Text:
        style = self._style
        return Text(style, self._picture.caption, style.small, width, style.FAINT)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A crop's texts at a width."""

    number: Text
    score: Text
    lines: tuple[Text, ...]

    @property
    def height(self) -> float:
        """Of all of them."""
        return self.number.height + sum(line.height for line in self.lines)


class CropRow:
    """Crops side by side, each with number, score and verdicts below.

    Args:
        style: of the page.
        crops: of this row.
        columns: how many would fill it.
    """

    before_mm = 2.6

    def __init__(self, style: Style, crops: Sequence[Crop], columns: int) -> None:
        self._style, self._crops, self._columns = style, crops, columns

    def height(self, width: float) -> float:
        """See `Block`."""
        side = self._side(width)
        texts = max(self._cell(crop, side).height for crop in self._crops)
        return side + texts + 1.2 * self._style.mm

    def paint(self, painter: QPainter, left: float, top: float, width: float) -> None:
        """See `Block`."""
        side = self._side(width)
        for crop in self._crops:
            self._paint_crop(painter, crop, QRectF(left, top, side, side))
            left += side + CROP_GAP_MM * self._style.mm

    def _paint_crop(self, painter: QPainter, crop: Crop, rect: QRectF) -> None:
        style, mm = self._style, self._style.mm
        cell = self._cell(crop, rect.width())
        if crop.data is not None:
            painter.drawImage(rect, QImage.fromData(crop.data))
        else:
            painter.fillRect(rect, style.PANEL)
            none = Text(style, NO_PICTURE, style.small, rect.width(), style.FAINT)
            x = rect.center().x() - none.width / 2
            none.paint(painter, x, rect.center().y() - none.height / 2)
        painter.setPen(QPen(style.STRONG_LINE, 0.15 * mm))
        painter.drawRect(rect)
        y = rect.bottom() + 0.8 * mm
        cell.number.paint(painter, rect.left(), y)
        cell.score.paint(painter, rect.right() - cell.score.width, y)
        y += cell.number.height
        for line in cell.lines:
            line.paint(painter, rect.left(), y)
            y += line.height

    def _cell(self, crop: Crop, side: float) -> _Cell:
        style = self._style
        number = _text(style, str(crop.number), style.small_strong, side, _colour(crop))
        score = _text(style, crop.score, style.small, side - number.width - style.mm, style.FAINT)
        lines = tuple(Text(style, line, style.small, side) for line in crop.lines)
        return _Cell(number, score, lines)

    def _side(self, width: float) -> float:
        gaps = (self._columns - 1) * CROP_GAP_MM * self._style.mm
        return (width - gaps) / self._columns


def _colour(crop: Crop) -> QColor:
    return Style.ATYPICAL if crop.atypical else Style.TEXT


def _text(style: Style, text: str, font: QFont, width: float, colour: QColor) -> Text:
    return Text(style, text, font, width, colour, lines=1)
