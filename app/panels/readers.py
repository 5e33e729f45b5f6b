"""The readers panel: who reads, who else did, and where they differ."""

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.panels.agreement import AgreementDialog
from app.panels.count_parts import FitList, label, line
from app.panels.reader_dialog import ReaderDialog
from app.panels.scrolled import fill_scrolled
from app.room import BACKGROUND, Room
from core.analysis.raters import MODEL
from core.reading.view import DeskView, Disagreement, Verdict
from core.store import ReaderRecord

_SETTLING: dict[int, Verdict] = {
    Qt.Key.Key_M: "mitosis",
    Qt.Key.Key_A: "atypical",
    Qt.Key.Key_X: "imposter",
}


class ReadersPanel(QWidget):
    """Shows who reads the open slide, and settles what readers differ on.

    Signals:
        reader_chosen: name of the reader who sits down; the room knows already.
        reader_confirmed: no payload: the reader said who they are.
    """

    reader_chosen = Signal(str)
    reader_confirmed = Signal()

    def __init__(self, room: Room, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._room = room
        self._names: dict[int, str] = {}
        self._asked_for: object = None
        self._make()
        self._lay_out()
        room.view_changed.connect(self._show_view)
        room.slide_opened.connect(self._load_names)
        room.slide_closing.connect(self._show_nothing)
        room.failed.connect(self._renew)
        self._renew()
        self._load_names()

    # The parts.

    def _make(self) -> None:
        self.reader = label(strong=True)
        font = self.reader.font()
        font.setPointSizeF(font.pointSizeF() * 1.35)
        self.reader.setFont(font)
        self.switch = QPushButton(self.tr("Switch…"))
        self.switch.clicked.connect(self.choose_reader)
        self.blinded = QCheckBox(self.tr("Blinded second reading"))
        self.blinded.clicked.connect(self._blinded_clicked)
        hint = self.tr(
            "Candidates by place, without scores. What others said and placed, and where they "
            "counted, is hidden."
        )
        self.blinded.setToolTip(hint)
        self.blinded_hint = label(hint, faint=True)
        self.others_title = label(self.tr("Other readers"), strong=True)
        self.others = label()
        self.agreement = QPushButton(self.tr("Agreement…"))
        self.agreement.clicked.connect(self.show_agreement)
        self.disputed_title, self.settled_title = label(strong=True), label(strong=True)
        self.disputed, self.settled = FigureList(settles=True), FigureList(settles=False)
        self.disputed.chosen.connect(self._go_to)
        self.settled.chosen.connect(self._go_to)
        self.disputed.settle_requested.connect(self._settle)
        self.verdicts = QWidget()
        row = QHBoxLayout(self.verdicts)
        row.setContentsMargins(0, 0, 0, 0)
        captions = (self.tr("Mitosis  M"), self.tr("Atypical  A"), self.tr("Imposter  X"))
        self.buttons: dict[Verdict, QPushButton] = {}
        for caption, verdict in zip(captions, _SETTLING.values(), strict=True):
            button = self.buttons[verdict] = QPushButton(caption)
            button.setStyleSheet("padding-left: 4px; padding-right: 4px;")
            button.setProperty("verdict", verdict)
            button.clicked.connect(self._settle_pressed)
            row.addWidget(button)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.reader, 1)
        top.addWidget(self.switch)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 8, 10, 10)
        column.setSpacing(8)
        column.addLayout(top)
        column.addWidget(self.blinded)
        column.addWidget(self.blinded_hint)
        self.others_line = line()
        for widget in (self.others_line, self.others_title, self.others):
            column.addWidget(widget)
        column.addWidget(self.agreement, 0, Qt.AlignmentFlag.AlignLeft)
        for widget in (self.disputed_title, self.disputed, self.verdicts):
            column.addWidget(widget)
        for widget in (self.settled_title, self.settled):
            column.addWidget(widget)
        column.addStretch(1)
        fill_scrolled(self, inner)

    # What is shown.

    @Slot()
    def _renew(self) -> None:
        if self._room.view is None:
            self._show_nothing()
        else:
            self._show_view(self._room.view)

    @Slot()
    def _show_nothing(self) -> None:
        self._asked_for = None
        self.reader.setText(self._room.reader_name)
        self.blinded.setChecked(self._room.blinded)
        self.blinded_hint.setVisible(self._room.blinded)
        for widget in (self.others_line, self.others_title, self.others, self.agreement):
            widget.hide()
        self._show_figures((), ())

    @Slot(object)
    def _show_view(self, view: DeskView) -> None:
        self.reader.setText(view.reader.name)
        self.blinded.setChecked(view.blinded)
        self.blinded_hint.setVisible(view.blinded)
        for widget in (self.others_line, self.others_title, self.others):
            widget.show()
        self._show_others(view)
        if any(reader_id not in self._names for reader_id in view.others):
            self._load_names()
        self._ask_where_they_differ(view)

    def _show_others(self, view: DeskView) -> None:
        if view.blinded:
            text = self.tr("Hidden while you read blinded.")
        elif not view.others:
            text = self.tr("Nobody else has given verdicts on this slide.")
        else:
            known = {self._names.get(i, f"#{i}"): n for i, n in view.others.items()}
            rows = [self.tr("{0}: {1} figures").format(name, n) for name, n in known.items()]
            text = "\n".join(rows)
        self.others.setText(text)
        # With the model there are two raters as soon as one reader has said something.
        self.agreement.setVisible(not view.blinded and (bool(view.others) or view.run is not None))

    def _ask_where_they_differ(self, view: DeskView) -> None:
        """Ask the desk anew where that may have changed since it was asked last."""
        figures = view.figures
        columns = (figures.key, figures.verdict, figures.disputed) if view.others else ()
        said = tuple(column.tobytes() for column in columns)
        about = (view.slide_id, view.reader.id, view.blinded, dict(view.others), said)
        if about == self._asked_for:
            return
        self._asked_for = about
        if view.blinded or not view.others:
            self._show_figures((), ())
            return
        self._room.inquire(
            lambda desk: (desk.disagreements(), desk.settled()), self._differences_known
        )

    def _differences_known(
        self, found: tuple[tuple[Disagreement, ...], tuple[Disagreement, ...]]
    ) -> None:
        view = self._room.view
        if view is not None and not view.blinded:
            self._show_figures(*found)

    def _show_figures(
        self, disputed: tuple[Disagreement, ...], settled: tuple[Disagreement, ...]
    ) -> None:
        self.disputed_title.setText(self.tr("Disagreements: {0}").format(len(disputed)))
        self.settled_title.setText(self.tr("Settled: {0}").format(len(settled)))
        for figures, widgets in (
            (disputed, (self.disputed_title, self.disputed, self.verdicts)),
            (settled, (self.settled_title, self.settled)),
        ):
            for widget in widgets:
                widget.setVisible(bool(figures))
        self.disputed.show_figures(disputed)
        self.settled.show_figures(settled)

    # What the reader asks for.

    @Slot()
    def _load_names(self) -> None:
        self._room.desk_thread.submit(
            self._room.store.readers, self._names_known, priority=BACKGROUND
        )

    def _names_known(self, readers: list[ReaderRecord]) -> None:
        self._names = {reader.id: reader.name for reader in readers}
        if self._room.view is not None:
            self._show_others(self._room.view)

    @Slot()
    def show_agreement(self) -> None:
        """Compare the readers of the open slide, and the model."""
        view = self._room.view
        if view is None or view.blinded:
            return
        others = [self._names.get(reader_id, "") for reader_id in view.others]
        raters = [view.reader.name, *filter(None, others)]
        if view.run is not None:
            raters.append(MODEL)
        AgreementDialog(self._room, tuple(raters), self).open()

    @Slot(int)
    def _go_to(self, key: int) -> None:
        self._room.select((key,), go=True)

    @Slot(str)
    def _settle(self, verdict: Verdict) -> None:
        key = self.disputed.current_key
        if key is not None:
            self._room.ask(lambda desk: desk.settle((key,), verdict))

    @Slot()
    def _settle_pressed(self) -> None:
        if self.disputed.current_key is None:
            self.disputed.setCurrentRow(0)  # look at it first
        else:
            self.disputed.settle(self.sender().property("verdict"))

    @Slot(bool)
    def _blinded_clicked(self, blinded: bool) -> None:
        self._room.set_reader(self._room.reader_name, blinded)

    @Slot()
    def choose_reader(self) -> None:
        """Ask who reads; names known to the store are offered."""
        self._ask_reader(self.tr("Who reads?"), "")

    @Slot()
    def confirm_reader(self) -> None:
        """Ask whether the reader is still the same, after idle time."""
        name = self._room.reader_name
        question = self.tr("Nobody read for a while. Is it still {0}?").format(name)
        self._ask_reader(question, name)

    def _ask_reader(self, question: str, name: str) -> None:
        dialog = ReaderDialog(question, name, sorted(self._names.values()), self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.chosen.connect(self._reader_answered)
        dialog.open()

    @Slot(str)
    def _reader_answered(self, name: str) -> None:
        if name != self._room.reader_name:
            self._room.set_reader(name, self._room.blinded)
            self.reader.setText(name)
            self.reader_chosen.emit(name)
        self.reader_confirmed.emit()


class FigureList(FitList):
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
        self._moves_on = False
        self.currentRowChanged.connect(self._choose)
        self.itemClicked.connect(self._clicked)

    @property
    def current_key(self) -> int | None:
        """The figure of the current row."""
        row = self.currentRow()
        return self._shown[row].key if 0 <= row < len(self._shown) else None

    def show_figures(self, figures: tuple[Disagreement, ...]) -> None:
        """Show other figures; the current row stays where it was, for the next to settle."""
        if figures == self._shown:
            return
        row = self.currentRow()
        blocked = self.blockSignals(True)
        self._shown = figures
        self.clear()
        for figure in figures:
            self.add_row(self._text(figure), 2 if figure.consensus else 1)
        self.setCurrentRow(min(row, len(figures) - 1))
        self.blockSignals(blocked)
        self.updateGeometry()
        if self._moves_on:
            self._moves_on = False
            self._choose(self.currentRow())

    def settle(self, verdict: Verdict) -> None:
        """Ask to settle the current figure; then the next one is gone to."""
        if self.current_key is not None:
            self._moves_on = True
            self.settle_requested.emit(verdict)

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
            self.settle(verdict)

    def _verdict(self, event: QKeyEvent) -> Verdict | None:
        plain = event.modifiers() == Qt.KeyboardModifier.NoModifier and not event.isAutoRepeat()
        return _SETTLING.get(event.key()) if self._settles and plain else None

    @Slot(int)
    def _choose(self, row: int) -> None:
        if 0 <= row < len(self._shown):
            self.chosen.emit(self._shown[row].key)

    @Slot(QListWidgetItem)
    def _clicked(self, item: QListWidgetItem) -> None:
        self._choose(self.row(item))
