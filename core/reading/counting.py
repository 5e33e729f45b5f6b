"""The count in a count area, the hot spots, and whether another place holds more.

A figure is a mitosis by the verdict that counts, else by the shipped label (`core.review`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from core.counting.fields import place_fields
from core.counting.hotspot import PlacingGround, place_on, prepare_ground
from core.counting.protocols import Protocol
from core.counting.rules import rule_text
from core.geometry import to_px0
from core.reading.areas import make_area, tissue_area
from core.reading.field_areas import field_area, field_shape, plan_of, plans
from core.reading.ground import Ground
from core.reading.statistics import figure_statistics
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
    Plan,
    SpotView,
)
from core.review import Tally
from core.store.records import CountRecord

Floats = NDArray[np.float64]
# The best place and its alternatives.
SPOTS = 5
# Likewise of consecutive fields; free ones are the best wherever they lie.
FIELD_SPOTS = 3
# Per quarter of a round field of a spot, which is only drawn.
_SPOT_SEGMENTS = 16
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
        plan: one outline, or fields.
    """

    ground: Ground
    protocol: Protocol
    placing: PlacingGround | None
    plan: Plan = "one"

    @property
    def whole_tissue(self) -> bool:
        """Whether all the tissue is smaller than the count area, and is counted whole."""
        if self.placing is None:
            return False
        small = self.placing.tissue_mm2 < self.protocol.area_mm2
        return not self.placing.pieces or (self.plan == "fields" and small)

    def spots(self, figures: Figures) -> tuple[SpotView, ...]:
        """The hot spot and its non-overlapping alternatives, best first.

        Exact for one outline; sets of fields are greedy (`core.counting.fields`). Empty without
        tissue and where all the tissue is counted. A slide without mitoses has one spot, with none
        in it.
        """
        counted = mitoses(figures)
        return self.spots_of(figures.x0[counted], figures.y0[counted])

    def spots_of(self, x0: Floats, y0: Floats) -> tuple[SpotView, ...]:
        """The same for mitoses at level-0 places: two (N,) float64."""
        if self.placing is None or self.whole_tissue:
            return ()
        inside = self.ground.open_at(x0, y0)
        places0 = np.stack([x0[inside], y0[inside]], axis=1)
        points_um = places0 * (self.ground.mpp.x, self.ground.mpp.y)
        if self.plan == "fields":
            return self._field_spots(places0, points_um)
        mpp = self.ground.mpp
        return tuple(
            SpotView(
                centre0=(spot.centre_um[0] / mpp.x, spot.centre_um[1] / mpp.y),
                polygon0=to_px0(spot.polygon_um, mpp),
                mitoses=spot.count,
                anchor0=_first(places0, spot.members),
            )
            for spot in place_on(self.placing, points_um, SPOTS).spots
        )

    def _field_spots(self, places0: Floats, points_um: Floats) -> tuple[SpotView, ...]:
        rule, placing, mpp = self.protocol.fields, self.placing, self.ground.mpp
        assert rule is not None  # `make_proposer` saw to both
        assert placing is not None
        wanted = max(self.protocol.sets, FIELD_SPOTS if rule.contiguous else 1)
        placed = place_fields(
            placing, points_um, rule.count, contiguous=rule.contiguous, sets=wanted
        )
        found = []
        for number, one in enumerate(placed.sets):
            fields0 = tuple(
                to_px0(placing.shape.polygon_um(at, _SPOT_SEGMENTS), mpp) for at in one.centres_um
            )
            centres0 = tuple((x / mpp.x, y / mpp.y) for x, y in one.centres_um)
            found.append(
                SpotView(
                    centre0=centres0[0],
                    polygon0=shapely.union_all(fields0),
                    mitoses=one.count,
                    anchor0=_first(places0, one.members),
                    centres0=centres0,
                    fields0=fields0,
                    at_most=placed.bound if number == 0 else None,
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
        return self.area_at(spots, 0, accepted=False) if spots else None

    def area_at(self, spots: Sequence[SpotView], index: int, *, accepted: bool = True) -> AreaView:
        """The count area on one of the spots; where several sets are counted, on all of them."""
        state: Literal["proposed", "accepted"] = "accepted" if accepted else "proposed"
        spot = spots[index]
        if self.plan != "fields":
            return make_area(
                self.ground, self.protocol, spot.centre0, state=state, anchor0=spot.anchor0
            )
        chosen = [spot] if self.protocol.sets == 1 else spots[: self.protocol.sets]
        return field_area(
            self.ground,
            self.protocol,
            [one.centres0 for one in chosen],
            field_shape(self.protocol),
            anchors0=[one.anchor0 for one in chosen],
            state=state,
        )


def _first(places0: Floats, members: Sequence[int]) -> tuple[float, float] | None:
    """The place of the first of some points; None without any."""
    if not members:
        return None
    return float(places0[members[0], 0]), float(places0[members[0], 1])


def make_proposer(ground: Ground, protocol: Protocol, plan: Plan | None = None) -> Proposer:
    """Prepare the search for hot spots; takes up to some seconds on a large slide.

    Args:
        ground: where figures count.
        protocol: the rule.
        plan: one outline, or fields; None for what the protocol asks for.
    """
    plan = plan or plans(protocol)[0]
    shape = field_shape(protocol) if plan == "fields" else protocol.shape
    placing = None
    if ground.read.any():
        placing = prepare_ground(shape, ground.read, ground.cell_um, ground.origin_um)
    return Proposer(ground, protocol, placing, plan)


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
    sets: tuple[int, ...] = (),
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
        sets: mitoses in each set of fields, where there are several.

    Returns:
        None without a count area, or where it holds no tissue of the tumour.
    """
    if area is None or area.counted_mm2 <= 0:
        return None
    counted = tally(figures, figures.in_area)
    statistics = figure_statistics(figures, area, protocol, counted.mitoses)
    return CountView(
        protocol=protocol,
        tally=counted,
        to_review=int(np.count_nonzero(figures.in_area & figures.to_review)),
        interval=statistics.interval,
        category=statistics.category,
        rule=rule_text(protocol),
        spots=tuple(spots),
        spots_name="hot spot" if tumour else SPOTS_OF_ALL,
        better=better_place(spots, area, counted.mitoses),
        blockers=blockers,
        signed=signed,
        plans=plans(protocol),
        plan=plan_of(area, protocol),
        sets=sets,
        statistics=statistics,
    )
