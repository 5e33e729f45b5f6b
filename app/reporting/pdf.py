"""The report as a PDF: Qt's text on A4 or Letter, so that names of any script print.

Pages are painted from blocks, each of which knows how high it is: a block that no longer fits goes
to the next page, and a heading goes with what follows it. The research-use line, the number of the
page, and the mark of a draft where it is one, stand on every page.

No window is needed, but a `QGuiApplication`, for its fonts. It may run on any thread.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QCoreApplication, QIODevice, QMarginsF, QRectF
from PySide6.QtGui import (
    QGuiApplication,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
    QTextLayout,
)

from app.reporting.blocks import (
    Block,
    CropRow,
    Heading,
    Note,
    PictureBlock,
    RowLine,
    Summary,
    TickLine,
    TitleBlock,
    Warnings,
)
from app.reporting.style import Style, Text, page_font
from core.errors import UserError
from core.exchange.files import replacing_bytes
from core.exchange.report.model import DRAFT, TITLE, Report, Section

SIDE_MM, TOP_MM, BOTTOM_MM = 18.0, 24.0, 22.0
HEAD_MM, FOOT_MM = 13.0, 13.0  # from the paper's edge
DPI = 600
CROPS_A_ROW = 5


def fonts() -> QCoreApplication:
    """The application whose fonts print; made without a display if there is none.

    Where it is made here, it ends with the last reference to what this returns.
    """
    known = QCoreApplication.instance()
    if known is not None:
        return known
    displays = ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in displays):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    return QGuiApplication(["mitoscope"])


def write_pdf(path: Path, report: Report, *, letter: bool = False) -> None:
    """Write the report as a PDF.

    Args:
        path: of the file; replaced as a whole.
        report: to write.
        letter: US Letter instead of A4.

    Raises:
        UserError: the file cannot be written; the old one stays.
    """
    data = pdf_bytes(report, letter=letter)
    with replacing_bytes(path) as file:
        file.write(data)


def pdf_bytes(report: Report, *, letter: bool = False) -> bytes:
    """The report as a PDF file in memory; arguments as `write_pdf`."""
    if QGuiApplication.instance() is None:
        raise RuntimeError("a PDF needs a QGuiApplication")
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = _writer(buffer, report, letter=letter)
    painter = QPainter()
    if not painter.begin(writer):
        raise UserError("The PDF cannot be made.", "Is there memory left?")
    try:
        _Printer(writer, painter, report).print()
    finally:
        painter.end()
        buffer.close()
    return bytes(data.data())


def missing_signs(report: Report) -> str:
    """The signs of a report that no font of this computer has, each once; empty if all print."""
    missing: dict[str, None] = {}
    for text in report.texts():
        if text.isascii():
            continue
        layout = QTextLayout(text, page_font(9.0))
        layout.beginLayout()
        layout.createLine()
        layout.endLayout()
        units = text.encode("utf-16-le")  # Qt's indices are of these
        for run in layout.glyphRuns(-1, -1, QTextLayout.GlyphRunRetrievalFlag.RetrieveAll):
            for glyph, at in zip(run.glyphIndexes(), run.stringIndexes(), strict=True):
                if glyph == 0:  # a font's own sign for what it does not have
                    pair = units[2 * at : 2 * at + 4]
                    missing[pair.decode("utf-16-le", "ignore")[:1]] = None
    return "".join(missing)


def _writer(device: QIODevice, report: Report, *, letter: bool) -> QPdfWriter:
    writer = QPdfWriter(device)
    size = QPageSize(QPageSize.PageSizeId.Letter if letter else QPageSize.PageSizeId.A4)
    layout = QPageLayout(size, QPageLayout.Orientation.Portrait, QMarginsF(0, 0, 0, 0))
    layout.setMode(QPageLayout.Mode.FullPageMode)
    writer.setPageLayout(layout)
    writer.setResolution(DPI)
    writer.setTitle(f"{report.title}. {report.footer}")
    writer.setCreator("Mitoscope")
    return writer


class _Printer:
    """Sets the blocks of a report on pages."""

    def __init__(self, writer: QPdfWriter, painter: QPainter, report: Report) -> None:
        self._writer, self._painter, self._report = writer, painter, report
        self._style = Style(writer)
        mm = self._style.mm
        paper = writer.pageLayout().fullRect(QPageLayout.Unit.Millimeter)
        self._height = paper.height() * mm
        self._body = QRectF(
            SIDE_MM * mm, TOP_MM * mm,
            (paper.width() - 2 * SIDE_MM) * mm, (paper.height() - TOP_MM - BOTTOM_MM) * mm,
        )  # fmt: skip

    def print(self) -> None:
        """Print all pages."""
        pages = list(self._pages())
        body = self._body
        for number, page in enumerate(pages, start=1):
            if number > 1:
                self._writer.newPage()
            self._paint_edges(number, len(pages))
            for block, top in page:
                block.paint(self._painter, body.left(), top, body.width())

    def _pages(self) -> Iterator[list[tuple[Block, float]]]:
        """Blocks with the y of their upper edges, page after page."""
        body, mm = self._body, self._style.mm
        page: list[tuple[Block, float]] = []
        y = body.top()
        for group in report_groups(self._report, self._style):
            needed = sum(b.before_mm * mm + b.height(body.width()) for b in group)
            if page and y + needed > body.bottom():
                yield page
                page, y = [], body.top()
            for block in group:
                high = block.height(body.width())
                if page:
                    y += block.before_mm * mm
                    if y + high > body.bottom():  # a group that is higher than a page
                        yield page
                        page, y = [], body.top()
                page.append((block, y))
                y += high
        yield page

    def _paint_edges(self, number: int, total: int) -> None:
        """What stands on every page."""
        style, painter, report = self._style, self._painter, self._report
        mm, left, right = style.mm, self._body.left(), self._body.right()
        width = self._body.width()
        top = HEAD_MM * mm
        kind = Text(style, f"{TITLE} · {report.slide}", style.small, 0.7 * width, style.FAINT, 1)
        kind.paint(painter, left, top)
        if not report.signed:
            mark = Text(style, DRAFT, style.small_strong, width, style.ALERT)
            mark.paint(painter, right - mark.width, top)
        style.rule(painter, left, right, top + kind.height + 1.2 * mm)
        foot = self._height - FOOT_MM * mm
        use = Text(style, report.footer, style.small, width, style.FAINT)
        page = Text(style, f"Page {number} of {total}", style.small, width, style.FAINT)
        style.rule(painter, left, right, foot - use.height - 1.2 * mm)
        use.paint(painter, left, foot - use.height)
        page.paint(painter, right - page.width, foot - use.height)


def report_groups(report: Report, style: Style) -> Iterator[list[Block]]:
    """The report's blocks in groups, each of which stays on one page."""
    yield [TitleBlock(style, report), Summary(style, report)]
    if report.warnings:
        yield [Warnings(style, report.warnings)]
    for section in report.sections:
        yield from _groups(section, style)


def _groups(section: Section, style: Style) -> Iterator[list[Block]]:
    """A table stays in one piece; crops may be parted, but not from what is said of them."""
    heading = Heading(style, section.title)
    pictures: list[Block] = [PictureBlock(style, picture) for picture in section.pictures]
    lines: list[Block] = [RowLine(style, row) for row in section.rows]
    lines += [TickLine(style, tick) for tick in section.ticks]
    lines += [Note(style, note) for note in section.notes]
    starts = range(0, len(section.crops), CROPS_A_ROW)
    crops: list[Block] = [
        CropRow(style, section.crops[at : at + CROPS_A_ROW], CROPS_A_ROW) for at in starts
    ]
    if pictures:
        yield [heading, *pictures]
        yield [*lines, *crops[:1]]
    else:
        yield [heading, *lines, *crops[:1]]
    yield from ([row] for row in crops[1:])
