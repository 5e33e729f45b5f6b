"""Another classifier's opinion on candidates that were found before: a new run, nothing detected.

The run has the key that an analysis with this classifier would have, so the two go on with each
other's work. Candidates in the count area come first, then those of the highest detector scores,
which are the likeliest mitoses; within each thousand neighbours follow each other, so that the
tiles that were decoded serve several crops.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from core.analysis.classifying import label_of
from core.analysis.cropping import SAVE_CHUNK, CandidatePlace, CandidateWork, Crops
from core.analysis.levelling import FinalScores, final_scores
from core.analysis.planning import default_reader_threads
from core.analysis.progress import Listener, Progress, Reporter, Times
from core.analysis.runkey import classifier_parameters, detection_key, detection_parameters, run_key
from core.analysis.subtyping import with_subtypes
from core.cancel import Cancelled, CancelToken
from core.errors import InputError, StoreError, UserError
from core.ports import Classifier, ModelOrigin, SubtypeClassifier
from core.slides.reader import Slide
from core.store import RunRecord, RunSpec, Store

log = logging.getLogger(__name__)

#: Candidates within so many level-0 pixels from top to bottom are read from left to right: about a
#: row of tiles.
ROW_PX0 = 512


@dataclass(frozen=True, slots=True)
class Reclassification:
    """What to classify anew.

    Attributes:
        app_version: of Mitoscope, for the record.
        run_id: whose candidates.
        first0: candidates in here come first, level-0 pixels: the count area.
        reader_threads: that read crops.
    """

    app_version: str
    run_id: int
    first0: BaseGeometry | None = None
    reader_threads: int = field(default_factory=default_reader_threads)


@dataclass(frozen=True, slots=True)
class Reclassified:
    """What it gave.

    Attributes:
        run: as stored, done.
        returned: whether it was done before and nothing was computed.
        notes: what the reader of the result must know, in plain words.
    """

    run: RunRecord
    returned: bool
    notes: tuple[str, ...] = ()


def reclassify(
    slide: Slide,
    classifier: Classifier,
    store: Store,
    request: Reclassification,
    *,
    subtype: SubtypeClassifier | None = None,
    progress: Listener | None = None,
    token: CancelToken | None = None,
) -> Reclassified:
    """Classify the candidates of a finished run with another classifier, or go on with that.

    Args:
        slide: open; the slide of the run, at the same pixel size.
        classifier: used only on the calling thread.
        store: open for writing.
        request: which run.
        subtype: tells atypical from normal mitoses; None: nothing does.
        progress: called on this thread, at most ten times a second.
        token: cancels; what is classified stays.

    Raises:
        Cancelled: the token was cancelled; the new run is stored as such and can go on.
        InputError: the run was never finished, or slide or pixel size are others.
        StoreError: another process works on it, or the store cannot be written.
    """
    source = _source(slide, store, request.run_id)
    run = store.open_run(_spec(source, classifier, subtype, request.app_version))
    if run.state == "done":
        return Reclassified(run, returned=True, notes=(run.message,) if run.message else ())
    times = Times()
    work = CandidateWork(
        slide,
        store,
        run.id,
        request.reader_threads,
        Reporter(progress),
        times,
        token or CancelToken(),
    )
    scoring = _Scoring(classifier, work)
    try:
        with times.measure("total_s"):
            scoring.run(request.first0)
            final = _final(classifier, subtype, work, source)
    except Cancelled:
        store.finish_run(run.id, "cancelled", times.as_dict())
        raise
    except UserError as error:
        _failed(store, run.id, times, error.message)
        raise
    except BaseException as error:
        _failed(store, run.id, times, type(error).__name__)
        raise
    notes = tuple(note for note in (*_lost(scoring.unreadable), final.note) if note)
    run = store.finish_run(
        run.id, "done", times.as_dict(), "; ".join(dict.fromkeys(notes)), scores=final.rows
    )
    work.reporter.report(Progress("done", len(final.rows), len(final.rows)))
    return Reclassified(run, returned=False, notes=notes)


def _source(slide: Slide, store: Store, run_id: int) -> RunRecord:
    """A finished run of the same detection set, and a check that the slide is that one's."""
    asked = store.run(run_id)
    done = [
        run
        for run in store.runs(asked.slide_id)
        if run.detection_set_id == asked.detection_set_id and run.state == "done"
    ]
    if not done:
        raise InputError(
            "The analysis of this slide was never finished.", "Let it end, then classify anew."
        )
    source = done[-1]
    was, mpp = source.parameters["slide"], slide.require_mpp()
    if was["identity"] != slide.identity.digest:
        raise InputError(
            f"{slide.path} is another slide than the one that was analysed.",
            "Open the slide again where it lies now.",
        )
    if (was["mpp_x"], was["mpp_y"]) != (mpp.x, mpp.y):
        raise InputError(
            "The pixel size was changed since the slide was analysed.", "Analyse it anew."
        )
    return source


