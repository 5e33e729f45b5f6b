"""What a reader does to the count area, every act on disk before its view is shown."""

from collections.abc import Mapping, Sequence
from typing import Literal

from core.counting.shapes import CountShape
from core.errors import InputError
from core.reading import areas, guards
from core.reading.current import up_to_date
from core.reading.field_areas import field_area, plans, with_field_moved, with_fields_shifted
from core.reading.state import DeskState
from core.reading.view import AreaView, DeskView, Plan
from core.store import NewAction, NewRegion

_PLANS: Mapping[Plan, str] = {
    "one": "one count area placed", "fields": "fields placed", "whole": "whole tumour counted",
}  # fmt: skip


class AreaDesk(DeskState):
    """The part of a desk that places the count area; errors as those of `Desk`."""

    @up_to_date
    def move_area(
        self,
        centre0: tuple[float, float],
        *,
        angle_deg: float = 0.0,
        width_um: float | None = None,
        height_um: float | None = None,
        kind: Literal["rectangle", "circle"] | None = None,
        unlocked: bool = False,
    ) -> DeskView:
        """Put the count area somewhere, which accepts it.

        Args:
            centre0: level-0 pixels.
            angle_deg: clockwise turn on the screen.
            width_um: None for the protocol's; locked, only its ratio to the height matters.
            height_um: likewise.
            kind: None for the protocol's.
            unlocked: whether it may have another mm² than the protocol's, on several pieces.

        Raises:
            InputError: there is no pixel size or tissue yet, or the count is signed.
        """
        area = areas.make_area(
            self._ground(),
            self._protocol,
            centre0,
            kind=kind,
            width_um=width_um,
            height_um=height_um,
            angle_deg=angle_deg,
            locked=not unlocked,
        )
        return self._accept(area, "count area placed")

    @up_to_date
    def accept_spot(self, centre0: tuple[float, float]) -> DeskView:
        """Put the count area on one of the hot spots, and on no other that took its place.

        Args:
            centre0: of the spot as a view showed it, level-0 pixels.

        Raises:
            InputError: it is no longer among the hot spots, or the count is signed.
        """
        self._ground()
        places = [spot.centre0 for spot in self._placing.spots]
        if centre0 not in places:
            raise InputError(
                "This place is no longer proposed.", "The best places have changed: choose again."
            )
        return self._accept(self._placing.area_at(places.index(centre0)), "hot spot accepted")

    @up_to_date
    def use_plan(self, plan: Plan) -> DeskView:
        """Count what the protocol asks for, or something else that it allows, at its best place.

        Raises:
            InputError: the protocol does not allow it, or there is no pixel size or tissue yet.
        """
        allowed = plans(self._protocol)
        if plan not in allowed:
            raise InputError(f"The protocol {self._protocol.name!r} does not count this.")
        self._ground()
        if plan == allowed[0]:
            return self.use_proposal()
        area = self._placing.area_of(plan, self._table.columns)
        if area is None:
            raise InputError(
                "The tissue is too small for this count area.", "All of it is counted as it is."
            )
        return self._accept(area, _PLANS[plan])

    @up_to_date
    def move_field(self, index: int, centre0: tuple[float, float]) -> DeskView:
        """Put one field of the count area elsewhere, which accepts the area.

        Args:
            index: of the field, from 0.
            centre0: level-0 pixels.

        Raises:
            InputError: the count area has no such field, or the count is signed.
        """
        area = self.view().area
        if area is None or not 0 <= index < len(area.centres0):
            raise InputError("This field is no longer there.")
        return self._place_fields(area, with_field_moved(area, index, centre0), "field moved")

    @up_to_date
    def shift_fields(self, dx0: float, dy0: float) -> DeskView:
        """Move all fields that are counted by some level-0 pixels, which accepts the area.

        Raises:
            InputError: the count area has no fields, or the count is signed.
        """
        area = self.view().area
        if area is None or not area.centres0:
            raise InputError("The count area has no fields.")
        return self._place_fields(area, with_fields_shifted(area, dx0, dy0), "fields moved")

    def _place_fields(
        self, area: AreaView, sets: Sequence[Sequence[tuple[float, float]]], text: str
    ) -> DeskView:
        field = CountShape(area.field_kind, area.width_um, area.height_um)
        # A field that was moved may lie on another piece than the first figure did.
        moved = field_area(self._ground(), self._protocol, sets, field, anchors0=[None] * len(sets))
        return self._accept(moved, text)

    @up_to_date
    def use_proposal(self) -> DeskView:
        """Let the count area follow the best place again."""
        own = self._own_area()
        if own is None:
            return self.view()
        guards.guard_area(self._ledger, self._reader.id, self._protocol.id)
        gone = NewRegion("count_area", None, own.properties, own.lineage)
        return self._act(NewAction("count area set free", regions=[gone]))
