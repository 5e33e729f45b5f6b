"""Makes an adapter on the worker's thread, and tells how it goes in the GUI thread."""

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot

from app.adapting.request import AdaptProgress, AdaptReport, AdaptRequest, ProgressListener
from app.bridge import GuiBridge
from app.engine import worker_threads
from app.worker import AnalysisWorker
from core.cancel import CancelToken
from core.errors import InputError, UserError

#: More than ten reports a second only cost time.
MIN_INTERVAL_S = 0.1

Adapt = Callable[[AdaptRequest, CancelToken, ProgressListener], AdaptReport]


def desktop_adapt(
    request: AdaptRequest, token: CancelToken, progress: ProgressListener
) -> AdaptReport:
    """Adapt, leaving a core to the screen; imports torch, on the worker's thread."""
    from app.adapting.engine import adapt
    from models.device import set_threads

    set_threads(worker_threads())
    return adapt(request, token=token, progress=progress)


class AdapterMaker(QObject):
    """One adapting at a time, never beside an analysis: both want the device and its memory.

    Args:
        worker: whose thread is lent.
        bridge: brings the progress.
        adapt: does the work.

    Attributes:
        running: what is being made; None for nothing.
        unfinished: what was stopped, and goes on when it is asked for again.

    Signals:
        changed: no payload: something began or ended.
        progressed: an `AdaptProgress`.
        finished: an `AdaptReport`.
        failed: a `UserError`.
    """

    changed = Signal()
    progressed = Signal(object)
    finished = Signal(object)
    failed = Signal(object)

    def __init__(
        self,
        worker: AnalysisWorker,
        bridge: GuiBridge,
        adapt: Adapt = desktop_adapt,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._worker, self._bridge, self._adapt = worker, bridge, adapt
        self._token = CancelToken()
        self.running: AdaptRequest | None = None
        self.unfinished: AdaptRequest | None = None

    def start(self, request: AdaptRequest) -> bool:
        """Begin, or go on with what was stopped; whether it could.

        While an analysis runs or waits it cannot, which `failed` says.
        """
        token, adapt = CancelToken(), self._adapt
        listener = self._listener(token)
        lent = self.running is None and self._worker.lend(
            lambda: adapt(request, token, listener), self._done, self._ended, token
        )
        if not lent:
            self.failed.emit(
                InputError(
                    "An analysis runs or waits.",
                    "Adapt when it is done, or stop it in the panel Analysis.",
                )
            )
            return False
        self._token, self.running, self.unfinished = token, request, None
        self.changed.emit()
        return True

    @Slot()
    def cancel(self) -> None:
        """Stop; what is finished is kept."""
        self._token.cancel()

    def _listener(self, token: CancelToken) -> ProgressListener:
        """Called on the worker's thread."""
        last_s, last_part = 0.0, ""

        def listen(progress: AdaptProgress) -> None:
            nonlocal last_s, last_part
            now_s = time.monotonic()
            if progress.part == last_part and now_s - last_s < MIN_INTERVAL_S:
                return
            last_s, last_part = now_s, progress.part
            self._bridge.post(lambda: self._tell(token, progress))

        return listen

    def _tell(self, token: CancelToken, progress: AdaptProgress) -> None:
        # A report that was on its way when it was stopped would bring the bar back.
        if self.running is not None and token is self._token and not token.cancelled:
            self.progressed.emit(progress)

    def _done(self, report: AdaptReport) -> None:
        self.running = None
        self.changed.emit()
        self.finished.emit(report)

    def _ended(self, error: UserError | None) -> None:
        self.unfinished, self.running = self.running, None
        self.changed.emit()
        if error is not None:
            self.failed.emit(error)
