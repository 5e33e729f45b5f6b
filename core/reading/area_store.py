"""Count areas in the store: a region's polygon, and in its properties what made it.

Any program can draw the polygon; Mitoscope makes the area anew from the properties, so that its
mm² are exact. Areas of one outline keep their place in level-0 pixels when the pixel size is set
anew; fields keep that of their middle and lie about it as before.
"""

from collections.abc import Mapping
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from core.counting.protocols import Protocol
from core.counting.shapes import CountShape
from core.geometry import Mpp
from core.reading.areas import make_area, tissue_area
from core.reading.field_areas import field_area, field_shape, plans
from core.reading.ground import Ground
from core.reading.view import AreaView, Plan
from core.store.records import RegionRecord


def stored_plan(region: RegionRecord | None, protocol: Protocol) -> Plan:
    """What a reader's area counts: the hot spots searched beside it are of the same kind."""
    allowed = plans(protocol)
    shape = None if region is None else region.properties.get("shape")
    found: Plan = "fields" if shape == "fields" else "one"
    return found if shape not in (None, "tissue") and found in allowed else allowed[0]


def region_polygon0(area: AreaView) -> BaseGeometry:
    """What the region of a count area covers: all its sets, where there are several."""
    return shapely.union_all([one.polygon0 for one in area.sets or (area,)])


def properties(area: AreaView, mpp: Mpp, protocol: Protocol) -> dict[str, Any]:
    """What a count area's region keeps besides its polygon, JSON-able."""
    kept: dict[str, Any] = {
        "shape": area.kind,
        "centre_um": [area.centre0[0] * mpp.x, area.centre0[1] * mpp.y],
        "width_um": area.width_um,
        "height_um": area.height_um,
        "angle_deg": area.angle_deg,
        "locked": area.locked,
        "state": area.state,
        "anchor0": None if area.anchor0 is None else list(area.anchor0),
        "protocol": protocol.id,
    }
    if area.kind == "fields":
        kept |= {
            "field": area.field_kind,
            "mpp": [mpp.x, mpp.y],
            "sets": [
                {
                    "centres_um": [[x0 * mpp.x, y0 * mpp.y] for x0, y0 in one.centres0],
                    "anchor0": None if one.anchor0 is None else list(one.anchor0),
                }
                for one in area.sets or (area,)
            ],
        }
    return kept


def area_from_region(region: RegionRecord, ground: Ground, protocol: Protocol) -> AreaView | None:
    """A reader's count area as the store has it; None for one that only a program proposed.

    The place comes from the polygon, in level-0 pixels, so that it stays where it was when the
    pixel size is set anew; a locked area then takes on the protocol's mm² at the new size.

    Args:
        region: a current region of kind `count_area`.
        ground: where figures count.
        protocol: the present rule.
    """
    kept: Mapping[str, Any] = region.properties
    if kept.get("state") != "accepted":
        return None
    if kept.get("shape") == "tissue" and ground.read.any():
        return tissue_area(ground, protocol, state="accepted", lineage=region.lineage)
    if kept.get("shape") == "fields":
        return _fields_from(kept, ground, protocol, region.lineage)
    if kept.get("shape") not in ("rectangle", "circle"):
        return None
    centre = shapely.from_wkb(region.wkb).centroid
    anchor0 = kept.get("anchor0")
    return make_area(
        ground,
        protocol,
        (float(centre.x), float(centre.y)),
        kind=kept["shape"],
        width_um=float(kept["width_um"]),
        height_um=float(kept["height_um"]),
        angle_deg=float(kept["angle_deg"]),
        locked=bool(kept["locked"]),
        lineage=region.lineage,
        anchor0=None if anchor0 is None else (float(anchor0[0]), float(anchor0[1])),
    )


def _fields_from(
    kept: Mapping[str, Any], ground: Ground, protocol: Protocol, lineage: str
) -> AreaView:
    """Fields as they lay in µm about their middle; of the protocol's size if it has fields."""
    mpp = ground.mpp
    old = Mpp(*(float(value) for value in kept["mpp"]))
    field = CountShape(kept["field"], float(kept["width_um"]), float(kept["height_um"]))
    if protocol.fields is not None:
        field = field_shape(protocol)
    sets, anchors = [], []
    for one in kept["sets"]:
        at_um = [(float(x), float(y)) for x, y in one["centres_um"]]
        middle_um = [sum(axis) / len(at_um) for axis in zip(*at_um, strict=True)]
        sets.append(
            tuple(
                (
                    middle_um[0] / old.x + (x - middle_um[0]) / mpp.x,
                    middle_um[1] / old.y + (y - middle_um[1]) / mpp.y,
                )
                for x, y in at_um
            )
        )
        anchor0 = one["anchor0"]
        anchors.append(None if anchor0 is None else (float(anchor0[0]), float(anchor0[1])))
    return field_area(ground, protocol, sets, field, anchors0=anchors, lineage=lineage)
