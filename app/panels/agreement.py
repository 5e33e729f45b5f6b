"""How far the readers of a slide agree, with one another and with the model, as a table."""

from math import isfinite

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.panels.count_parts import label
from app.room import Room
from core.analysis.agreement import Agreement, PairAgreement, compare
from core.analysis.evaluate import MATCH_RADIUS_UM
from core.analysis.raters import readings
from core.errors import UserError
from core.store import Store
from core.store.base import paged


class AgreementDialog(QDialog):
    """Compares on the open slide, or on all slides that the same raters read.

    Args:
        room: with an open slide.
        raters: names of readers, `model` or `consensus`.
        parent: whose window it belongs to.
    """

    def __init__(self, room: Room, raters: tuple[str, ...], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Agreement"))
        self._room = room
        self._raters = raters
        self._waiting = 0  # answers of the io thread that are still to come
        self.finished.connect(self._end)
        self.scope = QComboBox()
        self.scope.addItems([self.tr("This slide"), self.tr("All slides that they read")])
        self.scope.currentIndexChanged.connect(self._ask)
        self.table = QTableWidget(0, 7)
        self.table.setHorizontalHeaderLabels(
            [
                self.tr("Raters"),
                self.tr("Counts"),
                self.tr("Both"),
                self.tr("Only first"),
                self.tr("Only second"),
                self.tr("F1"),
                self.tr("κ"),
            ]
        )
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.summary = label()
        rule = self.tr(
            "Marks within {0} µm, one to one, are one figure. Who marked nothing there, or an "
            "imposter, does not call it a mitosis. κ depends on how many imposters were marked."
        ).format(MATCH_RADIUS_UM)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setSpacing(10)
        for widget in (self.scope, self.table, self.summary, label(rule, faint=True), buttons):
            column.addWidget(widget)
        self.resize(680, 380)
        self._ask()

    @Slot()
    def _ask(self) -> None:
        opened = self._room.opened
        if opened is None:
            return
        store, raters = self._room.store, self._raters
        slide_id = opened.slide_id if self.scope.currentIndex() == 0 else None
        self.summary.setText(self.tr("Comparing…"))
        self._waiting += 1
        self._room.io.submit(lambda: _compared(store, raters, slide_id), self._show, self._failed)

    @Slot()
    def _end(self) -> None:
        """Go once the dialog is closed and the last answer has come."""
        if not self._waiting and not self.isVisible():
            self.deleteLater()

    def _failed(self, error: UserError) -> None:
        self._waiting -= 1
        self._end()
        self.table.setRowCount(0)
        self.summary.setText(f"{error.message} {error.hint}")

    def _show(self, agreement: Agreement) -> None:
        self._waiting -= 1
        self._end()
        self.table.setRowCount(len(agreement.pairs))
        totals = {
            rater: sum(by_rater[rater] for by_rater in agreement.counts.values())
            for rater in agreement.raters
        }
        for row, pair in enumerate(agreement.pairs):
            for column, text in enumerate(self._cells(pair, totals)):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                else:
                    item.setToolTip(text)
                self.table.setItem(row, column, item)
        self.table.resizeRowsToContents()
        slides = len(agreement.counts)
        on = self.tr("on 1 slide") if slides == 1 else self.tr("on {0} slides").format(slides)
        texts = [
            self.tr("{0} of {1} figures are disputed, {2}.").format(
                len(agreement.disagreements), len(agreement.figures), on
            )
        ]
        if isfinite(agreement.fleiss_kappa) and len(agreement.raters) > 2:
            texts.append(self.tr("Fleiss' κ of all: {0}.").format(_told(agreement.fleiss_kappa)))
        texts += [self._bias(pair) for pair in agreement.pairs if isfinite(pair.limits[0])]
        self.summary.setText("\n".join(texts))

    def _cells(self, pair: PairAgreement, totals: dict[str, int]) -> list[str]:
        return [
            f"{pair.first}\n{pair.second}",  # two lines, so that long names are told apart
            f"{totals[pair.first]}, {totals[pair.second]}",
            *(str(n) for n in (pair.both, pair.only_first, pair.only_second)),
            _told(pair.f1),
            _told(pair.kappa),
        ]

    def _bias(self, pair: PairAgreement) -> str:
        text = self.tr("{1} counts {2} more a slide than {0}, 95 % limits {3} to {4}.")
        low, high = pair.limits
        return text.format(
            pair.first, pair.second, f"{pair.bias:+.1f}", f"{low:+.1f}", f"{high:+.1f}"
        )


def _told(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "–"


def _compared(store: Store, raters: tuple[str, ...], slide_id: int | None) -> Agreement:
    """On the io thread: on one slide, or on all."""
    slides = list(paged(store.slides)) if slide_id is None else [store.slide(slide_id)]
    return compare(readings(store, slides, raters).slides)
