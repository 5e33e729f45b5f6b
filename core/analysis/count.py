"""From a finished run to its mitotic count by a protocol.

A candidate is a mitosis by its verdict, else by its label; a hand-placed point by its verdict. The
count area is placed where it holds the most of them. Where the tissue in the regions is smaller
than the count area, all of it is counted and categories of a fixed area are withheld.
"""

from dataclasses import dataclass
from math import ceil, nan

import numpy as np
import shapely
from numpy.typing import NDArray

from core.analysis.pipeline import RunSummary
from core.counting.expectation import IS_MITOSIS, IS_NOT, OPEN
from core.counting.hotspot import Placement, place_count_area
from core.counting.protocols import Protocol
from core.counting.shapes import CountShape
from core.counting.statistics import Categorisation, CountStatistics, RateInterval, count_statistics
from core.errors import SlideError
from core.geometry import Mpp, to_px0
from core.review import PointState, carry_verdicts, current_states, is_atypical, is_mitosis
from core.store import CountRecord, Store, VerdictRecord

# Below this share of tissue in the count area only the tissue counts as counted area.
COVERED_ENOUGH = 0.9


@dataclass(frozen=True, slots=True)
class MitoticCount:
    """A count with all that it rests on.

    Attributes:
        protocol: the rule.
        shape: the count area's outline.
        placement: where it lies; whole tissue where that is smaller.
        mitoses_um: (N, 2) float64, all mitoses of the slide, µm.
        statistics: the count with its interval and category, and how sure they are.
        atypical: of the mitoses in the count area, those called atypical by their verdict, else by
            their label; None where no model was asked and no reader said so of any on the slide.
        states: of points with verdicts, by point id.
        mpp: the slide's pixel size.
        notes: what the reader of the result must know.
    """

    protocol: Protocol
    shape: CountShape
    placement: Placement
    mitoses_um: NDArray[np.float64]
    statistics: CountStatistics
    atypical: int | None
    states: dict[int, PointState]
    mpp: Mpp
    notes: tuple[str, ...]

    @property
    def interval(self) -> RateInterval:
        """The count, its area and its Poisson interval."""
        return self.statistics.interval

    @property
    def category(self) -> Categorisation:
        """What the protocol makes of the count."""
        return self.statistics.category

    @property
    def mitoses(self) -> int:
        """The mitotic count: mitoses in the count area."""
        return self.interval.count

    @property
    def centre0(self) -> tuple[float, float] | None:
        """Centre of the count area, level-0 pixels; None where all tissue was counted."""
        if self.placement.whole_tissue:
            return None
        x_um, y_um = self.placement.spots[0].centre_um
        return x_um / self.mpp.x, y_um / self.mpp.y

    def holds(self, x0: float, y0: float) -> bool:
        """Whether a level-0 point lies in the count area."""
        return bool(self.placement.holds(np.array([[x0 * self.mpp.x, y0 * self.mpp.y]]))[0])


def count_run(store: Store, summary: RunSummary, protocol: Protocol) -> MitoticCount:
    """Place the count area of a protocol on a finished run and count.

    Verdicts of earlier runs of the slide are carried to this run first. Tissue whose windows could
    not be read was not counted: it is no part of the count area.

    Raises:
        SlideError: no window with tissue could be read.
    """
    run, area = summary.run, summary.plan.area
    mpp = area.mpp
    carry_verdicts(store, run.id, mpp)
    states = current_states(store.iter_verdicts(run.slide_id))
    found = _figures(store, summary, states)
    places_um = found.places0 * (mpp.x, mpp.y)
    mitoses_um = places_um[found.mitosis]
    shape = protocol.shape
    tissue = area.tissue
    searched = area.tissue_in_region()
    read = searched & ~_unread_cells(summary)
    if not read.any():
        raise SlideError(
            f"None of the {len(summary.failed)} windows on tissue could be read.",
            "The file is damaged: copy it again from the scanner and use --again.",
        )
    placement = place_count_area(
        mitoses_um,
        shape,
        read,
        (tissue.cell0_x * mpp.x, tissue.cell0_y * mpp.y),
        (tissue.origin0[0] * mpp.x, tissue.origin0[1] * mpp.y),
    )
    share_read = float(np.count_nonzero(read) / np.count_nonzero(searched))
    counted_mm2 = _counted_mm2(placement, area.area_mm2() * share_read)
    return MitoticCount(
        protocol=protocol,
        shape=shape,
        placement=placement,
        mitoses_um=mitoses_um,
        statistics=_statistics(found, placement.holds(places_um), placement, counted_mm2, protocol),
        atypical=(
            int(np.count_nonzero(found.atypical & placement.holds(places_um)))
            if run.subtype is not None or found.atypical.any()
            else None
        ),
        states=states,
        mpp=mpp,
        notes=_notes(summary, protocol, placement, counted_mm2),
    )


