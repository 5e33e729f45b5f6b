"""Where the count area lies: the reader's own, else the best place that the program finds.

What is costly is kept until what it rests on changes: the ground until tissue, regions, pixel size
or unreadable windows do, the hot spots until a figure becomes or ceases to be a mitosis.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray

from core.counting.protocols import Protocol
from core.geometry import Mpp
from core.reading.area_store import area_from_region, region_polygon0
from core.reading.areas import holds, tissue_area
from core.reading.counting import Proposer, make_proposer, mitoses
from core.reading.ground import Ground, make_ground
from core.reading.pieces import find_pieces, with_exclusions
from core.reading.view import AreaView, Figures, PieceView, Plan, SpotView
from core.slides.tissue import Tissue
from core.store import RegionRecord


class Placing:
    """The count area of one protocol on one slide.

    Attributes:
        protocol: whose area is placed; change it with `use`.
        ground: where figures can count; None until tissue and pixel size are known.
        spots: the best places, as they were found last.
        pieces: of tissue with what is excluded; empty until the tissue is known.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.ground: Ground | None = None
        self.spots: tuple[SpotView, ...] = ()
        self.pieces: tuple[PieceView, ...] = ()
        self._tissue: Tissue | None = None
        self._mpp: Mpp | None = None
        self._regions: tuple[RegionRecord, ...] = ()
        self._failed0: tuple[shapely.Polygon, ...] = ()
        self._proposer: Proposer | None = None
        self._found_for: NDArray[np.int64] | None = None  # keys of the mitoses `spots` rest on
        self._own: tuple[RegionRecord, Ground, Protocol] | None = None
        self._own_area: AreaView | None = None
        self._proposed: tuple[tuple[SpotView, ...], Proposer, AreaView | None] | None = None
        self._held: tuple[AreaView | None, NDArray[np.float64], list[NDArray[np.bool_]]] | None = (
            None
        )
        self._counted: dict[int, AreaView] = {}  # of an area with several sets, by the set

    def set_tissue(self, tissue: Tissue) -> None:
        """Take the slide's tissue."""
        self._tissue, self.pieces = tissue, find_pieces(tissue)
        self.ground = self._proposer = None

    def use(
        self,
        protocol: Protocol,
        mpp: Mpp | None,
        regions: Sequence[RegionRecord],
        failed0: tuple[shapely.Polygon, ...],
        plan: Plan,
    ) -> None:
        """Take what the count area rests on; what did not change is kept.

        Args:
            protocol: whose area is placed.
            mpp: the slide's pixel size.
            regions: tumour and excluded ones.
            failed0: windows that could not be read, level-0 pixels.
            plan: what is counted: one outline, or fields.
        """
        rests_on = (mpp, tuple(regions), failed0)
        if rests_on != (self._mpp, self._regions, self._failed0) or self.ground is None:
            self._mpp, self._regions, self._failed0 = rests_on
            self.pieces = with_exclusions(self.pieces, self._regions)
            self.ground = self._proposer = None
            if mpp is not None and self._tissue is not None:
                self.ground = make_ground(self._tissue, mpp, self._regions, failed0)
        other = self._proposer is None or self._proposer.plan != plan
        if protocol != self.protocol or other:
            self.protocol, self._proposer = protocol, None
            if self.ground is not None:
                self._proposer = make_proposer(self.ground, protocol, plan)
            self._found_for = None

    def settled(self, figures: Figures) -> bool:
        """Whether the hot spots are those of these figures."""
        return self._proposer is None or (
            self._found_for is not None
            and np.array_equal(self._found_for, figures.key[mitoses(figures)])
        )

    def settle(self, figures: Figures) -> None:
        """Search the hot spots of these figures, if others were searched last."""
        if self._proposer is None:
            self.spots = ()
        elif not self.settled(figures):
            self.spots = self._proposer.spots(figures)
            self._found_for = figures.key[mitoses(figures)]

    def area(self, figures: Figures, own: RegionRecord | None) -> AreaView | None:
        """The count area; of several sets of fields the one that holds the most mitoses now.

        Args:
            figures: with all scores.
            own: the region of the area that the reader accepted, if they did.

        Returns:
            None without pixel size or tissue.
        """
        area = self._base(figures, own)
        if area is None or not area.sets:
            return area
        held = self._masks(figures, area)  # forgets what was chosen of another area
        best = int(np.argmax(self._numbers(figures, held)))  # the first of equals
        if best not in self._counted:
            self._counted[best] = replace(area.sets[best], sets=area.sets)
        return self._counted[best]

    def set_numbers(self, figures: Figures, area: AreaView | None) -> tuple[int, ...]:
        """Mitoses in each set of fields; empty where there is one set only."""
        if area is None or not area.sets:
            return ()
        return self._numbers(figures, self._masks(figures, area))

    def checked(self, figures: Figures, area: AreaView | None) -> tuple[AreaView | None, Figures]:
        """What must be read before a count is signed: of several sets all, not the highest only."""
        if area is None or not area.sets:
            return area, figures
        inside = np.logical_or.reduce(self._masks(figures, area))
        whole = replace(area, polygon0=region_polygon0(area))
        return whole, replace(figures, in_area=inside)

    @staticmethod
    def _numbers(figures: Figures, masks: Sequence[NDArray[np.bool_]]) -> tuple[int, ...]:
        counted = mitoses(figures)
        return tuple(int(np.count_nonzero(mask & counted)) for mask in masks)

    def _base(self, figures: Figures, own: RegionRecord | None) -> AreaView | None:
        if self.ground is None or self._proposer is None:
            return None
        if self._found_for is None:
            self.settle(figures)
        if own is not None:
            kept = self._own
            if kept is None or kept[1] is not self.ground or kept[::2] != (own, self.protocol):
                self._own = (own, self.ground, self.protocol)
                self._own_area = area_from_region(own, self.ground, self.protocol)
            if self._own_area is not None:
                return self._own_area
        proposed = self._proposed
        if proposed is None or proposed[0] is not self.spots or proposed[1] is not self._proposer:
            area = self._proposer.area(self.spots)
            proposed = self._proposed = (self.spots, self._proposer, area)
        return proposed[2]

    def area_at(self, index: int) -> AreaView:
        """The count area on one of the spots, accepted."""
        assert self._proposer is not None  # it found the spot
        return self._proposer.area_at(self.spots, index)

    def area_of(self, plan: Plan, figures: Figures) -> AreaView | None:
        """The best count area of another plan than the protocol's own, accepted; None if none.

        It is searched for anew, which takes up to some seconds on a large slide.
        """
        assert self.ground is not None  # checked by the caller
        if not self.ground.read.any():
            return None
        if plan == "whole":
            return tissue_area(self.ground, self.protocol, state="accepted")
        proposer = make_proposer(self.ground, self.protocol, plan)
        spots = proposer.spots(figures)
        return proposer.area_at(spots, 0) if spots else None

    def in_area(self, figures: Figures, area: AreaView | None) -> NDArray[np.bool_]:
        """Which figures count in the area: (N,) bool, read-only."""
        masks = self._masks(figures, area)
        if area is None or not area.sets:
            return masks[0]
        return masks[[one.centres0 for one in area.sets].index(area.centres0)]

    def _masks(self, figures: Figures, area: AreaView | None) -> list[NDArray[np.bool_]]:
        """Which figures lie in each set of an area, or in the area: (N,) bool each, read-only."""
        held = self._held
        same = held is not None and (
            held[0] is area
            or (
                area is not None and held[0] is not None and area.sets and held[0].sets is area.sets
            )
        )
        if held is None or not same or held[1] is not figures.x0:
            if held is None or not same:
                self._counted = {}
            masks = []
            for one in (area,) if area is None or not area.sets else area.sets:
                inside = np.zeros(len(figures), np.bool_)
                if one is not None and self.ground is not None:
                    inside = holds(one, self.ground, figures.x0, figures.y0)
                inside.flags.writeable = False
                masks.append(inside)
            held = self._held = (area, figures.x0, masks)
        return held[2]
