"""Export and import in the desktop: asks what and where; the io thread reads and writes."""

from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from app.exchange.dialogs import ExportDialog, ImportDialog
from app.exchange.files import Read, Written, export, read
from app.listing import shown_name
from app.reporting.reports import plain_name
from app.room import OpenedSlide, Room
from core.errors import UserError
from core.exchange.formats import FORMATS, Format
from core.exchange.gathering import Choice, frame_of
from core.reading.desk import Desk
from core.reading.taking import As, Taken
from core.reading.view import DeskView


class Exchange(QObject):
    """Takes the open slide's marks into files, and files into the present reader's desk.

    Args:
        room: what is open.
        parent: the window, over which the dialogs are shown.

    Signals:
        noted: a sentence for the status bar.
        failed: a `UserError`.
        finished: the result in plain words.
    """

    noted = Signal(str)
    failed = Signal(object)
    finished = Signal(str)

    def __init__(self, room: Room, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._room, self._window = room, parent
        self._folder = ""

    # Out.

    @Slot()
    def ask_export(self) -> None:
        """Ask what of the open slide goes where, then write it."""
        room, opened = self._room, self._room.opened
        if opened is None or room.view is None:
            self.noted.emit(self.tr("Open a slide to export its figures."))
            return
        own = room.view.reader.name
        others = () if room.blinded else tuple(room.view.others)
        store = room.store
        if room.blinded or not others:
            self._ask_choice(opened, (own,))
            return
        room.io.submit(
            lambda: tuple(one.name for one in store.readers() if one.id in others),
            lambda names: self._ask_choice(opened, (own, *names)),
            self.failed.emit,
        )

    def _ask_choice(self, opened: OpenedSlide, readers: tuple[str, ...]) -> None:
        dialog = ExportDialog(readers, blinded=self._room.blinded, parent=self._window)
        dialog.accepted.connect(lambda: self._ask_place(opened, dialog.choice(), dialog.format()))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _ask_place(self, opened: OpenedSlide, choice: Choice, format_: Format) -> None:
        suggested = f"{plain_name(opened.name)}{format_.extensions[0]}"
        patterns = " ".join(f"*{suffix}" for suffix in format_.extensions)
        name, _ = QFileDialog.getSaveFileName(
            self._window,
            self.tr("Export"),
            str(self._start_folder() / suggested),
            f"{format_.title} ({patterns})",
        )
        if name:
            path = Path(name)
            self._folder = str(path.parent)
            self.write(
                opened,
                path if path.suffix else path.with_suffix(format_.extensions[0]),
                format_,
                choice,
            )

    def write(self, opened: OpenedSlide, path: Path, format_: Format, choice: Choice) -> None:
        """Write the marks of a slide on the io thread, though it may have been left meanwhile."""
        room = self._room
        self.noted.emit(self.tr("Exporting…"))
        store, slide, hidden = room.store, opened.slide, room.hide_names

        def work() -> Written:
            # The record of now: an alias may have been given since the slide was opened.
            known = store.slide(opened.slide_id)
            name = shown_name(known, hidden=True) if hidden else ""
            return export(store, known, slide, path, format_, choice, name=name)

        room.io.submit(work, lambda done: self._written(path, format_, done), self._fail)

    def _written(self, path: Path, format_: Format, done: Written) -> None:
        text = self.tr("Exported to {0} ({1}): {2} points, {3} regions.").format(
            path.name, format_.title, done.points, done.regions
        )
        self._tell(text, done.notes)

    # In.

    @Slot()
    def ask_import(self) -> None:
        """Ask for a file, read it, show what is in it, then take it in."""
        if self._room.opened is None or self._room.view is None:
            self.noted.emit(self.tr("Open a slide to import figures into."))
            return
        filters = {self._all_filter(): None, **self._filters()}
        name, chosen = QFileDialog.getOpenFileName(
            self._window, self.tr("Import"), str(self._start_folder()), ";;".join(filters)
        )
        if name:
            self._folder = str(Path(name).parent)
            self.look_at(Path(name), filters.get(chosen))

    def look_at(self, path: Path, format_: Format | None = None) -> None:
        """Read a file on the io thread, then ask whether to take in what is in it."""
        opened = self._room.opened
        if opened is None or opened.stored is None:
            return
        self.noted.emit(self.tr("Reading {0}…").format(path.name))
        frame = frame_of(opened.stored, opened.slide)
        self._room.io.submit(
            lambda: read(path, frame, format_),
            lambda found: self._ask_about(opened, path, found),
            self._fail,
        )

    def _ask_about(self, opened: OpenedSlide, path: Path, found: Read) -> None:
        self.noted.emit("")
        if self._is_gone(opened):
            return
        dialog = ImportDialog(path.name, found, self._room.reader_name, self._window)
        dialog.accepted.connect(lambda: self.take_in(opened, path, found, dialog.as_()))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def take_in(self, opened: OpenedSlide, path: Path, found: Read, as_: As) -> None:
        """Take in what was read, as one action of the present reader."""
        if self._is_gone(opened):
            return
        self.noted.emit(self.tr("Taking in {0}…").format(path.name))
        results: list[Taken] = []

        def change(desk: Desk) -> DeskView:
            taken = desk.take_in(found.marks, as_)
            results.append(taken)
            return taken.view

        self._room.ask(change, lambda _view: self._taken(path, results[0]))

    def _taken(self, path: Path, taken: Taken) -> None:
        text = self.tr("Imported {0}: {1}.").format(path.name, taken.text)
        self._tell(text, taken.notes)

    # What is said.

    def _is_gone(self, opened: OpenedSlide) -> bool:
        """Whether another slide was opened meanwhile: nothing is taken into the wrong one."""
        now = self._room.opened
        if now is not None and now.token == opened.token:
            return False
        self.noted.emit(self.tr("Another slide was opened; nothing was imported."))
        return True

    def _tell(self, text: str, notes: tuple[str, ...]) -> None:
        self.noted.emit("")
        sentences = [text, *(f"{note[:1].upper()}{note[1:]}." for note in notes)]
        self.finished.emit(" ".join(sentences))

    @Slot(object)
    def _fail(self, error: UserError) -> None:
        self.noted.emit("")
        self.failed.emit(error)

    def _all_filter(self) -> str:
        suffixes = dict.fromkeys(s for one in FORMATS.values() if one.reads for s in one.extensions)
        patterns = " ".join(f"*{s} *{s.upper()}" for s in suffixes)
        return f"{self.tr('All known, told by their content')} ({patterns})"

    def _filters(self) -> dict[str, Format]:
        return {
            f"{one.title} ({' '.join(f'*{suffix}' for suffix in one.extensions)})": one
            for one in FORMATS.values()
            if one.reads
        }

    def _start_folder(self) -> Path:
        documents = QStandardPaths.StandardLocation.DocumentsLocation
        return Path(self._folder or QStandardPaths.writableLocation(documents))
