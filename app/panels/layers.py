"""The list of layers: what is shown on the slide, and how strongly the density covers it."""

from functools import partial

from PySide6.QtCore import QRectF, QSignalBlocker, Qt, Slot
from PySide6.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QSlider, QWidget

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
            if name == "count_area":
                self.shade_box = QCheckBox(self.tr("darken what is outside"), self)
                self.shade_box.setChecked(stack.count_area.shade_outside)
                self.shade_box.toggled.connect(self._set_shade)
                indented = QHBoxLayout()
                indented.addSpacing(2 * _SWATCH_PX)
                indented.addWidget(self.shade_box)
                rows.addLayout(indented, rows.rowCount(), 0, 1, 2)
        self.opacity_slider = QSlider(Qt.Orientation.Horizontal, self)
        self.opacity_slider.setRange(0, 100)
        self.opacity_slider.setValue(round(stack.density.opacity * 100))
        self.opacity_slider.setAccessibleName(self.tr("Opacity of the density"))
        self.opacity_slider.setEnabled(stack.density.visible)
        self.opacity_slider.valueChanged.connect(self._set_opacity)
        self.opacity_slider.setToolTip(self.tr("Opacity of the density"))
        self.peak_label = QLabel(self)
        self.peak_label.setProperty("faint", True)
        row = rows.rowCount()
        rows.addWidget(self.opacity_slider, row, 0)
        rows.addWidget(self.peak_label, row, 1)
        rows.setColumnStretch(0, 1)
        rows.setRowStretch(row + 1, 1)
        stack.visibility_changed.connect(self._show_visibility)
        stack.changed.connect(self._show_peak)
        self._show_peak()

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

    @Slot()
    def _show_peak(self) -> None:
        density = self._stack.density
        shown = density.visible and density.peak_per_mm2 > 0
        text = self.tr("densest: {peak} per mm²").format(peak=f"{density.peak_per_mm2:.1f}")
        self.peak_label.setText(text if shown else self.tr("opacity"))

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
    painter.setPen(QPen(QColor(128, 128, 128), 1))  # the count area's black, on a dark panel
    painter.setBrush(colour)
    painter.drawRoundedRect(QRectF(0.5, 0.5, _SWATCH_PX - 1, _SWATCH_PX - 1), 3, 3)
    painter.end()
    return QIcon(pixmap)
