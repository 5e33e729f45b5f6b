"""The store as the rest of the program sees it: functions in, frozen records out.

Writes go to the one writer thread, each call one transaction; reads use short connections of
their own and never hold a lock between two pages. Errors of the world are `StoreError`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from core.errors import StoreError
from core.geometry import Mpp
from core.store import audit, slide_queries, verdict_queries
from core.store.base import PAGE, paged
from core.store.desk_records import NewAction, RegionVersion
from core.store.desk_repository import DeskStore
from core.store.records import (
    CalibrationRecord,
    CountRecord,
    EventRecord,
    NewVerdict,
    PointRecord,
    ReaderRecord,
    RegionKind,
    RegionRecord,
    SlideRecord,
    StoredSlide,
    VerdictRecord,
)


class Store(DeskStore):
    """An open store; made by `core.store.open_store`, closed by `close` or as a context manager."""

    # Slides, calibrations, regions.

    def add_slide(self, slide: SlideRecord) -> int:
        """Add a slide or find it by its identity; a new pixel size is a new calibration."""
        return self.write(lambda c: slide_queries.add_slide(c, slide))

    def slides(self, after_id: int = 0, limit: int = PAGE) -> list[StoredSlide]:
        """A page of slides in order of their ids."""
        return self._read(lambda c: slide_queries.slides(c, after_id, limit))

    def slide(self, slide_id: int) -> StoredSlide:
        """A slide by its id."""
        found = self.slides(slide_id - 1, 1)
        if not found or found[0].id != slide_id:
            raise StoreError(f"The store has no slide {slide_id}.")
        return found[0]

    def set_mpp(self, slide_id: int, mpp: Mpp, origin: str, reader_id: int | None = None) -> int:
        """Add a calibration, unless the newest one says the same; no action, so no undo."""
        return self.write(
            lambda c: slide_queries.add_calibration(c, slide_id, mpp, origin, reader_id)
        )

    def calibrations(self, slide_id: int) -> list[CalibrationRecord]:
        """All versions of a slide's pixel size, oldest first."""
        return self._read(lambda c: slide_queries.calibrations(c, slide_id))

    def add_region(
        self,
        slide_id: int,
        kind: RegionKind,
        wkb: bytes | None,
        *,
        properties: Mapping[str, Any] | None = None,
        reader_id: int | None = None,
        lineage: str = "",
    ) -> int:
        """Add a region, a newer version of one (`lineage`), or its tombstone (`wkb` None).

        For programs and imported files: it is no action, so no reader can undo it.

        Args:
            slide_id: the store's slide.
            kind: what the region is for.
            wkb: polygon in level-0 pixels.
            properties: JSON-able: name, protocol, angle.
            reader_id: who drew it; None for a program or an imported file.
            lineage: of the region that this is a newer version of.

        Returns:
            The id of the version; that of the present one if nothing differs.
        """
        return self.write(
            lambda c: slide_queries.add_region(
                c, slide_id, kind, wkb, properties or {}, reader_id, lineage
            )
        )

    def regions(self, slide_id: int) -> list[RegionRecord]:
        """The current regions of a slide."""
        return self._read(lambda c: slide_queries.regions(c, slide_id))

    def region_versions(self, slide_id: int) -> list[RegionVersion]:
        """All versions of a slide's regions, tombstones among them, oldest first."""
        return self._read(lambda c: slide_queries.region_versions(c, slide_id))

    # Readers, verdicts, counts, events.

    def add_reader(self, name: str) -> int:
        """Add a reader or find one by name."""
        return self.write(lambda c: verdict_queries.add_reader(c, name))

    def readers(self) -> list[ReaderRecord]:
        """All readers by name."""
        return self._read(verdict_queries.readers)

    def give_verdicts(
        self,
        slide_id: int,
        reader_id: int,
        verdicts: Sequence[NewVerdict],
        *,
        method: str = "key",
        run_id: int | None = None,
        consensus: bool = False,
        reason: str = "",
    ) -> int:
        """Append verdicts that a reader gave in one go; on disk when this returns.

        Args:
            slide_id: the store's slide.
            reader_id: who says so; for a consensus, who settled it.
            verdicts: one transaction and one undo step.
            method: `key`, `field done`, `import`, `undo`.
            run_id: whose scores the reader saw, if any.
            consensus: settled among readers; stands beside what each of them said.
            reason: where one is asked for.

        Returns:
            The id of the action.
        """
        action = NewAction(
            text=method,
            verdicts=verdicts,
            method=method,
            run_id=run_id,
            consensus=consensus,
            reason=reason,
        )
        return self.act(slide_id, reader_id, action).id

    def verdicts(self, slide_id: int, after_id: int = 0, limit: int = PAGE) -> list[VerdictRecord]:
        """A page of a slide's verdicts in the order in which they were given."""
        return self._read(lambda c: verdict_queries.verdicts(c, slide_id, after_id, limit))

    def iter_verdicts(self, slide_id: int) -> Iterator[VerdictRecord]:
        """All verdicts of a slide, oldest first."""
        return paged(lambda after_id: self.verdicts(slide_id, after_id))

    def points(self, slide_id: int, after_id: int = 0, limit: int = PAGE) -> list[PointRecord]:
        """A page of the points of a slide that verdicts were given of."""
        return self._read(lambda c: verdict_queries.points(c, slide_id, after_id, limit))

    def iter_points(self, slide_id: int) -> Iterator[PointRecord]:
        """All points of a slide that verdicts were given of."""
        return paged(lambda after_id: self.points(slide_id, after_id))

    def linked_points(self, run_id: int, point_ids: Iterable[int]) -> dict[int, int]:
        """Which of these points belong to candidates of a run: candidate id by point id."""
        return self._read(lambda c: verdict_queries.linked_points(c, run_id, point_ids))

    def link_candidates(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Carry verdicts to a newer detection set: pairs of (candidate id, point id)."""
        matched = list(pairs)
        self.write(lambda c: verdict_queries.link_candidates(c, matched))

    def add_count(self, count: CountRecord, reason: str = "") -> CountRecord:
        """Append a count, or a newer version of one when its `lineage` is given."""
        return self.write(lambda c: verdict_queries.add_count(c, count, reason))

    def counts(self, slide_id: int) -> list[CountRecord]:
        """The newest version of every count of a slide."""
        return self._read(lambda c: verdict_queries.counts(c, slide_id))

    def events(self, after_id: int = 0, limit: int = PAGE) -> list[EventRecord]:
        """A page of the audit trail."""
        return self._read(lambda c: audit.read_events(c, after_id, limit))

    def audit_head(self) -> str:
        """Hash of the newest line of the audit trail; printed on reports."""
        return self._read(audit.head)

    def verify_events(self, head: str = "") -> list[str]:
        """What is wrong with the audit trail; empty when it is whole and holds this digest."""
        return self._read(lambda c: list(audit.verify_events(c, head)))

    def note_restored(self, backup: str, set_aside: str) -> None:
        """Note in the trail that this store is a backup put in place of another file.

        Args:
            backup: name of its file.
            set_aside: what the file that was there is called now; empty if there was none.
        """
        new = {"backup": backup, "set_aside": set_aside}
        self.write(lambda c: audit.append_event(c, "store restored", "store", new=new))

    def iter_events(self) -> Iterator[EventRecord]:
        """The whole audit trail in order."""
        return paged(self.events)
