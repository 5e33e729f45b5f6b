"""From a finished run to its mitotic count by a protocol.

A candidate is a mitosis by its verdict, else by its label; a hand-placed point by its verdict. The
count area is placed as the desk proposes it (`core.reading.counting`): where it holds the most of
them, without what is excluded or could not be read. Where the tissue in the regions is smaller than
the count area, all of it is counted and categories of a fixed area are withheld.
"""

from dataclasses import dataclass, replace
from math import nan

import numpy as np
import shapely
from numpy.typing import NDArray

from core.analysis.pipeline import RunSummary
from core.counting.expectation import IS_MITOSIS, IS_NOT, OPEN
from core.counting.protocols import CUSTOM_PROTOCOL, Protocol
from core.counting.statistics import (
    AREA_TOLERANCE,
    Categorisation,
    CountStatistics,
    RateInterval,
    count_statistics,
)
from core.errors import ProtocolError, SlideError
from core.geometry import Mpp
from core.reading.area_store import region_polygon0
from core.reading.areas import holds, tissue_area
from core.reading.counting import make_proposer
from core.reading.field_areas import plans
from core.reading.ground import Ground, ground_in
from core.reading.view import AreaView, Plan
from core.review import PointState, carry_verdicts, current_states, is_atypical, is_mitosis
from core.store import CountRecord, Store, VerdictRecord


@dataclass(frozen=True, slots=True)
class MitoticCount:
    """A count with all that it rests on.

    Attributes:
        protocol: the rule.
        area: where it was counted; of several sets of fields the one that holds the most.
        sets: mitoses in each set, where there are several.
        mitoses_um: (N, 2) float64, all mitoses of the slide, µm.
        statistics: the count with its interval and category, and how sure they are.
        atypical: of the mitoses in the count area, those called atypical by their verdict, else by
            their label; None where no model was asked and no reader said so of any on the slide.
        states: of points with verdicts, by point id.
        mpp: the slide's pixel size.
        notes: what the reader of the result must know.
        inside0: level-0 places of the candidates and hand-placed points in the count area.
    """

    protocol: Protocol
    area: AreaView
    sets: tuple[int, ...]
    mitoses_um: NDArray[np.float64]
    statistics: CountStatistics
    atypical: int | None
    states: dict[int, PointState]
    mpp: Mpp
    notes: tuple[str, ...]
    inside0: frozenset[tuple[float, float]]

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
    def whole_tissue(self) -> bool:
        """Whether all tissue was counted: it is smaller than the count area, or was asked for."""
        return self.area.kind == "tissue"

    @property
    def centre0(self) -> tuple[float, float] | None:
        """Centre of the count area, level-0 pixels; None where all tissue was counted."""
        return None if self.whole_tissue else self.area.centre0

    def holds(self, x0: float, y0: float) -> bool:
        """Whether a candidate or hand-placed point at this level-0 place is in the count area."""
        return (x0, y0) in self.inside0


def count_run(
    store: Store, summary: RunSummary, protocol: Protocol, plan: Plan | None = None
) -> MitoticCount:
    """Place the count area of a protocol on a finished run and count.

    Verdicts of earlier runs of the slide are carried to this run first. Tissue whose windows could
    not be read was not counted: it is no part of the count area.

    Args:
        store: that holds the run.
        summary: of the run.
        protocol: the rule.
        plan: one outline, fields or the whole tumour; None for what the protocol asks for.

    Raises:
        SlideError: no window with tissue could be read.
        ProtocolError: the protocol does not let this plan be counted.
    """
    check_plan(protocol, plan)
    run, mpp = summary.run, summary.plan.area.mpp
    carry_verdicts(store, run.id, mpp)
    states = current_states(store.iter_verdicts(run.slide_id))
    found = _figures(store, summary, states)
    ground = _ground(summary)
    x0, y0 = found.places0.T
    spots = make_proposer(ground, protocol, None if plan == "whole" else plan)
    places = spots.spots_of(x0[found.mitosis], y0[found.mitosis])
    area = spots.area(places)
    if plan == "whole":
        area = tissue_area(ground, protocol, state="accepted")
    assert area is not None  # there is tissue, see `_ground`
    sets = tuple(
        int(np.count_nonzero(holds(one, ground, x0, y0) & found.mitosis)) for one in area.sets
    )
    if sets:
        area = replace(area.sets[int(np.argmax(sets))], sets=area.sets)
    inside = holds(area, ground, x0, y0)
    asked = run.subtype is not None or bool(found.atypical.any())
    at_most = places[0].at_most if places and area.kind == "fields" else None
    return MitoticCount(
        protocol=protocol,
        area=area,
        sets=sets,
        mitoses_um=found.places0[found.mitosis] * (mpp.x, mpp.y),
        statistics=_statistics(found, inside, area, protocol),
        atypical=int(np.count_nonzero(found.atypical & inside)) if asked else None,
        states=states,
        mpp=mpp,
        notes=_notes(summary, protocol, area, sets, at_most),
        inside0=frozenset((x, y) for x, y in found.places0[inside].tolist()),
    )


