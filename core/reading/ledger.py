"""What the store says of one slide, kept in memory and read on from where it was."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.geometry import Mpp
from core.store import (
    AcknowledgementRecord,
    ActionRecord,
    CalibrationRecord,
    CountRecord,
    ReaderRecord,
    RegionRecord,
    RegionVersion,
    Store,
    VerdictRecord,
)

PAGE = 10_000  # rows of one read


@dataclass(slots=True)
class Ledger:
    """The append-only rows of a slide, all readers' among them; nothing here decides anything.

    Attributes:
        store: that holds the slide.
        slide_id: the store's.
        verdicts: by point, in the order in which they were given.
        by_action: verdicts by action.
        points: (x0, y0) of points with verdicts, level-0 pixels, by id.
        readers: by id.
        region_versions, calibrations, acknowledgements: all of them, oldest first.
        counts: the newest version of each.
    """

    store: Store
    slide_id: int
    verdicts: dict[int, list[VerdictRecord]] = field(default_factory=dict)
    by_action: dict[int, list[VerdictRecord]] = field(default_factory=dict)
    points: dict[int, tuple[float, float]] = field(default_factory=dict)
    readers: dict[int, ReaderRecord] = field(default_factory=dict)
    region_versions: list[RegionVersion] = field(default_factory=list)
    calibrations: list[CalibrationRecord] = field(default_factory=list)
    acknowledgements: list[AcknowledgementRecord] = field(default_factory=list)
    counts: list[CountRecord] = field(default_factory=list)
    _touched: set[int] = field(default_factory=set)
    _last_verdict: int = 0
    _last_point: int = 0

    def catch_up(self) -> set[int]:
        """Read verdicts given since, in whatever window; the points that they are of.

        A point stays among them until `taken` is called, also where reading broke off.
        """
        touched = self._touched
        for page in _pages(
            lambda after: self.store.verdicts(self.slide_id, after, PAGE), self._last_verdict
        ):
            for verdict in page:
                self.verdicts.setdefault(verdict.point_id, []).append(verdict)
                self.by_action.setdefault(verdict.action_id, []).append(verdict)
                if verdict.reader_id not in self.readers:
                    reader = ReaderRecord(verdict.reader_id, verdict.reader)
                    self.readers[verdict.reader_id] = reader
            touched.update(verdict.point_id for verdict in page)
            self._last_verdict = page[-1].id
        # After the verdicts: whatever point a verdict names is there by now.
        if not touched <= self.points.keys():
            for rows in _pages(
                lambda after: self.store.points(self.slide_id, after, PAGE), self._last_point
            ):
                self.points.update({point.id: (point.x0, point.y0) for point in rows})
                self._last_point = rows[-1].id
        return touched

    def taken(self) -> None:
        """Note that what `catch_up` gave has been taken in."""
        self._touched = set()

    def read_rest(self) -> bool:
        """Read regions, calibrations, acknowledgements, counts and readers; whether any is new."""
        store, slide_id = self.store, self.slide_id
        before = (self.region_versions, self.calibrations, self.acknowledgements, self.counts)
        self.region_versions = store.region_versions(slide_id)
        self.calibrations = store.calibrations(slide_id)
        self.acknowledgements = store.acknowledgements(slide_id)
        self.counts = store.counts(slide_id)
        self.readers = {reader.id: reader for reader in store.readers()}
        return before != (
            self.region_versions,
            self.calibrations,
            self.acknowledgements,
            self.counts,
        )

    def actions(self, reader_id: int, after_id: int) -> list[ActionRecord]:
        """A reader's actions on this slide after one of them, oldest first."""
        pages = _pages(
            lambda after: self.store.actions(self.slide_id, reader_id, after, PAGE), after_id
        )
        return [action for page in pages for action in page]

    @property
    def regions(self) -> tuple[RegionRecord, ...]:
        """The newest version of every region that is there, count areas among them."""
        newest = {version.lineage: version for version in self.region_versions}
        current = (version.current() for version in newest.values())
        return tuple(region for region in current if region is not None)

    @property
    def mpp(self) -> Mpp | None:
        """The pixel size that holds."""
        return self.calibrations[-1].mpp if self.calibrations else None

    @property
    def mpp_origin(self) -> str:
        """Where it came from; empty while it is not known."""
        return self.calibrations[-1].origin if self.mpp is not None else ""

    def acknowledged(
        self, kind: str, reader_id: int | None = None, run_id: int | None = None
    ) -> bool:
        """Whether the newest acknowledgement of a kind holds.

        Args:
            kind: of acknowledgement.
            reader_id: whose; None for anybody's, whatever the run.
            run_id: of which run, where a reader is given.
        """
        value = False
        for said in self.acknowledgements:
            same = reader_id is None or (said.reader_id, said.run_id) == (reader_id, run_id)
            if said.kind == kind and same:
                value = said.value
        return value

    def signed(self, reader_id: int | None = None) -> list[CountRecord]:
        """Counts that are signed, of one reader or of all."""
        return [
            count
            for count in self.counts
            if count.state == "signed" and reader_id in (None, count.reader_id)
        ]

    def verdicts_of(self, point_ids: Iterable[int]) -> list[VerdictRecord]:
        """All verdicts of some points."""
        return [verdict for point_id in point_ids for verdict in self.verdicts.get(point_id, ())]


def _pages(page: Callable[[int], Sequence[Any]], after_id: int) -> Iterator[Sequence[Any]]:
    """Pages of records with ids after one, until one is not full."""
    while rows := page(after_id):
        yield rows
        if len(rows) < PAGE:
            return
        after_id = rows[-1].id
