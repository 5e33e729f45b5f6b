"""The list of figures on which readers differ, or differed."""

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QListWidgetItem

from app.panels.count_parts import FitList
from core.reading.view import Disagreement, Verdict

#: What settles a figure, by its key.
SETTLING: dict[int, Verdict] = {
    Qt.Key.Key_M: "mitosis",
    Qt.Key.Key_A: "atypical",
    Qt.Key.Key_X: "imposter",
}


class DisagreementList(FitList):
    """Figures on which readers differ, or differed.

    Args:
        settles: whether the keys of verdicts settle the current one.

    Signals:
        chosen: key of a figure to look at.
        settle_requested: a `Verdict` for the current figure.
    """

    chosen = Signal(int)
    settle_requested = Signal(str)

    def __init__(self, *, settles: bool) -> None:
        super().__init__()
        self._settles = settles
        self._shown: tuple[Disagreement, ...] = ()
        self.currentRowChanged.connect(self._choose)
        self.itemClicked.connect(self._clicked)

    @property
    def current_key(self) -> int | None:
        """The figure of the current row."""
        row = self.currentRow()
        return self._shown[row].key if 0 <= row < len(self._shown) else None

    def show_figures(self, figures: tuple[Disagreement, ...]) -> None:
        """Show other figures; where the current one is gone, the next takes its row."""
        if figures == self._shown:
            return
        keys = [figure.key for figure in figures]
        current = self.current_key
        row = keys.index(current) if current in keys else self.currentRow()
        blocked = self.blockSignals(True)
        self._shown = figures
        self.clear()
        for figure in figures:
            self.add_row(self._text(figure), 2 if figure.consensus else 1)
        self.setCurrentRow(min(row, len(figures) - 1))
        self.blockSignals(blocked)
        self.updateGeometry()

    def look(self) -> None:
        """Go to the current figure."""
        self._choose(self.currentRow())

    def _text(self, figure: Disagreement) -> str:
        words = {
            "mitosis": self.tr("mitosis"),
            "atypical": self.tr("atypical"),
            "imposter": self.tr("imposter"),
            "unsure": self.tr("unsure"),
            "deleted": self.tr("deleted"),
        }
        said = "  ·  ".join(f"{name}: {words[value]}" for name, value in figure.by_reader.items())
        if figure.consensus is None:
            return said
        return self.tr("Agreed: {0}\n{1}").format(words[figure.consensus], said)

    def event(self, event: QEvent) -> bool:
        """The keys of verdicts settle here; elsewhere in the window they give one's own."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and self._verdict(event)
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Settle by M, A or X; everything else is the list's."""
        verdict = self._verdict(event)
        if verdict is None:
            super().keyPressEvent(event)
        else:
            self.settle_requested.emit(verdict)

    def _verdict(self, event: QKeyEvent) -> Verdict | None:
        plain = event.modifiers() == Qt.KeyboardModifier.NoModifier and not event.isAutoRepeat()
        return SETTLING.get(event.key()) if self._settles and plain else None

    @Slot(int)
    def _choose(self, row: int) -> None:
        if 0 <= row < len(self._shown):
            self.chosen.emit(self._shown[row].key)

    @Slot(QListWidgetItem)
    def _clicked(self, item: QListWidgetItem) -> None:
        self._choose(self.row(item))
