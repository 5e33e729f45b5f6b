"""Notices that nobody has read for a while, so that the reader can be confirmed."""

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal, Slot

IDLE_S = 15 * 60.0
CHECK_S = 20.0


class IdleGuard(QObject):
    """Asks once when the reader did nothing for a time, and again only after `confirm`.

    What counts as doing something is for its owner to say: connect such signals to `touch`. A
    computer that slept counts as idle, so the clock is the wall's and not the process's.

    Args:
        idle_s: how long nothing happened.
        clock: seconds, going on while the computer sleeps.
        parent: its owner.

    Signals:
        idle: nobody did anything for this long.
    """

    idle = Signal()

    def __init__(
        self,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.time,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._idle_s, self._clock = idle_s, clock
        self._last_s = clock()
        self._asked = False
        self._timer = QTimer(self, interval=round(min(CHECK_S, idle_s) * 1000))
        self._timer.timeout.connect(self.check)
        self._timer.start()

    @Slot()
    def touch(self) -> None:
        """The reader did something; too late if they were idle before."""
        self.check()
        if not self._asked:
            self._last_s = self._clock()

    @Slot()
    def confirm(self) -> None:
        """The reader said who they are."""
        self._asked, self._last_s = False, self._clock()

    @Slot()
    def ask_again(self) -> None:
        """The question was left unanswered: ask it again soon."""
        self._asked = False

    @Slot()
    def check(self) -> None:
        """Ask if nothing happened for too long."""
        if not self._asked and self._clock() - self._last_s >= self._idle_s:
            self._asked = True
            self.idle.emit()

    @Slot()
    def stop(self) -> None:
        """Ask no more, at the end."""
        self._timer.stop()
