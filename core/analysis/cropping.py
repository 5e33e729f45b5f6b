"""Crops of candidates, read on threads; those beside damaged tiles are left out and counted."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.analysis.candidates import Points
from core.analysis.progress import Reporter, Times
from core.analysis.readahead import read_ahead
from core.cancel import CancelToken
from core.ports import Classifier, SubtypeClassifier
from core.slides.crops import read_crops
from core.slides.reader import Slide, SlideReadError
from core.store import Store

# Candidates written in one transaction: each costs a sync of the disk, and a kill loses at most
# this many classifications, which are then done again.
SAVE_CHUNK = 1000
# Batches of crops in flight: a few, so that several threads read.
BATCHES_AHEAD = 4

#: The store's id, x0, y0 and the detector's score.
CandidatePlace = tuple[int, float, float, float]


@dataclass(frozen=True, slots=True)
class Crops:
    """Points with their crops.

    Attributes:
        ids: the store's, of each point; 0 where it has none yet.
        points: that could be read.
        pixels: (N, crop_px, crop_px, 3) uint8.
        unreadable: how many points lie beside damage and were left out.
    """

    ids: list[int]
    points: Points
    pixels: NDArray[np.uint8]
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Cropper:
    """Reads crops of one size; safe from any thread.

    Attributes:
        slide: open, with a pixel size.
        crop_px: side of a crop.
        mpp: µm per pixel of the crops.
        times: gets `crop_s`.
    """

    slide: Slide
    crop_px: int
    mpp: float
    times: Times

    def read(self, points: Points, ids: list[int] | None = None) -> Crops:
        """The crops of some points.

        Args:
            points: of one batch.
            ids: the store's, of the same points.
        """
        ids = ids or [0] * len(points)
        with self.times.measure("crop_s"):
            try:
                pixels = read_crops(self.slide, points.xy0, self.crop_px, self.mpp)
            except SlideReadError:
                return self._one_by_one(points, ids)
            return Crops(ids, points, pixels)

    def read_rows(self, rows: Sequence[CandidatePlace]) -> Crops:
        """The crops of (id, x0, y0, detector score)."""
        values = np.array([row[1:] for row in rows], dtype=np.float64)
        points = Points(values[:, :2], values[:, 2].astype(np.float32))
        return self.read(points, [row[0] for row in rows])

    def _one_by_one(self, points: Points, ids: list[int]) -> Crops:
        good: list[int] = []
        crops = [np.empty((0, self.crop_px, self.crop_px, 3), dtype=np.uint8)]
        for index in range(len(points)):
            try:
                place0 = points.xy0[index : index + 1]
                crops.append(read_crops(self.slide, place0, self.crop_px, self.mpp))
            except SlideReadError:
                continue  # counted below, and named in the run's notes
            good.append(index)
        kept = Points(points.xy0[good], points.scores[good])
        lost = len(points) - len(good)
        return Crops([ids[index] for index in good], kept, np.concatenate(crops), lost)


@dataclass(frozen=True, slots=True)
class CandidateWork:
    """One stretch of work on the candidates of a run that is leased to the store.

    Attributes:
        slide: open, with a pixel size.
        store: open for writing.
        run_id: the store's.
        threads: that read crops.
        reporter: is told how far it is.
        times: gets `crop_s` and what the models take.
        token: cancels; what is written stays.
    """

    slide: Slide
    store: Store
    run_id: int
    threads: int
    reporter: Reporter
    times: Times
    token: CancelToken

    def crops(
        self, rows: Sequence[CandidatePlace], model: Classifier | SubtypeClassifier
    ) -> Iterator[Crops]:
        """Crops of candidates for a model, batch by batch in the order of the rows.

        Raises:
            Cancelled: the token was cancelled.
        """
        size = max(1, model.batch_size)
        cropper = Cropper(self.slide, model.crop_px, model.mpp, self.times)
        batches = (rows[start : start + size] for start in range(0, len(rows), size))
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="slide-reader")
        try:
            yield from read_ahead(pool, cropper.read_rows, batches, BATCHES_AHEAD, self.token)
        finally:
            pool.shutdown(cancel_futures=True)
