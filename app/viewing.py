"""The middle of the window: canvas, layers, tools and notes, bound to the room."""

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from app.notes import Note, NoteBar, PixelSizeNote
from app.room import OpenedSlide, Place0, Room
from app.shortcuts import WindowActions
from app.toolstrip import ToolStrip
from app.viewer.canvas import Canvas
from app.viewer.layers import LayerStack
from app.viewer.overview import Overview, ViewedTracker
from app.viewer.readout import ScaleBar
from app.viewer.toolbox import Toolbox
from app.viewer.transform import ViewTransform
from app.welcome import Welcome
from core.geometry import Mpp
from core.reading.view import DeskView
from core.slides.viewedgrid import ViewedGrid
from core.store.desk_records import ViewedArea, ViewState

#: Where the reader is is kept this long after the last move.
KEEP_MS = 2000


class Viewing(QWidget):
    """Shows the open slide, keeps where the reader is on it, and hands the mouse to tools.

    Args:
        room: what is open.
        actions: of the window, for the buttons of the tools.
        parent: of the widget.

    Attributes:
        canvas, layers, toolbox, strip, notes, welcome: its parts.
        overview: the whole slide; lies outside of this widget.
    """

    def __init__(self, room: Room, actions: WindowActions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._room = room
        self.notes = NoteBar()
        self.canvas = Canvas(room.bridge)
        self.layers = LayerStack(room.io, self)
        self.toolbox = Toolbox(room, self.layers, self.canvas, self)
        self.canvas.layers = [*self.layers.layers, ScaleBar(self.canvas)]
        self.overview = Overview(self.canvas)
        self._tracker = ViewedTracker(self.canvas, self)
        self._viewed_kept = True
        self._reader_id: int | None = None
        self.strip = ToolStrip(room, self.toolbox, actions)
        self.welcome = Welcome()
        self._pixel_size: Note | None = None
        self._restore_key: int | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.strip)
        column.addWidget(self.notes)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.welcome)
        self._pages.addWidget(self.canvas)
        column.addWidget(self._pages, 1)
        self._keep = QTimer(self, singleShot=True, interval=KEEP_MS)
        self._keep.timeout.connect(self.keep_place)
        self._connect()

    def _connect(self) -> None:
        room, canvas, layers = self._room, self.canvas, self.layers
        room.slide_opened.connect(self._opened)
        room.slide_closing.connect(self._closing)
        room.view_changed.connect(self._viewed)
        room.selection_changed.connect(layers.set_selection)
        room.go_requested.connect(canvas.go_to)
        room.failed.connect(self.notes.show_error)
        room.reader_leaving.connect(self.keep_place)
        canvas.failed.connect(self.notes.show_error)
        canvas.transform_changed.connect(self._moved)
        self._tracker.changed.connect(self.overview.set_viewed)
        self._tracker.changed.connect(self._show_viewed)

    # The room.

    @Slot(object)
    def _opened(self, opened: OpenedSlide) -> None:
        self.notes.clear_error()
        self._pages.setCurrentWidget(self.canvas)
        self.canvas.set_slide(opened)
        self.canvas.setFocus()
        if opened.viewed is not None:
            self._load_viewed(opened, opened.viewed)
        self._viewed_kept = True
        self._reader_id = None
        state = opened.state
        self._restore_key = None
        if state is None:
            return
        self._restore_key = state.selected_key
        if state.angle_deg:
            self.canvas.rotate(state.angle_deg)
        if state.magnification is not None:
            self.canvas.go_to(Place0(*state.centre0, state.magnification))

    @Slot(object)
    def _closing(self, _opened: OpenedSlide) -> None:
        self.keep_place()
        self.layers.clear()
        self._show_pixel_size(asked=False)
        self.canvas.set_slide(None)
        self._pages.setCurrentWidget(self.welcome)

    @Slot(object)
    def _viewed(self, view: DeskView) -> None:
        if self._reader_id not in (None, view.reader.id):
            self._tracker.clear()  # what one reader saw is no other's
            self._fetch_viewed(view.slide_id, view.reader.id)
        self._reader_id = view.reader.id
        self.canvas.set_mpp(view.mpp)
        self.layers.set_view(view)
        spots = view.count.spots if view.count is not None else ()
        self.overview.set_spots([spot.centre0 for spot in spots])
        self._show_pixel_size(asked=view.mpp is None)
        key, self._restore_key = self._restore_key, None
        if key is not None and view.figures.row(key) is not None and not self._room.selection:
            self._room.select([key])

    @Slot(object)
    def _moved(self, _view: ViewTransform) -> None:
        self._keep.start()

    @Slot()
    def keep_place(self) -> None:
        """Remember where the reader is."""
        self._keep.stop()
        if self._room.opened is None or self._room.opened is not self.canvas.opened:
            return
        view = self.canvas.transform
        selection = self._room.selection
        self._room.remember(
            ViewState(
                centre0=view.centre0,
                magnification=self.canvas.magnification(),
                angle_deg=view.angle_deg,
                selected_key=selection[0] if selection else None,
                protocol=self._room.protocol_id,
            ),
            self._viewed_to_keep(),
        )

    def _viewed_to_keep(self) -> ViewedArea | None:
        grid = self._tracker.grid
        if grid is None or self._viewed_kept:
            return None
        self._viewed_kept = True
        return ViewedArea(float(grid.cell0), grid.cells.copy())

    def _fetch_viewed(self, slide_id: int, reader_id: int) -> None:
        store = self._room.store

        def known(viewed: ViewedArea | None) -> None:
            if viewed is not None and self.canvas.opened is not None:
                self._load_viewed(self.canvas.opened, viewed)

        self._room.inquire(lambda _desk: store.viewed_area(slide_id, reader_id), known)

    def _load_viewed(self, opened: OpenedSlide, viewed: ViewedArea) -> None:
        slide = opened.slide
        grid = ViewedGrid(slide.width0, slide.height0, round(viewed.cell0))
        if grid.cells.shape == viewed.mask.shape:
            grid.cells = viewed.mask
            self._tracker.load(grid.to_bytes())

    @Slot(object)
    def _show_viewed(self, grid: ViewedGrid | None) -> None:
        self._viewed_kept = False
        if grid is not None:
            self.layers.viewed.set_viewed(grid.cells, grid.rect0)
            self.canvas.update_layers()
            self._keep.start()

    def let_go(self) -> None:
        """Read nothing any more."""
        self._keep.stop()
        self.canvas.set_slide(None)

    # A slide without a pixel size.

    def _show_pixel_size(self, *, asked: bool) -> None:
        if asked and self._pixel_size is None:
            note = PixelSizeNote()
            note.typed.connect(self._mpp_typed)
            note.calibrate_requested.connect(self._calibrate)
            self._pixel_size = self.notes.add(note)
        elif not asked and self._pixel_size is not None:
            self.notes.remove(self._pixel_size)
            self._pixel_size = None

    @Slot(float)
    def _mpp_typed(self, mpp: float) -> None:
        self._room.set_mpp(Mpp(mpp, mpp), "typed")

    @Slot()
    def _calibrate(self) -> None:
        self.toolbox.use("calibrate")
