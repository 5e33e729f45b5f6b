"""The composition root of the desktop: settings, store, worker, window; and the end in order.

`build` makes everything from a store and settings, as the tests do; `run_desktop` adds what a
process has once: the application, the log, and the hooks for faults.
"""

import getpass
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from PySide6.QtCore import QCoreApplication, QDateTime, QEvent, QEventLoop, QLocale, QObject, Slot
from PySide6.QtGui import QFileOpenEvent, QIcon
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox, QPushButton

from app import __version__
from app.adapter_maker import Adapt, AdapterMaker, desktop_adapt
from app.bridge import GuiBridge, WorkThread
from app.dialogs import CrashDialog
from app.engine import desktop_adapter, desktop_models
from app.laboratory import chosen_store
from app.logs import Aliases, start_logging, stop_logging
from app.own_protocols import offered_protocols, use_own_protocols
from app.paths import desktop_log_file, settings_file
from app.preferences import Preferences
from app.requests import AdapterLoader, ModelLoader
from app.restoring import newest_backup, restored
from app.room import BACKGROUND, LAST, LAST_WRITES_S, Room
from app.shelf import Shelf
from app.stopping import drain
from app.theme import apply_theme
from app.window import Window
from app.worker import AnalysisWorker
from core.errors import DeviceError, InputError, StoreError
from core.settings import Settings, load_settings
from core.store import Store, open_store
from core.store.backup import back_up_daily

log = logging.getLogger(__name__)


