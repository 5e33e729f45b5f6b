"""The slides panel: cases and their slides, how far each is, and where a lost file lies now."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QPoint, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QMenu,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.listing import ListedCase, ListedSlide, load_listing, relocate
from app.opening import stored_slide
from app.panels.case_keeper import CaseKeeper
from app.panels.slide_rows import ROW, THUMBNAIL_PX, SlideDelegate
from app.room import BACKGROUND, Room
from app.worker import AnalysisWorker, RunRequest
from core.slides.reader import open_slide
from core.store import StoredSlide

RENEW_MS = 700
ID = Qt.ItemDataRole.UserRole
CASE = Qt.ItemDataRole.UserRole + 2  # ROW lies between


class SlidesPanel(QWidget):
    """Lists the slides of the store; opening and analysing is asked of others.

    Signals:
        open_requested: no payload: ask for files.
        analysis_requested: list of slide ids.
        listed: the tuple of `ListedCase` shown now.
        failed: a `UserError`.
    """

    open_requested = Signal()
    analysis_requested = Signal(object)
    listed = Signal(object)
    failed = Signal(object)

    def __init__(self, room: Room, worker: AnalysisWorker, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._room = room
        self._cases = CaseKeeper(room, self)
        self._cases.changed.connect(self.renew)
        self._cases.failed.connect(self.failed)
        self._running: set[int] = set()
        self._pictures: dict[int, QPixmap | None] = {}
        self._slides: dict[int, ListedSlide] = {}
        self._items: dict[int, QTreeWidgetItem] = {}
        self._order: list[tuple[int | None, str, list[int]]] = []
        self.filter = QLineEdit(placeholderText=self.tr("Filter slides"), clearButtonEnabled=True)
        self.filter.textChanged.connect(self._apply_filter)
        self.open_button = QPushButton(self.tr("Open…"))
        self.open_button.clicked.connect(self.open_requested)
        self.tree = QTreeWidget(headerHidden=True, rootIsDecorated=False, indentation=8)
        self.tree.setUniformRowHeights(False)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.tree.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.setItemDelegate(SlideDelegate(self._picture, self.tree))
        self.tree.itemActivated.connect(self._open_item)
        self.tree.customContextMenuRequested.connect(self._menu)
        top = QHBoxLayout()
        top.addWidget(self.filter, 1)
        top.addWidget(self.open_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(top)
        layout.addWidget(self.tree, 1)
        self._later = QTimer(self, singleShot=True, interval=RENEW_MS)
        self._later.timeout.connect(self.renew)
        room.slide_opened.connect(self._renew_soon)
        room.view_changed.connect(self._renew_soon)
        room.slide_closing.connect(self._renew_soon)
        worker.queue_changed.connect(self._queue_changed)

    def sizeHint(self) -> QSize:
        """Wide enough for a file name beside a thumbnail."""
        return QSize(250, 400)

    # What is listed.

    @Slot()
    def _renew_soon(self) -> None:
        if not self._later.isActive():
            self._later.start()

    @Slot()
    def renew(self) -> None:
        """Read the list anew."""
        store, reader = self._room.store, self._room.reader_name
        self._room.io.submit(
            lambda: load_listing(store, reader), self._show, self.failed.emit, priority=3
        )

    @Slot(object)
    def _queue_changed(self, queue: tuple[RunRequest, ...]) -> None:
        self._running = {request.slide_id for request in queue[:1]}
        self._renew_soon()

    def _show(self, cases: tuple[ListedCase, ...]) -> None:
        """Show a list: the rows that changed, or all anew where other slides are listed."""
        order = [
            (case.case_id, case.name, [slide.state.slide.id for slide in case.slides])
            for case in cases
        ]
        if order != self._order:
            self._order = order
            self._build(cases)
        for case in cases:
            for slide in case.slides:
                self._fill(self._items[slide.state.slide.id], slide)
        self._apply_filter(self.filter.text())
        self.listed.emit(cases)

    def _build(self, cases: tuple[ListedCase, ...]) -> None:
        chosen = set(self.chosen())
        self.tree.clear()
        self._items, self._slides = {}, {}
        named = any(case.case_id is not None for case in cases)
        for case in cases:
            parent = self._case_item(case) if named else self.tree.invisibleRootItem()
            for slide in case.slides:
                id_ = slide.state.slide.id
                item = self._items[id_] = QTreeWidgetItem(parent)
                item.setData(0, ID, id_)
                item.setSelected(id_ in chosen)
        self.tree.expandAll()

    def _fill(self, item: QTreeWidgetItem, slide: ListedSlide) -> None:
        id_ = slide.state.slide.id
        self._slides[id_] = slide
        opened = self._room.opened
        is_open = opened is not None and opened.slide_id == id_
        row = self._row(slide, running=id_ in self._running, is_open=is_open)
        name = self._room.shown_name(slide.state.slide)
        if (item.text(0), item.data(0, ROW)) != (name, row):
            item.setText(0, name)
            item.setData(0, ROW, row)
            item.setToolTip(0, self._tip(slide))

    def _case_item(self, case: ListedCase) -> QTreeWidgetItem:
        name = case.name if case.case_id is not None else self.tr("Without a case")
        item = QTreeWidgetItem(self.tree, [name])
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
        item.setData(0, CASE, case.case_id)
        font = item.font(0)
        font.setBold(True)
        item.setFont(0, font)
        return item

    def _row(self, slide: ListedSlide, *, running: bool, is_open: bool) -> tuple[str, str, bool]:
        """State, the line under the name, and whether the slide is open."""
        state = slide.state
        if slide.missing:
            return "missing", self.tr("file not found"), is_open
        progress = "running" if running else state.state
        texts = {
            "new": self.tr("new"),
            "running": self.tr("running"),
            "analysed": self.tr("analysed"),
            "reviewed": self.tr("reviewed"),
            "signed": self.tr("signed"),
        }
        parts = [texts[progress]]
        if progress == "signed" and state.mitoses is not None:
            parts.append(self.tr("MC {0}").format(state.mitoses))
        elif state.verdicts:
            one = state.verdicts == 1
            words = self.tr("1 verdict") if one else self.tr("{0} verdicts")
            parts.append(words.format(state.verdicts))
        elif state.candidates:
            parts.append(self.tr("{0} candidates").format(f"{state.candidates:,}"))
        return progress, " · ".join(parts), is_open

    def _tip(self, slide: ListedSlide) -> str:
        if self._room.hide_names:
            return ""
        return slide.state.slide.path

    @Slot(str)
    def _apply_filter(self, text: str) -> None:
        wanted = text.casefold()
        root = self.tree.invisibleRootItem()
        for i in range(root.childCount()):
            item = root.child(i)
            if item.data(0, ID) is not None:
                item.setHidden(wanted not in item.text(0).casefold())
                continue
            children = [item.child(j) for j in range(item.childCount())]
            in_case = wanted in item.text(0).casefold()
            for child in children:
                child.setHidden(not in_case and wanted not in child.text(0).casefold())
            item.setHidden(all(child.isHidden() for child in children))

    # Thumbnails.

    def _picture(self, slide_id: int) -> QPixmap | None:
        """The thumbnail of a slide that is being painted; asked for the first time it is."""
        if slide_id in self._pictures:
            return self._pictures[slide_id]
        slide = self._slides.get(slide_id)
        self._pictures[slide_id] = None
        if slide is not None and not slide.missing:
            path = Path(slide.state.slide.path)
            self._room.io.submit(
                lambda: thumbnail(path),
                lambda image: self._thumbnail_read(slide_id, image),
                lambda _error: None,  # the row itself says when a file cannot be opened
                priority=BACKGROUND,
            )
        return None

    def _thumbnail_read(self, slide_id: int, image: QImage) -> None:
        self._pictures[slide_id] = QPixmap.fromImage(image)
        self.tree.viewport().update()

    # What the reader asks for.

    def add(self, path: Path) -> None:
        """Take a slide into the list without opening it on the screen."""
        store = self._room.store

        def work() -> None:
            with open_slide(path, backend="openslide") as slide:
                stored_slide(store, slide)

        self._room.io.submit(work, lambda _done: self.renew(), self.failed.emit)

    def chosen(self) -> list[int]:
        """The ids of the selected slides, from top to bottom."""
        return [
            item.data(0, ID) for item in self.tree.selectedItems() if item.data(0, ID) is not None
        ]

    @Slot(QTreeWidgetItem, int)
    def _open_item(self, item: QTreeWidgetItem, _column: int) -> None:
        slide = self._slides.get(item.data(0, ID))
        if slide is None:
            return
        if slide.missing:
            self._locate(slide.state.slide)
        else:
            self._room.open(Path(slide.state.slide.path))

    @Slot(QPoint)
    def _menu(self, place: QPoint) -> None:
        where = self.tree.viewport().mapToGlobal(place)
        item = self.tree.itemAt(place)
        slides = [self._slides[id_].state.slide for id_ in self.chosen()]
        if item is None or item.data(0, ID) is None or not slides:
            case_id = None if item is None else item.data(0, CASE)
            self._cases.show_menu(where, case_id, "" if item is None else item.text(0))
            return
        menu = QMenu(self)
        entries = [
            (self.tr("Open"), len(slides) == 1, self._open_chosen),
            (self.tr("Analyse"), True, self._analyse_chosen),
            (self.tr("Put into a case…"), True, self._choose_case),
            (self.tr("Set alias…"), len(slides) == 1, self._choose_alias),
            (self.tr("Locate the file…"), len(slides) == 1, self._locate_chosen),
        ]
        for text, enabled, slot in entries:
            action = menu.addAction(text)
            action.setEnabled(enabled)
            action.triggered.connect(slot)
        menu.exec(where)

    @Slot()
    def _open_chosen(self) -> None:
        for item in self.tree.selectedItems()[:1]:
            self._open_item(item, 0)

    @Slot()
    def _analyse_chosen(self) -> None:
        self.analysis_requested.emit(self.chosen())

    @Slot()
    def _choose_case(self) -> None:
        ids = self.chosen()
        names = sorted(
            {
                item.text(0)
                for i in range(self.tree.topLevelItemCount())
                if (item := self.tree.topLevelItem(i)) is not None
                and item.data(0, ID) is None
                and item.text(0) != self.tr("Without a case")
            }
        )
        dialog = QInputDialog(self)
        dialog.setWindowTitle(self.tr("Case"))
        dialog.setLabelText(self.tr("Name of the case; empty for none"))
        dialog.setComboBoxItems(["", *names])
        dialog.setComboBoxEditable(True)
        dialog.findChild(QComboBox).setCompleter(None)  # it would make S24-123 of every S24-12
        dialog.textValueSelected.connect(partial(self.set_case, ids))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def set_case(self, slide_ids: Sequence[int], name: str) -> None:
        """Put slides into a case, or with an empty name into none."""
        store, reader = self._room.store, self._room.reader_name

        def work() -> None:
            case_id = store.add_case(name) if name.strip() else None
            for id_ in slide_ids:
                store.set_case(id_, case_id, reader)

        self._change(work)

    @Slot()
    def _choose_alias(self) -> None:
        for id_ in self.chosen()[:1]:
            text, good = QInputDialog.getText(
                self,
                self.tr("Alias"),
                self.tr("Name of the slide on the screen, in exports and logs; empty for none"),
                text=self._slides[id_].state.slide.alias or "",
            )
            if good:
                self.set_alias(id_, text)

    def set_alias(self, slide_id: int, alias: str) -> None:
        """Name a slide for screen, exports and logs; empty for its file's name."""
        store, reader, room = self._room.store, self._room.reader_name, self._room

        def work() -> StoredSlide:
            store.set_alias(slide_id, alias, reader)
            return store.slide(slide_id)

        def done(stored: StoredSlide) -> None:
            room.rename(stored)
            self.renew()

        room.desk_thread.submit(work, done, self.failed.emit)

    @Slot()
    def _locate_chosen(self) -> None:
        for id_ in self.chosen()[:1]:
            self._locate(self._slides[id_].state.slide)

    def _locate(self, stored: StoredSlide) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, self.tr("Where is {0}?").format(self._room.shown_name(stored))
        )
        if name:
            self.relocate(stored.id, Path(name))

    def relocate(self, slide_id: int, path: Path) -> None:
        """Take a file as the one of a slide, if it is the same slide."""
        store, reader = self._room.store, self._room.reader_name
        self._pictures.pop(slide_id, None)
        self._room.io.submit(
            lambda: relocate(store, slide_id, path, reader),
            lambda _done: self.renew(),
            self.failed.emit,
        )

    def _change(self, work: Callable[[], None]) -> None:
        self._room.desk_thread.submit(work, lambda _done: self.renew(), self.failed.emit)


def thumbnail(path: Path) -> QImage:
    """A small picture of a slide, without its label; runs on the io thread.

    Raises:
        UserError: the slide cannot be opened.
    """
    with open_slide(path, backend="openslide") as slide:
        rgb = slide.thumbnail(2 * THUMBNAIL_PX)
    height, width = rgb.shape[:2]
    return QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
