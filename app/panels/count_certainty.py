"""How sure the count is: what to expect, how near another category is, and what would settle it."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.panels.count_parts import Note, label
from core.counting.statistics import CountStatistics
from core.reading.view import CountView


class CountCertainty(QWidget):
    """Three lines that keep their place while a reader reviews, and the rest folded away.

    Signals:
        figures_requested: tuple with the key of the first figure whose verdict is asked for.
    """

    figures_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.expected, self.elsewhere, self.left = QLabel(), QLabel(), QLabel()
        self.settling = label(faint=True)
        self.settle = QPushButton(self.tr("Show"))
        self.settle.setToolTip(self.tr("The first of them; after its verdict, the next"))
        self.settle.clicked.connect(self._ask)
        self._keys: tuple[int, ...] = ()
        self.near_border = Note("warning")
        self.chances, self.details = label(faint=True), label(faint=True)
        self.fold = QToolButton()
        self.fold.setAutoRaise(True)
        self.fold.setText(self.tr("How sure the count is"))
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.clicked.connect(self._turn)
        self._lay_out()
        self._unfold(False)

    def _lay_out(self) -> None:
        rows = QGridLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setHorizontalSpacing(10)
        rows.setVerticalSpacing(3)
        rows.setColumnStretch(1, 1)
        captions = (
            (self.tr("Expected"), self.expected, self.tr(
                "Mitoses to expect in the count area once every candidate is decided, from the "
                "calibrated probabilities, with the 95 % interval; a figure without a probability "
                "counts as one half, and the interval holds whichever way it is decided"
            )),
            (self.tr("Other category"), self.elsewhere, self.tr(
                "Probability that the true rate of this area lies in another category"
            )),
            (self.tr("Open"), self.left, self.tr(
                "Figures that wait for a verdict, and their share of the uncertainty; the rest is "
                "the chance of a count, which only a larger area makes smaller"
            )),
        )  # fmt: skip
        for row, (caption, value, tip) in enumerate(captions):
            name = label(caption, faint=True)
            name.setWordWrap(False)
            for widget in (name, value):
                widget.setToolTip(tip)
            rows.addWidget(name, row, 0)
            rows.addWidget(value, row, 1)
        settle = QHBoxLayout()
        settle.addWidget(self.settling, 1)
        settle.addWidget(self.settle, 0, Qt.AlignmentFlag.AlignTop)
        # Two lines, whatever it says: a verdict must not move what lies below.
        self.settling.setMinimumHeight(2 * self.settling.fontMetrics().lineSpacing() + 2)
        self.settling.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.folded = QWidget()
        inner = QVBoxLayout(self.folded)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.near_border)
        inner.addWidget(self.chances)
        inner.addWidget(self.details)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(rows)
        column.addLayout(settle)
        column.addWidget(self.fold)
        column.addWidget(self.folded)

    def show_count(self, count: CountView, *, analysed: bool = True) -> None:
        """Show how sure a count is; before the first analysis there is nothing to expect."""
        sure = count.statistics if analysed else None
        self.setVisible(sure is not None)
        if sure is None:
            return
        self.expected.setText(self._expected(sure))
        self.elsewhere.setText(self._elsewhere(sure))
        open_ = self.tr("1 figure") if sure.open == 1 else self.tr("{0} figures").format(sure.open)
        self.left.setText(
            self.tr("{0}, {1} of the uncertainty").format(open_, percent(sure.open_share))
        )
        self._show_settling(sure)
        self._show_details(count, sure)

    def _expected(self, sure: CountStatistics) -> str:
        found = sure.expected
        if found is None:
            return "–"
        return self.tr("{0} ({1} to {2})").format(f"{found.mean:.1f}", found.low, found.high)

    def _elsewhere(self, sure: CountStatistics) -> str:
        if sure.elsewhere is None:
            return "–"
        share = percent(max(sure.elsewhere, 1e-9))  # rounded to nothing, it is still possible
        near = sure.category.near_border
        return self.tr("{0}, near a border").format(share) if near else share

    def _show_settling(self, sure: CountStatistics) -> None:
        found = sure.settling
        self._keys = () if found is None or found.settled else found.rows
        self.settle.setEnabled(bool(self._keys))
        text = ""
        if found is not None and found.settled:
            text = self.tr("Settled: no open figure can change the category.")
        elif found is not None and len(self._keys) == 1:
            text = self.tr("1 verdict would settle: {0}.")
        elif found is not None:
            text = self.tr("{1} verdicts would settle: {0}.")
        name = "" if found is None else signs(found.category or self.tr("between categories"))
        self.settling.setText(text.format(name, len(self._keys)))
        for widget in (self.settling, self.settle):
            widget.setVisible(found is not None)

    def _show_details(self, count: CountView, sure: CountStatistics) -> None:
        category = count.category
        others = [name for name in category.reached if name != category.category]
        self.near_border.show_text(
            self.tr("Near a border: the 95 % interval also reaches {0}.").format(
                signs(", ".join(others))
            )
            if category.near_border and others
            else ""
        )
        chances = [f"{signs(name)}: {percent(share)}" for name, share in sure.chances]
        self.chances.setText("\n".join([self.tr("Probability of the true rate"), *chances]))
        self.chances.setVisible(bool(chances))
        lines = []
        if count.protocol.gap_rule:
            lines.append(self.tr("Between whole numbers: {0}").format(count.protocol.gap_rule))
        if count.spots and count.spots[0].at_most is not None:
            lines.append(
                self.tr("Placed one after another: no such fields hold more than {0}.")
                .format(count.spots[0].at_most)
            )  # fmt: skip
        if sure.note:
            lines.append(sure.note)
        self.details.setText("\n\n".join(lines))

    @Slot()
    def _turn(self) -> None:
        self._unfold(self.folded.isHidden())

    def _unfold(self, open_: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if open_ else Qt.ArrowType.RightArrow
        self.fold.setArrowType(arrow)
        self.folded.setVisible(open_)

    @Slot()
    def _ask(self) -> None:
        # One at a time: with all of them selected, one key would give all their verdicts unseen.
        self.figures_requested.emit(self._keys[:1])


def signs(text: str) -> str:
    """A protocol's text as it is printed in books."""
    return text.replace(">=", "≥").replace("<=", "≤")


def percent(share: float) -> str:
    """A share as it is printed elsewhere: `48 %`; never a certainty that it is not."""
    if 0 < share < 0.01:
        return "< 1 %"
    return "> 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"
