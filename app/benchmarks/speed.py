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
from models.atypical import AtypicalClassifier
from models.classifier import CropClassifier
from models.detector import HeatmapDetector


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians of the rounds.

    Attributes:
        area_mm2: analysed.
        windows, candidates, likely: what the models saw; `likely` is asked whether it is atypical.
        device, precision, backend: where it ran.
        threads: that read.
        mm2_per_s: of the whole pipeline.
        pipeline_s: tissue, windows, both models, store.
        forward_s: bare forward passes of all models, everything in memory.
        reading_s: reading and decoding the same windows, nothing else.
        pipeline_to_forward, pipeline_to_reading: ratios of those.
        pipeline_to_forward_cpu: by processor time, which other programs disturb less.
        recorded: seconds by name as the run's record keeps them (`read_s` is summed over threads).
    """

    area_mm2: float
    windows: int
    candidates: int
    likely: int
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
    """What the bare forward passes see: (W, s, s, 3), (N, c, c, 3) and (L, c, c, 3) uint8."""

    plan: Plan
    windows: NDArray[np.uint8]
    crops: NDArray[np.uint8]
    likely: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Judges:
    """The models of an analysis."""

    detector: HeatmapDetector
    classifier: CropClassifier
    subtype: AtypicalClassifier | None = None


def measure_speed(
    path: Path,
    models: Judges,
    *,
    repeats: int = 3,
    threads: int | None = None,
) -> Speed:
    """Time pipeline, forward passes and reading on one slide.

    Every reading and every run opens the slide anew, so that no tile is decoded before the clock
    starts; opening is not timed, nor is the first, warming run.

    Args:
        path: the slide.
        models: as an analysis uses them.
        repeats: rounds; medians are reported.
        threads: that read; by default as many as an analysis uses.
    """
    detector, classifier, subtype = models.detector, models.classifier, models.subtype
    threads = threads or default_reader_threads()
    request = AnalysisRequest("benchmark", reader_threads=threads)
    with open_slide(path) as slide:
        backend = slide.backend
        inputs = _prepare(slide, models, request)
    records: list[dict[str, float]] = []

    def pipeline() -> Taken:
        with open_slide(path, backend=backend) as slide:
            taken, summary = _run(slide, models, request)
        records.append(dict(summary.run.times))
        return taken

    def forward() -> Taken:
        def passes() -> None:
            detector.heat(inputs.windows)
            classifier.logits(inputs.crops)
            if subtype is not None and len(inputs.likely):
                subtype.atypical(inputs.likely)

        return timed(passes)

    def reading() -> Taken:
        with open_slide(path, backend=backend) as slide, ThreadPoolExecutor(threads) as pool:
            return timed(lambda: _read_all(slide, inputs.plan.windows, detector, pool))

    taken = alternate({"forward": forward, "pipeline": pipeline, "reading": reading}, repeats)
    whole, bare, read = taken["pipeline"], taken["forward"], taken["reading"]
    return Speed(
        area_mm2=inputs.plan.mm2,
        windows=len(inputs.windows),
        candidates=len(inputs.crops),
        likely=len(inputs.likely),
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


def _prepare(slide: Slide, models: Judges, request: AnalysisRequest) -> _Inputs:
    """The windows and crops of a first run, in memory."""
    detector, classifier = models.detector, models.classifier
    side = detector.window_px
    with (
        tempfile.TemporaryDirectory(prefix="mitoscope-", ignore_cleanup_errors=True) as folder,
        open_store(Path(folder) / "store.sqlite") as store,
    ):
        run = analyze(slide, detector, classifier, store, request, subtype=models.subtype).run
        rows = list(store.iter_candidates(run.id))
    plan = make_plan(slide, detector, classifier, request)
    windows = np.empty((len(plan.windows), side, side, 3), np.uint8)
    for index, window in enumerate(plan.windows):
        windows[index] = _read(slide, window, detector)

    def crops(places: list[tuple[float, float]]) -> NDArray[np.uint8]:
        xy0 = np.array(places, np.float64).reshape(-1, 2)
        return read_crops(slide, xy0, classifier.crop_px, classifier.mpp)

    likely = [(row.x0, row.y0) for row in rows if row.atypical_probability is not None]
    return _Inputs(plan, windows, crops([(row.x0, row.y0) for row in rows]), crops(likely))


def _run(slide: Slide, models: Judges, request: AnalysisRequest) -> tuple[Taken, RunSummary]:
    summaries: list[RunSummary] = []

    def work() -> None:
        done = analyze(
            slide, models.detector, models.classifier, store, request, subtype=models.subtype
        )
        summaries.append(done)

    with (
        tempfile.TemporaryDirectory(prefix="mitoscope-", ignore_cleanup_errors=True) as folder,
        open_store(Path(folder) / "store.sqlite") as store,
    ):
        taken = timed(work)
    return taken, summaries[0]


def _read_all(
    slide: Slide, windows: list[Window], detector: HeatmapDetector, pool: ThreadPoolExecutor
) -> None:
    for _ in pool.map(lambda window: _read(slide, window, detector), windows):
        pass  # dropped at once, as a pipeline would


def _read(slide: Slide, window: Window, detector: HeatmapDetector) -> NDArray[np.uint8]:
    side = detector.window_px
    return slide.read_at(window.rect0.x0, window.rect0.y0, side, side, detector.mpp)
