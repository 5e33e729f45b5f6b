"""A room whose desk keeps verdicts in memory: for tests of what only needs views that change."""

import threading
from dataclasses import replace

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.bridge import GuiBridge, WorkThread
from core.errors import StoreError
from core.reading.view import DELETED, IMPOSTER, NONE, VERDICTS


def asking(view):
    """The view with what asks for a verdict worked out."""
    figures = view.figures
    waiting = (figures.probability >= view.review_threshold) & (figures.verdict == NONE)
    return replace(view, figures=replace(figures, to_review=waiting))


def blind(view):
    """The same view in a blinded reading."""
    hidden = np.full(len(view.figures), np.nan, np.float32)
    return replace(view, blinded=True, figures=replace(view.figures, probability=hidden))


class FakeDesk:
    """What a Desk does with verdicts, in memory; `hold` keeps it from answering."""

    def __init__(self, view):
        self._view = view
        self._past, self._future = [], []
        self.given = []
        self.fields_done = 0
        self.refuse = False
        self.hold = threading.Event()
        self.hold.set()

    def view(self):
        return self._view

    def refresh(self):
        return self._view

    def give(self, keys, verdict, method="key"):
        self.hold.wait(5)
        if self.refuse:
            raise StoreError("The disk is full.")
        self.given.append((tuple(keys), verdict))
        return self._write(keys, VERDICTS.index(verdict))

    def clear(self, keys):
        return self._write(keys, NONE)

    def join(self, keys):
        return self._write(keys[1:], DELETED)

    def field_done(self):
        self.fields_done += 1
        figures = self._view.figures
        return self._write(figures.key[figures.verdict == NONE], IMPOSTER)

    def undo(self):
        self._future.append(self._view)
        self._view = self._past.pop()
        return self._view

    def redo(self):
        self._past.append(self._view)
        self._view = self._future.pop()
        return self._view

    def _write(self, keys, verdict):
        figures = self._view.figures
        values = figures.verdict.copy()
        values[np.isin(figures.key, list(keys))] = verdict
        self._past.append(self._view)
        waiting = figures.to_review & (values == NONE)
        changed = replace(figures, verdict=values, to_review=waiting)
        self._view = replace(self._view, figures=changed)
        return self._view


class FakeRoom(QObject):
    """As `app.room.Room`, with a fake desk."""

    slide_opened = Signal(object)
    slide_closing = Signal(object)
    view_changed = Signal(object)
    selection_changed = Signal(object)
    go_requested = Signal(object)
    failed = Signal(object)

    def __init__(self, view):
        super().__init__()
        self.bridge = GuiBridge()
        self.desk = FakeDesk(view)
        self.desk_thread = WorkThread("desk", self.bridge)
        self.opened, self.view, self.selection = None, view, ()
        self.went = []

    def ask(self, change, done=None):
        def answered(view):
            self.view = view
            self.view_changed.emit(view)
            if done is not None:
                done(view)

        self.desk_thread.submit(lambda: change(self.desk), answered, self.failed.emit)

    def select(self, keys, go=False):
        keys = tuple(keys)
        if keys != self.selection:
            self.selection = keys
            self.selection_changed.emit(keys)
        if go and keys:
            self.went.append(keys[0])

    def go_to(self, x0, y0, magnification=None):
        self.went.append((x0, y0, magnification))

    def shutdown(self):
        self.desk_thread.close()
