"""Hamamatsu's NDPA: pins and freehand outlines in nanometres from the centre of the glass slide.

As NDP.view writes it and ASAP reads it (`NDPARepository.cpp`): a place is
(x - hamamatsu.XOffsetFromSlideCentre) / (1000 mpp) + width / 2 in level-0 pixels, likewise y.
Only slides that say where the centre of the glass lies have such places.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from core.errors import InputError
from core.exchange.classes import figure_class, hex_colour, plain_rings
from core.exchange.collecting import Collector, fraction, number, unreadable
from core.exchange.files import replacing
from core.exchange.marks import Mark, SlideFrame, SlideMarks, meaning
from core.exchange.texts import children, parse_xml, parts, read_bytes, xml_text
from core.geometry import Mpp

ROOT = "annotations"
NM_PER_UM = 1000.0
#: Circles up to this radius mark a place; larger ones are regions.
POINT_RADIUS_UM = 25.0
_CORNERS = 72  # of a read circle
_DETAILS = re.compile(r"(?:probability ([0-9.eE+-]+))?;?\s*(?:id (\S+))?")
# NDP.view's icons of pins.
_PINS = {"mitosis": "red", "atypical": "red"}


class _Glass:
    """The frame of the glass slide: nanometres from its centre."""

    def __init__(self, slide: SlideFrame) -> None:
        mpp, offset = slide.mpp, slide.centre_offset_nm
        if mpp is None or offset is None:
            raise InputError(
                f"NDPA counts from the centre of the glass slide, and {slide.name} does not say "
                "where that is.",
                "Only Hamamatsu's own files do (NDPI), and only while the file is at hand.",
            )
        self.mpp: Mpp = mpp
        self._offset = offset
        self._middle = slide.width0 / 2, slide.height0 / 2

    def to_px0(self, x_nm: float, y_nm: float) -> tuple[float, float]:
        """A place in level-0 pixels."""
        return (
            (x_nm - self._offset[0]) / (self.mpp.x * NM_PER_UM) + self._middle[0],
            (y_nm - self._offset[1]) / (self.mpp.y * NM_PER_UM) + self._middle[1],
        )

    def to_nm(self, x0: float, y0: float) -> tuple[int, int]:
        """A place in whole nanometres, as NDP.view writes them."""
        return (
            round((x0 - self._middle[0]) * self.mpp.x * NM_PER_UM + self._offset[0]),
            round((y0 - self._middle[1]) * self.mpp.y * NM_PER_UM + self._offset[1]),
        )


def read(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read pins, small circles and closed outlines; the title is the class.

    Raises:
        InputError: the file is missing, ill-formed or no NDPA, or the slide is not Hamamatsu's.
    """
    root = parse_xml(path, read_bytes(path))
    if root.tag != ROOT:
        raise unreadable(path, f"is no NDPA: it begins with {root.tag}")
    glass = _Glass(slide)
    into = Collector(path, slide)
    for state in children(root, "ndpviewstate"):
        view = parts(state)
        if "annotation" not in view:
            into.passed_over("views without an annotation")
        elif _text(view, "coordformat").casefold() not in ("", "nanometers"):
            into.passed_over("annotations that are not in nanometres")
        else:
            _take(into, glass, view)
    return into.done()


def _take(into: Collector, glass: _Glass, view: Mapping[str, Element]) -> None:
    annotation = view["annotation"]
    drawn = parts(annotation)
    title = _text(view, "title")
    details = _DETAILS.fullmatch(_text(view, "details"))
    probability, uuid = details.groups() if details else (None, None)
    kind = annotation.get("type", "").casefold()
    if kind in ("pin", "circle"):
        x0, y0 = _place(glass, drawn)
        radius_um = number(_text(drawn, "radius")) / NM_PER_UM
        if kind == "circle" and radius_um > POINT_RADIUS_UM and not meaning(title):
            into.outline([[_circle(x0, y0, radius_um, glass.mpp)]], title, uuid or "")
        else:
            into.mark(x0, y0, title, probability=fraction(probability), uuid=uuid or "")
    elif kind == "freehand" and _text(drawn, "closed") != "0":
        points = children(drawn.get("pointlist"), "point")
        into.outline([[[_place(glass, parts(point)) for point in points]]], title, uuid or "")
    else:
        into.passed_over("lines, arrows and measurements")


def _text(view: Mapping[str, Element], name: str) -> str:
    return (view[name].text or "").strip() if name in view else ""


def _place(glass: _Glass, drawn: Mapping[str, Element]) -> tuple[float, float]:
    return glass.to_px0(number(_text(drawn, "x")), number(_text(drawn, "y")))


def _circle(x0: float, y0: float, radius_um: float, mpp: Mpp) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    xs, ys = x0 + radius_um / mpp.x * np.cos(angles), y0 + radius_um / mpp.y * np.sin(angles)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def write(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write pins and outlines; returns what the format could not hold.

    Raises:
        UserError: the file cannot be written, or the slide is not Hamamatsu's.
    """
    glass = _Glass(marks.slide)
    rings, notes = plain_rings(marks.outlines)
    with replacing(path) as file:
        file.write('<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n<annotations>\n')
        for id_, mark in enumerate(marks.marks, 1):
            file.write(_pin(id_, mark, glass))
        for id_, ring in enumerate(rings, len(marks.marks) + 1):
            places = [glass.to_nm(*corner) for corner in ring.corners0]
            points = "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in places)
            details = f"id {ring.uuid}" if ring.uuid else ""
            file.write(
                f"{_state(id_, ring.name, details, places[0])}"
                f'<annotation type="freehand" displayname="AnnotateFreehand" '
                f'color="{hex_colour(ring.name)}"><measuretype>0</measuretype><closed>1</closed>'
                f"<pointlist>{points}</pointlist></annotation></ndpviewstate>\n"
            )
        file.write("</annotations>\n")
    return notes


def _pin(id_: int, mark: Mark, glass: _Glass) -> str:
    x, y = glass.to_nm(mark.x0, mark.y0)
    name = figure_class(mark)
    pin = _PINS.get(mark.called, "blue")
    said = [] if mark.probability is None else [f"probability {mark.probability!r}"]
    said += [f"id {mark.uuid}"] if mark.uuid else []
    return (
        f"{_state(id_, name, '; '.join(said), (x, y))}"
        f'<annotation type="pin" displayname="AnnotatePin" color="{hex_colour(name)}">'
        f"<x>{x}</x><y>{y}</y><icon>pin{pin}</icon><stricon>iconpin{pin}</stricon>"
        "</annotation></ndpviewstate>\n"
    )


def _state(id_: int, title: str, details: str, place: tuple[int, int]) -> str:
    return (
        f'<ndpviewstate id="{id_}"><title>{xml_text(title)}</title>'
        f"<details>{xml_text(details)}</details><coordformat>nanometers</coordformat>"
        f"<lens>20.000000</lens><x>{place[0]}</x><y>{place[1]}</y><z>0</z>"
        "<showtitle>0</showtitle><showhistogram>0</showhistogram>"
        "<showlineprofile>0</showlineprofile>"
    )