def _spec(
    source: RunRecord, classifier: Classifier, subtype: SubtypeClassifier | None, app_version: str
) -> RunSpec:
    shared = detection_parameters(source.parameters)
    grid = {"grid": shared.pop("grid")} if "grid" in shared else {}  # never part of a key
    parameters = shared | classifier_parameters(classifier, subtype)
    return RunSpec(
        key=run_key(parameters),
        slide_id=source.slide_id,
        parameters=parameters | grid,
        detector=source.detector,
        classifier=classifier.origin,
        app_version=app_version,
        detection_key=detection_key(parameters),
        subtype=None if subtype is None else subtype.origin,
        detection_set_id=source.detection_set_id,
    )


class _Scoring:
    """Scores candidates of the new run, and says how far that is."""

    def __init__(self, classifier: Classifier, work: CandidateWork) -> None:
        self._classifier, self._work = classifier, work
        self._done = work.store.classified_count(work.run_id)
        self._total = 0
        self._in_area: int | None = None
        self.unreadable = 0

    def run(self, first0: BaseGeometry | None) -> None:
        """Score what has no score of this run yet, the count area first."""
        store, run_id = self._work.store, self._work.run_id
        todo = list(paged_unscored(store, run_id))
        self._total = self._done + len(todo)
        inside, rest = split(todo, first0)
        self._score(in_order(inside))
        if first0 is not None:
            likely = [row for row in store.iter_candidates(run_id) if row.label != "imposter"]
            places = [(row.id, row.x0, row.y0, row.detector_score) for row in likely]
            self._in_area = len(split(places, first0)[0])
        self._score(in_order(rest))

    def _score(self, rows: Sequence[CandidatePlace]) -> None:
        work, unsaved = self._work, list[tuple[int, float, str]]()
        self._report()
        try:
            for crops in work.crops(rows, self._classifier):
                unsaved += self._answers(crops)
                self.unreadable += crops.unreadable
                self._done += len(crops.ids) + crops.unreadable
                self._report()
                if len(unsaved) >= SAVE_CHUNK:
                    work.store.save_scores(work.run_id, unsaved)
                    unsaved = []
        finally:
            work.store.save_scores(work.run_id, unsaved)

    def _answers(self, crops: Crops) -> list[tuple[int, float, str]]:
        if not crops.ids:
            return []
        with self._work.times.measure("classify_s"):
            found = self._classifier.classify(crops.pixels, crops.points.scores).tolist()
        return [
            (of, p, label_of(p, self._classifier)) for of, p in zip(crops.ids, found, strict=True)
        ]

    def _report(self) -> None:
        self._work.reporter.candidates("scores", self._done, self._total, self._in_area)


def _final(
    classifier: Classifier,
    subtype: SubtypeClassifier | None,
    work: CandidateWork,
    source: RunRecord,
) -> FinalScores:
    """The last word; what the same model said of atypical mitoses before is taken over."""
    with work.times.measure("post_s"):
        final = final_scores(work.store, work.run_id, classifier)
    known: dict[int, float] = {}
    if subtype is not None and _model(source.subtype) == _model(subtype.origin):
        known = {
            row.id: row.atypical_probability
            for row in work.store.iter_candidates(source.id)
            if row.atypical_probability is not None
        }
    return with_subtypes(final, classifier, subtype, work, known)


def _model(origin: ModelOrigin | None) -> tuple[str, str] | None:
    return None if origin is None else (origin.name, origin.sha256)


def paged_unscored(store: Store, run_id: int) -> Iterator[CandidatePlace]:
    """All candidates of a run's detection set that it has no score of, by id."""
    after_id = 0
    while page := store.unscored(run_id, after_id):
        yield from page
        after_id = page[-1][0]


def split(
    rows: Sequence[CandidatePlace], first0: BaseGeometry | None
) -> tuple[list[CandidatePlace], list[CandidatePlace]]:
    """Candidates inside a polygon in level-0 pixels, and the others; None holds nothing."""
    if first0 is None or not rows:
        return [], list(rows)
    places = np.array([row[1:3] for row in rows])
    inside = shapely.intersects_xy(first0, places[:, 0], places[:, 1])
    return (
        [row for row, held in zip(rows, inside, strict=True) if held],
        [row for row, held in zip(rows, inside, strict=True) if not held],
    )


def in_order(rows: Sequence[CandidatePlace]) -> list[CandidatePlace]:
    """The highest detector scores first, in thousands of which each goes over the slide by rows."""
    if not rows:
        return []
    values = np.array([row[1:] for row in rows])
    ranked = np.argsort(-values[:, 2], kind="stable")
    block = np.empty(len(rows), np.intp)
    block[ranked] = np.arange(len(rows)) // SAVE_CHUNK
    order = np.lexsort((values[:, 0], values[:, 1] // ROW_PX0, block))
    return [rows[index] for index in order.tolist()]


def _lost(unreadable: int) -> tuple[str, ...]:
    if not unreadable:
        return ()
    return (f"{unreadable} candidates beside unreadable tiles were left out",)


def _failed(store: Store, run_id: int, times: Times, message: str) -> None:
    """Mark the run as failed; if even that cannot be written, the first error is told."""
    try:
        store.finish_run(run_id, "failed", times.as_dict(), message)
    except StoreError as second:
        log.warning("run %d could not be marked as failed: %s", run_id, second)
