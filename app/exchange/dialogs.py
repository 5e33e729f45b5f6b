"""What to export, and what a file holds before it is taken in."""

from collections import Counter
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QPlainTextEdit,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from app.exchange.files import Read
from core.exchange.formats import FORMATS, Format
from core.exchange.gathering import CONSENSUS, Choice, What
from core.exchange.marks import CALLED
from core.reading.taking import As


class ExportDialog(QDialog):
    """Asks for format, what goes out, and whose verdicts.

    Args:
        readers: names that may be chosen, the present reader first.
        blinded: whether only the present reader's own verdicts may leave.
        parent: the window.
    """

    def __init__(
        self, readers: Sequence[str], *, blinded: bool, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Export"))
        self.setMinimumWidth(420)
        self.formats = QComboBox()
        for one in FORMATS.values():
            if one.writes:
                self.formats.addItem(one.title, one.id)
        self.formats.currentIndexChanged.connect(self._show_tried)
        self.what = QComboBox()
        if not blinded:
            self.what.addItem(self.tr("Candidates, verdicts and regions"), "all")
            self.what.addItem(self.tr("Candidates only, as the models left them"), "candidates")
        self.what.addItem(self.tr("Verdicts only, without scores"), "verdicts")
        self.whose = QComboBox()
        if not blinded:
            self.whose.addItem(self.tr("What counts of all readers"), None)
        for name in dict.fromkeys(readers):
            self.whose.addItem(name, name)
        if not blinded:
            self.whose.addItem(self.tr("Consensus"), CONSENSUS)
        self.what.currentIndexChanged.connect(self._whose_matters)
        self.tried = QLabel(wordWrap=True)
        self.tried.setProperty("faint", True)
        form = QFormLayout()
        form.addRow(self.tr("Format"), self.formats)
        form.addRow(self.tr("What"), self.what)
        form.addRow(self.tr("Verdicts of"), self.whose)
        form.addRow("", self.tried)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go_on = buttons.addButton(self.tr("Export…"), QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(buttons)
        self._show_tried()

    def format(self) -> Format:
        """The format that was chosen."""
        return FORMATS[self.formats.currentData()]

    def choice(self) -> Choice:
        """What of the slide was chosen."""
        what: What = self.what.currentData()
        return Choice(what, None, None if what == "candidates" else self.whose.currentData())

    def _show_tried(self) -> None:
        text = self.tr(
            "No file of another program was at hand for this format: it was only tried with itself."
        )
        self.tried.setText("" if self.format().foreign_sample else text)

    def _whose_matters(self) -> None:
        self.whose.setEnabled(self.what.currentData() != "candidates")


class ImportDialog(QDialog):
    """Shows what a file holds, and asks how to take it in.

    Args:
        name: of the file.
        found: what was read.
        reader: in whose name it is taken in.
        parent: the window.
    """

    def __init__(self, name: str, found: Read, reader: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Import"))
        self.setMinimumWidth(480)
        title = QLabel(f"{name} – {found.format.title}", wordWrap=True)
        title.setProperty("strong", True)
        title.setTextFormat(Qt.TextFormat.PlainText)
        self.summary = QLabel(self._summary(found), wordWrap=True)
        self.summary.setTextFormat(Qt.TextFormat.PlainText)
        self.by_class = QRadioButton(self.tr("Each point as its class says"))
        self.as_mitoses = QRadioButton(
            self.tr("Points without a known class are mitoses; what is none is left out")
        )
        group = QButtonGroup(self)
        for button in (self.by_class, self.as_mitoses):
            group.addButton(button)
        unknown = all(not mark.called for mark in found.marks.marks)
        (self.as_mitoses if unknown and found.marks.marks else self.by_class).setChecked(True)
        who = QLabel(
            self.tr(
                "Points become verdicts of {0}, outlines become regions. One undo takes all of it "
                "back."
            ).format(reader),
            wordWrap=True,
        )
        who.setProperty("faint", True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go_on = buttons.addButton(self.tr("Import"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.go_on.setEnabled(bool(found.marks.marks or found.marks.outlines))
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        widgets: list[QWidget] = [title, self.summary]
        if found.marks.notes:
            notes = QPlainTextEdit("\n".join(found.marks.notes), readOnly=True)
            notes.setMaximumHeight(72)
            widgets.append(notes)
        for widget in (*widgets, self.by_class, self.as_mitoses, who, buttons):
            layout.addWidget(widget)
        self.go_on.setFocus()

    def as_(self) -> As:
        """How the points are taken in."""
        return "mitoses" if self.as_mitoses.isChecked() else "labels"

    def _summary(self, found: Read) -> str:
        names = {
            "mitosis": self.tr("mitoses"),
            "atypical": self.tr("atypical mitoses"),
            "imposter": self.tr("imposters"),
            "unsure": self.tr("unsure"),
            "deleted": self.tr("deleted"),
            "": self.tr("without a known class"),
        }
        # Where a file holds verdicts, labels alone are not taken in (core.reading.taking.choose).
        marks = found.marks.marks
        judged = [mark for mark in marks if mark.verdict or mark.sayings] or marks
        counts = Counter(mark.called for mark in judged)
        parts = [f"{counts[word]} {names[word]}" for word in (*CALLED, "") if counts[word]]
        points = self.tr("Points: {0}").format(", ".join(parts) or "0")
        regions = self.tr("Regions: {0}").format(len(found.marks.outlines))
        left = len(marks) - len(judged)
        left_out = self.tr(" Left out, without a verdict: {0}.").format(left) if left else ""
        return f"{points}.{left_out} {regions}."
