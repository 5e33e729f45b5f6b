"""The window: viewer in the middle, panels around it, menus and keys; it composes and does no work.

Everything it shows comes from the room, the worker and the preferences.
"""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSize, QTimer, Signal, Slot
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QGuiApplication, QShowEvent
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget

from app.actions import Keymap
from app.adapter_maker import AdapterMaker
from app.dialogs import AboutDialog, choose_slides, versions
from app.docks import Docks
from app.exchange.desktop import Exchange
from app.first_start import FirstStart
from app.idle import IdleWatch
from app.listing import ListedCase
from app.logs import Aliases
from app.menus import Menus
from app.notes import Note
from app.panels.adapt import AdaptPanel
from app.panels.analysis import AnalysisPanel
from app.panels.count import CountPanel
from app.panels.gallery import GalleryPanel
from app.panels.gallery_model import FigureList
from app.panels.layers import LayerPanel
from app.panels.readers import ReadersPanel
from app.panels.settings import SettingsDialog
from app.panels.slides import SlidesPanel
from app.panes import Panes
from app.preferences import Preferences
from app.reporting.reports import Reports
from app.reviewing import Reviewer
from app.room import OpenedSlide, Room
from app.shelf import Shelf
from app.shortcuts import WindowActions
from app.statusbar import StatusBar
from app.theme import apply_theme
from app.viewer.colour import ColourSettings
from app.viewer.colourpanel import ColourPanel
from app.viewing import Viewing
from app.wiring import wire
from app.worker import AnalysisWorker
from core.counting.protocols import Protocol, catalogue, use_field_diameter
from core.errors import UserError
from core.settings import Settings, with_recent

#: Of the window at first, where the screen has room for it and for the frame around it.
SIZE = QSize(1440, 900)
FRAME = QSize(8, 40)