class Desktop(QObject):
    """Everything that is open, and how it ends.

    Attributes:
        store, bridge, room, worker, preferences, window: the parts.
        crash: the dialog of a fault, while it is shown.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        load: ModelLoader = desktop_models,
        load_adapter: AdapterLoader = desktop_adapter,
        adapters: Path | None = None,
        adapt: Adapt = desktop_adapt,
        settings_path: Path | None = None,
        log_path: Path | None = None,
        aliases: Aliases | None = None,
    ) -> None:
        super().__init__()
        self.store = store
        self.bridge = GuiBridge(self)
        self._log_path = log_path or desktop_log_file()
        self.crash: CrashDialog | None = None
        self._stopping = False
        self.room = Room(
            store,
            self.bridge,
            settings.reader or _account(),
            backend=settings.backend,  # type: ignore[arg-type]  # checked when it was read
            protocol_id=_offered(settings.protocol),
            parent=self,
        )
        self.room.hide_names = settings.hide_names
        self.preferences = Preferences(settings, settings_path, self.room.io, self)
        self.worker = AnalysisWorker(
            store, self.bridge, load=load, load_adapter=load_adapter, parent=self
        )
        self.shelf = Shelf(self.bridge, adapters, self)
        self.maker = AdapterMaker(self.worker, self.bridge, adapt, self)
        self.window = Window(
            self.room,
            self.worker,
            self.preferences,
            self.shelf,
            self.maker,
            offered_protocols(),
            aliases or Aliases(),
        )
        self.window.close_requested.connect(self.stop)
        if store.journal_note:  # read-only, or on a network share, where WAL cannot be used
            self.window.show_note(store.journal_note)
        self.bridge.user_error.connect(self.window.show_error)
        self.bridge.bug.connect(self.show_crash)

    def open(self, paths: Sequence[Path]) -> None:
        """Open the first of some slides, and take the others into the list."""
        self.window.open_slides(paths)

    def back_up(self) -> None:
        """Copy the store once a day, behind everything else."""
        path = self.store.path
        if self.store.read_only:
            return
        self.room.io.submit(
            lambda: back_up_daily(path),
            lambda _made: None,
            self.window.show_error,
            priority=BACKGROUND,
        )

    @Slot(object)
    def show_crash(self, error: BaseException) -> None:
        """Log a fault, and ask whether to go on; while one is shown, others are only logged."""
        log.critical("a fault", exc_info=error)
        if self.crash is not None or self._stopping:
            return
        self.crash = CrashDialog(error, self._log_path, self.window)
        self.crash.finished.connect(self._crash_answered)
        self.crash.open()

    @Slot(int)
    def _crash_answered(self, answer: int) -> None:
        crash, self.crash = self.crash, None
        if crash is not None:
            crash.deleteLater()
        if answer != CrashDialog.DialogCode.Accepted:
            self.stop()

    @Slot()
    def stop(self) -> bool:
        """End in stages: no new work, the run stops, readers let go, slide and store close.

        Returns:
            Whether everything ended in time; what did not is logged, and nothing is lost, since
            all that was acknowledged is on disk.
        """
        if self._stopping:
            return True
        self._stopping = True
        self.window.show_stopping()
        ended = self.worker.close(_pump)
        self.window.let_go()
        ended &= self.shelf.shutdown()
        ended &= self.room.shutdown(_pump)
        end = WorkThread("store-end", self.bridge)
        end.submit(self._close_store)
        ended &= drain(end, LAST_WRITES_S, _pump, priority=LAST)
        _pump()  # the last answers of threads that have ended: none may start a timer afterwards
        self.window.finish()
        return ended

    def _close_store(self) -> None:
        try:
            self.store.close()
        except StoreError as error:
            log.error("closing the store: %s", error)


def build(
    store_path: Path,
    settings: Settings,
    *,
    load: ModelLoader = desktop_models,
    load_adapter: AdapterLoader = desktop_adapter,
    adapters: Path | None = None,
    adapt: Adapt = desktop_adapt,
    settings_path: Path | None = None,
    log_path: Path | None = None,
    aliases: Aliases | None = None,
) -> Desktop:
    """Make the desktop; its window is not shown yet.

    Args:
        store_path: of the store, made if need be.
        settings: what the reader chose.
        load: loads the networks, on the worker's thread.
        load_adapter: loads an adapter's classifier, there too.
        adapters: folder of the adapters; None for the usual one.
        adapt: makes an adapter, on the worker's thread.
        settings_path: where changed settings are kept; None: nowhere.
        log_path: what the crash dialog names.
        aliases: of slides, for the log.

    Raises:
        StoreError: the store cannot be opened.
    """
    return Desktop(
        open_store(store_path),
        settings,
        load=load,
        load_adapter=load_adapter,
        adapters=adapters,
        adapt=adapt,
        settings_path=settings_path,
        log_path=log_path,
        aliases=aliases,
    )


def run_desktop(slides: Sequence[Path], store: Path | None = None) -> int:
    """Show the desktop until its window is closed; returns the exit status.

    Args:
        slides: to open.
        store: of the results; None for that of the settings or the usual one.

    Raises:
        DeviceError: there is no screen.
    """
    _check_screen()
    application = QApplication.instance() or QApplication(["mitoscope"])
    assert isinstance(application, QApplication)
    application.setApplicationName("Mitoscope")
    application.setApplicationVersion(__version__)
    application.setDesktopFileName("mitoscope")  # by it Wayland finds name and icon
    application.setWindowIcon(QIcon(str(files("resources") / "icons" / "mitoscope-256.png")))
    with ExitStack() as stack:
        log_path = desktop_log_file()
        handler, aliases, log_note = start_logging(log_path)
        stack.callback(stop_logging, handler)
        log.info("mitoscope %s starts", __version__)
        settings, settings_note = load_settings(settings_file())
        apply_theme(application, settings.theme)
        try:
            place = chosen_store(store, settings.store)
            protocols_note = use_own_protocols(settings)
        except InputError as error:  # a windowed program has no other place to say it
            QMessageBox.critical(None, "Mitoscope", f"{error.message}\n{error.hint}")
            return 2
        opened, store_note = _open_some_store(place, stack)
        if opened is None:
            return 0
        desktop = Desktop(
            opened, settings, settings_path=settings_file(), log_path=log_path, aliases=aliases
        )
        hooks = stack.enter_context(_FaultHooks(desktop))
        if sys.platform == "darwin":  # elsewhere it would only look at every event in vain
            application.installEventFilter(FileOpener(desktop.open, desktop))
        for note in (settings_note, protocols_note, store_note, log_note):
            if note:
                desktop.window.show_note(note)
        desktop.window.show()
        desktop.back_up()
        if slides:
            desktop.open([path.absolute() for path in slides])
        desktop.window.first_start.begin()
        # Ctrl-C in the terminal ends at once: Python's own handler would wait for the next event.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        status = application.exec()
        desktop.stop()
        log.info("mitoscope ends with %d faults", hooks.faults)
    return status


class FileOpener(QObject):
    """Opens what macOS hands over after the start: a double click in the Finder."""

    def __init__(self, open_slides: Callable[[list[Path]], None], parent: QObject | None) -> None:
        super().__init__(parent)
        self._open_slides = open_slides

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the files of a `QFileOpenEvent`."""
        if isinstance(event, QFileOpenEvent) and event.file():
            self._open_slides([Path(event.file())])
            return True
        return super().eventFilter(watched, event)


