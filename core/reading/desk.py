"""The desk: what one reader does on one slide, every act on disk before its view is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import shapely

from core.counting.protocols import get_protocol
from core.errors import InputError, PixelSizeError
from core.exchange.marks import SlideMarks
from core.geometry import Mpp, valid_polygons
from core.reading import guards
from core.reading.current import up_to_date
from core.reading.desk_area import AreaDesk
from core.reading.figures import nearest, with_value
from core.reading.pieces import excluding_region, exclusion
from core.reading.taking import As, Taken, make_plan
from core.reading.view import (
    NONE,
    VERDICTS,
    DeskView,
    Disagreement,
    Verdict,
)
from core.slides.tissue import Tissue
from core.store import (
    CountRecord,
    NewAcknowledgement,
    NewAction,
    NewCalibration,
    NewRegion,
    NewVerdict,
)
from core.store.audit import installed_version

_NAMES = {"tumour": "tumour region", "excluded": "excluded region", "count_area": "count area"}


class Desk(AreaDesk):
    """One reader's desk on one slide; lives on the desk thread.

    Every method is one or more transactions, on disk when it returns, and gives a fresh view.

    After a verdict the view comes with the hot spots as they were, and `DeskView.spots_settled` is
    False where they may have changed: the exact search may take 0.1 s on a dense slide. Call
    `settle_spots` then, when nothing else is waiting; a count area that only the program proposed
    moves with that call, one that the reader accepted never does.

    Changes under a signed count of this reader raise `InputError` until it is reopened.
    """

    # What is looked at.

    def settle_spots(self) -> DeskView:
        """Search the hot spots anew where a verdict changed them."""
        self._placing.settle(self._table.columns)
        return self.view()

    def set_tissue(self, tissue: Tissue) -> DeskView:
        """Take the slide's tissue once it is known."""
        self._placing.set_tissue(tissue)
        return self.view()

    def use_run(self, run_id: int | None) -> DeskView:
        """Show the candidates of a run, or none; verdicts carry to them within 7.5 µm.

        Raises:
            StoreError: there is no such run.
            InputError: it is of another slide.
        """
        run = None if run_id is None else self._store.run(run_id)
        if run is not None and run.slide_id != self._slide.id:
            raise InputError(f"Run {run.id} is of another slide.")
        self._run = run
        self.catch_up()
        self._load_run()
        return self.view()

    def refresh(self) -> DeskView:
        """Take what is new in the store: candidates and windows of the run, other windows' acts."""
        self._read_run()
        self.catch_up()
        return self.view()

    def set_protocol(self, protocol_id: str) -> DeskView:
        """Count by another rule; each has its own count area and its own signature.

        Raises:
            ProtocolError: there is none of this name.
        """
        self._protocol = get_protocol(protocol_id)
        return self.view()

    @up_to_date
    def set_reader(self, reader_id: int, blinded: bool) -> DeskView:
        """Let another reader sit down."""
        self._sit_down(reader_id, blinded=blinded)
        return self.view()

    # Verdicts.

    @up_to_date
    def give(self, keys: Sequence[int], verdict: Verdict, method: str = "key") -> DeskView:
        """Give one verdict to some figures; those that have it already are passed over."""
        code = VERDICTS.index(verdict)
        fresh = [key for key in dict.fromkeys(keys) if self._own_code(key) != code]
        text = verdict if len(fresh) == 1 else f"{verdict}, {len(fresh)} figures"
        return self._give(fresh, verdict, text, method)

    @up_to_date
    def clear(self, keys: Sequence[int]) -> DeskView:
        """Take this reader's verdicts of some figures away."""
        said = [key for key in dict.fromkeys(keys) if self._own_code(key) != NONE]
        return self._give(said, "cleared", "verdict cleared")

    @up_to_date
    def place(self, x0: float, y0: float, verdict: Verdict = "mitosis") -> DeskView:
        """Place a point by hand; within 7.5 µm of a figure it is that figure.

        Raises:
            PixelSizeError: 7.5 µm cannot be told.
        """
        mpp = self._ledger.mpp
        if mpp is None:
            raise PixelSizeError(
                "The slide has no µm per pixel.", "Set it before you place figures."
            )
        figures = self._table.columns
        shown0 = np.stack([figures.x0, figures.y0], axis=1)
        key = nearest(figures.key, shown0, (x0, y0), mpp)
        if key is not None:
            return self.give([key], verdict)
        # A point that this reader does not see: the same place has one point, whoever reads.
        hidden = self._table.free_points()
        hidden0 = np.array(list(hidden.values()), np.float64).reshape(-1, 2)
        point_id = nearest(np.array(list(hidden), np.int64), hidden0, (x0, y0), mpp)
        target = NewVerdict("mitosis", place0=(x0, y0))
        if point_id is not None:
            target = NewVerdict("mitosis", point_id=point_id)
        guards.guard_places(self._ledger, [(x0, y0)], self._reader.id)
        said = with_value(target, verdict)
        return self._act(NewAction(f"{verdict} placed", verdicts=[said], method="placed"))

    @up_to_date
    def join(self, keys: Sequence[int]) -> DeskView:
        """Count some figures as one: the first stays, the others are deleted."""
        others = [key for key in dict.fromkeys(keys) if key != keys[0]]
        if not others:
            raise InputError("Select at least two figures to join.")
        return self._give(others, "deleted", f"{len(others) + 1} figures joined", "joined")

    @up_to_date
    def field_done(self) -> DeskView:
        """Call the rest of the field imposters, once all above the review threshold is said.

        Raises:
            InputError: there is no count area, or figures in it wait for a verdict.
        """
        view = self.view()
        if view.area is None:
            raise InputError("There is no count area yet.")
        figures = view.figures
        waiting = int(np.count_nonzero(figures.in_area & figures.to_review))
        if waiting:
            raise InputError(
                f"{waiting} figures above the review threshold have no verdict yet."
                if waiting > 1
                else "1 figure above the review threshold has no verdict yet.",
                "Give them theirs first: Enter goes to the first of them.",
            )
        rest = figures.in_area & (figures.verdict == NONE) & (figures.key > 0)
        guards.guard_places(self._ledger, self._places(figures.key[rest].tolist()), self._reader.id)
        run_id = self._run.id if self._run else None
        known = self._ledger.acknowledged("field done", self._reader.id, run_id)
        if known and not rest.any():
            return view
        verdicts = [NewVerdict("imposter", candidate_id=int(key)) for key in figures.key[rest]]
        done = NewAcknowledgement("field done", run_id=run_id)
        text = "field done" if not verdicts else f"field done, imposters: {len(verdicts)}"
        return self._act(
            NewAction(text, verdicts=verdicts, acknowledgements=[done], method="field done")
        )

    def disagreements(self) -> tuple[Disagreement, ...]:
        """The figures on which readers differ and that are not settled; none while blinded."""
        return self._said_of(self._table.disputed_points)

    def settled(self) -> tuple[Disagreement, ...]:
        """The figures with a consensus, and what each reader had said; none while blinded."""
        return self._said_of(self._table.settled_points)

    @up_to_date
    def settle(self, keys: Sequence[int], verdict: Verdict) -> DeskView:
        """Record what readers agreed on; it stands beside what each of them said."""
        if self._blinded:
            raise InputError("A blinded reading settles nothing.", "End it first.")
        return self._give(keys, verdict, f"consensus: {verdict}", "consensus", consensus=True)

    # Files.

    @up_to_date
    def take_in(self, marks: SlideMarks, as_: As = "labels") -> Taken:
        """Take in what a file says of the slide as this reader's own: one action, one undo.

        Args:
            marks: as a format of `core.exchange.formats` read them.
            as_: see `core.reading.taking.AS`.

        Raises:
            InputError: there is nothing to take in, or a signed count rests on what it changes.
            PixelSizeError: 7.5 µm cannot be told.
        """
        plan = make_plan(
            marks,
            self._reader.name,
            as_,
            figures0=self._table.places(),
            said=self._table.own_word,
            regions=self._plain_regions(),
            mpp=self._ledger.mpp,
        )
        if plan.action is not None:
            guards.guard_places(self._ledger, plan.places0, self._reader.id)
            if plan.regions:
                guards.guard_slide(self._ledger, self._reader.id)
            self._act(plan.action)
        return Taken(self.view(), plan.matched, plan.placed, plan.regions, plan.known, plan.notes)

    # Undo.

    @up_to_date
    def undo(self) -> DeskView:
        """Take back this reader's newest action on this slide; nothing if there is none.

        Raises:
            StoreError: somebody changed it since.
            InputError: a signed count rests on it.
        """
        return self._invert(self._history.undoable, "undo")

    @up_to_date
    def redo(self) -> DeskView:
        """Bring back what was undone last; nothing if there is none, or something newer was done.

        Raises:
            StoreError, InputError: as `undo`.
        """
        return self._invert(self._history.redoable, "redo")

    # Regions and pixel size.

    @up_to_date
    def draw_region(
        self,
        kind: Literal["tumour", "excluded"],
        polygon0: shapely.Polygon,
        lineage: str = "",
    ) -> DeskView:
        """Draw a region, or a newer version of one (`lineage`).

        Raises:
            InputError: the polygon has no area.
        """
        guards.guard_slide(self._ledger, self._reader.id)
        whole = valid_polygons(polygon0)
        if whole.area <= 0:
            raise InputError("This region has no area.")
        region = NewRegion(kind, whole.wkb, lineage=lineage)
        verb = "changed" if lineage else "drawn"
        return self._act(NewAction(f"{_NAMES[kind]} {verb}", regions=[region]))

    @up_to_date
    def delete_region(self, lineage: str) -> DeskView:
        """Delete a region; its versions stay."""
        guards.guard_slide(self._ledger, self._reader.id)
        known = [region for region in self._plain_regions() if region.lineage == lineage]
        if not known:
            raise InputError("This region is no longer there.")
        gone = NewRegion(known[0].kind, None, known[0].properties, lineage)
        return self._act(NewAction(f"{_NAMES[known[0].kind]} deleted", regions=[gone]))

    @up_to_date
    def exclude_piece(self, index: int, excluded: bool) -> DeskView:
        """Exclude a piece of tissue, or take it in again."""
        guards.guard_slide(self._ledger, self._reader.id)
        self.view()
        piece = self._placing.pieces[index]
        region = excluding_region(piece, self._plain_regions())
        if excluded == (region is not None):
            return self.view()
        if region is None:
            polygon0, properties = exclusion(piece)
            change = NewRegion("excluded", polygon0.wkb, properties)
        else:
            change = NewRegion("excluded", None, region.properties, region.lineage)
        text = "piece of tissue excluded" if excluded else "piece of tissue taken in"
        return self._act(NewAction(text, regions=[change]))

    @up_to_date
    def set_all_tissue_is_tumour(self, value: bool) -> DeskView:
        """Record that no tumour region is needed, or that it is."""
        guards.guard_slide(self._ledger, self._reader.id)
        if self._ledger.acknowledged("all tissue is tumour") == value:
            return self.view()
        said = NewAcknowledgement("all tissue is tumour", value)
        text = "all tissue is tumour" if value else "not all tissue is tumour"
        return self._act(NewAction(text, acknowledgements=[said]))

    @up_to_date
    def set_mpp(self, mpp: Mpp, origin: str) -> DeskView:
        """Set the slide's pixel size.

        Args:
            mpp: µm per level-0 pixel.
            origin: `typed`, `two points and a length`.
        """
        guards.guard_slide(self._ledger, self._reader.id)
        if (self._ledger.mpp, self._ledger.mpp_origin) == (mpp, origin):
            return self.view()
        return self._act(NewAction("pixel size set", calibrations=[NewCalibration(mpp, origin)]))

    # The count.

    @up_to_date
    def acknowledge_blur(self) -> DeskView:
        """Record that the reader saw that parts of the count area are out of focus."""
        run_id = self._run.id if self._run else None
        if self._ledger.acknowledged("blur", self._reader.id, run_id):
            return self.view()
        said = NewAcknowledgement("blur", run_id=run_id)
        return self._act(NewAction("blur acknowledged", acknowledgements=[said]))

    @up_to_date
    def draft(self, checklist: Mapping[str, bool] | None = None) -> CountRecord:
        """The count as it would be signed now, for a report that says so; nothing is stored.

        Its details name, under `blockers`, what stands between it and a signature.

        Args:
            checklist: as for `sign`.

        Raises:
            InputError: there is no count yet.
        """
        view = self.settle_spots()
        if view.count is None or view.area is None:
            raise InputError(
                "There is no count to report yet.",
                "It needs the pixel size, and a count area with tissue.",
            )
        record = self._record(view, checklist or {})
        texts = [blocker.text for blocker in view.count.blockers]
        return replace(record, state=view.area.state, details={**record.details, "blockers": texts})

    @up_to_date
    def sign(self, checklist: Mapping[str, bool] | None = None) -> DeskView:
        """Freeze the count with its origin; an area that was only proposed is accepted first.

        Args:
            checklist: the protocol's points, and whether the reader ticked them.

        Raises:
            InputError: it is signed already, or what stands in the way.
        """
        view = self.settle_spots()
        if view.count is not None and view.count.signed is not None:
            raise InputError("This count is signed already.", "Reopen it to sign anew.")
        if view.count is None or view.area is None or view.count.blockers:
            texts = [blocker.text for blocker in view.count.blockers] if view.count else []
            raise InputError(
                "The count cannot be signed yet.", " ".join(texts) or "There is no count area."
            )
        if view.area.state == "proposed" and view.area.kind != "tissue":
            view = self._accept(replace(view.area, state="accepted"), "count area accepted")
        self._store.add_count(self._record(view, checklist or {}))
        self._ledger.read_rest()
        return self.view()

    @up_to_date
    def reopen(self, reason: str) -> DeskView:
        """Take the signature back; the signed version stays in the store.

        Raises:
            InputError: nothing is signed, or no reason is given.
        """
        signed = self._signed()
        if signed is None:
            raise InputError("There is no signed count to reopen.")
        if not reason.strip():
            raise InputError("Say why the count is reopened.")
        details = dict(signed.details) | {"reason": reason.strip()}
        again = replace(signed, state="reopened", details=details, app_version=installed_version())
        self._store.add_count(again, reason.strip())
        self._ledger.read_rest()
        return self.view()
