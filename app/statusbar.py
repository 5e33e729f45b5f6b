"""The status bar: what the program is for, where the mouse is, and the magnification."""

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtWidgets import QLabel, QLineEdit, QStatusBar, QToolButton, QWidget

from app.theme import theme_in_use
from app.viewer.canvas import Canvas
from app.viewer.colour import ColourSettings
from app.worker import DeviceNews
from core.exchange.csv import RESEARCH_USE

NOTE_MS = 5000


class StatusBar(QStatusBar):
    """Always says that the program is for research only; the rest follows canvas and worker.

    Args:
        canvas: whose place and magnification are shown.
        parent: the window.
    """

    def __init__(self, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self.setSizeGripEnabled(False)
        # A label of its own: QStatusBar.showMessage would cover what must always be seen.
        self.use = QLabel(RESEARCH_USE)
        self.use.setMinimumWidth(self.use.sizeHint().width())
        self.note = QLabel()
        self.note.setProperty("faint", True)
        self.place = QLabel()
        self.place.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.place.setMinimumWidth(self.fontMetrics().horizontalAdvance("x 123,456 µm  y 123,456"))
        self.magnification = QLineEdit()
        self.magnification.setFixedWidth(self.fontMetrics().horizontalAdvance("000.00×") + 18)
        self.magnification.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.magnification.setToolTip(self.tr("Magnification; 40× shows 0.25 µm per pixel"))
        self.magnification.returnPressed.connect(self._typed)
        self.colour = QLabel()
        self.device = QLabel()
        self.device.setProperty("faint", True)
        self.reader = QToolButton(toolTip=self.tr("Who reads; press to change"))
        self.addWidget(self.use)
        self.addWidget(self.note, 1)
        for widget in (self.colour, self.device, self.place, self.magnification, self.reader):
            self.addPermanentWidget(widget)
        self._note_timer = QTimer(self, singleShot=True, interval=NOTE_MS)
        self._note_timer.timeout.connect(self.note.clear)
        canvas.hovered0.connect(self._hovered)
        canvas.transform_changed.connect(self._show_magnification)
        canvas.mpp_changed.connect(self._show_magnification)
        canvas.slide_changed.connect(self._show_magnification)
        canvas.colour_changed.connect(self._show_colour)
        self._show_colour(canvas.colour)
        self._show_magnification()

    @Slot(str)
    def say(self, text: str) -> None:
        """Show a short sentence for a while."""
        self.note.setText(text)
        self._note_timer.start()

    @Slot(object)
    def show_device(self, news: DeviceNews) -> None:
        """Say where the networks run."""
        self.device.setText(news.device.upper())
        self.device.setToolTip(news.why)

    @Slot(object)
    def _hovered(self, place0: tuple[float, float] | None) -> None:
        mpp = self._canvas.mpp
        if place0 is None:
            self.place.clear()
        elif mpp is None:
            self.place.setText(f"x {place0[0]:,.0f}  y {place0[1]:,.0f} px")
        else:
            self.place.setText(f"x {place0[0] * mpp.x:,.0f}  y {place0[1] * mpp.y:,.0f} µm")

    @Slot()
    def _show_magnification(self) -> None:
        opened = self._canvas.opened is not None
        self.magnification.setEnabled(opened)
        if not self.magnification.hasFocus():
            text = f"{self._canvas.magnification():.3g}×" if opened else ""
            self.magnification.setText(text)

    @Slot()
    def _typed(self) -> None:
        text = self.magnification.text().strip().rstrip("×xX").replace(",", ".")
        try:
            wanted = float(text)
        except ValueError:
            wanted = 0.0
        self._canvas.setFocus()
        if wanted > 0:
            self._canvas.set_magnification(wanted)
        self._show_magnification()

    @Slot(object)
    def _show_colour(self, colour: ColourSettings) -> None:
        self.colour.setVisible(colour.changed)
        self.colour.setText(self.tr("Colours changed"))
        self.colour.setStyleSheet(
            f"background: {theme_in_use().warning}; border-radius: 4px; padding: 1px 7px;"
        )
