"""The worker: one thread that owns the networks and analyses slides one after another.

Requests go in frozen, answers come back in the GUI thread with their slide. Torch is imported on
that thread when the first analysis begins. The slide is opened anew for each run, so that a run
goes on while another slide is on the screen.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, Signal

from app.bridge import GuiBridge, WorkThread
from app.engine import Engine, desktop_adapter, desktop_models
from app.requests import (
    AdapterLoader,
    DeviceNews,
    ModelLoader,
    RunDone,
    RunProgress,
    RunRequest,
    RunStopped,
    make_request,
)
from core.analysis.progress import Progress
from core.cancel import Cancelled, CancelToken
from core.errors import UserError
from core.store import Store

if TYPE_CHECKING:
    from app.analysing import Models

__all__ = [
    "AnalysisWorker",
    "DeviceNews",
    "ModelLoader",
    "RunDone",
    "RunProgress",
    "RunRequest",
    "RunStopped",
    "desktop_models",
    "make_request",
]

log = logging.getLogger(__name__)

#: How long closing waits for the batch under way; what is finished is on disk before that.
STOP_S = 5.0

T = TypeVar("T")


class AnalysisWorker(QObject):
    """Queues requests in the GUI thread and runs them on the worker's.

    Signals:
        queue_changed: tuple of `RunRequest`, the one that runs first.
        progressed: a `RunProgress`.
        device_chosen: a `DeviceNews`.
        finished: a `RunDone`.
        cancelled: a `RunStopped`.
        failed: a `RunStopped` with its `error`.
    """

    queue_changed = Signal(object)
    progressed = Signal(object)
    device_chosen = Signal(object)
    finished = Signal(object)
    cancelled = Signal(object)
    failed = Signal(object)

    def __init__(
        self,
        store: Store,
        bridge: GuiBridge,
        *,
        load: ModelLoader = desktop_models,
        load_adapter: AdapterLoader = desktop_adapter,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._store, self._bridge = store, bridge
        self._thread = WorkThread("gpu", bridge)
        self._engine = Engine(store, load, load_adapter)
        self._waiting: list[RunRequest] = []
        self._running: RunRequest | None = None
        self._stop = CancelToken()
        self._token = 0
        self._lent: CancelToken | None = None
        self._closed = False

    @property
    def queue(self) -> tuple[RunRequest, ...]:
        """What runs, then what waits."""
        return (() if self._running is None else (self._running,)) + tuple(self._waiting)

    @property
    def lent(self) -> bool:
        """Whether something else than analyses has the thread."""
        return self._lent is not None

    def lend(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[UserError | None], None],
        token: CancelToken,
    ) -> bool:
        """Give the thread to something else for once; analyses asked for meanwhile wait.

        Args:
            work: runs on the thread, with the networks' memory set free.
            done: runs in the GUI thread with its answer.
            failed: runs there with what stood in the way; None where it was cancelled, or where a
                fault was told by the bridge.
            token: that cancels it; closing does.

        Returns:
            Whether the thread was free; if not, nothing happens.
        """
        if self._closed or self._lent is not None or self.queue:
            return False
        self._lent = token

        def run() -> None:
            self._engine.forget()
            try:
                answer = work()
            except Cancelled:
                self._bridge.post(lambda: self._given_back(lambda: failed(None)))
            except UserError as error:
                trouble = error
                self._bridge.post(lambda: self._given_back(lambda: failed(trouble)))
            except BaseException:
                self._bridge.post(lambda: self._given_back(lambda: failed(None)))
                raise
            else:
                self._bridge.post(lambda: self._given_back(lambda: done(answer)))

        self._thread.submit(run)
        self.queue_changed.emit(self.queue)
        return True

    def _given_back(self, tell: Callable[[], None]) -> None:
        self._lent = None
        tell()
        self._next()
        self.queue_changed.emit(self.queue)

    def ask_device(self, name: str, done: Callable[[DeviceNews], None]) -> None:
        """Find out where networks would run, once the thread is free; torch is imported there.

        Args:
            name: of the settings: `auto`, `cuda`, `mps` or `cpu`.
            done: runs in the GUI thread; where that device is not there, the news name none.
        """

        def look() -> DeviceNews:
            from models.device import pick_device

            device = pick_device(name)
            return DeviceNews(device.kind, device.why)

        self._thread.submit(
            look, done, lambda error: done(DeviceNews("", f"{error.message} {error.hint}"))
        )

    def start(self, request: RunRequest) -> None:
        """Analyse a slide as soon as those before it are done; a slide waits at most once."""
        if self._closed or any(request.slide_id == other.slide_id for other in self.queue):
            return
        self._waiting.append(request)
        self._next()
        self.queue_changed.emit(self.queue)

    def cancel(self, slide_id: int | None = None) -> None:
        """Stop the run of a slide, or take it out of the queue; None: everything."""
        gone = [r for r in self._waiting if slide_id in (None, r.slide_id)]
        self._waiting = [r for r in self._waiting if r not in gone]
        if self._running is not None and slide_id in (None, self._running.slide_id):
            self._stop.cancel()
        for request in gone:
            self.cancelled.emit(RunStopped(request.slide_id, 0, request))
        if gone:
            self.queue_changed.emit(self.queue)

    def close(self, pump: Callable[[], None] | None = None) -> bool:
        """Refuse new work, cancel, and wait for the batch under way.

        Args:
            pump: called while waiting, to keep the screen alive.

        Returns:
            Whether the thread ended in time.
        """
        self._closed = True
        self.cancel()
        if self._lent is not None:
            self._lent.cancel()
        until_s = time.monotonic() + STOP_S
        while not self._thread.close(timeout_s=0.02):
            if time.monotonic() > until_s:
                log.error("the worker did not end within %g s", STOP_S)
                return False
            if pump is not None:
                pump()
        return True

    def _next(self) -> None:
        busy = self._running is not None or self._lent is not None
        if busy or not self._waiting or self._closed:
            return
        request = self._running = self._waiting.pop(0)
        self._token += 1
        token, stop = self._token, CancelToken()
        self._stop = stop
        bridge = self._bridge

        def tell(progress: Progress, run_id: int | None) -> None:
            news = RunProgress(request.slide_id, token, progress, run_id)
            bridge.post(lambda: self._progress(news))

        def loaded(models: "Models") -> None:
            news = DeviceNews(models.detector.origin.device, models.why)
            bridge.post(lambda: self.device_chosen.emit(news))

        def work() -> RunDone | RunStopped:
            since = datetime.now(UTC)
            stopped = RunStopped(request.slide_id, token, request)
            try:
                summary, notes = self._engine.run(request, stop, tell, loaded)
            except Cancelled:
                return replace(stopped, run_id=self._engine.ended_run(request, since))
            except UserError as error:
                run_id = self._engine.ended_run(request, since)
                return replace(stopped, error=error, run_id=run_id)
            except BaseException:
                bridge.post(lambda: self._ended(stopped))
                raise
            return RunDone(request.slide_id, token, request, summary, notes)

        self._thread.submit(work, self._ended)

    def _progress(self, news: RunProgress) -> None:
        # A report that was on its way when its run was stopped would bring the bar back.
        if self._running is not None and news.token == self._token and not self._stop.cancelled:
            self.progressed.emit(news)

    def _ended(self, outcome: RunDone | RunStopped) -> None:
        if outcome.token != self._token or self._running is None:
            return
        self._running = None
        if isinstance(outcome, RunDone):
            self.finished.emit(outcome)
        elif outcome.error is None:
            self.cancelled.emit(outcome)
        else:
            self.failed.emit(outcome)
        self._next()
        self.queue_changed.emit(self.queue)
