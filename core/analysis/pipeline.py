"""From a slide to classified candidates in the store.

    reader threads ─▶ windows in order, few of them ─▶ detector ─▶ store (window with its points)
    reader threads ─▶ crops of what is settled      ─▶ classifier ─▶ store (candidates)

The calling thread owns the models. It runs the detector on windows that were read ahead, and in
between classifies the candidates that the merge has settled, while their tiles are still in the
slide's cache. Memory holds the windows in flight and the candidates along the front.

A run can stop anywhere. What is on disk is always whole: windows with their points, candidates with
their scores. Going on means: classify what the detection set holds without a score of this run,
take the points of finished windows into the merge, and detect the other windows. Then likely
mitoses are asked whether they are atypical. The last transaction levels the scores over the slide
and marks the run as done, both or neither.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from core.analysis.candidates import Points, StreamMerger
from core.analysis.classifying import CandidateSink
from core.analysis.cropping import CandidateWork
from core.analysis.levelling import FinalScores, final_scores
from core.analysis.planning import AnalysisRequest, Plan, make_plan
from core.analysis.progress import Listener, Progress, Reporter, Times
from core.analysis.readahead import read_ahead
from core.analysis.subtyping import with_subtypes
from core.analysis.tiling import Window
from core.cancel import Cancelled, CancelToken
from core.errors import SlideError, StoreError, UserError
from core.ports import Classifier, Detector, SubtypeClassifier
from core.slides.focus import is_blurred
from core.slides.reader import Slide, SlideReadError
from core.store import CandidateRow, RunRecord, Store, WindowRecord, WindowResult

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a finished run gave.

    Attributes:
        run: the run as stored, with its times.
        plan: where was looked.
        returned: whether the run was done before and nothing was computed.
        resumed: whether windows of an earlier session were taken over.
        windows: number of windows.
        failed: windows that could not be read.
        blurred: windows that are out of focus.
        analysed_mm2: area of the windows that were read.
        blurred_mm2: area of the blurred ones.
        candidates: number of candidates.
        notes: what the reader of the result must know, in plain words.
    """

    run: RunRecord
    plan: Plan
    returned: bool
    resumed: bool
    windows: int
    failed: tuple[WindowRecord, ...]
    blurred: tuple[WindowRecord, ...]
    analysed_mm2: float
    blurred_mm2: float
    candidates: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    """A window that was read, or could not be; `pixels` is (window_px, window_px, 3) uint8."""

    window: Window
    pixels: NDArray[np.uint8] | None
    blurred: bool = False
    message: str = ""


def analyze(
    slide: Slide,
    detector: Detector,
    classifier: Classifier,
    store: Store,
    request: AnalysisRequest,
    *,
    subtype: SubtypeClassifier | None = None,
    progress: Listener | None = None,
    token: CancelToken | None = None,
) -> RunSummary:
    """Find and classify the candidates of a slide; resume or return an earlier run of its key.

    Args:
        slide: open, with a pixel size.
        detector: used only on the calling thread.
        classifier: likewise.
        store: open for writing.
        request: regions and the like.
        subtype: tells atypical from normal mitoses; None: nothing does.
        progress: called on this thread, at most ten times a second.
        token: cancels the run; finished windows stay.

    Raises:
        Cancelled: the token was cancelled; the run is stored as such and can go on.
        PixelSizeError: the slide has no µm per pixel.
        SlideError: no tissue.
        RegionError: a region outside the slide or its tissue.
        StoreError: another process works on this run, or the store cannot be written.
    """
    token = token or CancelToken()
    reporter = Reporter(progress)
    reporter.report(Progress("tissue"))
    times = Times()
    with times.measure("plan_s"):
        plan = make_plan(slide, detector, classifier, request, subtype)
        token.check()
    run = plan.open_run(store, slide, request)
    if run.state == "done":
        return _summary(store, run, plan, returned=True, resumed=False)
    session = _Session(slide, detector, classifier, store, plan, run, request, reporter, times)
    resumed = bool(store.finished_windows(run.id))
    try:
        with times.measure("total_s"):
            notes = session.run_to_end(token)
            final = session.final(subtype, token)
    except Cancelled:
        store.finish_run(run.id, "cancelled", times.as_dict())
        raise
    except BaseException as error:
        _note_failure(store, run.id, times, error)
        raise
    notes += (final.note,) if final.note else ()
    run = store.finish_run(run.id, "done", times.as_dict(), "; ".join(notes), scores=final.rows)
    summary = _summary(store, run, plan, returned=False, resumed=resumed)
    reporter.report(Progress("done", summary.windows, summary.windows, summary.analysed_mm2))
    return summary


