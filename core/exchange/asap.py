"""ASAP's XML: dots, sets of points, polygons, rectangles and splines in named groups.

Schema: ASAP's `XmlRepository.cpp`. ASAP refuses a file in which an annotation names a group that
is not declared, so every group that is used is.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from core.exchange.classes import figure_class, hex_colour, plain_rings
from core.exchange.collecting import Collector, number, unreadable
from core.exchange.files import replacing
from core.exchange.marks import SlideFrame, SlideMarks, meaning
from core.exchange.qupath import UUID
from core.exchange.texts import children, parse_xml, parts, read_bytes, xml_text

ROOT = "ASAP_Annotations"
NO_GROUP = "None"
_POINTS = ("Dot", "PointSet")
_OUTLINES = ("Polygon", "Rectangle", "Spline")


def read(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read points and regions; the group is the class, else the name where that says one.

    Raises:
        InputError: the file is missing, ill-formed, or not ASAP's.
    """
    root = parse_xml(path, read_bytes(path))
    if root.tag != ROOT:
        raise unreadable(path, f"is not ASAP's: it begins with {root.tag}")
    into = Collector(path, slide)
    for annotation in children(parts(root).get("annotations"), "annotation"):
        _take(into, annotation)
    return into.done()


def _take(into: Collector, annotation: Element) -> None:
    name, group = annotation.get("Name", ""), annotation.get("PartOfGroup", NO_GROUP)
    class_ = group if group not in ("", NO_GROUP) else name if meaning(name) else ""
    uuid = name if UUID.match(name) else ""
    places = _places(annotation)
    kind = annotation.get("Type") or ("Polygon" if len(places) > 2 else "Dot")
    if kind in _POINTS:
        for x0, y0 in places or [(number(None), number(None))]:
            into.mark(x0, y0, class_, uuid=uuid if len(places) == 1 else "")
    elif kind in _OUTLINES:
        if kind == "Spline":
            into.note("Splines were read as polygons through their points")
        if kind == "Rectangle" and len(places) == 2:
            (ax, ay), (bx, by) = places
            places = [(ax, ay), (bx, ay), (bx, by), (ax, by)]
        into.outline([[places]], class_, uuid)
    else:
        into.passed_over("measurements and other kinds")


def _places(annotation: Element) -> list[tuple[float, float]]:
    """The coordinates in their order; those without one stay where they stand."""
    found = [
        (number(place.get("Order")), number(place.get("X")), number(place.get("Y")))
        for place in children(parts(annotation).get("coordinates"), "coordinate")
    ]
    if all(order == order for order, _, _ in found):  # none is nan
        found.sort(key=lambda place: place[0])
    return [(x, y) for _, x, y in found]


def write(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write dots and polygons; returns what the format could not hold.

    Raises:
        UserError: the file cannot be written.
    """
    rings, notes = plain_rings(marks.outlines)
    groups: dict[str, None] = {}
    with replacing(path) as file:
        file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<{ROOT}>\n<Annotations>\n')
        for order, mark in enumerate(marks.marks):
            group = figure_class(mark)
            groups[group] = None
            file.writelines(_annotation("Dot", mark.uuid, order, group, ((mark.x0, mark.y0),)))
        for order, ring in enumerate(rings, len(marks.marks)):
            groups[ring.name] = None
            file.writelines(_annotation("Polygon", ring.uuid, order, ring.name, ring.corners0))
        file.write("</Annotations>\n<AnnotationGroups>\n")
        for group in groups:
            file.write(
                f'<Group Name="{xml_text(group)}" PartOfGroup="{NO_GROUP}" '
                f'Color="{hex_colour(group)}"><Attributes/></Group>\n'
            )
        file.write(f"</AnnotationGroups>\n</{ROOT}>\n")
    return notes


def _annotation(
    kind: str, uuid: str, order: int, group: str, places: tuple[tuple[float, float], ...]
) -> Iterator[str]:
    yield (
        f'<Annotation Name="{xml_text(uuid or f"Annotation {order}")}" Type="{kind}" '
        f'PartOfGroup="{xml_text(group)}" Color="{hex_colour(group)}"><Coordinates>'
    )
    for number_, (x, y) in enumerate(places):
        yield f'<Coordinate Order="{number_}" X="{float(x)!r}" Y="{float(y)!r}"/>'
    yield "</Coordinates></Annotation>\n"
