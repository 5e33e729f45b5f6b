"""What Mitoscope calls figures and regions in the files of other programs, and in which colour."""

from collections.abc import Iterable
from dataclasses import dataclass

import shapely

from core.exchange.marks import Mark, Outline

#: The class of a figure by its word of `core.exchange.marks.CALLED`.
FIGURE_CLASSES = {
    "mitosis": "Mitosis",
    "atypical": "Atypical mitosis",
    "imposter": "Imposter",
    "unsure": "Unsure",
    "deleted": "Deleted",
    "": "Unclassified",
}
#: The class of a region; QuPath's own class is `Tumor`.
REGION_CLASSES = {"tumour": "Tumor", "excluded": "Excluded", "count_area": "Count area"}
#: QuPath's class of what it leaves out of its measurements.
IGNORED = "Ignore*"

_COLOURS = {
    "Mitosis": (200, 0, 0),
    "Atypical mitosis": (200, 0, 150),
    "Imposter": (0, 110, 200),
    "Unsure": (230, 160, 0),
    "Tumor": (0, 140, 0),
    "Excluded": (120, 120, 120),
    "Count area": (240, 200, 0),
}


def figure_class(mark: Mark) -> str:
    """The class of a mark where a file has one: its own in that file where we know it not."""
    return FIGURE_CLASSES[mark.called] if mark.called else mark.name or FIGURE_CLASSES[""]


def region_class(outline: Outline) -> str:
    """The class of an outline."""
    return REGION_CLASSES[outline.kind]


def colour(name: str) -> tuple[int, int, int]:
    """Red, green and blue of a class, 0..255."""
    return _COLOURS.get(name, (60, 60, 60))


def hex_colour(name: str) -> str:
    """The same as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour(name))


@dataclass(frozen=True, slots=True)
class PlainRing:
    """A polygon without holes, for formats that know none.

    Attributes:
        name: its class.
        corners0: (x0, y0) of its corners, not closed, level-0 pixels.
        uuid: of the outline; empty from its second part on.
    """

    name: str
    corners0: tuple[tuple[float, float], ...]
    uuid: str = ""


def plain_rings(outlines: Iterable[Outline]) -> tuple[list[PlainRing], tuple[str, ...]]:
    """Outlines as polygons without holes, and notes on what that changed.

    A hole in a tumour region or count area becomes an excluded region, which means the same; one in
    an excluded region is lost.
    """
    found: list[PlainRing] = []
    turned = filled = 0
    for outline in outlines:
        uuid = outline.uuid
        for polygon in shapely.get_parts(outline.polygon0):
            found.append(PlainRing(region_class(outline), _corners(polygon.exterior), uuid))
            uuid = ""
            if outline.kind == "excluded":
                filled += len(polygon.interiors)
                continue
            turned += len(polygon.interiors)
            for hole in polygon.interiors:
                found.append(PlainRing(REGION_CLASSES["excluded"], _corners(hole)))
    notes = []
    if turned:
        notes.append(f"holes in regions, written as excluded regions: {turned}")
    if filled:
        notes.append(f"holes in excluded regions, which could not be written: {filled}")
    return found, tuple(notes)


def _corners(ring: shapely.LinearRing) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in list(ring.coords)[:-1])
