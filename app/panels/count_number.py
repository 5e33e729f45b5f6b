"""The number itself: mitoses, mm², interval, what they are made of, and the category."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.panels.count_certainty import CountCertainty, signs
from app.panels.count_parts import Amount, label
from app.theme import MARKS
from core.counting.statistics import AREA_TOLERANCE
from core.reading.view import AreaView, CountView

NUMBER_SIZE = 3.2  # times the text


class CountNumber(QWidget):
    """Shows how many mitoses lie in how many mm², and what the protocol makes of it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.number = QLabel()
        font = self.number.font()
        font.setPointSizeF(font.pointSizeF() * NUMBER_SIZE)
        font.setBold(True)
        self.number.setFont(font)
        self.per_area, self.per_mm2 = label(strong=True), label()
        self.interval, self.value = label(faint=True), label(faint=True)
        self.confirmed = Amount(self.tr("confirmed"), MARKS.mitosis)
        self.unreviewed = Amount(self.tr("by the model"), MARKS.candidate)
        self.unreviewed.setToolTip(
            self.tr("Called mitoses by the model, and not yet reviewed by anybody")
        )
        self.atypical = Amount(self.tr("atypical"), MARKS.atypical)
        self.category, self.rule = label(strong=True), label(faint=True)
        self.provisional = label()
        self.certainty = CountCertainty()
        self._lay_out()

    def _lay_out(self) -> None:
        beside = QVBoxLayout()
        beside.setSpacing(1)
        for widget in (self.per_area, self.per_mm2, self.interval, self.value):
            beside.addWidget(widget)
        numbers = QHBoxLayout()
        numbers.addWidget(self.number, 0, Qt.AlignmentFlag.AlignTop)
        numbers.addSpacing(6)
        numbers.addLayout(beside, 1)
        amounts = QHBoxLayout()
        for amount in (self.confirmed, self.unreviewed, self.atypical):
            amounts.addWidget(amount, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(numbers)
        column.addLayout(amounts)
        below: tuple[QWidget, ...] = (self.provisional, self.category, self.rule, self.certainty)
        for part in below:
            column.addWidget(part)

    def show_count(self, area: AreaView, count: CountView, *, analysed: bool = True) -> None:
        """Show a count, and where candidates were looked for, how sure it is."""
        tally, interval = count.tally, count.interval
        self.number.setText(str(tally.mitoses))
        self.per_area.setText(self.tr("in {0} mm²").format(f"{interval.area_mm2:.2f}"))
        self.per_mm2.setText(self.tr("{0} per mm²").format(f"{interval.per_mm2:.2f}"))
        ends = (f"{interval.low_per_mm2:.2f}", f"{interval.high_per_mm2:.2f}")
        self.interval.setText(self.tr("95 % interval {0} to {1}").format(*ends))
        # A count in another area than the planned one is never rescaled to the protocol's unit.
        own_unit = count.protocol.unit_mm2 not in (1.0, count.protocol.area_mm2)
        self.value.setText(f"{count.category.value:.3g} {count.category.unit}")
        self.value.setVisible(own_unit and not differs(area))
        self.confirmed.show_number(tally.confirmed)
        self.unreviewed.show_number(tally.unreviewed)
        self._show_provisional(tally.mitoses, tally.unreviewed)
        self.atypical.show_number(tally.atypical)
        self._show_category(count)
        self.certainty.show_count(count, analysed=analysed)

    def _show_provisional(self, mitoses: int, unreviewed: int) -> None:
        """What nobody looked at is not shown like a result."""
        if unreviewed:
            text = self.tr("Provisional: {0} of these rest on the model alone.").format(unreviewed)
        elif mitoses:
            text = self.tr("Each of these was looked at.")
        else:
            text = self.tr("No mitosis in the count area.")
        self.provisional.setText(text)
        self.number.setEnabled(unreviewed == 0)  # faint

    def _show_category(self, count: CountView) -> None:
        category, protocol = count.category, count.protocol
        self.category.setText(signs(category.category or ""))
        self.category.setVisible(category.category is not None)
        names = "; ".join(c.name for c in protocol.categories)
        parts = [category.reason] if category.reason else []
        if names:
            parts.append(self.tr("{0}: {1}").format(category.unit, names))
        self.rule.setText(signs("\n".join(parts)))


def differs(area: AreaView) -> bool:
    """Whether another area was counted than the protocol asks for."""
    return abs(area.counted_mm2 - area.planned_mm2) > AREA_TOLERANCE * area.planned_mm2
