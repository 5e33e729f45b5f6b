"""The slides of the open slide's case, those with most mitoses first."""

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QListWidgetItem, QVBoxLayout, QWidget

from app.listing import ListedCase
from app.panels.count_parts import FitList, label
from app.room import OpenedSlide, Room
from core.counting.protocols import get_protocol
from core.reading.cases import CaseSpot, ranked, slide_spot
from core.reading.view import DeskView


class CaseSlides(QWidget):
    """Ranks the case's slides by their best places; a click opens one.

    The other slides are read from the store once, when a slide is opened or the reader, the rule
    or the case changes; the open slide's number follows every verdict.
    """

    def __init__(self, room: Room, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._room = room
        self._about: object = None
        self._others: tuple[CaseSpot, ...] = ()
        self._read: frozenset[int] | None = None  # ids of the case's slides when it was read
        self._listed: tuple[int, int | None, frozenset[int]] | None = None
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

    @Slot(object)
    def show_cases(self, cases: tuple[ListedCase, ...]) -> None:
        """Follow the list of slides: another case of the open one, or other slides in its case."""
        opened, view = self._room.opened, self._room.view
        if opened is None or view is None:
            self._listed = None
            return
        listed = (opened.slide_id, *_case_of(opened.slide_id, cases))
        if listed == self._listed:
            return
        self._listed = listed
        if self._read not in (None, listed[2]):
            self._about = None
        self.show_view(view)

    def show_view(self, view: DeskView) -> None:
        """Follow the open slide; other slides are asked for if need be."""
        opened = self._room.opened
        case_id = None if opened is None else self._case_id(opened)
        if opened is None or case_id is None or view.count is None:
            self._about = self._read = None
            self._show(())
            return
        about = (view.slide_id, case_id, view.reader.id, view.blinded, view.count.protocol.id)
        if about != self._about:
            self._about, self._others, self._read = about, (), None
            self._ask(about)
        count = view.count
        mitoses = count.tally.mitoses
        if count.signed is None and count.spots:
            mitoses = max(mitoses, count.spots[0].mitoses)
        own = CaseSpot(opened.stored, mitoses, signed=count.signed is not None)
        self._show(ranked((own, *self._others)))

    def _case_id(self, opened: OpenedSlide) -> int | None:
        """The case by the newest list of slides, or from when the slide was opened."""
        if self._listed is not None and self._listed[0] == opened.slide_id:
            return self._listed[1]
        return opened.stored.case_id

    def _ask(self, about: tuple[int, int, int, bool, str]) -> None:
        store = self._room.store
        slide_id, case_id, reader_id, blinded, protocol_id = about

        def read() -> tuple[frozenset[int], tuple[CaseSpot, ...]]:
            protocol = get_protocol(protocol_id)
            slides = store.case_slides(case_id)
            others = [one for one in slides if one.id != slide_id]
            return frozenset(one.id for one in slides), ranked(
                slide_spot(store, one, protocol, reader_id, blinded=blinded) for one in others
            )

        def known(found: tuple[frozenset[int], tuple[CaseSpot, ...]]) -> None:
            if about == self._about and self._room.view is not None:
                self._read, self._others = found
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


def _case_of(slide_id: int, cases: tuple[ListedCase, ...]) -> tuple[int | None, frozenset[int]]:
    """The case of a slide, and the ids of all slides in it."""
    for case in cases:
        ids = frozenset(one.state.slide.id for one in case.slides)
        if slide_id in ids:
            return case.case_id, ids
    return None, frozenset()  # its case was deleted
