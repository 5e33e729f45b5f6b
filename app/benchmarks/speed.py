"""`mitoscope benchmark speed`: the whole pipeline beside its bare forward passes and bare reading.

All three do the same windows of the same slide in one run, alternated.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from app.benchmarks.report import Taken, alternate, timed
from core.analysis.pipeline import RunSummary, analyze
from core.analysis.planning import AnalysisRequest, Plan, default_reader_threads, make_plan
from core.analysis.tiling import Window
from core.slides.crops import read_crops
from core.slides.reader import Slide, open_slide
from core.store import open_store
from models.classifier import CropClassifier
from models.detector import HeatmapDetector


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians of the rounds.

    Attributes:
        area_mm2: analysed.
        windows, candidates: what the models saw.
        device, precision, backend: where it ran.
        threads: that read.
        mm2_per_s: of the whole pipeline.
        pipeline_s: tissue, windows, both models, store.
        forward_s: bare forward passes of detector and classifier, everything in memory.
        reading_s: reading and decoding the same windows, nothing else.
        pipeline_to_forward, pipeline_to_reading: ratios of those.
        pipeline_to_forward_cpu: by processor time, which other programs disturb less.
        recorded: seconds by name as the run's record keeps them (`read_s` is summed over threads).
    """

    area_mm2: float
    windows: int
    candidates: int
    device: str
    precision: str
    backend: str
    threads: int
    rounds: int
    mm2_per_s: float
    pipeline_s: float
    forward_s: float
    reading_s: float
    pipeline_to_forward: float
    pipeline_to_reading: float
    pipeline_to_forward_cpu: float
    recorded: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What the bare forward passes see: (W, s, s, 3) and (N, c, c, 3) uint8."""

    plan: Plan
    windows: NDArray[np.uint8]
    crops: NDArray[np.uint8]


def measure_speed(
    path: Path,
    detector: HeatmapDetector,
    classifier: CropClassifier,
    *,
    repeats: int = 3,
    threads: int | None = None,
) -> Speed:
    """Time pipeline, forward passes and reading on one slide.

    Every reading and every run opens the slide anew, so that no tile is decoded before the clock
    starts; opening is not timed, nor is the first, warming run.

    Args:
        path: the slide.
        detector: the detector.
        classifier: the classifier.
        repeats: rounds; medians are reported.
        threads: that read; by default as many as an analysis uses.
    """
    threads = threads or default_reader_threads()
    request = AnalysisRequest("benchmark", reader_threads=threads)
    with open_slide(path) as slide:
        backend = slide.backend
        inputs = _prepare(slide, detector, classifier, request)
    records: list[dict[str, float]] = []

    def pipeline() -> Taken:
        with open_slide(path, backend=backend) as slide:
            taken, summary = _run(slide, detector, classifier, request)
        records.append(dict(summary.run.times))
        return taken

    def forward() -> Taken:
        return timed(lambda: (detector.heat(inputs.windows), classifier.logits(inputs.crops)))

    def reading() -> Taken:
        with open_slide(path, backend=backend) as slide, ThreadPoolExecutor(threads) as pool:
            return timed(lambda: _read_all(slide, inputs.plan.windows, detector, pool))

    taken = alternate({"forward": forward, "pipeline": pipeline, "reading": reading}, repeats)
    whole, bare, read = taken["pipeline"], taken["forward"], taken["reading"]
    return Speed(
        area_mm2=inputs.plan.mm2,
        windows=len(inputs.windows),
        candidates=len(inputs.crops),
        device=detector.origin.device,
        precision=detector.origin.precision,
        backend=backend,
        threads=threads,
        rounds=repeats,
        mm2_per_s=inputs.plan.mm2 / whole.wall_s,
        pipeline_s=whole.wall_s,
        forward_s=bare.wall_s,
        reading_s=read.wall_s,
        pipeline_to_forward=whole.wall_s / bare.wall_s,
        pipeline_to_reading=whole.wall_s / read.wall_s,
        pipeline_to_forward_cpu=whole.cpu_s / bare.cpu_s,
        recorded={name: median(times[name] for times in records) for name in records[0]},
    )


def _prepare(
    slide: Slide, detector: HeatmapDetector, classifier: CropClassifier, request: AnalysisRequest
) -> _Inputs:
    """The windows and crops of a first run, in memory."""
    side = detector.window_px
    with (
        tempfile.TemporaryDirectory(prefix="mitoscope-", ignore_cleanup_errors=True) as folder,
        open_store(Path(folder) / "store.sqlite") as store,
    ):
        run = analyze(slide, detector, classifier, store, request).run
        places = [(row.x0, row.y0) for row in store.iter_candidates(run.id)]
    plan = make_plan(slide, detector, classifier, request)
    windows = np.empty((len(plan.windows), side, side, 3), np.uint8)
    for index, window in enumerate(plan.windows):
        windows[index] = _read(slide, window, detector)
    crops = read_crops(slide, np.array(places), classifier.crop_px, classifier.mpp)
    return _Inputs(plan, windows, crops)


def _run(
    slide: Slide, detector: HeatmapDetector, classifier: CropClassifier, request: AnalysisRequest
) -> tuple[Taken, RunSummary]:
    summaries: list[RunSummary] = []
    with (
        tempfile.TemporaryDirectory(prefix="mitoscope-", ignore_cleanup_errors=True) as folder,
        open_store(Path(folder) / "store.sqlite") as store,
    ):
        taken = timed(
            lambda: summaries.append(analyze(slide, detector, classifier, store, request))
        )
    return taken, summaries[0]


def _read_all(
    slide: Slide, windows: list[Window], detector: HeatmapDetector, pool: ThreadPoolExecutor
) -> None:
    for _ in pool.map(lambda window: _read(slide, window, detector), windows):
        pass  # dropped at once, as a pipeline would


def _read(slide: Slide, window: Window, detector: HeatmapDetector) -> NDArray[np.uint8]:
    side = detector.window_px
    return slide.read_at(window.rect0.x0, window.rect0.y0, side, side, detector.mpp)
