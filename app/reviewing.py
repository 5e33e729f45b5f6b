"""Review by keys: what each key does to the figures selected, and where it goes then.

Keys are taken one after another. A verdict is on disk before the next figure is shown; what is
pressed meanwhile waits for that and then means the figure that is shown by then.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QMessageBox, QWidget

from app.actions import BY_ID
from app.panels.gallery_filter import review_queue
from app.panels.gallery_model import FigureList
from app.room import Room
from app.shortcuts import WindowActions
from core.reading.desk import Desk
from core.reading.view import DeskView, Figures, Verdict

#: A key that would change more figures than this asks first; few slips reach so far on purpose.
ASK_ABOVE = 20


class Reviewer(QObject):
    """What the review keys do, from the viewer and the gallery alike; lives in the GUI thread.

    Args:
        room: whose selection and desk.
        listing: the order in which to go on.

    Attributes:
        in_sight: whether the reader sees the figure of a key, in the viewer or as a crop.

    Signals:
        noted: a short sentence for the status bar.
        went_well: what a key asked for is on disk.
    """

    noted = Signal(str)
    went_well = Signal()

    def __init__(self, room: Room, listing: FigureList, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._room = room
        self.in_sight: Callable[[int], bool] = _always
        self._listing = listing
        self._waiting: deque[Callable[[], None]] = deque()
        self._busy = False
        self._ticket = 0
        room.slide_closing.connect(self._forget)

    def connect_to(self, actions: WindowActions) -> None:
        """Let the window's actions do this."""
        for id_, slot in (
            ("verdict.mitosis", self.mitosis),
            ("verdict.atypical", self.atypical),
            ("verdict.imposter", self.imposter),
            ("verdict.unsure", self.unsure),
            ("verdict.clear", self.clear),
            ("figure.join", self.join),
            ("field.done", self.field_done),
            ("edit.undo", self.undo),
            ("edit.redo", self.redo),
            ("nav.next", self.next),
            ("nav.previous", self.previous),
            ("nav.next_unreviewed", self.next_unreviewed),
            ("gallery.next", self.next),
            ("gallery.previous", self.previous),
            ("gallery.select_all", self.select_all),
        ):
            actions[id_].triggered.connect(slot)

    @property
    def busy(self) -> bool:
        """Whether something is on its way to the disk."""
        return self._busy

    @Slot()
    def mitosis(self) -> None:
        """Call the figures selected mitoses and go on."""
        self._do(partial(self._give, "mitosis"))

    @Slot()
    def atypical(self) -> None:
        """Call the figures selected atypical mitoses and go on."""
        self._do(partial(self._give, "atypical"))

    @Slot()
    def imposter(self) -> None:
        """Call the figures selected imposters and go on."""
        self._do(partial(self._give, "imposter"))

    @Slot()
    def unsure(self) -> None:
        """Leave the figures selected open and go on."""
        self._do(partial(self._give, "unsure"))

    @Slot()
    def clear(self) -> None:
        """Take the verdicts off the figures selected, and stay."""
        self._do(self._clear)

    @Slot()
    def join(self) -> None:
        """Count the figures selected as one: the current one."""
        self._do(self._join)

    @Slot()
    def undo(self) -> None:
        """Take the newest act back and go to where it was."""
        self._do(partial(self._turn_back, lambda desk: desk.undo()))

    @Slot()
    def redo(self) -> None:
        """Bring back what was undone last and go to where it is."""
        self._do(partial(self._turn_back, lambda desk: desk.redo()))

    @Slot()
    def next(self) -> None:
        """Go to the next figure listed."""
        self._do(partial(self._step, 1))

    @Slot()
    def previous(self) -> None:
        """Go to the previous figure listed."""
        self._do(partial(self._step, -1))

    @Slot()
    def next_unreviewed(self) -> None:
        """Go to the next figure that needs a verdict and has none, listed or not."""
        self._do(self._next_unreviewed)

    @Slot()
    def field_done(self) -> None:
        """Go to what the field still needs; once that is nothing, call its rest imposters."""
        self._do(self._field_done)

    @Slot()
    def select_all(self) -> None:
        """Select all that is listed."""
        self._do(self._select_all)

    def _do(self, command: Callable[[], None]) -> None:
        if self._room.view is not None:
            self._waiting.append(command)
            self._go_on()

    def _go_on(self) -> None:
        while self._waiting and not self._busy:
            self._waiting.popleft()()

    def _ask(self, change: Callable[[Desk], DeskView], done: Callable[[DeskView], None]) -> None:
        """Have the desk do something; keys wait until it is done or refused."""
        self._busy = True
        ticket = self._ticket
        act = self._room.bridge.or_else(change, partial(self._refused, ticket))
        self._room.ask(act, partial(self._answered, ticket, done))

    def _compare(
        self, change: Callable[[Desk], DeskView], done: Callable[[tuple[int, ...]], None]
    ) -> None:
        """As `_ask`; `done` gets the keys of the figures that the change made others."""
        before: list[Figures] = []

        def act(desk: Desk) -> DeskView:
            # What other windows and a run wrote since the last view is none of the change's doing.
            before.append(desk.refresh().figures)
            return change(desk)

        self._ask(act, lambda after: done(changed_keys(before[0], after.figures)))

    def _answered(self, ticket: int, done: Callable[[DeskView], None], view: DeskView) -> None:
        if ticket == self._ticket:
            self._busy = False
            self.went_well.emit()
            done(view)
            self._go_on()

    def _refused(self, ticket: int) -> None:
        # The room tells why. Keys pressed in the belief that it would go well are not carried out.
        if ticket == self._ticket:
            self._busy = False
            self._waiting.clear()

    @Slot(object)
    def _forget(self, closing: object) -> None:
        self._ticket += 1
        self._busy = False
        self._waiting.clear()

    def _lost(self, keys: Sequence[int]) -> bool:
        """Whether the figures are out of sight; shows them then.

        Who moved the slide on and presses a key means what lies there, not what was selected.
        """
        if not keys or self.in_sight(keys[0]):
            return False
        self._select(keys)
        self.noted.emit(self.tr("The figure selected was out of sight: here it is, press again."))
        return True

    def _give(self, verdict: Verdict) -> None:
        keys = self._room.selection
        if self._lost(keys):
            self._waiting.clear()
        elif keys:
            give = partial(
                self._ask, lambda desk: desk.give(keys, verdict), partial(self._advance, keys)
            )
            name = BY_ID[f"verdict.{verdict}"].title()
            question = self.tr("{0}: give {1} figures this verdict?")
            self._sure(question.format(name, len(keys)), keys, give)
        else:
            self.noted.emit(self.tr("No figure is selected."))

    def _advance(self, keys: Sequence[int], view: DeskView) -> None:
        """Go on from `keys`, unless the reader went elsewhere meanwhile."""
        if self._room.selection != tuple(keys):
            return
        places = [place for key in keys if (place := self._listing.position(key)) is not None]
        if places and max(places) + 1 < len(self._listing.keys):
            self._show(max(places) + 1)
        elif places:
            self.noted.emit(self.tr("That was the last figure listed."))

    def _clear(self) -> None:
        keys = self._room.selection
        if self._lost(keys):
            self._waiting.clear()
        elif keys:
            clear = partial(self._ask, lambda desk: desk.clear(keys), _stay)
            self._sure(self.tr("Take the verdicts off {0} figures?").format(len(keys)), keys, clear)

    def _join(self) -> None:
        keys = self._room.selection
        if len(keys) < 2:
            self.noted.emit(self.tr("Select two or more figures to join them."))
        elif self._lost(keys):
            self._waiting.clear()
        else:
            join = partial(
                self._ask, lambda desk: desk.join(keys), lambda view: self._select(keys[:1])
            )
            self._sure(self.tr("Join {0} figures as one?").format(len(keys)), keys, join)

    def _sure(self, question: str, keys: Sequence[int], act: Callable[[], None]) -> None:
        """Do something to figures; where there are many, only once the reader said so."""
        if len(keys) <= ASK_ABOVE:
            act()
            return
        parent = self.parent()
        box = QMessageBox(
            QMessageBox.Icon.Question,
            "Mitoscope",
            question,
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel,
            parent if isinstance(parent, QWidget) else None,
        )
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        box.finished.connect(partial(self._said, self._ticket, box, act))
        self._busy = True
        box.open()

    def _said(self, ticket: int, box: QMessageBox, act: Callable[[], None], answer: int) -> None:
        box.deleteLater()
        if ticket != self._ticket:
            return
        self._busy = False
        if answer == QMessageBox.StandardButton.Yes:
            act()
        else:
            self._waiting.clear()
        self._go_on()

    def _turn_back(self, turn: Callable[[Desk], DeskView]) -> None:
        def show(keys: tuple[int, ...]) -> None:
            # A field that is undone must not lie under the next key as a whole.
            self._select(keys if len(keys) <= ASK_ABOVE else keys[:1])
            if len(keys) > 1:
                self.noted.emit(self.tr("{0} verdicts changed.").format(len(keys)))

        self._compare(turn, show)

    def _step(self, by: int) -> None:
        count = len(self._listing.keys)
        if not count:
            self.noted.emit(self.tr("No figure is listed."))
            return
        selected = self._room.selection
        places = [place for key in selected if (place := self._listing.position(key)) is not None]
        if not places:
            self._show(0)
            return
        place = (max(places) if by > 0 else min(places)) + by
        if 0 <= place < count:
            self._show(place)
        elif len(selected) > 1:
            self._show(place - by)
        else:
            self.noted.emit(
                self.tr("That was the last figure listed.")
                if by > 0
                else self.tr("That is the first figure listed.")
            )

    def _next_unreviewed(self) -> None:
        view = self._room.view
        assert view is not None
        queue = view.figures.key[review_queue(view)]
        if not len(queue):
            self.noted.emit(self.tr("Every figure above the review threshold has a verdict."))
            return
        current = self._room.selection[:1]
        found = np.flatnonzero(queue == current[0]) if current else np.empty(0, np.intp)
        at = int(found[0]) + 1 if len(found) else 0
        self._select((int(queue[at % len(queue)]),))

    def _field_done(self) -> None:
        view = self._room.view
        assert view is not None
        queue = review_queue(view, in_area=view.area is not None)
        if len(queue):
            self._select((int(view.figures.key[queue[0]]),))
            self.noted.emit(self.tr("Still to review in this field: {0}.").format(len(queue)))
        else:
            self._compare(lambda desk: desk.field_done(), self._tell_field)

    def _tell_field(self, keys: tuple[int, ...]) -> None:
        said = self.tr("The field is done: {0} more called imposters.")
        self.noted.emit(said.format(len(keys)))

    def _select_all(self) -> None:
        keys = [int(key) for key in self._listing.keys]
        current = self._room.selection[:1]
        self._room.select((*current, *(key for key in keys if key not in current)))

    def _show(self, place: int) -> None:
        self._select((int(self._listing.keys[place]),))

    def _select(self, keys: Sequence[int]) -> None:
        if keys:
            self._room.select(tuple(keys), go=True)


def changed_keys(before: Figures, after: Figures) -> tuple[int, ...]:
    """Keys of figures that came, or whose verdict is another, in the order of the slide."""
    if np.array_equal(before.key, after.key):
        return tuple(map(int, after.key[before.verdict != after.verdict]))
    known = np.isin(after.key, before.key, assume_unique=True)
    at = np.searchsorted(before.key, after.key).clip(0, max(0, len(before) - 1))
    same = known & (before.verdict[at] == after.verdict) if len(before) else known
    return tuple(map(int, after.key[~same]))


def _always(key: int) -> bool:
    return True


def _stay(view: DeskView) -> None:
    """Go nowhere."""