class Window(QMainWindow):
    """The one window of the desktop.

    Args:
        room, worker, preferences, shelf, maker: what it shows.
        protocols: counting rules by id.
        aliases: of slides, for the log.

    Attributes:
        viewing, slides, analysis, gallery, count, readers, layers, picture: the parts.
        idle: asks who reads after a pause.
        actions_by_id: the actions with their keys.

    Signals:
        close_requested: the reader wants to end; `finish` then closes the window.
    """

    close_requested = Signal()

    def __init__(
        self,
        room: Room,
        worker: AnalysisWorker,
        preferences: Preferences,
        shelf: Shelf,
        maker: AdapterMaker,
        protocols: dict[str, Protocol],
        aliases: Aliases,
    ) -> None:
        super().__init__()
        self.room, self.worker, self.preferences = room, worker, preferences
        self.shelf, self.maker = shelf, maker
        self._aliases = aliases
        self._may_close = False
        settings = preferences.settings
        self.keymap = Keymap(settings.keys, self)
        self.actions_by_id = WindowActions(self.keymap, self)
        self._make_parts(protocols)
        self.docks = Docks(self, self._panels())
        self.menus = Menus(self, self.actions_by_id, self.docks.docks)
        wire(self)
        self.first_start = FirstStart(self)
        Panes(self.viewing.canvas, self.gallery.grid, self.docks, self.actions_by_id)
        self._connect()
        self.setAcceptDrops(True)
        self.resize(SIZE.boundedTo(self.screen().availableSize() - FRAME))
        self.docks.restore(settings.window, settings.layout)
        self._show_title()
        self._preferences_changed(settings)
        self.slides.renew()
        self.shelf.renew()
        self.viewing.canvas.setFocus()

    def _make_parts(self, protocols: dict[str, Protocol]) -> None:
        room, settings = self.room, self.preferences.settings
        self.viewing = Viewing(room, self.actions_by_id)
        self.setCentralWidget(self.viewing)
        self.slides = SlidesPanel(room, self.worker)
        self.analysis = AnalysisPanel(room, self.worker, self.preferences, self.shelf, protocols)
        self.figures = FigureList(self)
        self.reviewer = Reviewer(room, self.figures, self)
        self.gallery = GalleryPanel(
            room, self.figures, self.reviewer, self.keymap, side_um=settings.crop_um
        )
        self.layers = LayerPanel(self.viewing.layers)
        self.picture = ColourPanel(self.viewing.canvas)
        self.count = CountPanel(room, protocols)
        self.readers = ReadersPanel(room)
        self.adapt = AdaptPanel(room, self.maker, self.shelf, self.preferences)
        self.exchange = Exchange(room, self)
        self.reports = Reports(room, lambda: self.count.checklist.ticks, self)
        self.idle = IdleWatch(60.0 * settings.idle_minutes, self)
        self.viewing.canvas.set_colour(
            ColourSettings(settings.icc, settings.brightness, settings.contrast, settings.gamma)
        )
        self.status = StatusBar(self.viewing.canvas)
        self.setStatusBar(self.status)

    def _panels(self) -> dict[str, tuple[str, QWidget]]:
        return {
            "slides": (self.tr("Slides"), self.slides),
            "analysis": (self.tr("Analysis"), self.analysis),
            "overview": (self.tr("Overview"), self.viewing.overview),
            "layers": (self.tr("Layers"), self.layers),
            "picture": (self.tr("Picture"), self.picture),
            "gallery": (self.tr("Gallery"), self.gallery),
            "count": (self.tr("Count"), self.count),
            "readers": (self.tr("Readers"), self.readers),
            "adapt": (self.tr("Adapt"), self.adapt),
        }

    def _connect(self) -> None:
        room, menus = self.room, self.menus
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._scheme_changed)
        room.slide_opened.connect(self._slide_opened)
        room.slide_closing.connect(self._show_title)
        room.view_changed.connect(self._show_title)
        room.name_changed.connect(self._show_title)
        room.opening.connect(self._opening)
        self.slides.open_requested.connect(self.choose_slides)
        self.viewing.welcome.open_requested.connect(self.choose_slides)
        self.slides.analysis_requested.connect(self.analysis.start_slides)
        self.slides.listed.connect(self._listed)
        self.slides.failed.connect(self.show_error)
        self.analysis.start_failed.connect(self.show_error)
        self.adapt.reclassify_requested.connect(self._reclassify)
        self.docks.docks["adapt"].visibilityChanged.connect(self.adapt.came_to_front)
        self.worker.device_chosen.connect(self.status.show_device)
        self.worker.finished.connect(self.slides.renew)
        self.reviewer.noted.connect(self.status.say)
        self.reviewer.went_well.connect(self.viewing.notes.clear_error)
        self.status.reader.clicked.connect(self.readers.choose_reader)
        self.readers.reader_chosen.connect(self._reader_chosen)
        self.readers.reader_confirmed.connect(self.idle.confirm)
        self.idle.woken.connect(self._somebody_came_back)
        self.gallery.side_changed.connect(self._crop_side_changed)
        self.viewing.canvas.colour_changed.connect(self._colour_changed)
        self.exchange.noted.connect(self.status.say)
        self.exchange.failed.connect(self.show_error)
        self.reports.noted.connect(self.status.say)
        self.reports.failed.connect(self.show_error)
        self.reports.unprinted.connect(self._unprinted)
        self.count.tumour_drawing_requested.connect(self._draw_tumour)
        self.count.calibration_requested.connect(self._calibrate)
        self.count.analysis_requested.connect(self.actions_by_id["analysis.start"].trigger)
        self.keymap.changed.connect(self._keys_changed)
        self.preferences.changed.connect(self._preferences_changed)
        menus.recent_chosen.connect(self._open_recent)
        menus.settings.triggered.connect(self.show_settings)
        menus.quit.triggered.connect(self.close)
        menus.about.triggered.connect(self._about)
        menus.reset_layout.triggered.connect(self.docks.lay_out)

    # Slides.

    @Slot()
    def choose_slides(self) -> None:
        """Ask for slide files and open them."""
        recent = self.preferences.settings.recent
        self.open_slides(choose_slides(self, str(Path(recent[0]).parent) if recent else ""))

    def open_slides(self, paths: Sequence[Path]) -> None:
        """Open the first, and take the others into the list."""
        for path in paths[1:]:
            self.slides.add(path)
        for path in paths[:1]:
            self.room.open(path)

    @Slot(str)
    def _open_recent(self, path: str) -> None:
        self.room.open(Path(path))

    @Slot(object)
    def _slide_opened(self, opened: OpenedSlide) -> None:
        recent = with_recent(self.preferences.settings.recent, str(opened.slide.path))
        self.preferences.change(recent=recent)
        self._show_title()

    @Slot(str)
    def _opening(self, name: str) -> None:
        self.status.say(self.tr("Opening {0}…").format(name) if name else "")

    @Slot(object)
    def _listed(self, cases: tuple[ListedCase, ...]) -> None:
        for case in cases:
            for slide in case.slides:
                if slide.state.slide.alias:
                    self._aliases.set(slide.state.slide.path, slide.state.slide.alias)

    # The reader.

    @Slot(str)
    def _reader_chosen(self, name: str) -> None:
        self.preferences.change(reader=name)
        self._show_title()
        self.slides.renew()

    @Slot()
    def _somebody_came_back(self) -> None:
        """Ask once; while the question stands, the keys are the dialog's."""
        if QApplication.activeModalWidget() is None and self.room.opened is not None:
            self.readers.confirm_reader()
        elif self.room.opened is None:
            self.idle.confirm()

    # What is shown.

    @Slot()
    def _show_title(self) -> None:
        opened, reader = self.room.opened, self.room.reader_name
        name = f"{opened.name} – " if opened is not None else ""
        blinded = self.tr(", blinded") if self.room.blinded else ""
        self.setWindowTitle(f"{name}{reader}{blinded} – Mitoscope")
        self.status.reader.setText(f"{reader}{blinded}")

    @Slot(object)
    def show_error(self, error: UserError) -> None:
        """Say in plain words what stands in the way."""
        self.viewing.notes.show_error(error)

    def show_note(self, text: str) -> None:
        """Say something unusual that holds until it is taken away."""
        self.viewing.notes.add(Note("warning", text))

    @Slot(str)
    def _unprinted(self, signs: str) -> None:
        self.show_note(self.tr("No font of this computer has these signs: {0}").format(signs))

    def store_note(self) -> str:
        """Where results are kept, and why not in the usual way."""
        store = self.room.store
        return f"{self.tr('Results are kept in {0}.').format(store.path)} {store.journal_note}"

    @Slot()
    def show_settings(self) -> None:
        """Show the settings."""
        dialog = SettingsDialog(self.preferences, self.store_note(), self)
        dialog.keys_requested.connect(self.actions_by_id["help.keys"].trigger)
        dialog.open()
        dialog.finished.connect(dialog.deleteLater)

    @Slot()
    def _reclassify(self) -> None:
        """Classify the open slide anew, and show how far that is."""
        self.docks.show("analysis")
        self.analysis.reclassify()

    @Slot()
    def _about(self) -> None:
        self.room.io.submit(versions, self._show_about)

    def _show_about(self, parts: str) -> None:
        dialog = AboutDialog(parts, self.store_note(), self)
        dialog.open()
        dialog.finished.connect(dialog.deleteLater)

    @Slot(object)
    def _preferences_changed(self, settings: Settings) -> None:
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        apply_theme(application, settings.theme)
        self.idle.after_s = 60.0 * settings.idle_minutes
        self._use_field_diameter(settings.field_diameter_mm)
        self.menus.show_recent(settings.recent, hidden=settings.hide_names)
        if settings.hide_names != self.room.hide_names:
            self.room.set_hide_names(settings.hide_names)
            self.slides.renew()

    def _use_field_diameter(self, diameter_mm: float) -> None:
        """Count anew where the protocol in use follows the field."""
        using = catalogue().get(self.room.protocol_id)
        use_field_diameter(diameter_mm)
        if using is not None and using != catalogue().get(using.id):
            self.room.set_protocol(using.id)

    @Slot()
    def _scheme_changed(self) -> None:
        self._preferences_changed(self.preferences.settings)

    @Slot()
    def _keys_changed(self) -> None:
        keys = {id_: tuple(keys) for id_, keys in self.keymap.overrides().items()}
        self.preferences.change(keys=keys)

    @Slot(float)
    def _crop_side_changed(self, side_um: float) -> None:
        self.preferences.change(crop_um=side_um)

    @Slot(object)
    def _colour_changed(self, colour: ColourSettings) -> None:
        self.preferences.change(
            icc=colour.icc,
            brightness=colour.brightness,
            contrast=colour.contrast,
            gamma=colour.gamma,
        )

    @Slot()
    def _draw_tumour(self) -> None:
        self.viewing.toolbox.set_region_kind("tumour")
        self.viewing.toolbox.use("polygon")
        self.viewing.canvas.setFocus()

    @Slot()
    def _calibrate(self) -> None:
        self.viewing.toolbox.use("calibrate")
        self.viewing.canvas.setFocus()

    # Drag and drop, and the end.

    def showEvent(self, event: QShowEvent) -> None:
        """See `QWidget`."""
        super().showEvent(event)
        if not event.spontaneous():
            self.docks.shown()
        self.idle.watch(self.windowHandle())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files can be dropped."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        self.open_slides(paths)

    def closeEvent(self, event: QCloseEvent) -> None:
        """End in order first; `finish` says when the window may close."""
        if not self._may_close:
            self.close_requested.emit()
        event.setAccepted(self._may_close)

    def show_stopping(self) -> None:
        """Say that the program ends, keep the layout, and take no more keys."""
        geometry, layout = self.docks.save()
        self.preferences.change(window=geometry, layout=layout)
        if self.worker.queue:
            self.show_note(self.tr("Stopping the analysis; what is finished is kept…"))
        if self.worker.lent:
            self.show_note(self.tr("Stopping the adapting; what is finished is kept…"))
        self.setEnabled(False)
        self.repaint()

    def let_go(self) -> None:
        """Keep where the reader is, and end every thread that reads the slide."""
        self.viewing.keep_place()
        self.viewing.let_go()
        self.gallery.shutdown()
        self.reports.shutdown()
        self.first_start.shutdown()

    def finish(self) -> None:
        """Close for good."""
        for timer in self.findChildren(QTimer):
            timer.stop()
        self._may_close = True
        self.close()  # does nothing where a close event is being answered already
