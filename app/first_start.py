"""What helps a reader who is new: the welcome, the demo slide, and the daily workflow."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Slot

from app import __version__
from app.demo_slide import DemoMaker
from app.help import HelpWindow
from app.help_pages import HelpPages, read_pages
from app.licences import read_licences
from app.panels.welcome import Licences, WelcomeDialog
from app.paths import default_store, desktop_log_file, settings_file
from app.requests import DeviceNews

if TYPE_CHECKING:
    from app.window import Window

#: Torch is imported to find the device: not before the window is painted.
DEVICE_AFTER_MS = 500


class FirstStart(QObject):
    """Shows welcome and help of a window, and makes the demo slide.

    Args:
        window: over which they are shown.

    Attributes:
        welcome: the dialog while it is shown, else None.
        help: the window of the daily workflow; None before it was wanted.
        demo: makes the demo slide.
    """

    def __init__(self, window: "Window") -> None:
        super().__init__(window)
        self._window = window
        self.welcome: WelcomeDialog | None = None
        self.help: HelpWindow | None = None
        self.demo = DemoMaker(window.room.bridge, default_store().with_name("demo"), self)
        self._look = QTimer(self, singleShot=True, interval=DEVICE_AFTER_MS)
        self._look.timeout.connect(self._ask_device)
        page = window.viewing.welcome
        page.demo_requested.connect(self.demo.make)
        self.demo.progressed.connect(page.show_progress)
        self.demo.progressed.connect(self._say_progress)
        self.demo.finished.connect(self._open_demo)
        self.demo.failed.connect(window.show_error)
        window.menus.welcome.triggered.connect(self.show_welcome)
        window.menus.workflow.triggered.connect(self.show_help)

    def begin(self) -> None:
        """Greet who has not accepted the notice yet."""
        if not self._window.preferences.settings.notice_accepted:
            self.show_welcome()

    @Slot()
    def show_welcome(self) -> None:
        """Show the welcome."""
        if self.welcome is not None:
            self.welcome.raise_()
            return
        window, settings = self._window, self._window.preferences.settings
        dialog = self.welcome = WelcomeDialog(
            self._places(), settings.notice_accepted, settings.notice_version, window
        )
        dialog.notice_accepted.connect(self._accept)
        dialog.demo_requested.connect(self.demo.make)
        dialog.help_requested.connect(self.show_help)
        dialog.finished.connect(self._welcome_ended)
        dialog.open()
        window.room.io.submit(read_licences, self._show_licences)
        self._look.start()

    def _places(self) -> dict[str, Path]:
        window = self._window
        return {
            self.tr("Results, verdicts, backups"): window.room.store.path,
            self.tr("Adapters"): window.shelf.folder,
            self.tr("Settings"): settings_file(),
            self.tr("Log"): desktop_log_file(),
        }

    @Slot()
    def _accept(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._window.preferences.change(notice_accepted=now, notice_version=__version__)

    @Slot()
    def _welcome_ended(self) -> None:
        dialog, self.welcome = self.welcome, None
        self._look.stop()
        if dialog is not None:
            dialog.deleteLater()
        if not self._window.preferences.settings.notice_accepted:
            self._window.close()

    def _show_licences(self, licences: Licences) -> None:
        if self.welcome is not None:
            self.welcome.show_licences(licences)

    @Slot()
    def _ask_device(self) -> None:
        self._window.worker.ask_device(self._window.preferences.settings.device, self._show_device)

    def _show_device(self, news: DeviceNews) -> None:
        if self.welcome is not None:
            self.welcome.show_device(news)

    # The demo slide.

    @Slot(int, int)
    def _say_progress(self, done: int, total: int) -> None:
        if total:
            percent = 100 * done // total
            self._window.status.say(self.tr("Making the demo slide: {0} %").format(percent))

    @Slot(str)
    def _open_demo(self, path: str) -> None:
        self._window.status.say("")
        self._window.open_slides([Path(path)])

    # Help.

    @Slot()
    def show_help(self) -> None:
        """Show the daily workflow, beside the window."""
        if self.help is None:
            self.help = HelpWindow(self._window.keymap)
            self._window.room.io.submit(read_pages, self._show_pages)
        self.help.show()
        self.help.raise_()
        self.help.activateWindow()

    def _show_pages(self, pages: HelpPages) -> None:
        if self.help is not None:
            self.help.set_pages(pages)

    def shutdown(self) -> bool:
        """Close what stands beside the window, and end the thread; whether it ended in time."""
        self._look.stop()
        if self.welcome is not None:
            self.welcome.reject()
        if self.help is not None:
            self.help.close()
            self.help.deleteLater()
            self.help = None
        return self.demo.shutdown()
