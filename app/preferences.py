"""The settings in use: changed in the GUI thread, written on another."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.bridge import WorkThread
from core.settings import Settings, save_settings


class Preferences(QObject):
    """Holds the `Settings` and keeps them on disk.

    Signals:
        changed: the new `Settings`.
    """

    changed = Signal(object)

    def __init__(
        self, settings: Settings, path: Path | None, io: WorkThread, parent: QObject | None = None
    ) -> None:
        """Begin with settings; with a `path` of None nothing is written."""
        super().__init__(parent)
        self.settings = settings
        self._path, self._io = path, io
        self._waiting = False  # whether a write is on its way; it takes the newest with it

    def change(self, **values: Any) -> None:
        """Set some of them; written soon, told at once."""
        new = replace(self.settings, **values)
        if new == self.settings:
            return
        self.settings = new
        if self._path is not None and not self._waiting:
            self._waiting = True
            self._io.submit(self._write)
        self.changed.emit(new)

    def _write(self) -> None:
        self._waiting = False
        if self._path is not None:
            save_settings(self._path, self.settings)
