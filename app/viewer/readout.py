"""What the viewer tells in words: scale bar, magnification, place under the mouse, colours."""

import math
import re
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QRectF, Qt, Slot
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QComboBox, QLabel, QWidget

from app.viewer.canvas import Canvas
from app.viewer.colour import ColourSettings
from app.viewer.slideview import SlideView
from app.viewer.transform import ViewTransform
from core.geometry import Mpp

if TYPE_CHECKING:
    from app.room import OpenedSlide

#: The usual objectives, as offered for choosing.
MAGNIFICATIONS = (2.5, 5.0, 10.0, 20.0, 40.0)
#: A scale bar is at most this long, logical pixels.
LONGEST_BAR_PX = 160.0
_MARGIN_PX, _PLATE_PX = 12.0, 6.0
_PLATE = QColor(255, 255, 255, 215)


def round_length(longest: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50 … (and 0.5, 0.2 …) that is not above `longest`."""
    decade = 10.0 ** math.floor(math.log10(longest))
    # The slack: 10 ** n and a quotient may miss each other in the last digit.
    return max(step * decade for step in (1, 2, 5) if step * decade <= longest * (1 + 1e-9))


def length_text(length: float, *, unit_known: bool) -> str:
    """A length in words: mm from 1000 µm on; pixels where the µm are unknown."""
    if not unit_known:
        return QCoreApplication.translate("readout", "{0} px").format(f"{length:g}")
    if length >= 1000:
        return QCoreApplication.translate("readout", "{0} mm").format(f"{length / 1000:g}")
    return QCoreApplication.translate("readout", "{0} µm").format(f"{length:g}")


class ScaleBar:
    """A layer with a bar of round length in the lower right corner.

    Args:
        view: whose pixel size it goes by.

    Attributes:
        name, visible: see `Layer`.
    """

    def __init__(self, view: SlideView) -> None:
        self.name, self.visible = "scale_bar", True
        self._view = view

    def measure(self, transform: ViewTransform) -> tuple[float, str]:
        """Length of the bar in logical pixels, and what it stands for."""
        mpp = self._view.mpp
        per_px = transform.px0_per_px * (mpp.mean if mpp is not None else 1.0)
        length = round_length(LONGEST_BAR_PX * per_px)
        return length / per_px, length_text(length, unit_known=mpp is not None)

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """See `Layer`."""
        length_px, text = self.measure(transform)
        font = painter.font()
        font.setPixelSize(13)
        font.setBold(True)
        painter.setFont(font)
        text_px = painter.fontMetrics().height()
        width = max(length_px, painter.fontMetrics().horizontalAdvance(text)) + 2 * _PLATE_PX
        height = text_px + 6 + 2 * _PLATE_PX
        plate = QRectF(
            transform.width_px - _MARGIN_PX - width,
            transform.height_px - _MARGIN_PX - height,
            width,
            height,
        )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_PLATE)
        painter.drawRoundedRect(plate, 4, 4)
        inner = plate.adjusted(_PLATE_PX, _PLATE_PX, -_PLATE_PX, -_PLATE_PX)
        painter.setPen(Qt.GlobalColor.black)
        painter.drawText(inner, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter, text)
        bar = QRectF(inner.center().x() - length_px / 2, inner.bottom() - 4, length_px, 4)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.fillRect(bar, Qt.GlobalColor.black)


class MagnificationBox(QComboBox):
    """Shows the magnification and takes another one, typed or chosen.

    Where the pixel size is unknown it says `≈` and goes by the objective; without that it shows per
    cent of the slide's own pixels.

    Args:
        view: shown and changed.
        parent: owner.
    """

    def __init__(self, view: SlideView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = view
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setCompleter(None)  # it would make 40 of every 4
        self.addItems([f"{value:g}×" for value in MAGNIFICATIONS])
        self.setToolTip(self.tr("Magnification; type another and press Enter"))
        self.setAccessibleName(self.tr("Magnification"))
        self.setMinimumContentsLength(7)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.lineEdit().editingFinished.connect(self._typed)
        self.activated.connect(self._chosen)
        view.transform_changed.connect(self._show_view)
        view.slide_changed.connect(self._show_slide)
        view.mpp_changed.connect(self._show_mpp)
        self._show()

    @Slot()
    def _typed(self) -> None:
        number = re.match(r"\s*[≈~]?\s*([0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)", self.currentText())
        value = float(number[1].replace(",", ".")) if number else 0.0
        if self._view.opened is None or self.currentText() == self._text() or value <= 0:
            self._show()
            return
        if self._percent():
            self._view.zoom(value / 100 * self._view.transform.px0_per_px)
        else:
            self._view.set_magnification(value)
        self._show()
        self._view.setFocus()

    @Slot(int)
    def _chosen(self, index: int) -> None:
        self._view.set_magnification(MAGNIFICATIONS[index])
        self._show()
        self._view.setFocus()

    @Slot(object)
    def _show_view(self, _: ViewTransform) -> None:
        if not self.lineEdit().hasFocus() or not self.lineEdit().isModified():
            self._show()

    @Slot(object)
    def _show_slide(self, _: "OpenedSlide | None") -> None:
        self._show()

    @Slot(object)
    def _show_mpp(self, _: Mpp | None) -> None:
        self._show()

    def _show(self) -> None:
        self.setEditText(self._text())

    def _text(self) -> str:
        if self._view.opened is None:
            return ""
        if self._percent():
            return f"{100 / self._view.transform.px0_per_px:.3g} %"
        about = "" if self._view.mpp is not None else "≈"
        return f"{about}{self._view.magnification():.3g}×"

    def _percent(self) -> bool:
        opened = self._view.opened
        return self._view.mpp is None and (opened is None or opened.slide.objective is None)


class PlaceLabel(QLabel):
    """The place under the mouse in µm from the slide's top left corner, or in pixels.

    Args:
        canvas: under the mouse.
        parent: owner.
    """

    def __init__(self, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self.setAccessibleName(self.tr("Place under the mouse"))
        # Figures of one width, so that the text does not dance.
        self.setMinimumWidth(self.fontMetrics().horizontalAdvance("x 000000.0  y 000000.0 µm"))
        canvas.hovered0.connect(self._show)

    @Slot(object)
    def _show(self, place0: tuple[float, float] | None) -> None:
        if place0 is None:
            self.clear()
            return
        mpp = self._canvas.mpp
        if mpp is None:
            text = self.tr("x {0:.0f}  y {1:.0f} px").format(*place0)
        else:
            text = self.tr("x {0:.1f}  y {1:.1f} µm").format(place0[0] * mpp.x, place0[1] * mpp.y)
        self.setText(text)


class ColourLabel(QLabel):
    """Says what is done to the colours: the profile, and that a reader changed them.

    Args:
        view: whose colours.
        parent: owner.
    """

    def __init__(self, view: SlideView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = view
        view.colour_changed.connect(self._show)
        view.slide_changed.connect(self._show)
        self._show(None)

    @Slot(object)
    def _show(self, _: ColourSettings | None) -> None:
        colour, source = self._view.colour, self._view.source
        words, hints = [], []
        if source is not None and source.has_profile:
            words.append(self.tr("ICC") if colour.icc else self.tr("ICC off"))
            hints.append(
                self.tr("The slide's colour profile is used.")
                if colour.icc
                else self.tr("The slide's colour profile is not used.")
            )
        if colour.changed:
            words.append(self.tr("● colours changed"))
            hints.append(self.tr("Brightness, contrast or gamma are not those of the scanner."))
        self.setText("  ".join(words))
        self.setToolTip(" ".join(hints))
        self.setVisible(bool(words))
