"""Where the count area lies: the reader's own, else the best place that the program finds.

What is costly is kept until what it rests on changes: the ground until tissue, regions, pixel size
or unreadable windows do, the hot spots until a figure becomes or ceases to be a mitosis.
"""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from core.counting.protocols import Protocol
from core.geometry import Mpp
from core.reading.areas import area_from_region, holds
from core.reading.counting import Proposer, make_proposer, mitoses
from core.reading.ground import Ground, make_ground
from core.reading.pieces import find_pieces, with_exclusions
from core.reading.view import AreaView, Figures, PieceView, SpotView
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
        self._held: tuple[AreaView | None, NDArray[np.float64], NDArray[np.bool_]] | None = None

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
    ) -> None:
        """Take what the count area rests on; what did not change is kept.

        Args:
            protocol: whose area is placed.
            mpp: the slide's pixel size.
            regions: tumour and excluded ones.
            failed0: windows that could not be read, level-0 pixels.
        """
        rests_on = (mpp, tuple(regions), failed0)
        if rests_on != (self._mpp, self._regions, self._failed0) or self.ground is None:
            self._mpp, self._regions, self._failed0 = rests_on
            self.pieces = with_exclusions(self.pieces, self._regions)
            self.ground = self._proposer = None
            if mpp is not None and self._tissue is not None:
                self.ground = make_ground(self._tissue, mpp, self._regions, failed0)
        if protocol != self.protocol or self._proposer is None:
            self.protocol = protocol
            self._proposer = None if self.ground is None else make_proposer(self.ground, protocol)
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
        """The count area.

        Args:
            figures: with all scores.
            own: the region of the area that the reader accepted, if they did.

        Returns:
            None without pixel size or tissue.
        """
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

    def area_at(self, spot: SpotView) -> AreaView:
        """The count area on a spot, accepted."""
        assert self._proposer is not None  # it found the spot
        return self._proposer.area_at(spot)

    def in_area(self, figures: Figures, area: AreaView | None) -> NDArray[np.bool_]:
        """Which figures count in the area: (N,) bool, read-only."""
        held = self._held
        if held is None or held[0] is not area or held[1] is not figures.x0:
            if area is None or self.ground is None:
                inside = np.zeros(len(figures), np.bool_)
            else:
                inside = holds(area, self.ground, figures.x0, figures.y0)
            inside.flags.writeable = False
            held = self._held = (area, figures.x0, inside)
        return held[2]
