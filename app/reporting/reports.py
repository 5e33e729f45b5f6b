"""The report in the desktop: asks for a file, and makes it on a thread of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import QLocale, QObject, QStandardPaths, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from app.bridge import WorkThread
from app.dialogs import SUFFIXES
from app.laboratory import check_alias
from app.listing import shown_name
from app.reporting.making import make_report, write_report
from app.reporting.pdf import missing_signs
from app.room import OpenedSlide, Room
from core.cancel import CancelToken
from core.errors import InputError, UserError
from core.reading.desk import Desk
from core.reading.view import DeskView
from core.store import CountRecord

_SLIDES = {f".{suffix}" for suffix in SUFFIXES.split()}
#: Closing the window waits so long for a report that is being made; it is cancelled first.
END_S = 5.0


class Reports(QObject):
    """Makes reports of the open slide's count while the reader goes on.

    Args:
        room: what is open.
        ticks: gives the checklist as it is ticked now, for a draft.
        parent: the window, over which the dialog is shown.

    Signals:
        noted: a sentence for the status bar.
        unprinted: signs that no font of this computer has.
        failed: a `UserError`.
        finished: the path of the report.
        offered: whether the count in view was signed just now; False when it no longer is so.
    """

    noted = Signal(str)
    unprinted = Signal(str)
    failed = Signal(object)
    finished = Signal(str)
    offered = Signal(bool)

    def __init__(
        self, room: Room, ticks: Callable[[], Mapping[str, bool]], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._room, self._ticks, self._window = room, ticks, parent
        self._thread = WorkThread("report", room.bridge)
        self._token = CancelToken()
        self._folder = ""
        self._drafting = False  # whether the desk is making a draft
        self._seen: tuple[int, int | None] | None = None  # the slide in view, its signed count
        room.view_changed.connect(self._look_for_signature)
        room.slide_closing.connect(self._slide_left)

    @Slot()
    def ask(self) -> None:
        """Ask where the report goes, then make it."""
        view, opened = self._room.view, self._room.opened
        if view is None or opened is None:
            self.noted.emit(self.tr("Open a slide to report its count."))
            return
        if view.count is None:
            self.noted.emit(self.tr("There is no count to report yet."))
            return
        if opened.stored is not None:
            try:
                check_alias(opened.stored)
            except InputError as error:  # before anybody chose a place for the file
                self.failed.emit(error)
                return
        name, chosen = QFileDialog.getSaveFileName(
            self._window,
            self.tr("Report of the count"),
            str(self._start_folder() / f"{plain_name(opened.name)}-report.pdf"),
            f"{self.tr('PDF')} (*.pdf);;{self.tr('HTML')} (*.html)",
        )
        if name:
            path = Path(name)
            if not path.suffix:
                path = path.with_suffix(".html" if "html" in chosen else ".pdf")
            self._folder = str(path.parent)
            self.make(path, opened, view)

    def make(self, path: Path, opened: OpenedSlide, asked: DeskView) -> None:
        """Make the report of a slide's count as it is now: signed, or a draft.

        A slide that was left meanwhile is reported as it was signed; a draft would need its desk.

        Args:
            path: of the report.
            opened: the slide.
            asked: its view when the report was asked for.
        """
        view = self._room.view if self._is_open(opened) else asked
        count = None if view is None else view.count
        if count is None:
            self.noted.emit(self.tr("There is no count to report yet."))
        elif count.signed is not None:
            self._start(path, opened, count.signed)
        elif self._is_open(opened):
            self._draft(path, opened)
        else:
            self._refuse_left(opened)

    def _is_open(self, opened: OpenedSlide) -> bool:
        now = self._room.opened
        return now is not None and now.slide_id == opened.slide_id

    def _draft(self, path: Path, opened: OpenedSlide) -> None:
        """Have the desk say what would be signed now; the ticks are those of this moment."""
        self.noted.emit(self.tr("Making the report…"))
        self._drafting, ticks = True, dict(self._ticks())

        def question(desk: Desk) -> CountRecord | UserError:
            try:
                return desk.draft(ticks)
            except UserError as error:  # an answer too: nothing is being drafted any more
                return error

        def answered(found: CountRecord | UserError) -> None:
            self._drafting = False
            if isinstance(found, UserError):
                self._fail(found)
            else:
                self._start(path, opened, found)

        self._room.inquire(question, answered)

    @Slot(object)
    def _slide_left(self, opened: OpenedSlide) -> None:
        """A desk that was left answers nobody."""
        if self._drafting and not self._token.cancelled:
            # Later: the next slide, which is about to be shown, takes an older error away.
            self._room.bridge.post(lambda: self._refuse_left(opened))
        self._drafting = False

    def _refuse_left(self, opened: OpenedSlide) -> None:
        self._fail(
            InputError(
                self.tr("No report of {0} was written: the slide was left.").format(opened.name),
                self.tr("Its count is not signed. Open it again to report a draft."),
            )
        )

    def _start(self, path: Path, opened: OpenedSlide, count: CountRecord) -> None:
        self.noted.emit(self.tr("Making the report…"))
        room, token, hidden = self._room, self._token, self._room.hide_names
        american = QLocale().measurementSystem() == QLocale.MeasurementSystem.ImperialUSSystem

        def tell(done: int, total: int) -> None:
            room.bridge.post(lambda: self._tell(done, total))

        def work() -> str:
            stored = room.store.slide(count.slide_id)
            report = make_report(
                room.store,
                count,
                path=opened.slide.path,
                name=shown_name(stored, hidden=True) if hidden else "",
                token=token,
                progress=tell,
            )
            write_report(path, report, letter=american)
            return missing_signs(report) if path.suffix.lower() == ".pdf" else ""

        self._thread.submit(work, lambda signs: self._done(path, signs), self._fail)

    def _tell(self, done: int, total: int) -> None:
        self.noted.emit(self.tr("Making the report: {0} of {1} pictures").format(done, total))

    def _done(self, path: Path, signs: str) -> None:
        self.noted.emit(self.tr("The report is written: {0}").format(path.name))
        if signs:
            self.unprinted.emit(signs)
        self.finished.emit(str(path))

    def _fail(self, error: UserError) -> None:
        self.noted.emit("")
        self.failed.emit(error)

    @Slot(object)
    def _look_for_signature(self, view: DeskView) -> None:
        """Offer the report when the count in view gets its signature."""
        signed = view.count.signed if view.count is not None else None
        known, self._seen = self._seen, (view.slide_id, None if signed is None else signed.id)
        if known != self._seen:
            self.offered.emit(known == (view.slide_id, None) and signed is not None)

    def _start_folder(self) -> Path:
        documents = QStandardPaths.StandardLocation.DocumentsLocation
        return Path(self._folder or QStandardPaths.writableLocation(documents))

    def shutdown(self) -> bool:
        """Stop what is being made and end the thread; whether it ended in time."""
        self._token.cancel()
        return self._thread.close(END_S)


def plain_name(name: str) -> str:
    """A slide's name as part of a file's name, without its suffix."""
    stem, dot, suffix = name.rpartition(".")
    if f"{dot}{suffix}".lower() not in _SLIDES:
        stem = name
    kept = "".join(c if c.isalnum() or c in " -_." else "-" for c in stem).strip(" .")
    return kept or "slide"