def _counted_mm2(placement: Placement, tissue_mm2: float) -> float:
    """The area to which the count refers, mm².

    A count area that is mostly tissue counts as a whole, as in a microscope's field. One that lies
    over a core or a fragment narrower than itself counts for the tissue in it only: its categories
    are then withheld, as those of any area that is not the planned one.

    Args:
        placement: where the count area lies.
        tissue_mm2: all the tissue that was read, measured finer than by whole cells.
    """
    if placement.whole_tissue:
        return tissue_mm2
    scarce = placement.covered_mm2 < COVERED_ENOUGH * placement.counted_area_mm2
    return placement.covered_mm2 if scarce else placement.counted_area_mm2


def _unread_cells(summary: RunSummary) -> NDArray[np.bool_]:
    """(h, w) bool: cells of the tissue mask whose centre lies in a window that failed."""
    tissue, grid = summary.plan.area.tissue, summary.plan.grid
    unread = np.zeros(tissue.mask.shape, dtype=np.bool_)
    for window in summary.failed:
        core = grid.window(window.col, window.row).core0
        columns, rows = (
            slice(*(max(0, ceil((end0 - origin0) / cell0 - 0.5)) for end0 in ends0))
            for ends0, origin0, cell0 in (
                ((core.x0, core.x1), tissue.origin0[0], tissue.cell0_x),
                ((core.y0, core.y1), tissue.origin0[1], tissue.cell0_y),
            )
        )
        unread[rows, columns] = True
    return unread


def save_count(store: Store, summary: RunSummary, count: MitoticCount) -> CountRecord:
    """Propose the count in the store, with its count area; the same count is not added twice."""
    run = summary.run
    region_id = None
    if count.placement.spots:
        polygon0 = to_px0(count.placement.spots[0].polygon_um, count.mpp)
        region_id = store.add_region(
            run.slide_id, "count_area", polygon0.wkb, properties={"protocol": count.protocol.id}
        )
    record = CountRecord(
        slide_id=run.slide_id,
        protocol=count.protocol.id,
        state="proposed",
        mitoses=count.mitoses,
        planned_mm2=count.protocol.area_mm2,
        counted_mm2=count.interval.area_mm2,
        app_version=run.app_version,
        details={"source": count.protocol.source, "category": count.category.category},
        run_id=run.id,
        region_id=region_id,
    )
    for known in store.counts(run.slide_id):
        if _same(known, record):
            return known
    return store.add_count(record)


def _same(known: CountRecord, record: CountRecord) -> bool:
    names = ("run_id", "protocol", "state", "mitoses", "counted_mm2", "region_id")
    return all(getattr(known, name) == getattr(record, name) for name in names)


@dataclass(frozen=True, slots=True)
class _Figures:
    """Candidates and the mitoses placed by hand, in columns of one length N.

    Attributes:
        places0: (N, 2) level-0 pixels.
        mitosis, atypical: (N,) bool, by verdict, else by label.
        probability: (N,) float64; NaN where placed by hand.
        decided: (N,) `core.counting.expectation.IS_MITOSIS`, `IS_NOT` or `OPEN`.
        review_threshold: open candidates from this probability on must be looked at.
    """

    places0: NDArray[np.float64]
    mitosis: NDArray[np.bool_]
    atypical: NDArray[np.bool_]
    probability: NDArray[np.float64]
    decided: NDArray[np.int8]
    review_threshold: float


