"""The figures listed, in order: what the gallery shows and the keys walk through."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from app.panels.gallery_filter import (
    GalleryFilter,
    Rows,
    asked,
    in_scope,
    in_state,
    ordered,
    review_queue,
)
from core.reading.view import DeskView

#: So many of the next figures are read ahead, and of those that Tab would go to.
AHEAD = 8
AHEAD_IN_QUEUE = 3


class FigureList(QObject):
    """A slide's figures in the present order.

    The list is formed by the filter and then keeps still: a figure whose verdict no longer fits
    the filter stays where it is until the filter is set again, so that nothing moves under the
    reader's hand. Figures that come into its scope are put in, those that leave it go.

    Attributes:
        view: the newest view; None without a slide.
        filter: what is listed.
        keys: (M,) int64, keys in the order listed.
        rows: (M,) intp, their rows in `view.figures`.

    Signals:
        order_changed: other figures are listed, or in another order.
        states_changed: the same figures; some may have other verdicts.
    """

    order_changed = Signal()
    states_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.view: DeskView | None = None
        self.filter = GalleryFilter()
        self._clear()

    def _clear(self) -> None:
        self.keys: NDArray[np.int64] = np.empty(0, np.int64)
        self.rows: Rows = np.empty(0, np.intp)
        self._place: Rows = np.empty(0, np.intp)

    @Slot(object)
    def set_view(self, view: DeskView | None) -> None:
        """Take a newer view; forms the list anew only for another slide, run or reading."""
        old, self.view = self.view, view
        if view is None:
            self._clear()
            self.order_changed.emit()
        elif old is None or _reading(old) != _reading(view):
            self._start(view)
        else:
            self._follow(old, view)

    def set_filter(self, wanted: GalleryFilter) -> None:
        """List by a filter, or by the same one again without what no longer fits."""
        self.filter = wanted
        if self.view is not None:
            figures = self.view.figures
            self._list(in_scope(figures, wanted) & in_state(figures, wanted))

    def position(self, key: int) -> int | None:
        """Where a figure stands in the list; None where it is not listed."""
        row = None if self.view is None else self.view.figures.row(key)
        if row is None or self._place[row] < 0:
            return None
        return int(self._place[row])

    def rows_ahead(self, selection: Sequence[int], visible: range) -> Iterator[int]:
        """Rows of the figures whose crops are wanted, the most wanted first; some come twice.

        The current figure, the next ones, all that are visible, those that Tab would go to, and a
        screen after and before.

        Args:
            selection: keys, the current one first.
            visible: places on the screen.
        """
        view, rows = self.view, self.rows
        if view is None:
            return
        current = view.figures.row(selection[0]) if selection else None
        if current is not None:
            yield current
            place = self._place[current]
            if place >= 0:
                yield from rows[place + 1 : place + 1 + AHEAD].tolist()
        yield from rows[visible.start : visible.stop].tolist()
        yield from review_queue(view, first=AHEAD_IN_QUEUE).tolist()
        yield from rows[visible.stop : visible.stop + len(visible)].tolist()
        yield from rows[max(0, visible.start - len(visible)) : visible.start].tolist()

    def outdated(self) -> int:
        """How many are listed though their verdict no longer fits the filter."""
        if self.view is None or not self.filter.states:
            return 0
        return int(np.count_nonzero(~in_state(self.view.figures, self.filter)[self.rows]))

    def to_review(self) -> tuple[int, int]:
        """Of those listed: how many ask for a verdict, how many do or did."""
        if self.view is None:
            return 0, 0
        waiting = self.view.figures.to_review[self.rows]
        return int(np.count_nonzero(waiting)), int(np.count_nonzero(asked(self.view)[self.rows]))

    def _start(self, view: DeskView) -> None:
        if view.blinded:
            self.set_filter(replace(self.filter, threshold=np.nan, sort="place"))
        else:
            start = 0.0 if np.isnan(view.review_threshold) else view.review_threshold
            self.set_filter(replace(self.filter, threshold=start))

    def _follow(self, old: DeskView, view: DeskView) -> None:
        figures = view.figures
        at, there = self.rows, np.ones(len(self.rows), bool)
        same = figures.key is old.figures.key or np.array_equal(figures.key, old.figures.key)
        if not same:
            at = np.searchsorted(figures.key, self.keys).clip(0, max(0, len(figures) - 1))
            there = figures.key[at] == self.keys if len(figures) else np.zeros(len(at), bool)
        listed = np.zeros(len(figures), bool)
        listed[at[there]] = True
        wanted = in_scope(figures, self.filter) & (in_state(figures, self.filter) | listed)
        if there.all() and np.array_equal(wanted, listed):
            if not same:
                self._index(at)
            self.states_changed.emit()
        else:
            self._list(wanted)

    def _list(self, mask: NDArray[np.bool_]) -> None:
        view = self.view
        assert view is not None
        rows = ordered(
            view.figures,
            np.flatnonzero(mask),
            self.filter.sort,
            count_threshold=view.count_threshold,
            mpp=view.mpp,
        )
        self._index(rows)
        self.keys = view.figures.key[rows]
        self.order_changed.emit()

    def _index(self, rows: Rows) -> None:
        assert self.view is not None
        self.rows = rows
        self._place = np.full(len(self.view.figures), -1, np.intp)
        self._place[rows] = np.arange(len(rows))


def _reading(view: DeskView) -> tuple[object, ...]:
    run_id = None if view.run is None else view.run.id
    return view.slide_id, view.reader.id, view.blinded, run_id
