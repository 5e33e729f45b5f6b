"""The list of layers: what is shown on the slide, and how strongly the density covers it."""

from functools import partial

from PySide6.QtCore import QSignalBlocker, Qt, Slot
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QSlider, QWidget

from app.theme import HEAT, MARKS
from app.viewer.layers import LayerStack

_SWATCH_PX = 12


class LayerPanel(QWidget):
    """Check boxes of the layers, with the density's opacity.

    Args:
        stack: the viewer's layers.
        parent: of the widget.
    """

    def __init__(self, stack: LayerStack, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stack = stack
        self._boxes: dict[str, QCheckBox] = {}
        rows = QGridLayout(self)
        rows.setContentsMargins(8, 8, 8, 8)
        rows.setVerticalSpacing(4)
        for name, title, colour in self._titles():
            box = QCheckBox(title, self)
            box.setIcon(_swatch(colour))
            box.setChecked(stack.layer(name).visible)
            box.toggled.connect(partial(stack.set_visible, name))
            self._boxes[name] = box
            rows.addWidget(box, rows.rowCount(), 0, 1, 2)
        self.shade_box = QCheckBox(self.tr("Darken outside the count area"), self)
        self.shade_box.toggled.connect(self._set_shade)
        rows.addWidget(self.shade_box, rows.rowCount(), 0, 1, 2)
        self.opacity_slider = QSlider(Qt.Orientation.Horizontal, self)
        self.opacity_slider.setRange(0, 100)
        self.opacity_slider.setValue(round(stack.density.opacity * 100))
        self.opacity_slider.setAccessibleName(self.tr("Opacity of the density"))
        self.opacity_slider.setEnabled(stack.density.visible)
        self.opacity_slider.valueChanged.connect(self._set_opacity)
        label = QLabel(self.tr("Density opacity"), self)
        label.setBuddy(self.opacity_slider)
        row = rows.rowCount()
        rows.addWidget(label, row, 0)
        rows.addWidget(self.opacity_slider, row, 1)
        rows.setRowStretch(row + 1, 1)
        stack.visibility_changed.connect(self._show_visibility)

    def box(self, name: str) -> QCheckBox:
        """The check box of a layer."""
        return self._boxes[name]

    def _titles(self) -> list[tuple[str, str, QColor]]:
        return [
            ("candidates", self.tr("Candidates"), MARKS.candidate),
            ("count_area", self.tr("Count area"), MARKS.count_area),
            ("fields", self.tr("High-power fields"), MARKS.count_area),
            ("hot_spots", self.tr("Hot spots"), MARKS.hot_spot),
            ("regions", self.tr("Regions"), MARKS.tumour),
            ("tissue", self.tr("Tissue outline"), MARKS.tissue),
            ("problems", self.tr("Unread and blurred windows"), MARKS.unsure),
            ("viewed", self.tr("Viewed areas"), MARKS.tissue),
            ("density", self.tr("Density of mitoses"), HEAT[-2]),
        ]

    @Slot(str)
    def _show_visibility(self, name: str) -> None:
        visible = self._stack.layer(name).visible
        with QSignalBlocker(self._boxes[name]):
            self._boxes[name].setChecked(visible)
        if name == "density":
            self.opacity_slider.setEnabled(visible)

    @Slot(int)
    def _set_opacity(self, percent: int) -> None:
        self._stack.set_density_opacity(percent / 100)

    @Slot(bool)
    def _set_shade(self, shade: bool) -> None:
        self._stack.count_area.shade_outside = shade
        self._stack.changed.emit()


def _swatch(colour: QColor) -> QIcon:
    pixmap = QPixmap(_SWATCH_PX, _SWATCH_PX)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawRoundedRect(1, 1, _SWATCH_PX - 2, _SWATCH_PX - 2, 3, 3)
    painter.end()
    return QIcon(pixmap)
