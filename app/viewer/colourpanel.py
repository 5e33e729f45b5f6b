"""The controls for the colours on the screen."""

from dataclasses import replace
from math import log

from PySide6.QtCore import QSignalBlocker, Qt, Slot
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QPushButton, QSlider, QWidget

from app.viewer.colour import ColourSettings
from app.viewer.slideview import SlideView

_HALF = 100  # of a slider: from -100 to 100
#: Contrast and gamma go from one part of this to this.
_STRONGEST = 3.0


class ColourPanel(QWidget):
    """Colour profile, brightness, contrast and gamma of a view.

    Args:
        view: changed.
        parent: owner.
    """

    def __init__(self, view: SlideView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = view
        self._icc = QCheckBox(self.tr("Use the slide's colour profile"))
        self._icc.toggled.connect(self._changed)
        layout = QGridLayout(self)
        layout.addWidget(self._icc, 0, 0, 1, 3)
        self._brightness, self._brightness_text = self._row(layout, 1, self.tr("Brightness"))
        self._contrast, self._contrast_text = self._row(layout, 2, self.tr("Contrast"))
        self._gamma, self._gamma_text = self._row(layout, 3, self.tr("Gamma"))
        self._reset = QPushButton(self.tr("As scanned"))
        self._reset.clicked.connect(self._reset_all)
        layout.addWidget(self._reset, 4, 0, 1, 3, Qt.AlignmentFlag.AlignRight)
        layout.setColumnStretch(1, 1)
        layout.setRowStretch(5, 1)
        view.colour_changed.connect(self._show)
        view.slide_changed.connect(self._show)
        self._show(None)

    def _row(self, layout: QGridLayout, row: int, name: str) -> tuple[QSlider, QLabel]:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(-_HALF, _HALF)
        slider.setAccessibleName(name)
        slider.valueChanged.connect(self._changed)
        text = QLabel()
        text.setMinimumWidth(text.fontMetrics().horizontalAdvance("-0.00 "))
        text.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(QLabel(name), row, 0)
        layout.addWidget(slider, row, 1)
        layout.addWidget(text, row, 2)
        return slider, text

    @Slot()
    def _changed(self) -> None:
        self._view.set_colour(
            ColourSettings(
                icc=self._icc.isChecked(),
                brightness=self._brightness.value() / _HALF / 2,
                contrast=_STRONGEST ** (self._contrast.value() / _HALF),
                gamma=_STRONGEST ** (self._gamma.value() / _HALF),
            )
        )

    @Slot()
    def _reset_all(self) -> None:
        self._view.set_colour(replace(ColourSettings(), icc=self._view.colour.icc))

    @Slot(object)
    def _show(self, _: object) -> None:
        colour, source = self._view.colour, self._view.source
        has_profile = source is not None and source.has_profile
        self._icc.setEnabled(has_profile)
        self._icc.setToolTip("" if has_profile else self.tr("This slide has no colour profile."))
        blockers = [
            QSignalBlocker(widget)
            for widget in (self._icc, self._brightness, self._contrast, self._gamma)
        ]
        self._icc.setChecked(colour.icc)
        self._brightness.setValue(round(colour.brightness * 2 * _HALF))
        self._contrast.setValue(_position(colour.contrast))
        self._gamma.setValue(_position(colour.gamma))
        del blockers
        self._brightness_text.setText(f"{colour.brightness:+.2f}")
        self._contrast_text.setText(f"{colour.contrast:.2f}")
        self._gamma_text.setText(f"{colour.gamma:.2f}")
        self._reset.setEnabled(colour.changed)


def _position(factor: float) -> int:
    return round(_HALF * log(factor, _STRONGEST))
