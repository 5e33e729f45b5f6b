"""What stands in the middle while no slide is open."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from core.exchange.csv import RESEARCH_USE


class Welcome(QWidget):
    """Says how to begin.

    Signals:
        open_requested: no payload: ask for slide files.
    """

    open_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel("Mitoscope")
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.8)
        title.setFont(font)
        hint = QLabel(self.tr("Drop slides here, choose one on the left, or"))
        hint.setProperty("faint", True)
        self.open_button = QPushButton(self.tr("Open a slide…"))
        self.open_button.setDefault(True)
        self.open_button.clicked.connect(self.open_requested)
        use = QLabel(RESEARCH_USE)
        use.setProperty("faint", True)
        column = QVBoxLayout(self)
        column.addStretch(2)
        for widget in (title, hint, self.open_button, use):
            column.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
            column.addSpacing(8)
        column.addStretch(3)
