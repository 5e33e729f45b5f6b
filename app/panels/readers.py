"""The readers panel: who reads, who else did, and where they differ."""

from collections import deque
from functools import partial

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.panels.agreement import AgreementDialog
from app.panels.count_parts import label, line
from app.panels.disagreements import SETTLING, DisagreementList
from app.panels.reader_dialog import ReaderDialog
from app.panels.scrolled import fill_scrolled
from app.room import BACKGROUND, Room
from core.analysis.raters import MODEL
from core.reading.desk import Desk
from core.reading.view import DeskView, Disagreement, Verdict
from core.store import ReaderRecord

#: Where readers differ, and what they settled.
Differences = tuple[tuple[Disagreement, ...], tuple[Disagreement, ...]]


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
        self._pressed: deque[Verdict] = deque()
        self._settling: object = None  # names the verdict on its way to the disk
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
        self.disputed = DisagreementList(settles=True)
        self.settled = DisagreementList(settles=False)
        self.disputed.chosen.connect(self._go_to)
        self.settled.chosen.connect(self._go_to)
        self.disputed.settle_requested.connect(self._settle)
        self.verdicts = QWidget()
        row = QHBoxLayout(self.verdicts)
        row.setContentsMargins(0, 0, 0, 0)
        captions = (self.tr("Mitosis  M"), self.tr("Atypical  A"), self.tr("Imposter  X"))
        self.buttons: dict[Verdict, QPushButton] = {}
        for caption, verdict in zip(captions, SETTLING.values(), strict=True):
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
        self._asked_for = self._settling = None
        self._pressed.clear()
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
        self._room.inquire(differences, self._differences_known)

    def _differences_known(self, found: Differences) -> None:
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
        self._pressed.append(verdict)
        self._settle_next()

    def _settle_next(self) -> None:
        """Settle the current figure; what is pressed meanwhile waits, and means the one then."""
        if self._settling is not None or not self._pressed:
            return
        verdict, key = self._pressed.popleft(), self.disputed.current_key
        if key is None or self._room.selection[:1] != (key,):
            self._pressed.clear()
            self.disputed.look()  # nobody settles what was not looked at
            return
        ticket = self._settling = object()
        found: list[Differences] = []

        def act(desk: Desk) -> DeskView:
            view = desk.settle((key,), verdict)
            found.append(differences(desk))
            return view

        self._room.ask(
            self._room.bridge.or_else(act, partial(self._refused, ticket)),
            lambda _view: self._went_well(ticket, key, found[0]),
        )

    def _went_well(self, ticket: object, key: int, found: Differences) -> None:
        if ticket is not self._settling:
            return
        self._settling = None
        stayed = self.disputed.current_key == key and self._room.selection[:1] == (key,)
        self._differences_known(found)
        if stayed:
            self.disputed.look()
        self._settle_next()

    def _refused(self, ticket: object) -> None:
        # The room tells why. What was pressed in the belief that it would go well comes to nothing.
        if ticket is self._settling:
            self._settling = None
            self._pressed.clear()

    @Slot()
    def _settle_pressed(self) -> None:
        if self.disputed.current_key is None:
            self.disputed.setCurrentRow(0)  # look at it first
        else:
            self._settle(self.sender().property("verdict"))

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


def differences(desk: Desk) -> Differences:
    """Where readers differ and what they settled; runs on the desk thread."""
    return desk.disagreements(), desk.settled()