class _FaultHooks:
    """Exceptions that nobody caught, from any thread, go to the crash dialog."""

    def __init__(self, desktop: Desktop) -> None:
        self._bridge = desktop.bridge
        self.faults = 0

    def __enter__(self) -> "_FaultHooks":
        sys.excepthook = self._of_main
        threading.excepthook = self._of_thread
        return self

    def __exit__(self, *_: object) -> None:
        sys.excepthook = sys.__excepthook__
        threading.excepthook = threading.__excepthook__

    def _of_main(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            QCoreApplication.quit()
            return
        self.faults += 1
        self._bridge.bug.emit(error.with_traceback(trace))

    def _of_thread(self, arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None:
            self._of_main(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)


def _open_some_store(place: Path, stack: ExitStack) -> tuple[Store | None, str]:
    """The store, or another that the reader chooses, or one that is thrown away at the end.

    Returns:
        The store and what is unusual about it; None when the reader quits.
    """
    while True:
        try:
            return open_store(place), ""
        except StoreError as error:
            box = QMessageBox(QMessageBox.Icon.Warning, "Mitoscope", error.message)
            box.setInformativeText(error.hint)
            tr = QCoreApplication.translate
            backup = newest_backup(place)
            back: QPushButton | None = None
            if backup is not None:
                made = QLocale().toString(
                    QDateTime.fromSecsSinceEpoch(int(backup.made_at.timestamp())),
                    QLocale.FormatType.ShortFormat,
                )
                text = tr("Desktop", "Restore the backup of {0}").format(made)
                back = box.addButton(text, QMessageBox.ButtonRole.YesRole)
            other = box.addButton(tr("Desktop", "Choose another…"), QMessageBox.ButtonRole.YesRole)
            look = box.addButton(tr("Desktop", "Only look"), QMessageBox.ButtonRole.AcceptRole)
            box.addButton(tr("Desktop", "Quit"), QMessageBox.ButtonRole.RejectRole)
            box.exec()
            if backup is not None and box.clickedButton() is back:
                try:
                    return restored(place, backup)
                except StoreError as failure:
                    QMessageBox.warning(None, "Mitoscope", f"{failure.message}\n{failure.hint}")
                continue
            if box.clickedButton() is look:
                folder = stack.enter_context(TemporaryDirectory(prefix="mitoscope-"))
                note = tr("Desktop", "Nothing is kept: {0}").format(error.message)
                return open_store(Path(folder) / "look.sqlite"), note
            if box.clickedButton() is not other:
                return None, ""
            name, _ = QFileDialog.getSaveFileName(
                None, "Mitoscope", str(place), options=QFileDialog.Option.DontConfirmOverwrite
            )
            place = Path(name) if name else place


def _check_screen() -> None:
    """Qt would abort the process where there is no screen."""
    if sys.platform != "linux" or os.environ.get("QT_QPA_PLATFORM"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise DeviceError(
            "There is no screen to show the desktop on.",
            "Without one, use the commands: mitoscope --help.",
        )


def _offered(protocol_id: str) -> str:
    """The reader's protocol, or the first one offered where the laboratory does not allow it."""
    offered = offered_protocols()
    return protocol_id if protocol_id in offered else next(iter(offered))


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such account, as in some containers
        return "reader"


def _pump() -> None:
    """Let the screen live while something ends; keys and clicks wait, and are then dropped."""
    QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
