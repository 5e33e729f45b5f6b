"""The slides of the open slide's case, those with most mitoses first."""

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QListWidgetItem, QVBoxLayout, QWidget

from app.panels.count_parts import FitList, label
from app.room import Room
from core.counting.protocols import get_protocol
from core.reading.cases import CaseSpot, ranked, slide_spot
from core.reading.view import DeskView


class CaseSlides(QWidget):
    """Ranks the case's slides by their best places; a click opens one.

    The other slides are read from the store once, when a slide is opened or the reader or the rule
    changes; the open slide's number follows every verdict.
    """

    def __init__(self, room: Room, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._room = room
        self._about: object = None
        self._others: tuple[CaseSpot, ...] = ()
        self._shown: tuple[CaseSpot, ...] = ()
        self.list = FitList()
        self.list.itemClicked.connect(self._open)
        self.list.itemActivated.connect(self._open)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(label(self.tr("Slides of this case"), strong=True))
        column.addWidget(self.list)
        self.hide()

    @property
    def spots(self) -> tuple[CaseSpot, ...]:
        """What is shown, best first."""
        return self._shown

    def show_view(self, view: DeskView) -> None:
        """Follow the open slide; other slides are asked for if need be."""
        opened = self._room.opened
        case_id = None if opened is None else opened.stored.case_id
        if opened is None or case_id is None or view.count is None:
            self._about = None
            self.hide()
            return
        about = (view.slide_id, case_id, view.reader.id, view.blinded, view.count.protocol.id)
        if about != self._about:
            self._about, self._others = about, ()
            self._ask(about)
        count = view.count
        mitoses = count.tally.mitoses
        if count.signed is None and count.spots:
            mitoses = max(mitoses, count.spots[0].mitoses)
        own = CaseSpot(opened.stored, mitoses, signed=count.signed is not None)
        self._show(ranked((own, *self._others)))

    def _ask(self, about: tuple[int, int, int, bool, str]) -> None:
        store = self._room.store
        slide_id, case_id, reader_id, blinded, protocol_id = about

        def read() -> tuple[CaseSpot, ...]:
            protocol = get_protocol(protocol_id)
            others = [one for one in store.case_slides(case_id) if one.id != slide_id]
            return ranked(
                slide_spot(store, one, protocol, reader_id, blinded=blinded) for one in others
            )

        def known(others: tuple[CaseSpot, ...]) -> None:
            if about == self._about and self._room.view is not None:
                self._others = others
                self.show_view(self._room.view)

        self._room.io.submit(read, known)

    def _show(self, spots: tuple[CaseSpot, ...]) -> None:
        self.setVisible(len(spots) > 1)
        if spots == self._shown:
            return
        self._shown = spots
        self.list.clear()
        for spot in spots:
            name = self._room.shown_name(spot.slide)
            number = self.tr("{0}, signed") if spot.signed else self.tr("up to {0}")
            self.list.add_row(f"{number.format(spot.mitoses)}   –   {name}")
        self.list.updateGeometry()

    @Slot(QListWidgetItem)
    def _open(self, item: QListWidgetItem) -> None:
        slide = self._shown[self.list.row(item)].slide
        if self._room.opened is not None and slide.id != self._room.opened.slide_id:
            self._room.open(Path(slide.path))
