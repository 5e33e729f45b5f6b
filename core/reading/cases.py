"""The slides of a case: where among all of them most mitoses lie."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.reading.view import SpotView
from core.store.records import CountRecord, CountState

# Which version of a slide's count speaks for it.
_WEIGHT: dict[CountState, int] = {"signed": 3, "accepted": 2, "reopened": 1, "proposed": 0}


@dataclass(frozen=True, slots=True)
class CaseSpot:
    """A place on one of a case's slides.

    Attributes:
        slide_id: the store's slide.
        name: of the slide as shown: its alias, if it has one.
        mitoses: in the count area there.
        counted_mm2: of that area.
        centre0: level-0 pixels; None where only the slide's count is known.
        state: of the count it comes from; `proposed` for a hot spot.
    """

    slide_id: int
    name: str
    mitoses: int
    counted_mm2: float
    centre0: tuple[float, float] | None = None
    state: CountState = "proposed"

    @property
    def per_mm2(self) -> float:
        """Mitoses per mm²; what smaller areas are compared by."""
        return self.mitoses / self.counted_mm2


def spot_of_count(
    slide_id: int, name: str, counts: Iterable[CountRecord], protocol_id: str
) -> CaseSpot | None:
    """What a slide offers by its newest count of a protocol; None if it has none.

    A signed count speaks before an accepted one, and that before a proposal.
    """
    own = [c for c in counts if c.protocol == protocol_id and c.counted_mm2 > 0]
    if not own:
        return None
    best = max(own, key=lambda count: (_WEIGHT[count.state], count.id))
    return CaseSpot(slide_id, name, best.mitoses, best.counted_mm2, state=best.state)


def spots_of_slide(
    slide_id: int, name: str, spots: Sequence[SpotView], area_mm2: float
) -> tuple[CaseSpot, ...]:
    """The hot spots of a slide as places of its case."""
    return tuple(CaseSpot(slide_id, name, s.mitoses, area_mm2, s.centre0) for s in spots)


def ranked(offers: Iterable[CaseSpot]) -> tuple[CaseSpot, ...]:
    """Most mitoses first; of equals the smaller area, then the order in which they came."""
    return tuple(sorted(offers, key=lambda spot: (-spot.mitoses, spot.counted_mm2)))
