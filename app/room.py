"""The reading room: the state that all panels share, and the only way in which they change it.

It lives in the GUI thread and does no work there: slides are opened on the `io` thread, everything
that touches the store goes to the `desk` thread, and answers come back as frozen views. An answer
that belongs to a slide which is no longer open is dropped.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.bridge import GuiBridge, WorkThread
from app.listing import load_listing, neighbour, shown_name
from app.opening import OpenedSlide, Place0, Ready, prepare, reader_id, use_mpp
from app.stopping import drain
from app.tissue_finder import TissueFinder
from core.counting.protocols import DEFAULT_PROTOCOL
from core.errors import UserError
from core.geometry import Mpp
from core.reading.desk import Desk
from core.reading.view import DeskView
from core.slides.reader import Backend, Slide, open_slide
from core.slides.tissue import Tissue
from core.store import Store, StoredSlide
from core.store.desk_records import ViewedArea, ViewState

__all__ = ["BACKGROUND", "LAST", "LAST_WRITES_S", "OpenedSlide", "Place0", "Room"]

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Candidates of a running run are taken over at most this often.
REFRESH_MS = 500
#: Hot spots are searched anew once no key came for so long: the search would hold the next one.
QUIET_MS = 250
#: A verdict that was pressed is written, however slow the disk, before the program gives up on it.
LAST_WRITES_S = 5.0
#: Priorities: what closing waits for goes before LAST, what it drops after.
LAST = 1000
BACKGROUND = 2000


class Room(QObject):
    """What is open, what is selected, and the desk behind it.

    Signals:
        slide_opened: an `OpenedSlide`; its first `view_changed` follows.
        slide_closing: the `OpenedSlide` about to go: let go of its `slide` before returning.
        view_changed: a `DeskView`.
        selection_changed: tuple of figure keys, the current one first.
        go_requested: a `Place0`.
        tissue_found: the `Tissue` of the open slide.
        reader_leaving: another reader is about to sit down; no payload.
        name_changed: the open slide's alias or file name.
        opening: the name of the file that is being opened; empty when that has ended.
        failed: a `UserError` to show in plain words.
    """

    slide_opened = Signal(object)
    slide_closing = Signal(object)
    view_changed = Signal(object)
    selection_changed = Signal(object)
    go_requested = Signal(object)
    tissue_found = Signal(object)
    reader_leaving = Signal()
    name_changed = Signal(str)
    opening = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        store: Store,
        bridge: GuiBridge,
        reader: str,
        *,
        backend: Backend = "auto",
        protocol_id: str = DEFAULT_PROTOCOL,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.store = store
        self.bridge = bridge
        self.io = WorkThread("io", bridge)
        self.desk_thread = WorkThread("desk", bridge)
        self._tissue_finder = TissueFinder(bridge)
        self.opened: OpenedSlide | None = None
        self.view: DeskView | None = None
        self.tissue: Tissue | None = None
        self.selection: tuple[int, ...] = ()
        self.reader_name = reader
        self.blinded = False
        self.hide_names = False
        self.protocol_id = protocol_id
        self.backend: Backend = backend
        self._desk: Desk | None = None  # only handed on here; used on the desk thread
        self._token = 0
        self._refresh = QTimer(self, singleShot=True, interval=REFRESH_MS)
        self._refresh.timeout.connect(self._refresh_now)
        self._quiet = QTimer(self, singleShot=True, interval=QUIET_MS)
        self._quiet.timeout.connect(self._settle)

    # Opening and closing.

    def open(self, path: Path, mpp: float | None = None) -> None:
        """Open a slide; the one that is open stays until the new one is there.

        Asked for anew, the slide that is open stays, and no other one comes any more.

        Args:
            path: of the slide.
            mpp: µm per level-0 pixel that the reader gives.
        """
        token = self._next_token()
        if mpp is None and self.opened is not None and self.opened.slide.path == path:
            self.opening.emit("")  # whatever else was being opened, its answer comes to nothing
            return
        backend = self.backend
        self.opening.emit("" if self.hide_names else path.name)
        self.io.submit(
            lambda: open_slide(path, backend=backend),
            lambda slide: self._make_desk(token, slide, mpp),
            lambda error: self._not_opened(token, error),
            priority=-1,
        )

    def open_next(self, step: int) -> None:
        """Open the next (1) or previous (-1) slide in the order of the cases."""
        store, reader = self.store, self.reader_name
        here = None if self.opened is None else self.opened.slide_id

        def found(stored: StoredSlide | None) -> None:
            if stored is not None:
                self.open(Path(stored.path))

        self.io.submit(
            lambda: neighbour(load_listing(store, reader), here, step), found, self.failed.emit
        )

    def close_slide(self) -> None:
        """Close the slide in order: readers let go first, then the file is closed."""
        self._next_token()
        self.opening.emit("")
        self._leave()

    def _next_token(self) -> int:
        self._token += 1
        return self._token

    def _make_desk(self, token: int, slide: Slide, mpp: float | None) -> None:
        if token != self._token:
            self._tissue_finder.close(slide)
            return
        reader, blinded, protocol_id = self.reader_name, self.blinded, self.protocol_id

        def work() -> Ready:
            try:
                return prepare(
                    self.store, slide, reader, blinded=blinded, protocol_id=protocol_id, mpp=mpp
                )
            except BaseException:
                slide.close()
                raise

        self.desk_thread.submit(
            work,
            lambda ready: self._prepared(token, slide, mpp, (reader, blinded), ready),
            lambda error: self._not_opened(token, error),
            priority=3,  # after what the former slide still has to keep
        )

    def _not_opened(self, token: int, error: UserError) -> None:
        if token == self._token:
            self.opening.emit("")
        self.failed.emit(error)

    def _prepared(
        self, token: int, slide: Slide, mpp: float | None, who: tuple[str, bool], ready: Ready
    ) -> None:
        if token == self._token and who == (self.reader_name, self.blinded):
            self._enter(token, slide, ready)
        else:  # another slide is wanted by now, or this one by another reader
            self._make_desk(token, slide, mpp)

    def _enter(self, token: int, slide: Slide, ready: Ready) -> None:
        self._leave()
        self._desk = ready.desk
        use_mpp(slide, ready.view)
        stored = ready.stored
        self.protocol_id = ready.protocol_id
        self.opened = OpenedSlide(
            slide, stored.id, token, self.shown_name(stored), stored, ready.state, ready.viewed
        )
        self.opening.emit("")
        self.slide_opened.emit(self.opened)
        self._take(token, ready.view)
        if ready.fault is not None:
            self.failed.emit(ready.fault)

    def _leave(self) -> None:
        opened = self.opened
        if opened is None:
            return
        self._refresh.stop()
        self._quiet.stop()
        self.slide_closing.emit(opened)
        self.opened, self.view, self.tissue, self._desk = None, None, None, None
        self.select(())
        self._tissue_finder.leave(opened.slide)

    # The desk.

    def ask(
        self,
        change: Callable[[Desk], DeskView],
        done: Callable[[DeskView], None] | None = None,
    ) -> None:
        """Have the desk change something; without an open slide nothing happens.

        Args:
            change: runs on the desk thread; on disk when it returns.
            done: runs in the GUI thread after the view was set.
        """
        opened, desk = self.opened, self._desk
        if opened is None or desk is None:
            return

        def answered(view: DeskView) -> None:
            if self._take(opened.token, view) and done is not None:
                done(view)

        self.desk_thread.submit(lambda: change(desk), answered, self.failed.emit)

    def inquire(self, question: Callable[[Desk], T], done: Callable[[T], None]) -> None:
        """Have the desk say something without changing anything, after what waits.

        Args:
            question: runs on the desk thread.
            done: runs in the GUI thread, unless the slide is gone by then.
        """
        opened, desk = self.opened, self._desk
        if opened is None or desk is None:
            return

        def answered(answer: T) -> None:
            if self.opened is not None and self.opened.token == opened.token:
                done(answer)

        self.desk_thread.submit(
            lambda: question(desk), answered, self.failed.emit, priority=BACKGROUND
        )

    def _take(self, token: int, view: DeskView) -> bool:
        """Show a view, unless its slide is gone; whether it was shown."""
        opened = self.opened
        if opened is None or opened.token != token:
            return False
        self.view = view
        use_mpp(opened.slide, view)
        if not view.spots_settled:
            self._quiet.start()
        gone = [key for key in self.selection if view.figures.row(key) is None]
        self.view_changed.emit(view)
        if gone:
            self.select([key for key in self.selection if key not in gone])
        if view.mpp is not None:
            self._tissue_finder.find(opened, view.mpp, self._found)
        return True

    @Slot()
    def _settle(self) -> None:
        """Have the hot spots searched anew once no verdict waits."""
        opened, desk = self.opened, self._desk
        if opened is not None and desk is not None:
            self.desk_thread.submit(
                desk.settle_spots,
                lambda view: self._take(opened.token, view),
                self.failed.emit,
                priority=1,
            )

    def _found(self, tissue: Tissue) -> None:
        self.tissue = tissue
        self.tissue_found.emit(tissue)
        self.ask(lambda desk: desk.set_tissue(tissue))

    def refresh_soon(self) -> None:
        """Take newer candidates of a running run, at most twice a second."""
        if self.opened is not None and not self._refresh.isActive():
            self._refresh.start()

    def use_run(self, slide_id: int, run_id: int) -> None:
        """Show the candidates of a run, if its slide is the open one."""
        if self.opened is None or self.opened.slide_id != slide_id:
            return
        self.ask(lambda desk: desk.use_run(run_id))

    @Slot()
    def _refresh_now(self) -> None:
        self.ask(lambda desk: desk.refresh())

    # What is selected, where the viewer is, who reads by which rule.

    def select(self, keys: Sequence[int], go: bool = False) -> None:
        """Select figures, the current one first.

        Args:
            keys: of `view.figures`.
            go: have the viewer go to the first.
        """
        selection = tuple(keys)
        if selection != self.selection:
            self.selection = selection
            self.selection_changed.emit(selection)
        if go and selection and self.view is not None:
            figures = self.view.figures
            row = figures.row(selection[0])
            if row is not None:
                self.go_to(float(figures.x0[row]), float(figures.y0[row]))

    def go_to(self, x0: float, y0: float, magnification: float | None = None) -> None:
        """Ask the viewer to show a place."""
        self.go_requested.emit(Place0(x0, y0, magnification))

    def set_reader(self, name: str, blinded: bool = False) -> None:
        """Change who reads."""
        self.reader_leaving.emit()
        self.reader_name, self.blinded = name, blinded
        store = self.store
        self.ask(lambda desk: desk.set_reader(reader_id(store, name), blinded))

    def set_protocol(self, protocol_id: str) -> None:
        """Count by another rule."""
        self.protocol_id = protocol_id
        self.ask(lambda desk: desk.set_protocol(protocol_id))

    def set_mpp(self, mpp: Mpp, origin: str) -> None:
        """Set the pixel size of the open slide."""
        self.ask(lambda desk: desk.set_mpp(mpp, origin))

    def remember(self, state: ViewState, viewed: ViewedArea | None = None) -> None:
        """Keep where the present reader is on the open slide, and what of it was seen."""
        opened, view, store = self.opened, self.view, self.store
        if opened is None or view is None or store.read_only:
            return
        slide_id, who = opened.slide_id, view.reader.id

        def work() -> None:
            store.save_view_state(slide_id, who, state)
            if viewed is not None:
                store.save_viewed_area(slide_id, who, viewed)

        self.desk_thread.submit(work, None, self.failed.emit, priority=2)

    def shown_name(self, stored: StoredSlide) -> str:
        """What a slide is called on the screen."""
        return shown_name(stored, hidden=self.hide_names)

    def rename(self, stored: StoredSlide) -> None:
        """Take a slide's new alias, once the store has it."""
        if self.opened is not None and self.opened.slide_id == stored.id:
            self.opened = replace(self.opened, name=self.shown_name(stored), stored=stored)
            self.name_changed.emit(self.opened.name)

    def set_hide_names(self, hidden: bool) -> None:
        """Show aliases or numbers in place of file names."""
        self.hide_names = hidden
        if self.opened is not None and self.opened.stored is not None:
            self.rename(self.opened.stored)

    # The end.

    def shutdown(self, pump: Callable[[], None] | None = None) -> bool:
        """Close the slide and end the threads after everything pressed is on disk.

        Args:
            pump: called while waiting, to keep the screen alive.

        Returns:
            Whether all threads ended in time.
        """
        self.close_slide()
        ended = True
        for thread in (self.desk_thread, self._tissue_finder.thread, self.io):
            ended &= drain(thread, LAST_WRITES_S, pump, priority=LAST)
        if not ended:
            log.error("a thread of the room did not end within %g s", LAST_WRITES_S)
        return ended
