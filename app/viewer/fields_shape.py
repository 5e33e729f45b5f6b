"""Fields of a count area as they are dragged, one by one or together. No Qt, no desk."""

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import shapely

from core.counting.shapes import CountShape
from core.geometry import Mpp, to_px0
from core.reading.view import AreaView

_SEGMENTS = 24  # per quarter of a round field, while it is dragged

PointUm = tuple[float, float]


@dataclass(frozen=True, slots=True)
class FieldsShape:
    """Fields of one size in µm; moving them makes another one.

    Attributes:
        kind: outline of each.
        centres_um: µm from the slide's top left corner, in the order of their numbers.
        width_um, height_um: of each; of a round one the diameter.
    """

    kind: Literal["rectangle", "circle"]
    centres_um: tuple[PointUm, ...]
    width_um: float
    height_um: float

    @classmethod
    def of(cls, area: AreaView, mpp: Mpp) -> Self:
        """The fields of a count area."""
        centres_um = tuple((x * mpp.x, y * mpp.y) for x, y in area.centres0)
        return cls(area.field_kind, centres_um, area.width_um, area.height_um)

    @property
    def mm2(self) -> float:
        """All of them together."""
        return len(self.centres_um) * self._field.area_mm2

    def field_at(self, point_um: PointUm) -> int | None:
        """The field at a point, counted from 0."""
        held = [
            bool(self._field.contains(np.array([point_um]), centre)[0])
            for centre in self.centres_um
        ]
        return held.index(True) if any(held) else None

    def moved(self, field: int | None, dx_um: float, dy_um: float) -> Self:
        """With one field elsewhere, or with all of them."""
        return replace(
            self,
            centres_um=tuple(
                (x + dx_um, y + dy_um) if field in (None, index) else (x, y)
                for index, (x, y) in enumerate(self.centres_um)
            ),
        )

    def fields0(self, mpp: Mpp) -> list[shapely.Polygon]:
        """Their outlines, level-0 pixels."""
        return [to_px0(self._field.polygon_um(at, _SEGMENTS), mpp) for at in self.centres_um]

    @property
    def _field(self) -> CountShape:
        return CountShape(self.kind, self.width_um, self.height_um)
