"""What an adapting found: the comparison first, and only with it in view the offer to use it."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.adapting.request import AdaptReport, Task
from app.panels.adapt_texts import basis, difference, metric_names, number, outcome, refitted_text
from app.panels.count_parts import Note, label

#: The figure that decides what is said of the comparison, by task.
DECIDING: dict[Task, str] = {"mitosis": "f1", "atypical": "balanced_accuracy"}


class AdaptResult(QWidget):
    """Shows a report.

    Signals:
        use_requested: the adapter's folder: it becomes the classifier of the next analyses.
        reclassify_requested: no payload: classify the open slide's candidates anew with it.
    """

    use_requested = Signal(str)
    reclassify_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.report: AdaptReport | None = None
        self.good, self.doubtful = Note("good"), Note("warning")
        self.table = QGridLayout()
        self.table.setHorizontalSpacing(10)
        self.table.setVerticalSpacing(4)
        self.table.setColumnStretch(3, 1)
        self.refitted, self.basis = label(faint=True), label(faint=True)
        self.warnings = Note("warning")
        self.use_button = QPushButton(self.tr("Use this adapter"))
        self.use_button.clicked.connect(self._use)
        self.reclassify_button = QPushButton(self.tr("Classify the open slide anew"))
        self.reclassify_button.clicked.connect(self.reclassify_requested)
        self.used = label()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.good)
        column.addWidget(self.doubtful)
        column.addLayout(self.table)
        for widget in (self.refitted, self.basis, self.warnings, self.used):
            column.addWidget(widget)
        row = QHBoxLayout()
        row.addWidget(self.use_button)
        row.addWidget(self.reclassify_button)
        row.addStretch(1)
        column.addLayout(row)

    def show_report(self, report: AdaptReport | None, *, used: bool, can_reclassify: bool) -> None:
        """Show a report.

        Args:
            report: None hides everything.
            used: whether its adapter is the classifier of the next analyses already.
            can_reclassify: whether a finished analysis of the open slide could take it now.
        """
        self.setVisible(report is not None)
        if report is None:
            self.report = None
            return
        if report is not self.report:
            self.report = report
            self._fill(report)
        offered = report.task == "mitosis"
        self.use_button.setVisible(offered and not used)
        self.reclassify_button.setVisible(offered and used and can_reclassify)
        self.used.setText(self._used_text(report, used=used))
        self.used.setVisible(bool(self.used.text()))

    def _used_text(self, report: AdaptReport, *, used: bool) -> str:
        if report.task != "mitosis":
            return self.tr("It tells atypical from normal mitoses; analyses use Mitoscope's own.")
        return self.tr("Analyses use it from now on.") if used else ""

    def _fill(self, report: AdaptReport) -> None:
        current = report.current or self.tr("the shipped model")
        row = report.row(DECIDING[report.task])
        text, tone = outcome(row, current, report.held_out)
        self.good.show_text(text if tone == "good" else "")
        self.doubtful.show_text(text if tone != "good" else "")
        self._fill_table(report)
        self.refitted.setText(refitted_text(row, current))
        self.refitted.setVisible(bool(self.refitted.text()))
        self.basis.setText(basis(report))
        self.warnings.show_text("\n".join(report.warnings))

    def _fill_table(self, report: AdaptReport) -> None:
        while (item := self.table.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        heads = ("", self.tr("Shipped"), self.tr("New"), self.tr("Difference (95 %)"))
        for at, head in enumerate(heads):
            self._put(0, at, head, faint=True)
        names = metric_names()
        for line, row in enumerate(report.rows, start=1):
            name, meaning = names.get(row.metric, (row.metric, ""))
            cells = (
                name,
                number(row.shipped),
                number(row.new),
                difference(row.difference, row.low, row.high),
            )
            for at, text in enumerate(cells):
                self._put(line, at, text).setToolTip(meaning)

    def _put(self, row: int, column: int, text: str, *, faint: bool = False) -> QLabel:
        made = label(text, faint=faint)
        made.setWordWrap(column in (0, 3))
        self.table.addWidget(made, row, column)
        return made

    @Slot()
    def _use(self) -> None:
        if self.report is not None:
            self.use_requested.emit(self.report.folder)
