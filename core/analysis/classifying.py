"""Crops of settled candidates to probabilities to the store."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.analysis.candidates import Points
from core.analysis.cropping import BATCHES_AHEAD, SAVE_CHUNK, CandidatePlace, Cropper, Crops
from core.analysis.progress import Times
from core.analysis.readahead import read_ahead, wait_for
from core.cancel import CancelToken
from core.ports import Classifier, SubtypeClassifier
from core.slides.reader import Slide
from core.store import Candidate, Store

#: A reader who looks on sees candidates at least so often, however slow the machine is.
SAVE_EVERY_S = 1.0


def label_of(
    probability: float,
    classifier: Classifier,
    subtype: SubtypeClassifier | None = None,
    atypical_probability: float | None = None,
) -> Literal["mitosis", "imposter", "atypical"]:
    """What a candidate of this probability is called until a reader says otherwise.

    Args:
        probability: of being a mitosis.
        classifier: that gave it.
        subtype: what tells atypical from normal mitoses, if there is such a model.
        atypical_probability: that it gave; None where it was not asked.
    """
    if probability < classifier.count_threshold:
        return "imposter"
    if subtype is None or atypical_probability is None:
        return "mitosis"
    return "atypical" if atypical_probability >= subtype.threshold else "mitosis"


class CandidateSink:
    """Takes settled candidates, and sees them classified and stored.

    All methods are called on the thread that owns the classifier; only crops are read on the pool.
    """

    def __init__(
        self,
        slide: Slide,
        classifier: Classifier,
        store: Store,
        run_id: int,
        pool: Executor,
        times: Times,
        token: CancelToken,
    ) -> None:
        self._crops = Cropper(slide, classifier.crop_px, classifier.mpp, times)
        self._classifier = classifier
        self._store = store
        self._run_id = run_id
        self._pool = pool
        self._times = times
        self._token = token
        self._known: NDArray[np.complex128] = np.empty(0, dtype=np.complex128)
        self._waiting: list[Points] = []
        self._n_waiting = 0
        self._reading: deque[Future[Crops]] = deque()
        self._unsaved: list[Candidate] = []
        self._saved_s = time.monotonic()
        self._unreadable = 0

    def classify_unscored(self) -> None:
        """Classify the candidates that the detection set holds without a score of this run.

        They were written by an earlier run with another classifier.
        """
        for crops in read_ahead(
            self._pool, self._crops.read_rows, self._unscored_pages(), BATCHES_AHEAD, self._token
        ):
            probabilities = self._classify(crops)
            rows = [
                (candidate_id, probability, label_of(probability, self._classifier))
                for candidate_id, probability in zip(crops.ids, probabilities, strict=True)
            ]
            self._unreadable += crops.unreadable
            self._store.save_scores(self._run_id, rows)

    def skip_known(self) -> None:
        """Pass over, from now on, whatever the run has on disk already."""
        places = [complex(row.x0, row.y0) for row in self._store.iter_candidates(self._run_id)]
        self._known = np.array(places, dtype=np.complex128)

    def add(self, points: Points) -> None:
        """Take settled candidates; their crops are read as soon as they fill a batch."""
        if len(self._known):
            new = ~np.isin(points.xy0[:, 0] + 1j * points.xy0[:, 1], self._known)
            points = Points(points.xy0[new], points.scores[new])
        if len(points):
            self._waiting.append(points)
            self._n_waiting += len(points)
        if self._n_waiting >= self._classifier.batch_size:
            self._send()

    def classify_ready(self) -> None:
        """Classify the batches whose crops are there; waits only if too many are in flight."""
        while self._reading and (self._reading[0].done() or len(self._reading) > BATCHES_AHEAD):
            self._take(self._reading.popleft())

    def classify_rest(self) -> None:
        """Classify all that was added."""
        self._send()
        while self._reading:
            self._take(self._reading.popleft())

    def save(self) -> None:
        """Write what is classified but not yet stored."""
        rows, self._unsaved = self._unsaved, []
        self._saved_s = time.monotonic()
        if rows:
            with self._times.measure("post_s"):
                self._store.save_candidates(self._run_id, rows)

    def notes(self) -> tuple[str, ...]:
        """What went wrong, in plain words."""
        if not self._unreadable:
            return ()
        return (f"{self._unreadable} candidates beside unreadable tiles were left out",)

    def _send(self) -> None:
        if not self._waiting:
            return
        xy0 = np.concatenate([points.xy0 for points in self._waiting])
        scores = np.concatenate([points.scores for points in self._waiting])
        self._waiting, self._n_waiting = [], 0
        size = max(1, self._classifier.batch_size)
        for start in range(0, len(scores), size):
            part = Points(xy0[start : start + size], scores[start : start + size])
            self._reading.append(self._pool.submit(self._crops.read, part))
            if len(self._reading) > BATCHES_AHEAD:
                self._take(self._reading.popleft())

    def _take(self, future: Future[Crops]) -> None:
        with self._times.measure("wait_s"):
            crops = wait_for(future, self._token)
        self._token.check()
        probabilities = self._classify(crops)
        self._unreadable += crops.unreadable
        self._unsaved += [
            Candidate(x0, y0, score, probability, label_of(probability, self._classifier))
            for (x0, y0), score, probability in zip(
                crops.points.xy0.tolist(),
                crops.points.scores.tolist(),
                probabilities,
                strict=True,
            )
        ]
        if len(self._unsaved) >= SAVE_CHUNK or time.monotonic() - self._saved_s >= SAVE_EVERY_S:
            self.save()

    def _classify(self, crops: Crops) -> list[float]:
        if not len(crops.points):
            return []
        with self._times.measure("classify_s"):
            probabilities = self._classifier.classify(crops.pixels, crops.points.scores)
        return [float(probability) for probability in probabilities]

    def _unscored_pages(self) -> Iterator[list[CandidatePlace]]:
        after_id, size = 0, max(1, self._classifier.batch_size)
        while page := self._store.unscored(self._run_id, after_id, size):
            yield page
            after_id = page[-1][0]