def check_plan(protocol: Protocol, plan: Plan | None) -> None:
    """Refuse what a protocol does not let be counted.

    Raises:
        ProtocolError: naming what it does.
    """
    if plan is None or plan in plans(protocol):
        return
    if plan == "whole":
        raise ProtocolError(
            f"{protocol.name!r} holds for {protocol.area_mm2:.4g} mm²: the whole tumour cannot be "
            "counted by it.",
            "Choose a protocol that states a rate, such as breast_mm2.",
        )
    raise ProtocolError(
        f"{protocol.name!r} cannot be counted in this way.",
        f"It lets be counted: {', '.join(plans(protocol))}.",
    )


def _ground(summary: RunSummary) -> Ground:
    """Readable tissue of the regions that were analysed."""
    area, grid = summary.plan.area, summary.plan.grid
    failed0 = [grid.window(one.col, one.row).core0.polygon() for one in summary.failed]
    where0 = area.region0 if area.limited else None
    ground = ground_in(area.tissue, area.mpp, where0, failed0)
    if not ground.read.any():
        raise SlideError(
            f"None of the {len(summary.failed)} windows on tissue could be read.",
            "The file is damaged: copy it again from the scanner and use --again.",
        )
    return ground


def save_count(store: Store, summary: RunSummary, count: MitoticCount) -> CountRecord:
    """Propose the count in the store, with its count area; the same count is not added twice."""
    run = summary.run
    region_id = None
    if not count.whole_tissue:
        polygon0 = region_polygon0(count.area)
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
    found: _Figures, inside: NDArray[np.bool_], area: AreaView, protocol: Protocol
) -> CountStatistics:
    probability = found.probability[inside]
    return count_statistics(
        int(np.count_nonzero(found.mitosis & inside)),
        area.counted_mm2,
        protocol,
        probability,
        found.decided[inside],
        to_review=probability >= found.review_threshold,
        hot_spot=area.kind != "tissue",
    )


def _notes(
    summary: RunSummary,
    protocol: Protocol,
    area: AreaView,
    sets: tuple[int, ...],
    at_most: int | None,
) -> tuple[str, ...]:
    notes = []
    if not protocol.verified and protocol.id != CUSTOM_PROTOCOL:
        notes.append(f"the protocol {protocol.id} was not checked against its source")
    if at_most is not None:
        notes.append(
            f"the {len(area.fields0)} fields were placed one after another; no "
            f"{len(area.fields0)} fields hold more than {at_most} mitoses"
        )
    if sets:
        notes.append(f"mitoses in each set: {', '.join(map(str, sets))}; the highest is the count")
    if area.kind == "fields" and max(1, len(sets)) < protocol.sets:
        notes.append(
            f"{max(1, len(sets))} of {protocol.sets} sets were placed: no further one holds a "
            "mitosis, or finds room"
        )
    if area.state == "accepted" and not summary.plan.area.limited:
        notes.append("no tumour region was given: all tissue was counted as tumour")
    short_mm2 = protocol.area_mm2 - area.counted_mm2
    short = f"{short_mm2:.2f} mm² short of {protocol.area_mm2:.4g} mm²"
    if area.kind == "tissue" and area.state == "proposed":
        which = "tissue that could be read" if summary.failed else "tissue"
        notes.append(
            f"the {which} is smaller than the count area: all {area.counted_mm2:.2f} mm² were "
            f"counted, {short}"
        )
    elif area.kind != "tissue" and short_mm2 > AREA_TOLERANCE * protocol.area_mm2:
        notes.append(
            f"no {'readable ' if summary.failed else ''}piece of tissue fills the count area: only "
            f"{area.counted_mm2:.2f} mm² in it were counted, {short}"
        )
    grid = summary.plan.grid
    cores = [grid.window(window.col, window.row).core0 for window in summary.failed]
    inside = sum(area.polygon0.intersects(core.polygon()) for core in cores)
    if inside and area.kind != "tissue":
        notes.append(f"unreadable windows in the count area: {inside}")
    return tuple(notes)
