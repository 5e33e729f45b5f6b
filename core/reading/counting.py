"""The count in a count area, the hot spots, and whether another place holds more.

A figure is a mitosis by the verdict that counts, else by the shipped label (`core.review`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.counting.hotspot import PlacingGround, place_on, prepare_ground
from core.counting.protocols import Protocol
from core.counting.rules import rule_text
from core.counting.statistics import categorise, garwood
from core.geometry import to_px0
from core.reading.areas import make_area, tissue_area
from core.reading.ground import Ground
from core.reading.view import (
    ATYPICAL,
    DELETED,
    IMPOSTER,
    LABELS,
    MITOSIS,
    NONE,
    SPOTS_OF_ALL,
    UNSURE,
    AreaView,
    Blocker,
    CountView,
    Figures,
    SpotView,
)
from core.review import Tally
from core.store.records import CountRecord

# The best place and its alternatives.
SPOTS = 5
_MITOSIS_LABELS = tuple(LABELS.index(name) for name in ("mitosis", "atypical"))
_ATYPICAL_LABEL = LABELS.index("atypical")


def mitoses(figures: Figures) -> NDArray[np.bool_]:
    """Which figures count as mitoses, by verdict, else by label: (N,) bool."""
    said = (figures.verdict == MITOSIS) | (figures.verdict == ATYPICAL)
    labelled = np.isin(figures.label, _MITOSIS_LABELS)
    return np.asarray(said | ((figures.verdict == NONE) & labelled))


def tally(figures: Figures, chosen: NDArray[np.bool_]) -> Tally:
    """Count some of the figures.

    Args:
        figures: all of them.
        chosen: (N,) bool, which to count.
    """
    verdict, label = figures.verdict[chosen], figures.label[chosen]
    unsaid = verdict == NONE
    confirmed = int(np.count_nonzero((verdict == MITOSIS) | (verdict == ATYPICAL)))
    unreviewed = int(np.count_nonzero(unsaid & np.isin(label, _MITOSIS_LABELS)))
    atypical = (verdict == ATYPICAL) | (unsaid & (label == _ATYPICAL_LABEL))
    return Tally(
        mitoses=confirmed + unreviewed,
        confirmed=confirmed,
        unreviewed=unreviewed,
        atypical=int(np.count_nonzero(atypical)),
        imposters=int(np.count_nonzero(verdict == IMPOSTER)),
        unsure=int(np.count_nonzero(verdict == UNSURE)),
        deleted=int(np.count_nonzero(verdict == DELETED)),
    )


@dataclass(frozen=True, slots=True)
class Proposer:
    """Finds the hot spots of one protocol on one ground, again and again as verdicts change.

    Attributes:
        ground: where figures count.
        protocol: whose count area is placed.
        placing: the part of the search that verdicts do not change; None without any tissue.
    """

    ground: Ground
    protocol: Protocol
    placing: PlacingGround | None

    @property
    def whole_tissue(self) -> bool:
        """Whether all the tissue is smaller than the count area, and is counted whole."""
        return self.placing is not None and not self.placing.pieces

    def spots(self, figures: Figures) -> tuple[SpotView, ...]:
        """The exact hot spot and its non-overlapping alternatives, best first.

        Empty without tissue and where all the tissue is counted. A slide without mitoses has one
        spot, with none in it.
        """
        if self.placing is None or self.whole_tissue:
            return ()
        mpp = self.ground.mpp
        counted = mitoses(figures)
        x0, y0 = figures.x0[counted], figures.y0[counted]
        inside = self.ground.open_at(x0, y0)
        x0, y0 = x0[inside], y0[inside]
        points_um = np.stack([x0 * mpp.x, y0 * mpp.y], axis=1)
        found = []
        for spot in place_on(self.placing, points_um, SPOTS).spots:
            x_um, y_um = spot.centre_um
            anchor = None
            if spot.members:
                first = spot.members[0]
                anchor = (float(x0[first]), float(y0[first]))
            found.append(
                SpotView(
                    centre0=(x_um / mpp.x, y_um / mpp.y),
                    polygon0=to_px0(spot.polygon_um, mpp),
                    mitoses=spot.count,
                    anchor0=anchor,
                )
            )
        return tuple(found)

    def area(self, spots: Sequence[SpotView]) -> AreaView | None:
        """The count area that the program proposes: the first spot, or all of a small tissue.

        Args:
            spots: as `spots` found them.

        Returns:
            None without any tissue.
        """
        if self.whole_tissue:
            return tissue_area(self.ground, self.protocol)
        return self.area_at(spots[0], accepted=False) if spots else None

    def area_at(self, spot: SpotView, *, accepted: bool = True) -> AreaView:
        """The count area on one of the spots."""
        return make_area(
            self.ground,
            self.protocol,
            spot.centre0,
            state="accepted" if accepted else "proposed",
            anchor0=spot.anchor0,
        )


def make_proposer(ground: Ground, protocol: Protocol) -> Proposer:
    """Prepare the search for hot spots; takes up to some seconds on a large slide."""
    placing = None
    if ground.read.any():
        placing = prepare_ground(protocol.shape, ground.read, ground.cell_um, ground.origin_um)
    return Proposer(ground, protocol, placing)


def better_place(spots: Sequence[SpotView], area: AreaView, counted: int) -> SpotView | None:
    """The best place where it holds more than an accepted area does; it never moves by itself."""
    if area.state != "accepted" or not spots or spots[0].mitoses <= counted:
        return None
    return spots[0]


def count_view(
    figures: Figures,
    area: AreaView | None,
    protocol: Protocol,
    spots: Sequence[SpotView] = (),
    *,
    tumour: bool = False,
    blockers: tuple[Blocker, ...] = (),
    signed: CountRecord | None = None,
) -> CountView | None:
    """What the count area holds and what the protocol makes of it.

    Args:
        figures: with `in_area` and `to_review` filled in.
        area: the count area.
        protocol: the rule.
        spots: the hot spots.
        tumour: whether there is a tumour region.
        blockers: what stands between the count and its signature.
        signed: the signed count.

    Returns:
        None without a count area, or where it holds no tissue of the tumour.
    """
    if area is None or area.counted_mm2 <= 0:
        return None
    counted = tally(figures, figures.in_area)
    return CountView(
        protocol=protocol,
        tally=counted,
        to_review=int(np.count_nonzero(figures.in_area & figures.to_review)),
        interval=garwood(counted.mitoses, area.counted_mm2),
        category=categorise(counted.mitoses, area.counted_mm2, protocol),
        rule=rule_text(protocol),
        spots=tuple(spots),
        spots_name="hot spot" if tumour else SPOTS_OF_ALL,
        better=better_place(spots, area, counted.mitoses),
        blockers=blockers,
        signed=signed,
    )
