"""The dialog that asks who reads."""

from collections.abc import Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from app.panels.count_parts import label


class ReaderDialog(QDialog):
    """Asks who reads. This is no password: it says whose verdicts follow.

    Args:
        question: to ask.
        name: to begin with.
        known: names to offer.
        parent: the panel.

    Signals:
        chosen: the reader's name.
    """

    chosen = Signal(str)

    def __init__(
        self, question: str, name: str, known: Sequence[str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Reader"))
        self.setMinimumWidth(340)
        self.name = QComboBox(editable=True)
        self.name.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.name.setCompleter(None)  # it would make an Anna of every Ann
        self.name.addItems(known)
        self.name.setEditText(name)
        self.name.editTextChanged.connect(self._changed)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self._accept)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(label(question))
        column.addWidget(self.name)
        column.addWidget(self.buttons)
        self._changed(name)

    @Slot(str)
    def _changed(self, text: str) -> None:
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(bool(text.strip()))

    @Slot()
    def _accept(self) -> None:
        self.chosen.emit(self.name.currentText().strip())
        self.accept()
