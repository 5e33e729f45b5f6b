"""The picture panel: colour profile, brightness, contrast and gamma of the screen alone."""

import math

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Slot
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QPushButton, QSlider, QWidget

from app.preferences import Preferences
from app.room import OpenedSlide
from app.viewer.canvas import Canvas
from app.viewer.colour import ColourSettings

# Sliders count in hundredths: brightness as it is, contrast and gamma as powers of four.
_STEPS = 100
_POWER = 4.0
#: A slider's picture is made once it has rested this long.
_AFTER_MS = 60


class PicturePanel(QWidget):
    """Changes how the slide looks on the screen; crops for the networks never change.

    Args:
        canvas: whose colours.
        preferences: keep them.
        parent: of the widget.
    """

    def __init__(
        self, canvas: Canvas, preferences: Preferences, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._canvas, self._preferences = canvas, preferences
        self.icc = QCheckBox(self.tr("Use the slide's colour profile"))
        self.profile = QLabel(wordWrap=True)
        self.profile.setProperty("faint", True)
        self.reset = QPushButton(self.tr("As scanned"))
        self.reset.clicked.connect(self._reset)
        grid = QGridLayout(self)
        grid.setContentsMargins(10, 8, 10, 8)
        grid.addWidget(self.icc, 0, 0, 1, 2)
        grid.addWidget(self.profile, 1, 0, 1, 2)
        self.sliders: dict[str, QSlider] = {}
        titles = {
            "brightness": self.tr("Brightness"),
            "contrast": self.tr("Contrast"),
            "gamma": self.tr("Gamma"),
        }
        for row, (name, title) in enumerate(titles.items(), 2):
            slider = QSlider(Qt.Orientation.Horizontal, minimum=-_STEPS, maximum=_STEPS)
            slider.setAccessibleName(title)
            slider.valueChanged.connect(self._moved)
            grid.addWidget(QLabel(title), row, 0)
            grid.addWidget(slider, row, 1)
            self.sliders[name] = slider
        grid.addWidget(self.reset, 5, 1, Qt.AlignmentFlag.AlignRight)
        grid.setRowStretch(6, 1)
        self._soon = QTimer(self, singleShot=True, interval=_AFTER_MS)
        self._soon.timeout.connect(self._apply)
        settings = preferences.settings
        self.show_settings(
            ColourSettings(settings.icc, settings.brightness, settings.contrast, settings.gamma)
        )
        self._apply()
        self.icc.toggled.connect(self._apply)
        canvas.slide_changed.connect(self._slide_changed)

    def settings(self) -> ColourSettings:
        """What the sliders say."""
        value = {name: slider.value() / _STEPS for name, slider in self.sliders.items()}
        return ColourSettings(
            icc=self.icc.isChecked(),
            brightness=round(value["brightness"] / 2, 3),
            contrast=round(_POWER ** value["contrast"], 3),
            gamma=round(_POWER ** value["gamma"], 3),
        )

    def show_settings(self, colour: ColourSettings) -> None:
        """Put the sliders where these settings are."""
        self.icc.setChecked(colour.icc)
        places = {
            "brightness": colour.brightness * 2,
            "contrast": math.log(colour.contrast, _POWER),
            "gamma": math.log(colour.gamma, _POWER),
        }
        for name, place in places.items():
            with QSignalBlocker(self.sliders[name]):
                self.sliders[name].setValue(round(place * _STEPS))

    @Slot()
    def _moved(self) -> None:
        self._soon.start()

    @Slot()
    def _apply(self) -> None:
        colour = self.settings()
        self.reset.setEnabled(colour.changed)
        if colour != self._canvas.colour:
            self._canvas.set_colour(colour)
        self._preferences.change(
            icc=colour.icc,
            brightness=colour.brightness,
            contrast=colour.contrast,
            gamma=colour.gamma,
        )

    @Slot()
    def _reset(self) -> None:
        self.show_settings(ColourSettings(icc=self.icc.isChecked()))
        self._apply()

    @Slot(object)
    def _slide_changed(self, opened: OpenedSlide | None) -> None:
        if opened is None:
            self.profile.setText("")
            return
        has_profile = bool(opened.slide.icc_profile)
        self.icc.setEnabled(has_profile)
        self.profile.setText("" if has_profile else self.tr("This slide has no colour profile."))
