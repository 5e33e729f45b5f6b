"""Paints one cell of the gallery: crop, frame by state, and beneath it glyph and probability."""

from dataclasses import dataclass
from math import isnan

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPen

from app.texts import percent
from app.theme import CASING, LABEL_GROUND, MARKS, Theme
from app.viewer.marks import MarkKind, paint_mark
from core.reading.view import Figures

#: Side of a crop on the screen, logical pixels: 64 µm then look as at 25×.
CROP_PX = 160
#: Around the crop: room for the frame and the halo of a selected one.
MARGIN_PX = 7
#: Beneath the crop: glyph, word and probability.
CAPTION_PX = 19
CELL_W = CROP_PX + 2 * MARGIN_PX
CELL_H = CROP_PX + CAPTION_PX + 2 * MARGIN_PX

_FRAME = {
    MarkKind.FAINT: None,
    MarkKind.CANDIDATE: None,
    MarkKind.LIKELY: None,
    MarkKind.IMPOSTER: MARKS.imposter,
    MarkKind.UNSURE: MARKS.unsure,
    MarkKind.ATYPICAL: MARKS.atypical,
    MarkKind.MITOSIS: MARKS.mitosis,
    MarkKind.HIDDEN: None,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What is painted of a figure.

    Attributes:
        crop: None until it is read.
        problem: a word in place of the crop; empty for none.
        kind: of its mark; `HIDDEN` for a deleted figure.
        caption: its state in a word.
        probability: as text; empty where it is hidden or there is none.
        disputed: readers differ.
        selected, current: of the selection; its first.
        bar_px: length of the scale bar on the current crop, logical pixels; 0 for none.
        bar_text: what it stands for.
        atypical: whether the models call it an atypical mitosis and no reader said otherwise.
    """

    crop: QImage | None
    problem: str
    kind: MarkKind
    caption: str
    probability: str
    disputed: bool
    selected: bool
    current: bool
    bar_px: float = 0.0
    bar_text: str = ""
    atypical: bool = False


def caption_of(verdict: str, *, hand_placed: bool, atypical: bool = False) -> str:
    """The word beneath a crop; empty for a candidate without a verdict.

    Args:
        verdict: a word of `VERDICTS`.
        hand_placed: whether a reader placed the figure.
        atypical: whether the models call it atypical.
    """
    words = {
        "mitosis": QCoreApplication.translate("Gallery", "mitosis"),
        "atypical": QCoreApplication.translate("Gallery", "atypical"),
        "imposter": QCoreApplication.translate("Gallery", "imposter"),
        "unsure": QCoreApplication.translate("Gallery", "unsure"),
        "deleted": QCoreApplication.translate("Gallery", "deleted"),
    }
    if verdict == "none" and atypical:
        return QCoreApplication.translate("Gallery", "atypical?")
    if verdict == "none":
        return QCoreApplication.translate("Gallery", "hand-placed") if hand_placed else ""
    return words[verdict] + (" ✎" if hand_placed else "")


def models_say(figures: Figures, row: int) -> str:
    """What the models say of a figure, a line for each; empty where they were not asked."""
    tr = QCoreApplication.translate
    lines = []
    for text, value in (
        (tr("Gallery", "Mitosis: {0}"), float(figures.probability[row])),
        (tr("Gallery", "Atypical, if it is one: {0}"), float(figures.atypical[row])),
    ):
        if not isnan(value):
            lines.append(text.format(percent(value)))
    return "\n".join(lines)


def paint_cell(painter: QPainter, left: float, top: float, cell: Cell, theme: Theme) -> None:
    """Paint a cell with its top left corner at a place, logical pixels."""
    crop = QRectF(left + MARGIN_PX, top + MARGIN_PX, CROP_PX, CROP_PX)
    if cell.selected:
        _paint_selection(painter, QRectF(left, top, CELL_W, CELL_H), cell, theme)
    _paint_crop(painter, crop, cell, theme)
    _paint_frame(painter, crop, cell, theme)
    if cell.atypical:
        _paint_flag(painter, crop)
    if cell.bar_px and cell.crop is not None:
        _paint_bar(painter, crop, cell)
    _paint_caption(
        painter, QRectF(crop.left(), crop.bottom() + 2, CROP_PX, CAPTION_PX), cell, theme
    )


def _paint_selection(painter: QPainter, whole: QRectF, cell: Cell, theme: Theme) -> None:
    ground = QColor(theme.accent)
    if not cell.current:
        ground.setAlpha(110)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawRoundedRect(whole.adjusted(1, 1, -1, -1), 4, 4)


def _paint_crop(painter: QPainter, crop: QRectF, cell: Cell, theme: Theme) -> None:
    if cell.crop is None:
        painter.fillRect(crop, QColor(theme.raised))
        if cell.problem:
            painter.setPen(QColor(theme.faint))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(crop.adjusted(10, 10, -10, -10), flags, cell.problem)
        return
    painter.setOpacity(0.35 if cell.kind is MarkKind.HIDDEN else 1.0)
    painter.drawImage(crop, cell.crop)
    painter.setOpacity(1.0)


def _paint_frame(painter: QPainter, crop: QRectF, cell: Cell, theme: Theme) -> None:
    colour = _FRAME[cell.kind]
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if colour is None:
        painter.setPen(QColor(theme.line))
        painter.drawRect(crop.adjusted(-0.5, -0.5, 0.5, 0.5))
    else:
        pen = QPen(colour, 3)
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        painter.setPen(pen)
        painter.drawRect(crop.adjusted(-0.5, -0.5, 0.5, 0.5))
    if cell.disputed:
        inner = crop.adjusted(3, 3, -3, -3)
        painter.setPen(QPen(CASING, 2))
        painter.drawRect(inner)
        pen = QPen(MARKS.excluded, 2, Qt.PenStyle.CustomDashLine)
        pen.setDashPattern([3.0, 3.0])
        painter.setPen(pen)
        painter.drawRect(inner)


def _paint_flag(painter: QPainter, crop: QRectF) -> None:
    """The mark of an atypical mitosis in the corner: the models say so, nobody has yet."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(QPointF(crop.right() - 10, crop.top() + 10))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(LABEL_GROUND)
    painter.drawEllipse(QPointF(0, 0), 8, 8)
    paint_mark(painter, MarkKind.ATYPICAL, 0.0)
    painter.restore()


def _paint_bar(painter: QPainter, crop: QRectF, cell: Cell) -> None:
    """The scale bar in the corner, white with a dark edge, so that it reads on any tissue."""
    right, bottom = crop.right() - 7, crop.bottom() - 7
    bar = QRectF(right - cell.bar_px, bottom - 3, cell.bar_px, 3)
    painter.fillRect(bar.adjusted(-1, -1, 1, 1), QColor(20, 22, 26, 200))
    painter.fillRect(bar, QColor("white"))
    font = QFont(painter.font())
    painter.setFont(_small(font))
    text = QRectF(right - 80, bottom - 20, 80, 14)
    flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
    painter.setPen(QColor(20, 22, 26, 220))
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        painter.drawText(text.translated(dx, dy), flags, cell.bar_text)
    painter.setPen(QColor("white"))
    painter.drawText(text, flags, cell.bar_text)
    painter.setFont(font)


def _paint_caption(painter: QPainter, strip: QRectF, cell: Cell, theme: Theme) -> None:
    font = QFont(painter.font())
    painter.setFont(_small(font))
    middle = strip.center().y() + 1
    if cell.kind is not MarkKind.HIDDEN:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(QPointF(strip.left() + 8, middle))
        paint_mark(painter, cell.kind, 0.0)
        painter.restore()
    on = theme.on_accent if cell.current and cell.selected else theme.text
    painter.setPen(QColor(on))
    words = strip.adjusted(19, 1, 0, 1)
    painter.drawText(
        words, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, cell.caption
    )
    painter.drawText(
        words.adjusted(0, 0, -1, 0),
        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
        cell.probability,
    )
    painter.setFont(font)


def _small(font: QFont) -> QFont:
    small = QFont(font)
    small.setPointSizeF(max(7.0, font.pointSizeF() * 0.88))
    return small
