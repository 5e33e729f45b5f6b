"""The first start: what Mitoscope is for, what it found on this computer, and its two licences."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QDateTime, QLocale, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from app import __version__
from app.requests import DeviceNews
from core.exchange.csv import RESEARCH_USE


@dataclass(frozen=True, slots=True)
class Licences:
    """The texts of the two licences: of the program, plain; of the weights, Markdown."""

    program: str
    weights: str


class WelcomeDialog(QDialog):
    """Greets once, and asks to accept that the program is for research use only.

    Args:
        places: where data lie: path by what lies there, in words.
        accepted_at: when the notice was accepted, ISO 8601; empty: it was not.
        accepted_version: of Mitoscope at that time.
        parent: the window.

    Signals:
        notice_accepted: the reader accepted the notice just now.
        demo_requested: make the demo slide, and open it.
        help_requested: show the daily workflow.
    """

    notice_accepted = Signal()
    demo_requested = Signal()
    help_requested = Signal()

    def __init__(
        self,
        places: Mapping[str, Path],
        accepted_at: str = "",
        accepted_version: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Welcome to Mitoscope"))
        self.setMinimumSize(640, 560)
        self._known = bool(accepted_at)
        title = QLabel(f"Mitoscope {__version__}")
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.6)
        title.setFont(font)
        what = QLabel(
            self.tr(
                "Mitoscope opens whole-slide images, proposes mitotic figures, lets you say what "
                "each one is, and counts them in the area that your protocol asks for. Everything "
                "stays on this computer: it sends nothing, and fetches neither updates nor "
                "anything else by itself."
            ),
            wordWrap=True,
        )
        self.tabs = QTabWidget(documentMode=True)
        self.device = QLabel(self.tr("looking…"), wordWrap=True)
        self.program_licence, self.weights_licence = QTextBrowser(), QTextBrowser()
        self.tabs.addTab(self._computer(places), self.tr("This computer"))
        self.tabs.addTab(self.program_licence, self.tr("Licence of the program"))
        self.tabs.addTab(self.weights_licence, self.tr("Licence of the weights"))
        column = QVBoxLayout(self)
        column.setSpacing(10)
        column.addWidget(title)
        column.addWidget(what)
        column.addWidget(self._notice(accepted_at, accepted_version))
        column.addWidget(self.tabs, 1)
        column.addLayout(self._buttons())
        self._may_begin(self._known)
        (self.begin_button if self._known else self.tick).setFocus()

    def _notice(self, accepted_at: str, version: str) -> QFrame:
        """The notice with its tick, or with when it was accepted."""
        frame = QFrame()
        frame.setProperty("note", "warning")
        use = QLabel(RESEARCH_USE, wordWrap=True)
        use.setProperty("strong", True)
        text = QLabel(
            self.tr(
                "Mitoscope is no medical device. Its candidates, probabilities, counts and "
                "categories must not decide on a patient’s diagnosis or treatment. The weights of "
                "its networks have a licence of their own: research only, not commercial."
            ),
            wordWrap=True,
        )
        self.tick = QCheckBox(self.tr("I have read this and accept it."))
        self.tick.toggled.connect(self._may_begin)
        column = QVBoxLayout(frame)
        column.setContentsMargins(12, 8, 12, 10)
        for widget in (use, text, self.tick):
            column.addWidget(widget)
        if accepted_at:
            when = QLocale().toString(
                QDateTime.fromString(accepted_at, Qt.DateFormat.ISODate).toLocalTime(),
                QLocale.FormatType.ShortFormat,
            )
            said = self.tr("Accepted on {0} with Mitoscope {1}.").format(when, version)
            column.addWidget(QLabel(said))
            self.tick.hide()
        return frame

    def _computer(self, places: Mapping[str, Path]) -> QWidget:
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(4, 12, 4, 4)
        form.setVerticalSpacing(8)
        form.addRow(self.tr("Networks run on"), self.device)
        for words, path in places.items():
            label = QLabel(str(path), wordWrap=True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            form.addRow(words, label)
        note = QLabel(
            self.tr("Removing or updating Mitoscope leaves all of these where they are."),
            wordWrap=True,
        )
        note.setProperty("faint", True)
        form.addRow(note)
        return page

    def _buttons(self) -> QHBoxLayout:
        self.help_button = QPushButton(self.tr("Daily workflow"), autoDefault=False)
        self.help_button.clicked.connect(self.help_requested)
        self.demo_button = QPushButton(self.tr("Try the demo slide"), autoDefault=False)
        self.demo_button.setToolTip(self.tr("Draws a synthetic slide, which takes a moment"))
        self.demo_button.clicked.connect(self._demo)
        self.begin_button = QPushButton(self.tr("Close") if self._known else self.tr("Begin"))
        self.begin_button.setDefault(True)
        self.begin_button.clicked.connect(self._begin)
        self.quit_button: QPushButton | None = None
        row = QHBoxLayout()
        row.addWidget(self.help_button)
        row.addStretch(1)
        if not self._known:
            self.quit_button = QPushButton(self.tr("Quit"), autoDefault=False)
            self.quit_button.clicked.connect(self.reject)
            row.addWidget(self.quit_button)
        row.addWidget(self.demo_button)
        row.addWidget(self.begin_button)
        return row

    @Slot(bool)
    def _may_begin(self, accepted: bool) -> None:
        for button in (self.begin_button, self.demo_button):
            button.setEnabled(accepted)

    @Slot()
    def _begin(self) -> None:
        if not self._known:
            self.notice_accepted.emit()
        self.accept()

    @Slot()
    def _demo(self) -> None:
        self._begin()
        self.demo_requested.emit()

    @Slot(object)
    def show_device(self, news: DeviceNews) -> None:
        """Say where the networks run, once the worker knows."""
        self.device.setText(news.why)

    def show_licences(self, licences: Licences) -> None:
        """Show the texts once they are read."""
        self.program_licence.setPlainText(licences.program)
        self.weights_licence.setMarkdown(licences.weights)
