"""What stands in the middle while no slide is open."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from core.exchange.csv import RESEARCH_USE


class Welcome(QWidget):
    """Says how to begin.

    Signals:
        open_requested: no payload: ask for slide files.
        demo_requested: no payload: make the demo slide, and open it.
    """

    open_requested = Signal()
    demo_requested = Signal()

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
        self.demo_button = QPushButton(self.tr("Try the demo slide"))
        self.demo_button.clicked.connect(self.demo_requested)
        buttons = QWidget()
        row = QHBoxLayout(buttons)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.open_button)
        row.addWidget(self.demo_button)
        self.progress = QProgressBar(format=self.tr("Making the demo slide: %p %"))
        self.progress.setFixedWidth(300)
        policy = self.progress.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(policy)
        self.progress.hide()
        use = QLabel(RESEARCH_USE)
        use.setProperty("faint", True)
        column = QVBoxLayout(self)
        column.addStretch(2)
        for widget in (title, hint, buttons, self.progress, use):
            column.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
            column.addSpacing(8)
        column.addStretch(3)

    @Slot(int, int)
    def show_progress(self, done: int, total: int) -> None:
        """Show how far the demo slide is; a total of 0 takes the bar away."""
        self.progress.setVisible(total > 0)
        self.demo_button.setEnabled(total == 0)
        if total:
            self.progress.setMaximum(total)
            self.progress.setValue(done)
