"""The status bar: what the program is for, where the mouse is, and the magnification."""

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QLabel, QStatusBar, QToolButton, QWidget

from app.viewer.canvas import Canvas
from app.viewer.readout import ColourLabel, MagnificationBox, PlaceLabel
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
        self.setSizeGripEnabled(False)
        # A label of its own: QStatusBar.showMessage would cover what must always be seen.
        self.use = QLabel(RESEARCH_USE)
        self.use.setContentsMargins(8, 0, 8, 0)
        self.use.setMinimumWidth(self.use.sizeHint().width())
        self.note = QLabel()
        self.note.setProperty("faint", True)
        self.place = PlaceLabel(canvas)
        self.magnification = MagnificationBox(canvas)
        self.colour = ColourLabel(canvas)
        self.device = QLabel()
        self.device.setProperty("faint", True)
        self.reader = QToolButton(toolTip=self.tr("Who reads; press to change"))
        self.addWidget(self.use)
        self.addWidget(self.note, 1)
        for widget in (self.colour, self.device, self.place, self.magnification, self.reader):
            self.addPermanentWidget(widget)
        self._note_timer = QTimer(self, singleShot=True, interval=NOTE_MS)
        self._note_timer.timeout.connect(self.note.clear)

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
