"""Notices that nobody read for a while, so that the next reader is asked for."""

import time
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Signal, Slot
from PySide6.QtGui import QWindow

# A key that is a shortcut comes as an override only.
_WOKEN_BY = (
    QEvent.Type.ShortcutOverride,
    QEvent.Type.KeyPress,
    QEvent.Type.MouseButtonPress,
    QEvent.Type.Wheel,
)


class IdleWatch(QObject):
    """Watches a window's keys and clicks; the first after a pause is not passed on.

    It filters the native window's events, not the application's: Python would otherwise see every
    event of every widget.

    Args:
        after_s: seconds of the pause that counts.
        clock: gives seconds; wall time, because a computer that sleeps is away, too.

    Signals:
        woken: somebody came back; `confirm` says that it is known who. Until then every key and
            click does this again.
    """

    woken = Signal()

    def __init__(
        self,
        after_s: float,
        parent: QObject | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(parent)
        self.after_s = after_s
        self._clock = clock
        self._last_s = clock()
        self._window: QWindow | None = None

    def watch(self, window: QWindow | None) -> None:
        """Watch a native window; a window gets a new one when its flags change."""
        if window is not None and window is not self._window:
            window.installEventFilter(self)
            self._window = window

    @Slot()
    def confirm(self) -> None:
        """It is known who reads: begin anew."""
        self._last_s = self._clock()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """See `QObject`."""
        if event.type() not in _WOKEN_BY:
            return False
        if self._clock() - self._last_s > self.after_s:
            event.accept()  # an override that nobody accepts is tried as a shortcut
            self.woken.emit()
            return True
        self._last_s = self._clock()
        return False
