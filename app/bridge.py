"""The borders between threads: work goes out to named threads, answers come back to the GUI thread.

A signal of an object that lives in the GUI thread, emitted from any thread, runs its slots in the
GUI thread; a lambda connected to an object moved elsewhere would not. So there is one such object.
"""

import itertools
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Qt, Signal, Slot

from core.cancel import Cancelled
from core.errors import UserError

log = logging.getLogger(__name__)

A = TypeVar("A")
T = TypeVar("T")


class GuiBridge(QObject):
    """Runs calls from any thread in the GUI thread, in the order in which they came.

    Signals:
        user_error: a `UserError` that nobody else took.
        bug: any other exception of a work thread.
    """

    user_error = Signal(object)
    bug = Signal(object)
    _handed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._handed.connect(self._run, Qt.ConnectionType.QueuedConnection)

    def post(self, call: Callable[[], None]) -> None:
        """Have `call` run in the GUI thread; returns at once."""
        self._handed.emit(call)

    def or_else(self, work: Callable[[A], T], refused: Callable[[], None]) -> Callable[[A], T]:
        """`work`; where it raises, `refused` runs in the GUI thread before the error is told."""

        def call(about: A) -> T:
            try:
                return work(about)
            except BaseException:
                self.post(refused)
                raise

        return call

    @Slot(object)
    def _run(self, call: Callable[[], None]) -> None:
        call()


class WorkThread:
    """One named thread that does one thing after another; answers arrive in the GUI thread.

    Args:
        name: of the thread, for logs.
        bridge: brings the answers.
    """

    def __init__(self, name: str, bridge: GuiBridge) -> None:
        self._bridge = bridge
        self._order = itertools.count()
        self._tasks: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = (
            queue.PriorityQueue()
        )
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Callable[[], T],
        done: Callable[[T], None] | None = None,
        failed: Callable[[UserError], None] | None = None,
        *,
        priority: int = 0,
    ) -> None:
        """Queue work; lower priorities go first. After `close` nothing is taken on.

        Args:
            work: runs on this thread; must touch no widget.
            done: runs in the GUI thread with the answer.
            failed: runs in the GUI thread with a `UserError`; without it the bridge tells the
                window. A `Cancelled` is silent.
            priority: of the task.
        """
        if not self._closed:
            call = self._task(work, done, failed)
            self._tasks.put((priority, next(self._order), call))

    @property
    def closed(self) -> bool:
        """Whether its end was asked for; nothing is taken any more."""
        return self._closed

    def close(self, timeout_s: float = 5.0) -> bool:
        """Finish what runs, drop what waits; whether the thread ended in time."""
        self._closed = True
        self._tasks.put((-(2**31), -1, None))
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _task(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None] | None,
        failed: Callable[[UserError], None] | None,
    ) -> Callable[[], None]:
        def call() -> None:
            try:
                answer = work()
            except UserError as error:
                self._bridge.post(_bound(failed or self._bridge.user_error.emit, error))
            except Cancelled:
                log.debug("cancelled on %s", threading.current_thread().name)
            except Exception as error:  # noqa: BLE001  a thread's border: a bug goes to the window
                self._bridge.post(_bound(self._bridge.bug.emit, error))
            else:
                if done is not None:
                    self._bridge.post(_bound(done, answer))

        return call

    def _work(self) -> None:
        while True:
            task = self._tasks.get()[2]
            if task is None:
                return
            task()


def _bound(call: Callable[[Any], None], value: Any) -> Callable[[], None]:
    return lambda: call(value)
