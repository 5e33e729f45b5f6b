"""The worker: one thread that owns the networks and analyses slides one after another.

Requests go in frozen, answers come back in the GUI thread with their slide. Torch is imported on
that thread when the first analysis begins. The slide is opened anew for each run, so that a run
goes on while another slide is on the screen.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
from PySide6.QtCore import QObject, Signal

from app import __version__
from app.bridge import GuiBridge, WorkThread
from app.listing import shown_name
from core.analysis.progress import Progress
from core.analysis.tiling import Regions
from core.cancel import Cancelled, CancelToken
from core.errors import UserError
from core.geometry import Mpp
from core.slides.reader import Backend, Slide, open_slide
from core.store import Store

if TYPE_CHECKING:
    from app.analysing import Models
    from core.analysis.pipeline import RunSummary

log = logging.getLogger(__name__)

#: How long closing waits for the batch under way; what is finished is on disk before that.
STOP_S = 5.0

ModelLoader = Callable[[str], "Models"]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A slide to analyse.

    Attributes:
        slide_id: the store's.
        path: of the slide.
        name: alias or file name, for the screen.
        mpp: µm per level-0 pixel as the store has it; None: as the file says.
        mpp_origin: where it came from.
        regions: where to look.
        region_ids: their versions in the store.
        device: `auto`, `cuda`, `mps` or `cpu`.
        backend: pixel library.
        again: make a new run even if there is one.
    """

    slide_id: int
    path: Path
    name: str
    mpp: Mpp | None = None
    mpp_origin: str = ""
    regions: Regions = field(default_factory=Regions)
    region_ids: tuple[int, ...] = ()
    device: str = "auto"
    backend: Backend = "auto"
    again: bool = False


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is; `run_id` once the store has it."""

    slide_id: int
    token: int
    progress: Progress
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class RunDone:
    """A run that came to its end; `notes` are warnings of the networks on the way."""

    slide_id: int
    token: int
    request: RunRequest
    summary: "RunSummary"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunStopped:
    """A run that was cancelled (`error` None) or failed; what is finished is kept in `run_id`."""

    slide_id: int
    token: int
    request: RunRequest
    error: UserError | None = None
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceNews:
    """Where the networks run and why; empty while they are being loaded."""

    device: str
    why: str


def desktop_models(device: str) -> "Models":
    """The shipped networks, leaving a core to the screen."""
    from app.analysing import load_models

    return load_models(device, threads=max(1, (os.cpu_count() or 2) - 1))


def make_request(
    store: Store,
    slide_id: int,
    *,
    device: str,
    backend: Backend,
    tumour_only: bool,
    again: bool = False,
    hide_names: bool = False,
) -> RunRequest:
    """What to ask of a slide of the store; runs on the desk thread.

    Args:
        store: holds the slide and its regions.
        slide_id: the store's slide.
        device: where to run.
        backend: pixel library.
        tumour_only: look in the tumour regions only, if there are any.
        again: make a new run.
        hide_names: whether file names are hidden on the screen.
    """
    stored = store.slide(slide_id)
    drawn = [region for region in store.regions(slide_id) if region.kind != "count_area"]
    if not tumour_only:
        drawn = [region for region in drawn if region.kind != "tumour"]
    polygons: dict[str, list[Any]] = {"tumour": [], "excluded": []}
    for region in drawn:
        polygons[region.kind].append(shapely.from_wkb(region.wkb))
    united = {kind: shapely.union_all(found) if found else None for kind, found in polygons.items()}
    return RunRequest(
        slide_id=slide_id,
        path=Path(stored.path),
        name=shown_name(stored, hidden=hide_names),
        mpp=stored.mpp,
        mpp_origin=stored.mpp_origin,
        regions=Regions(tumour=united["tumour"], excluded=united["excluded"]),
        region_ids=tuple(region.id for region in drawn),
        device=device,
        backend=backend,
        again=again,
    )


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
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._store, self._bridge = store, bridge
        self._thread = WorkThread("gpu", bridge)
        self._engine = _Engine(store, load)
        self._waiting: list[RunRequest] = []
        self._running: RunRequest | None = None
        self._stop = CancelToken()
        self._token = 0
        self._closed = False

    @property
    def queue(self) -> tuple[RunRequest, ...]:
        """What runs, then what waits."""
        return (() if self._running is None else (self._running,)) + tuple(self._waiting)

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
        until_s = time.monotonic() + STOP_S
        while not self._thread.close(timeout_s=0.02):
            if time.monotonic() > until_s:
                log.error("the worker did not end within %g s", STOP_S)
                return False
            if pump is not None:
                pump()
        return True

    def _next(self) -> None:
        if self._running is not None or not self._waiting or self._closed:
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


class _Engine:
    """What lives on the worker's thread: the networks, kept from one run to the next."""

    def __init__(self, store: Store, load: ModelLoader) -> None:
        self._store, self._load = store, load
        self._models: Models | None = None
        self._device = ""

    def run(
        self,
        request: RunRequest,
        stop: CancelToken,
        tell: Callable[[Progress, int | None], None],
        loaded: Callable[["Models"], None],
    ) -> "tuple[RunSummary, tuple[str, ...]]":
        """Analyse one slide; errors as `core.analysis.pipeline.analyze`."""
        # Not before they are needed: the window opens sooner.
        from core.analysis.pipeline import analyze
        from core.analysis.planning import AnalysisRequest

        stop.check()
        with _open(request) as slide:
            slide.require_mpp()
            tell(Progress("tissue"), None)
            models = self._networks(request.device)
            loaded(models)
            stop.check()
            warned = models.warnings
            run_id: int | None = None

            def listen(progress: Progress) -> None:
                nonlocal run_id
                if run_id is None and progress.phase != "tissue":
                    run_id = _running_run(self._store, request.slide_id)
                tell(progress, run_id)

            summary = analyze(
                slide,
                models.detector,
                models.classifier,
                self._store,
                AnalysisRequest(
                    __version__, request.regions, request.again, region_ids=request.region_ids
                ),
                progress=listen,
                token=stop,
            )
        fresh = tuple(warning for warning in models.warnings if warning not in warned)
        if fresh:
            loaded(replace(models, why="; ".join(fresh)))
        return summary, fresh

    def ended_run(self, request: RunRequest, since: datetime) -> int | None:
        """The run of a slide that was ended since then, if one had begun."""
        runs = self._store.runs(request.slide_id)
        ended = [run.id for run in runs if run.finished_at is not None and run.finished_at >= since]
        return ended[-1] if ended else None

    def _networks(self, device: str) -> "Models":
        if self._models is None or self._device != device:
            self._models = None  # before the others are loaded: both may not fit
            self._models, self._device = self._load(device), device
        return self._models


def _open(request: RunRequest) -> Slide:
    slide = open_slide(request.path, backend=request.backend)
    if request.mpp is not None and slide.mpp != request.mpp:
        slide.mpp, slide.mpp_origin = request.mpp, request.mpp_origin
    return slide


def _running_run(store: Store, slide_id: int) -> int | None:
    running = [run.id for run in store.runs(slide_id) if run.state == "running"]
    return running[-1] if running else None
