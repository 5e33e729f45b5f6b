"""What lives on the worker's thread: the networks, and how a request is answered with them."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app import __version__
from app.requests import AdapterLoader, ModelLoader, RunRequest
from core.analysis.progress import Progress
from core.cancel import CancelToken
from core.slides.reader import Slide, open_slide
from core.store import Store

if TYPE_CHECKING:
    from app.analysing import Models
    from core.analysis.pipeline import RunSummary
    from core.analysis.reclassify import Reclassified
    from core.ports import Classifier

Teller = Callable[[Progress, int | None], None]


def desktop_models(device: str) -> "Models":
    """The shipped networks, leaving a core to the screen."""
    from app.analysing import load_models

    return load_models(device, threads=worker_threads())


def worker_threads() -> int:
    """Threads of torch that leave a core to the screen."""
    return max(1, (os.cpu_count() or 2) - 1)


def desktop_adapter(folder: Path, device: str) -> "Classifier":
    """The classifier of an adapter's folder."""
    from app.analysing import load_adapter
    from models.device import pick_device

    return load_adapter(folder, pick_device(device))


class Engine:
    """What lives on the worker's thread: the networks, kept from one run to the next.

    Args:
        store: of the results.
        load: loads the shipped networks.
        load_adapter: loads the classifier of an adapter.
    """

    def __init__(self, store: Store, load: ModelLoader, load_adapter: AdapterLoader) -> None:
        self._store, self._load, self._load_adapter = store, load, load_adapter
        self._models: Models | None = None
        self._device = ""
        self._own: Classifier | None = None
        self._adapter: Path | None = None

    def run(
        self,
        request: RunRequest,
        stop: CancelToken,
        tell: Teller,
        loaded: Callable[["Models"], None],
    ) -> "tuple[RunSummary | Reclassified, tuple[str, ...]]":
        """Answer a request; errors as `analyze` and `reclassify` of `core.analysis`."""
        stop.check()
        with _open(request) as slide:
            slide.require_mpp()
            tell(Progress("tissue"), None)
            models = self._networks(request.device, request.adapter)
            loaded(models)
            stop.check()
            warned = models.warnings
            answer = self._analyze if request.reclassifies is None else self._reclassify
            summary = answer(slide, models, request, stop, tell)
        fresh = tuple(warning for warning in models.warnings if warning not in warned)
        if fresh:
            loaded(replace(models, why="; ".join(fresh)))
        return summary, fresh

    def _analyze(
        self, slide: Slide, models: "Models", request: RunRequest, stop: CancelToken, tell: Teller
    ) -> "RunSummary":
        # Not before they are needed: the window opens sooner.
        from core.analysis.pipeline import analyze
        from core.analysis.planning import AnalysisRequest

        run_id: int | None = None

        def listen(progress: Progress) -> None:
            nonlocal run_id
            if run_id is None and progress.phase != "tissue":
                run_id = _running_run(self._store, request.slide_id)
            tell(progress, run_id)

        return analyze(
            slide,
            models.detector,
            models.classifier,
            self._store,
            AnalysisRequest(
                __version__, request.regions, request.again, region_ids=request.region_ids
            ),
            subtype=models.subtype,
            progress=listen,
            token=stop,
        )

    def _reclassify(
        self, slide: Slide, models: "Models", request: RunRequest, stop: CancelToken, tell: Teller
    ) -> "Reclassified":
        from core.analysis.reclassify import Reclassification, reclassify

        assert request.reclassifies is not None  # checked by the caller
        return reclassify(
            slide,
            models.classifier,
            self._store,
            Reclassification(__version__, request.reclassifies, request.first0),
            subtype=models.subtype,
            # The reader goes on with the run that is whole until the new one is.
            progress=lambda progress: tell(progress, None),
            token=stop,
        )

    def ended_run(self, request: RunRequest, since: datetime) -> int | None:
        """The run of a slide that was ended since then, to show; None where none had begun.

        A classification of candidates that was stopped is not shown: the run it began from is
        whole.
        """
        if request.reclassifies is not None:
            return None
        runs = self._store.runs(request.slide_id)
        ended = [run.id for run in runs if run.finished_at is not None and run.finished_at >= since]
        return ended[-1] if ended else None

    def forget(self) -> None:
        """Let go of the networks: others need the memory."""
        self._models, self._own, self._adapter = None, None, None

    def _networks(self, device: str, adapter: Path | None) -> "Models":
        if self._models is None or self._device != device:
            self.forget()  # before the others are loaded: both may not fit
            self._models, self._device = self._load(device), device
        if adapter is None:
            return self._models
        if self._own is None or self._adapter != adapter:
            self._own = None
            self._own, self._adapter = self._load_adapter(adapter, device), adapter
        return replace(self._models, classifier=self._own)


def _open(request: RunRequest) -> Slide:
    slide = open_slide(request.path, backend=request.backend)
    if request.mpp is not None and slide.mpp != request.mpp:
        slide.mpp, slide.mpp_origin = request.mpp, request.mpp_origin
    return slide


def _running_run(store: Store, slide_id: int) -> int | None:
    running = [run.id for run in store.runs(slide_id) if run.state == "running"]
    return running[-1] if running else None