def _note_failure(store: Store, run_id: int, times: Times, error: BaseException) -> None:
    """Mark the run as failed; if even that cannot be written, the first error is told."""
    message = error.message if isinstance(error, UserError) else type(error).__name__
    try:
        store.finish_run(run_id, "failed", times.as_dict(), message)
    except StoreError as second:
        log.warning("run %d could not be marked as failed: %s", run_id, second)


class _Session:
    """One stretch of work on a run, on the thread that owns the models."""

    def __init__(
        self,
        slide: Slide,
        detector: Detector,
        classifier: Classifier,
        store: Store,
        plan: Plan,
        run: RunRecord,
        request: AnalysisRequest,
        reporter: Reporter,
        times: Times,
    ) -> None:
        self._slide = slide
        self._detector = detector
        self._classifier = classifier
        self._store = store
        self._plan = plan
        self._run = run
        self._threads = request.reader_threads
        self._reporter = reporter
        self._times = times

    def run_to_end(self, token: CancelToken) -> tuple[str, ...]:
        """Do what is left of the run; returns notes in plain words."""
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="slide-reader")
        try:
            sink = CandidateSink(
                self._slide, self._classifier, self._store, self._run.id, pool, self._times, token
            )
            try:
                self._work(pool, sink, token)
            finally:
                sink.save()
            return sink.notes()
        finally:
            pool.shutdown(cancel_futures=True)

    def final(self, subtype: SubtypeClassifier | None, token: CancelToken) -> FinalScores:
        """The last word on all candidates, once every one is classified."""
        with self._times.measure("post_s"):
            final = final_scores(self._store, self._run.id, self._classifier)
        work = CandidateWork(
            self._slide,
            self._store,
            self._run.id,
            self._threads,
            self._reporter,
            self._times,
            token,
        )
        return with_subtypes(final, self._classifier, subtype, work)

    def _work(self, pool: ThreadPoolExecutor, sink: CandidateSink, token: CancelToken) -> None:
        finished = self._store.finished_windows(self._run.id)
        merger = StreamMerger(self._plan.grid, self._plan.windows)
        if finished:
            self._reporter.report(Progress("candidates"))
            sink.classify_unscored()
            sink.skip_known()
            sink.add(merger.restore(finished, self._restored_points()))
        todo = [w for w in self._plan.windows if (w.col, w.row) not in finished]
        done_mm2 = self._plan.mm2 - sum(map(self._plan.window_mm2, todo))
        done, total = len(self._plan.windows) - len(todo), len(self._plan.windows)
        self._reporter.start_windows(done_mm2)
        for batch in self._batches(pool, todo, token):
            for settled in self._detect(batch, merger):
                sink.add(settled)
            sink.classify_ready()
            done += len(batch)
            done_mm2 += sum(self._plan.window_mm2(read.window) for read in batch)
            self._reporter.windows(done, total, done_mm2, self._plan.mm2)
        sink.classify_rest()

    def _restored_points(self) -> Points:
        rows = [
            (row.x0, row.y0, row.detector_score)
            for row in self._store.iter_window_points(self._run.id)
        ]
        values = np.array(rows, dtype=np.float64).reshape(-1, 3)
        return Points(values[:, :2], values[:, 2].astype(np.float32))

    def _batches(
        self, pool: ThreadPoolExecutor, todo: list[Window], token: CancelToken
    ) -> Iterator[list[_Read]]:
        """Read windows in batches; the detector's batch size may shrink on the way."""
        depth = 2 * self._detector.batch_size + self._threads
        reads = read_ahead(pool, self._read, todo, depth, token)
        try:
            while True:
                with self._times.measure("wait_s"):
                    batch = list(islice(reads, max(1, self._detector.batch_size)))
                if not batch:
                    return
                yield batch
        finally:
            reads.close()  # type: ignore[attr-defined]  # a generator: drop what was read ahead

    def _read(self, window: Window) -> _Read:
        """On a reader thread: the pixels of a window and their focus, or why there are none."""
        side = self._detector.window_px
        try:
            with self._times.measure("read_s"):
                pixels = self._slide.read_at(
                    window.rect0.x0, window.rect0.y0, side, side, self._detector.mpp
                )
        except SlideReadError as error:
            self._check_reachable()
            return _Read(window, None, message=error.message)
        with self._times.measure("focus_s"):
            # The slide's edge is sharp whatever the tissue is: judge what lies inside.
            rows, columns = self._plan.inside_px(window)
            inside = pixels[rows, columns]
            blurred = inside.size > 0 and is_blurred(inside, self._detector.mpp)
        return _Read(window, pixels, blurred)

    def _check_reachable(self) -> None:
        """Tell a damaged tile, which stays so, from a drive that is gone for now."""
        path = self._slide.path
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            raise SlideError(
                f"The slide {path} can no longer be read: {error.strerror or error}.",
                "What is finished is kept: once the file is back, run the same command again.",
            ) from error

    def _detect(self, batch: list[_Read], merger: StreamMerger) -> Iterator[Points]:
        """Run the detector on a batch and store its windows; yields what the merge settled."""
        readable = [read.pixels for read in batch if read.pixels is not None]
        with self._times.measure("detect_s"):
            found = iter(self._detector.detect(np.stack(readable)) if readable else ())
        for read in batch:
            with self._times.measure("post_s"):
                points = Points(np.empty((0, 2)), np.empty(0, np.float32))
                if read.pixels is not None:
                    window_points = next(found)
                    points = self._kept(read.window, window_points.xy_px, window_points.scores)
                self._store.save_window(self._run.id, self._result(read, points))
                settled = merger.finish(read.window, points)
            yield settled

    def _kept(
        self, window: Window, xy_px: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> Points:
        xy0, kept = self._plan.grid.to_slide(window, xy_px)
        kept &= self._plan.area.contains(xy0)
        return Points(xy0[kept], scores[kept])

    def _result(self, read: _Read, points: Points) -> WindowResult:
        origin = self._detector.origin
        rows = [
            CandidateRow(x0, y0, score)
            for (x0, y0), score in zip(points.xy0.tolist(), points.scores.tolist(), strict=True)
        ]
        return WindowResult(
            read.window.col,
            read.window.row,
            "done" if read.pixels is not None else "failed",
            origin.device,
            origin.precision,
            read.message,
            read.blurred,
            rows,
        )


def _summary(
    store: Store, run: RunRecord, plan: Plan, *, returned: bool, resumed: bool
) -> RunSummary:
    notable = store.notable_windows(run.id)
    failed = tuple(window for window in notable if window.state == "failed")
    blurred = tuple(window for window in notable if window.blurred)
    failed_mm2, blurred_mm2 = (
        sum(plan.window_mm2(plan.grid.window(window.col, window.row)) for window in windows)
        for windows in (failed, blurred)
    )
    notes = list(plan.notes)
    if failed:
        notes.append(f"{_number(failed)} could not be read or analysed")
    if blurred:
        notes.append(f"{_number(blurred)} ({blurred_mm2:.2f} mm²) out of focus")
    if run.message:
        notes.append(run.message)
    return RunSummary(
        run=run,
        plan=plan,
        returned=returned,
        resumed=resumed,
        windows=len(plan.windows),
        failed=failed,
        blurred=blurred,
        analysed_mm2=plan.mm2 - failed_mm2,
        blurred_mm2=blurred_mm2,
        candidates=store.classified_count(run.id),
        notes=tuple(notes),
    )


def _number(windows: Sequence[WindowRecord]) -> str:
    return "1 window" if len(windows) == 1 else f"{len(windows)} windows"
