"""Count areas of fields: what a protocol lets be counted, and sets of fields on the slide."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import shapely

from core.counting.protocols import Protocol
from core.counting.shapes import CountShape
from core.geometry import to_px0
from core.reading.areas import counted_mm2, piece_of
from core.reading.ground import Ground
from core.reading.view import AreaView, Plan

Place0 = tuple[float, float]
# Per quarter of a round field: ten of them are drawn whenever the view changes.
FIELD_SEGMENTS = 48


def plans(protocol: Protocol) -> tuple[Plan, ...]:
    """What a protocol lets be counted, what it asks for first.

    Consecutive fields are one outline of the same mm², unless several sets of them are asked for.
    The whole tumour is for rates that their source states without an area.
    """
    found: list[Plan] = ["one"]
    if protocol.fields is not None:
        as_one = protocol.fields.contiguous and protocol.sets == 1
        found = ["one", "fields"] if as_one else ["fields"]
        if not protocol.fields.contiguous and protocol.sets == 1:
            found.append("one")
    if not protocol.fixed_area:
        found.append("whole")
    return tuple(found)


def plan_of(area: AreaView, protocol: Protocol) -> Plan:
    """What a count area counts; a small tissue counted whole is the protocol's own plan."""
    if area.kind == "tissue":
        return "whole" if area.state == "accepted" else plans(protocol)[0]
    return "fields" if area.kind == "fields" else "one"


def field_shape(protocol: Protocol) -> CountShape:
    """One field of a protocol that has fields; round where its diameter is known."""
    assert protocol.fields is not None  # the caller asked for fields
    name = "circle" if protocol.field_diameter_mm is not None else protocol.shape_name
    return CountShape.from_name(name, protocol.fields.field_mm2)


def field_area(
    ground: Ground,
    protocol: Protocol,
    sets: Sequence[Sequence[Place0]],
    field: CountShape,
    *,
    anchors0: Sequence[Place0 | None],
    state: Literal["proposed", "accepted"] = "accepted",
    lineage: str = "",
) -> AreaView:
    """Place sets of fields; the area is the first of them until figures choose another.

    Args:
        ground: where figures count.
        protocol: whose area it is.
        sets: centres of the fields of each set, level-0 pixels.
        field: one of them.
        anchors0: of each set, see `AreaView`.
        state: who placed them.
        lineage: of the region.
    """
    made = tuple(
        _one_set(ground, protocol, tuple(centres0), field, anchor0, state, lineage)
        for centres0, anchor0 in zip(sets, anchors0, strict=True)
    )
    return made[0] if len(made) == 1 else replace(made[0], sets=made)


def with_field_moved(area: AreaView, index: int, centre0: Place0) -> list[tuple[Place0, ...]]:
    """The centres of all sets, with one field of the counted set elsewhere."""
    moved = list(area.centres0)
    moved[index] = centre0
    return _with_counted(area, tuple(moved))


def with_fields_shifted(area: AreaView, dx0: float, dy0: float) -> list[tuple[Place0, ...]]:
    """The centres of all sets, with those of the counted set moved together."""
    return _with_counted(area, tuple((x + dx0, y + dy0) for x, y in area.centres0))


def _with_counted(area: AreaView, centres0: tuple[Place0, ...]) -> list[tuple[Place0, ...]]:
    return [
        centres0 if one.centres0 == area.centres0 else one.centres0 for one in area.sets or (area,)
    ]


def _one_set(
    ground: Ground,
    protocol: Protocol,
    centres0: tuple[Place0, ...],
    field: CountShape,
    anchor0: Place0 | None,
    state: Literal["proposed", "accepted"],
    lineage: str,
) -> AreaView:
    mpp = ground.mpp
    fields0 = tuple(
        to_px0(field.polygon_um((x * mpp.x, y * mpp.y), FIELD_SEGMENTS), mpp) for x, y in centres0
    )
    # On a grid of a thousandth of a pixel, so that fields side by side become one outline.
    whole0 = shapely.union_all(fields0, grid_size=1e-3)
    # Fields that overlap count once; a circle's polygon has a little less than the circle.
    share = float(whole0.area) / sum(float(one.area) for one in fields0)
    area_mm2 = len(fields0) * field.area_mm2 * share
    piece = piece_of(whole0, anchor0, ground) if ground.read.any() else 0
    return AreaView(
        polygon0=whole0,
        centre0=(
            sum(x for x, _ in centres0) / len(centres0),
            sum(y for _, y in centres0) / len(centres0),
        ),
        kind="fields",
        width_um=field.width_um,
        height_um=field.height_um,
        angle_deg=0.0,
        planned_mm2=protocol.area_mm2,
        counted_mm2=counted_mm2(whole0, area_mm2, ground, piece),
        locked=True,
        state=state,
        lineage=lineage,
        piece=piece,
        anchor0=anchor0,
        field_kind=field.kind,
        centres0=centres0,
        fields0=fields0,
    )
