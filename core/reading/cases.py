"""The slides of a case: on which of them most mitoses lie."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from core.counting.hotspot import find_hot_spots
from core.counting.protocols import Protocol
from core.reading.ground import search_region0
from core.review import current_states, is_mitosis
from core.store import Store
from core.store.records import StoredSlide


@dataclass(frozen=True, slots=True)
class CaseSpot:
    """What the best place of one of a case's slides holds.

    Attributes:
        slide: as the store has it.
        mitoses: in the count area there.
        signed: whether a reader signed this number; else another place may hold as many at most.
        centre0: of the area, level-0 pixels; None of a signed count.
    """

    slide: StoredSlide
    mitoses: int
    signed: bool = False
    centre0: tuple[float, float] | None = None


def slide_spot(
    store: Store, slide: StoredSlide, protocol: Protocol, reader_id: int, *, blinded: bool = False
) -> CaseSpot | None:
    """What the best place of a slide holds for a reader, without opening its file.

    That is the reader's signed count by this protocol, else the most mitoses of the newest
    finished run and of hand-placed points that the protocol's shape holds anywhere in the regions.
    Without the file the tissue is not known, so the desk may place the area where there are fewer.

    Args:
        store: holds the slide.
        slide: of the case.
        protocol: the rule.
        reader_id: whose verdicts count.
        blinded: whether labels, and what others said, are hidden.

    Returns:
        None for a slide without a pixel size, or one that was neither analysed nor read.
    """
    own = [c for c in store.counts(slide.id) if c.reader_id == reader_id and c.state == "signed"]
    for count in reversed(own):
        if count.protocol == protocol.id:
            return CaseSpot(slide, count.mitoses, signed=True)
    runs = [run for run in store.runs(slide.id) if run.state == "done"]
    run_id = runs[-1].id if runs else None
    places0 = _mitoses0(store, slide.id, run_id, reader_id, blinded=blinded)
    if slide.mpp is None or (run_id is None and not len(places0)):
        return None
    where0 = search_region0(store.regions(slide.id))
    if where0 is not None:
        places0 = places0[shapely.intersects_xy(where0, places0[:, 0], places0[:, 1])]
    scale = np.array([slide.mpp.x, slide.mpp.y])
    spots = find_hot_spots(places0 * scale, protocol.shape)
    if not spots:
        return CaseSpot(slide, 0)
    x_um, y_um = spots[0].centre_um
    return CaseSpot(slide, spots[0].count, centre0=(x_um / float(scale[0]), y_um / float(scale[1])))


def ranked(offers: Iterable[CaseSpot | None]) -> tuple[CaseSpot, ...]:
    """Most mitoses first, of equals in the order in which they came; None is left out."""
    known = [offer for offer in offers if offer is not None]
    return tuple(sorted(known, key=lambda spot: -spot.mitoses))


def _mitoses0(
    store: Store, slide_id: int, run_id: int | None, reader_id: int, *, blinded: bool
) -> NDArray[np.float64]:
    """(N, 2) level-0 places of what a reader, or else the label, calls a mitosis."""
    verdicts = store.iter_verdicts(slide_id)
    states = current_states(
        v for v in verdicts if not blinded or (v.reader_id == reader_id and not v.consensus)
    )
    places, seen = [], set()
    for row in store.iter_candidates(run_id) if run_id is not None else ():
        state = None if row.point_id is None else states.get(row.point_id)
        seen.add(row.point_id)
        said = None if state is None else state.counting(reader_id)
        if is_mitosis(said, None if blinded else row.label):
            places.append((row.x0, row.y0))
    for point in store.iter_points(slide_id):
        state = states.get(point.id)
        said = None if state is None else state.counting(reader_id)
        if point.id not in seen and is_mitosis(said, None):
            places.append((point.x0, point.y0))
    return np.array(places, dtype=np.float64).reshape(-1, 2)
