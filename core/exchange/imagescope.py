"""Aperio ImageScope's XML: a layer for each class, in it regions of vertices.

There is no public schema; this reads what ImageScope's users publish and ASAP reads
(`ImageScopeRepository.cpp`). `LineColor` is blue, green, red from the high byte down (a Windows
COLORREF), not red first. ImageScope has no points: a figure is written as a circle of 50 px around
its place, which every reader of the format shows; arrows are read as points at their first vertex.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from core.exchange.classes import REGION_CLASSES, colour, figure_class, plain_rings
from core.exchange.collecting import Collector, number, unreadable
from core.exchange.files import replacing
from core.exchange.marks import SlideFrame, SlideMarks, meaning
from core.exchange.qupath import UUID
from core.exchange.texts import children, parse_xml, parts, read_bytes, xml_text

ROOT = "Annotations"
#: Side of the circle around a written figure, level-0 pixels; a read circle of it is a point.
CIRCLE_PX = 50.0
FREEHAND, RECTANGLE, ELLIPSE, ARROW = "0", "1", "2", "3"
_CORNERS = 72  # of a read ellipse

Places = Sequence[tuple[float, float]]


def read(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read points and regions; the class is the layer's name, else the region's text.

    Raises:
        InputError: the file is missing, ill-formed, or not ImageScope's.
    """
    root = parse_xml(path, read_bytes(path))
    if root.tag != ROOT:
        raise unreadable(path, f"is not ImageScope's: it begins with {root.tag}")
    into = Collector(path, slide)
    for layer in children(root, "annotation"):
        for region in children(parts(layer).get("regions"), "region"):
            _take(into, layer, region)
    return into.done()


def _take(into: Collector, layer: Element, region: Element) -> None:
    text = region.get("Text", "")
    class_ = text if meaning(text) else layer.get("Name") or text
    uuid = text if UUID.match(text) else ""
    class_ = "" if class_ == uuid else class_
    places = [
        (number(vertex.get("X")), number(vertex.get("Y")))
        for vertex in children(parts(region).get("vertices"), "vertex")
    ]
    kind, points = region.get("Type", FREEHAND), region.get("GeoShape") == "Points"
    negative = "excluded" if region.get("NegativeROA") == "1" else ""
    if points or len(places) == 1:
        for x0, y0 in places:
            into.mark(x0, y0, class_, uuid=uuid if len(places) == 1 else "")
    elif kind == ARROW and places:
        into.note("Arrows were read as points at their first vertex")
        into.mark(*places[0], class_, uuid=uuid)
    elif kind in (ELLIPSE, RECTANGLE) and len(places) == 2:
        (ax, ay), (bx, by) = places
        if kind == ELLIPSE and abs(abs(bx - ax) - CIRCLE_PX) + abs(abs(by - ay) - CIRCLE_PX) < 1e-6:
            into.mark((ax + bx) / 2, (ay + by) / 2, class_, uuid=uuid)
        else:
            outline = _ellipse(places) if kind == ELLIPSE else _box(places)
            into.outline([[outline]], class_, uuid, kind=negative)
    elif len(places) > 2:
        into.outline([[places]], class_, uuid, kind=negative)
    else:
        into.passed_over("rulers and other kinds")


def _box(corners: Places) -> Places:
    (ax, ay), (bx, by) = corners
    return [(ax, ay), (bx, ay), (bx, by), (ax, by)]


def _ellipse(corners: Places) -> Places:
    """An ellipse in a box as a polygon."""
    (ax, ay), (bx, by) = corners
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    xs = (ax + bx) / 2 + (bx - ax) / 2 * np.cos(angles)
    ys = (ay + by) / 2 + (by - ay) / 2 * np.sin(angles)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def write(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write a layer for each class; returns what the format could not hold.

    Raises:
        UserError: the file cannot be written.
    """
    rings, notes = plain_rings(marks.outlines)
    layers: dict[str, list[str]] = {}
    half = CIRCLE_PX / 2
    for mark in marks.marks:
        x0, y0 = float(mark.x0), float(mark.y0)
        corners = ((x0 - half, y0 - half), (x0 + half, y0 + half))
        regions = layers.setdefault(figure_class(mark), [])
        regions.append(_region(len(regions) + 1, ELLIPSE, mark.uuid, corners))
    for ring in rings:
        regions = layers.setdefault(ring.name, [])
        negative = ring.name == REGION_CLASSES["excluded"]
        regions.append(_region(len(regions) + 1, FREEHAND, ring.uuid, ring.corners0, negative))
    mpp = "" if marks.slide.mpp is None else f' MicronsPerPixel="{marks.slide.mpp.mean!r}"'
    with replacing(path) as file:
        file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<{ROOT}{mpp}>\n')
        for id_, (name, regions) in enumerate(layers.items(), 1):
            file.write(
                f'<Annotation Id="{id_}" Name="{xml_text(name)}" ReadOnly="0" Type="4" '
                f'LineColor="{_line_colour(name)}" Visible="1" Selected="0">\n<Regions>'
                "<RegionAttributeHeaders/>\n"
            )
            file.writelines(regions)
            file.write("</Regions><Plots/></Annotation>\n")
        file.write(f"</{ROOT}>\n")
    return notes


def _region(id_: int, kind: str, uuid: str, places: Places, negative: bool = False) -> str:
    vertices = "".join(f'<Vertex X="{x!r}" Y="{y!r}" Z="0"/>' for x, y in places)
    return (
        f'<Region Id="{id_}" Type="{kind}" Zoom="1" Selected="0" ImageLocation="" ImageFocus="-1" '
        f'Text="{xml_text(uuid)}" NegativeROA="{int(negative)}" InputRegionId="0" Analyze="1" '
        f'DisplayId="{id_}"><Attributes/><Vertices>{vertices}</Vertices></Region>\n'
    )


def _line_colour(name: str) -> int:
    red, green, blue = colour(name)
    return red | green << 8 | blue << 16
