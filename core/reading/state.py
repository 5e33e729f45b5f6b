"""What a desk knows of its slide, how an act is stored and a fresh view comes of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Literal

import shapely

from core.analysis.evaluate import MATCH_RADIUS_UM
from core.counting.protocols import Protocol, get_protocol
from core.errors import InputError, StoreError
from core.reading import area_store, guards
from core.reading.counting import count_view, mitoses
from core.reading.figures import FigureTable, verdict_code, verdict_word, with_value
from core.reading.ground import Ground
from core.reading.ledger import PAGE, Ledger
from core.reading.origin import frozen_facts
from core.reading.placing import Placing
from core.reading.signing import blockers, details
from core.reading.undo import History, Step, contents, inversion
from core.reading.view import (
    NONE,
    AreaView,
    DeskView,
    Disagreement,
    Figures,
    SpotView,
    Verdict,
)
from core.reading.windows import windows0
from core.review import PointState, pair_with_points
from core.store import (
    CandidateRecord,
    CountRecord,
    NewAction,
    NewRegion,
    NewVerdict,
    ReaderRecord,
    RegionRecord,
    RunRecord,
    Store,
)
from core.store.audit import installed_version


class DeskState:
    """One reader at one slide: what the store says of it, and the view of that.

    Args:
        store: that holds slide and reader.
        slide_id: the store's.
        reader_id: who reads.
        protocol_id: the counting rule.
        blinded: whether scores, and what others said and placed, are hidden.
    """

    def __init__(
        self,
        store: Store,
        slide_id: int,
        reader_id: int,
        *,
        protocol_id: str,
        blinded: bool = False,
    ) -> None:
        self._store = store
        self._slide = store.slide(slide_id)
        self._run: RunRecord | None = None
        self._windows0: tuple[tuple[shapely.Polygon, ...], tuple[shapely.Polygon, ...]] = (
            (),
            (),
        )
        self._placing = Placing(get_protocol(protocol_id))
        self._protocol: Protocol = self._placing.protocol
        self._ledger = Ledger(store, slide_id)
        self._ledger.catch_up()
        self._ledger.taken()
        self._ledger.read_rest()
        self._sit_down(reader_id, blinded=blinded)

    def view(self) -> DeskView:
        """What the reader sees now; nothing is read from the store."""
        ledger, placing, run = self._ledger, self._placing, self._run
        regions = self._plain_regions()
        own = self._own_area()
        plan = area_store.stored_plan(own, self._protocol)
        placing.use(self._protocol, ledger.mpp, regions, self._windows0[0], plan)
        columns = self._table.columns
        area = placing.area(columns, own)
        inside = placing.in_area(columns, area)
        figures = self._table.shown(replace(columns, in_area=inside))
        tumour = any(region.kind == "tumour" for region in regions)
        all_tissue = ledger.acknowledged("all tissue is tumour")
        blur_seen = ledger.acknowledged("blur", self._reader.id, run.id if run else None)
        checked, to_check = placing.checked(figures, area)
        found = blockers(
            to_check,
            checked,
            placing.ground,
            tumour=tumour,
            all_tissue_is_tumour=all_tissue,
            run=run,
            blurred0=self._windows0[1],
            blur_acknowledged=blur_seen,
        )
        count = count_view(
            figures,
            area,
            self._protocol,
            self._spots(figures),
            tumour=tumour,
            blockers=found,
            signed=self._signed(),
            sets=placing.set_numbers(figures, area),
        )
        undo, redo = self._history.undoable, self._history.redoable
        review, counted = self._thresholds()
        return DeskView(
            slide_id=self._slide.id,
            reader=self._reader,
            blinded=self._blinded,
            mpp=ledger.mpp,
            mpp_origin=ledger.mpp_origin,
            run=run,
            review_threshold=review,
            count_threshold=counted,
            figures=figures,
            regions=regions,
            pieces=placing.pieces,
            area=area,
            count=count,
            all_tissue_is_tumour=all_tissue,
            failed_windows0=self._windows0[0],
            blurred_windows0=self._windows0[1],
            blur_acknowledged=blur_seen,
            undo_text=undo.text if undo else "",
            redo_text=redo.text if redo else "",
            spots_settled=placing.settled(columns),
            others=dict(self._table.others()),
        )

    # Keeping up with the store.

    def _sit_down(self, reader_id: int, *, blinded: bool) -> None:
        reader = self._ledger.readers.get(reader_id)
        if reader is None:
            raise StoreError(f"The store has no reader {reader_id}.")
        self._reader: ReaderRecord = reader
        self._blinded = blinded
        self._table = FigureTable(self._ledger, reader_id, blinded=blinded)
        self._history = History()
        self._read_actions()
        self._load_run()

    def _load_run(self) -> None:
        """Show the candidates of the run, with the verdicts that carry to them."""
        run = self._run
        self._windows0 = ((), ())
        self._table.load(() if run is None else self._candidates(run.id, 0), self._thresholds()[0])
        if run is not None:
            self._windows0 = windows0(run, self._store.notable_windows(run.id, flush=False))
            self._carry(0)

    def _read_run(self) -> None:
        """Take what the run has by now; its state first, so that `done` means all of it."""
        if self._run is None:
            return
        run, before = self._store.run(self._run.id), self._run
        self._run = run
        if run.state != before.state:
            self._load_run()  # at its end the probabilities of all candidates are levelled
            return
        last_id = self._table.last_id
        self._table.extend(self._candidates(run.id, last_id))
        found = windows0(run, self._store.notable_windows(run.id, flush=False))
        if found != self._windows0:
            self._windows0 = found
        if self._table.last_id > last_id:
            self._carry(last_id)

    def _candidates(self, run_id: int, after_id: int) -> Iterator[CandidateRecord]:
        while page := self._store.candidates(run_id, after_id, PAGE):
            yield from page
            after_id = page[-1].id

    def _carry(self, after_id: int) -> None:
        """Let points without a candidate stand on new ones within 7.5 µm, one to one.

        While the run goes on, only within half of that: candidates keep 7.5 µm from each other,
        so none that is still to come can be nearer.
        """
        run, mpp, points = self._run, self._ledger.mpp, self._table.free_points()
        if run is None or mpp is None or not points:
            return
        radius_um = MATCH_RADIUS_UM / 2 if run.state == "running" else MATCH_RADIUS_UM
        pairs = pair_with_points(self._table.free_candidates(after_id), points, mpp, radius_um)
        if not pairs:
            return
        linked = {point_id: candidate_id for candidate_id, point_id in pairs}
        if not self._store.read_only:
            self._store.link_candidates(pairs)
            linked = self._store.linked_points(run.id, points)  # also what another window linked
        self._table.link(linked)

    def _read_verdicts(self) -> None:
        """Take verdicts given since, here or in another window."""
        touched = self._ledger.catch_up()
        fresh = [point_id for point_id in touched if self._table.key_of(point_id) is None]
        if fresh and self._run is not None:
            self._table.link(self._store.linked_points(self._run.id, fresh))
        if touched:
            self._table.touch(touched)
            self._ledger.taken()

    def _read_actions(self) -> None:
        self._history.add(self._ledger.actions(self._reader.id, self._history.last_id))

    # How an act gets into the store.

    def _own_code(self, key: int) -> int:
        """This reader's own verdict of a figure, consensus or not."""
        if self._table.columns.row(key) is None:
            raise InputError("This figure is no longer there.")
        point_id = self._table.point_of(key)
        if point_id is None:
            return NONE
        return verdict_code(self._table.state(point_id).by_reader.get(self._reader.id))

    def _state_of(self, key: int) -> PointState | None:
        """What stands of a figure, of what the reader may see."""
        point_id = self._table.point_of(key)
        return None if point_id is None else self._table.state(point_id)

    def _places(self, keys: Sequence[int]) -> list[tuple[float, float]]:
        figures = self._table.columns
        rows = [figures.row(key) for key in keys]
        return [(float(figures.x0[row]), float(figures.y0[row])) for row in rows if row is not None]

    def _give(
        self,
        keys: Sequence[int],
        verdict: Verdict | Literal["cleared"],
        text: str,
        method: str = "key",
        *,
        consensus: bool = False,
    ) -> DeskView:
        if not keys:
            return self.view()
        owner = None if consensus else self._reader.id
        guards.guard_places(self._ledger, self._places(keys), owner)
        verdicts = []
        for key in keys:
            if self._table.columns.row(key) is None:
                raise InputError("This figure is no longer there.")
            new = NewVerdict("mitosis", candidate_id=key)
            if key < 0:
                new = NewVerdict("mitosis", point_id=-key)
            verdicts.append(with_value(new, verdict))
        action = NewAction(text, verdicts=verdicts, method=method, consensus=consensus)
        return self._act(action)

    def _act(self, action: NewAction) -> DeskView:
        run_id = self._run.id if self._run else None
        self._store.act(self._slide.id, self._reader.id, replace(action, run_id=run_id))
        self._read_verdicts()
        self._read_actions()
        if action.regions or action.calibrations or action.acknowledgements:
            self._ledger.read_rest()
        return self.view()

    def _invert(self, step: Step | None, method: str) -> DeskView:
        if step is None:
            return self.view()
        guards.guard_undo(self._ledger, self._reader.id, contents(self._ledger, step.tip))
        return self._act(inversion(self._ledger, step, method))

    def catch_up(self) -> None:
        """Take what was stored since, in whatever window; the run's candidates left out."""
        self._read_verdicts()
        self._read_actions()
        self._ledger.read_rest()

    def _said_of(self, point_ids: Iterable[int]) -> tuple[Disagreement, ...]:
        """What each reader says of some points, by key; points that are not shown left out."""
        found = []
        for point_id in point_ids:
            key = self._table.key_of(point_id)
            if key is None:
                continue
            state = self._table.state(point_id)
            words = {verdict.reader: verdict_word(verdict) for verdict in state.by_reader.values()}
            consensus = None if state.consensus is None else verdict_word(state.consensus)
            ((x0, y0),) = self._places([key])
            found.append(Disagreement(key, x0, y0, words, consensus))
        return tuple(sorted(found, key=lambda figure: figure.key))

    def _ground(self) -> Ground:
        self.view()
        if self._placing.ground is None:
            raise InputError("There are no mm² yet: pixel size or tissue is not known.")
        return self._placing.ground

    def _accept(self, area: AreaView, text: str) -> DeskView:
        guards.guard_area(self._ledger, self._reader.id, self._protocol.id)
        properties = area_store.properties(area, self._ground().mpp, self._protocol)
        earlier = [
            version.lineage
            for version in self._ledger.region_versions
            if version.kind == "count_area"
            and version.reader_id == self._reader.id
            and version.properties.get("protocol") == self._protocol.id
        ]
        lineage = earlier[-1] if earlier else ""
        region = NewRegion("count_area", area_store.region_polygon0(area).wkb, properties, lineage)
        return self._act(NewAction(text, regions=[region]))

    # What the view is made of.

    def _plain_regions(self) -> tuple[RegionRecord, ...]:
        return tuple(r for r in self._ledger.regions if r.kind != "count_area")

    def _own_area(self) -> RegionRecord | None:
        """The count area that this reader accepted for this protocol."""
        own = [region for region in self._ledger.regions if self._is_own_area(region)]
        return own[-1] if own else None

    def _is_own_area(self, region: RegionRecord) -> bool:
        return (
            region.kind == "count_area"
            and region.reader_id == self._reader.id
            and region.properties.get("protocol") == self._protocol.id
            and region.properties.get("state") == "accepted"
        )

    def _signed(self) -> CountRecord | None:
        """The count that this reader signed by this protocol."""
        own = self._ledger.signed(self._reader.id)
        return next((count for count in reversed(own) if count.protocol == self._protocol.id), None)

    def _record(self, view: DeskView, checklist: Mapping[str, bool]) -> CountRecord:
        """The count of a view as it is signed."""
        assert view.area is not None  # checked by the caller
        assert view.count is not None
        assert self._placing.ground is not None
        own = self._own_area() if view.area.state == "accepted" else None
        version = installed_version()
        origin = frozen_facts(
            view, self._state_of, self._ledger.readers, self._ledger.calibrations
        ) | details(
            self._slide,
            self._reader,
            self._run,
            self._placing.ground,
            view.area,
            view.count,
            self._ledger.regions,
            mpp_origin=view.mpp_origin,
            review_threshold=view.review_threshold,
            count_threshold=view.count_threshold,
            all_tissue_is_tumour=view.all_tissue_is_tumour,
            blur_acknowledged=view.blur_acknowledged,
            app_version=version,
            checklist=checklist,
        )
        earlier = [
            count.lineage
            for count in self._ledger.counts
            if (count.reader_id, count.protocol) == (self._reader.id, self._protocol.id)
        ]
        return CountRecord(
            slide_id=self._slide.id,
            protocol=self._protocol.id,
            state="signed",
            mitoses=view.count.interval.count,
            planned_mm2=view.area.planned_mm2,
            counted_mm2=view.count.interval.area_mm2,
            app_version=version,
            details=origin,
            run_id=None if self._run is None else self._run.id,
            region_id=None if own is None else own.id,
            reader_id=self._reader.id,
            lineage=earlier[-1] if earlier else "",
        )

    def _thresholds(self) -> tuple[float, float]:
        """Review and count threshold of the run; NaN without one."""
        if self._run is None:
            return nan, nan
        classifier = self._run.parameters["classifier"]
        return float(classifier["review_threshold"]), float(classifier["count_threshold"])

    def _spots(self, figures: Figures) -> tuple[SpotView, ...]:
        """The hot spots; blinded with what the reader said there, not with what the models did."""
        if not self._blinded:
            return self._placing.spots
        said = mitoses(figures)
        x0, y0 = figures.x0[said], figures.y0[said]
        return tuple(
            replace(spot, mitoses=int(shapely.intersects_xy(spot.polygon0, x0, y0).sum()))
            for spot in self._placing.spots
        )