def _decided(verdict: VerdictRecord | None) -> int:
    """What a verdict decides; a figure called unsure is still open."""
    if verdict is None or verdict.value == "unsure":
        return OPEN
    return IS_MITOSIS if verdict.value == "mitosis" else IS_NOT


def _figures(store: Store, summary: RunSummary, states: dict[int, PointState]) -> _Figures:
    """What was found and what was placed by hand, with what is known of each."""
    run, seen = summary.run, set()
    found: list[tuple[float, float, bool, bool, float, int]] = []
    for row in store.iter_candidates(run.id):
        state = None if row.point_id is None else states.get(row.point_id)
        seen.add(row.point_id)
        verdict = None if state is None else state.counting()
        called = is_mitosis(verdict, row.label), is_atypical(verdict, row.label)
        found.append((row.x0, row.y0, *called, row.probability, _decided(verdict)))
    region0 = summary.plan.area.region0
    for point in store.iter_points(summary.run.slide_id):
        verdict = (
            None if point.id in seen or point.id not in states else states[point.id].counting()
        )
        placed = is_mitosis(verdict, None)
        if placed and shapely.intersects_xy(region0, point.x0, point.y0):
            atypical = is_atypical(verdict, None)
            found.append((point.x0, point.y0, True, atypical, nan, IS_MITOSIS))
    columns = np.array(found, dtype=np.float64).reshape(-1, 6).T
    return _Figures(
        places0=columns[:2].T,
        mitosis=columns[2] > 0,
        atypical=(columns[2] > 0) & (columns[3] > 0),
        probability=columns[4],
        decided=columns[5].astype(np.int8),
        review_threshold=run.parameters["classifier"]["review_threshold"],
    )


def _statistics(
    found: _Figures,
    inside: NDArray[np.bool_],
    placement: Placement,
    counted_mm2: float,
    protocol: Protocol,
) -> CountStatistics:
    probability = found.probability[inside]
    return count_statistics(
        placement.counted,
        counted_mm2,
        protocol,
        probability,
        found.decided[inside],
        to_review=probability >= found.review_threshold,
        hot_spot=not placement.whole_tissue,
    )


def _notes(
    summary: RunSummary, protocol: Protocol, placement: Placement, counted_mm2: float
) -> tuple[str, ...]:
    notes = []
    if not protocol.verified:
        notes.append(f"the protocol {protocol.id} was not checked against its source")
    if placement.spots and protocol.fields is not None and not protocol.fields.contiguous:
        notes.append(
            f"the {protocol.fields.count} fields lie side by side in one outline; the protocol "
            "lets them lie apart, where they may hold more"
        )
    if placement.whole_tissue:
        which = "tissue that could be read" if summary.failed else "tissue"
        notes.append(
            f"the {which} is smaller than the count area: all {counted_mm2:.2f} mm² were counted, "
            f"{protocol.area_mm2 - counted_mm2:.2f} mm² short of {protocol.area_mm2:g} mm²"
        )
    elif counted_mm2 < placement.counted_area_mm2:
        notes.append(
            f"no {'readable ' if summary.failed else ''}piece of tissue fills the count area: only "
            f"the {counted_mm2:.2f} mm² of tissue in it were counted, "
            f"{protocol.area_mm2 - counted_mm2:.2f} mm² short of {protocol.area_mm2:g} mm²"
        )
    if summary.failed and placement.spots:
        spot0 = to_px0(placement.spots[0].polygon_um, summary.plan.area.mpp)
        grid = summary.plan.grid
        cores = [grid.window(window.col, window.row).core0 for window in summary.failed]
        inside = sum(spot0.intersects(core.polygon()) for core in cores)
        if inside:
            notes.append(f"unreadable windows in the count area: {inside}")
    return tuple(notes)
