"""Points and regions as GeoJSON, as QuPath writes and reads it, in all its variants.

Schema: QuPath's `QuPathTypeAdapters.java` and `GsonTools.java` (0.2 to 0.6). QuPath counts pixels
from the corner of `openslide.bounds-*` (`OpenslideImageServer.java`), so coordinates are shifted by
it both ways. What QuPath has no field for stands in `metadata`, whose values are texts.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import shapely

from core.errors import InputError, RegionError
from core.exchange.classes import FIGURE_CLASSES, IGNORED, colour, figure_class, region_class
from core.exchange.collecting import Collector, fraction, number, text, unreadable
from core.exchange.files import replacing
from core.exchange.geojson import class_names, features
from core.exchange.marks import CALLED, Mark, Outline, Saying, SlideFrame, SlideMarks, meaning
from core.exchange.texts import read_json

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
PROBABILITY, SCORE = "Probability", "Detector score"
_PROBABILITIES = ("probability", "confidence", "mitosis probability")
_SAID = "verdict of "
_VOTE = "vote "
# Objects that QuPath makes by the thousand: their outlines are no regions.
_CELLS = re.compile(r"^(path)?(detection|cell|tile|tmacore|tma core|root)(object)?$", re.IGNORECASE)


def read(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read points and regions.

    Accepts what `core.exchange.geojson.read_regions` does, and also `object_type`, the type in `id`
    (0.2), measurements as a list (before 0.4), a class as plain text, and points in sets. An
    outline whose class is that of a figure is a point at its centre; other outlines of cells and
    detections are passed over.

    Raises:
        InputError: the file is missing or no GeoJSON, or the slide's file is not at hand.
    """
    document, note = read_json(path)
    reader = _Reader(path, slide)
    if note:
        reader.into.note(note)
    try:
        for feature in features(document, path):
            reader.feature(feature)
    except (RegionError, RecursionError) as error:
        raise unreadable(path, "is JSON, but not GeoJSON") from error
    return reader.into.done()


def corner(slide: SlideFrame) -> tuple[float, float]:
    """Where QuPath's pixels begin, level-0 pixels.

    Raises:
        InputError: that is not known without the slide's file.
    """
    if slide.bounds is None:
        raise InputError(
            f"The file of the slide {slide.name} is not at hand, and QuPath counts pixels from a "
            "corner that only the file tells.",
            "Name the slide's file, or put it back where it was.",
        )
    return slide.bounds.x0, slide.bounds.y0


class _Reader:
    """Takes in one feature after the other."""

    def __init__(self, path: Path, slide: SlideFrame) -> None:
        self.into = Collector(path, slide)
        self._left, self._top = corner(slide)

    def feature(self, feature: Mapping[str, Any]) -> None:
        given = feature.get("properties")
        properties: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        names = ": ".join(class_names(properties))
        id_, metadata = text(feature.get("id")), _texts(properties.get("metadata"))
        uuid = id_ if UUID.match(id_) else metadata.get("id", "")
        kinds = (properties.get("objectType"), properties.get("object_type"), feature.get("type"))
        cell = any(_CELLS.match(text(kind)) for kind in (*kinds, id_))
        polygons: list[list[list[tuple[float, float]]]] = []
        points: list[tuple[float, float]] = []
        self._sort_out(feature.get("geometry"), points, polygons)
        if points:
            fields = _fields(properties, metadata, names)
            for place in points:
                self.into.mark(*place, **fields, uuid=uuid if len(points) == 1 else "")
        if polygons and cell and not meaning(names):
            self.into.passed_over("outlines of cells or detections")
        elif polygons:
            self.into.outline(polygons, names, uuid, name=text(properties.get("name")))

    def _sort_out(
        self,
        geometry: Any,
        points: list[tuple[float, float]],
        polygons: list[list[list[tuple[float, float]]]],
    ) -> None:
        """Take a geometry apart into points and polygons; name the others."""
        known = isinstance(geometry, Mapping)
        kind, places = (geometry.get("type"), geometry.get("coordinates")) if known else ("", None)
        if kind == "Point":
            points.append(self._place(places))
        elif kind == "MultiPoint":
            points += [self._place(place) for place in _list(places)]
        elif kind == "Polygon":
            polygons.append(self._rings(places))
        elif kind == "MultiPolygon":
            polygons += [self._rings(rings) for rings in _list(places)]
        elif kind == "GeometryCollection":
            for part in _list(geometry.get("geometries")):
                self._sort_out(part, points, polygons)
        elif kind in ("LineString", "MultiLineString"):
            self.into.passed_over("lines")
        else:
            self.into.passed_over("features without a shape")

    def _rings(self, rings: Any) -> list[list[tuple[float, float]]]:
        return [[self._place(place) for place in _list(ring)] for ring in _list(rings)]

    def _place(self, place: Any) -> tuple[float, float]:
        x, y = place[:2] if isinstance(place, list) and len(place) > 1 else (None, None)
        return number(x) + self._left, number(y) + self._top


def _fields(
    properties: Mapping[str, Any], metadata: Mapping[str, str], names: str
) -> dict[str, Any]:
    """What a feature says of its points, as fields of `Mark`."""
    measured = _measurements(properties.get("measurements"))
    verdict = metadata.get("verdict", "")
    label = metadata.get("label", "")
    label = label if label in CALLED else ""
    said = verdict in CALLED
    if not said and not label:
        label = meaning(names)
    return {
        "label": label,
        "name": "" if said or label else names,
        "verdict": verdict if said else "",
        "reader": metadata.get("reader", ""),
        "probability": next((fraction(measured[n]) for n in _PROBABILITIES if n in measured), None),
        "score": fraction(measured.get(SCORE.casefold())),
        "decided_at": _moment(metadata.get("decided_at", "")),
        "sayings": tuple(_sayings(metadata)),
    }


def _sayings(metadata: Mapping[str, str]) -> Iterator[Saying]:
    for key, value in metadata.items():
        if value in CALLED and key.startswith(_SAID):
            yield Saying(key.removeprefix(_SAID), value)
        elif value in CALLED and key.startswith(_VOTE):
            yield Saying("", value)


def _measurements(given: Any) -> dict[str, Any]:
    """Measurements by name in small letters; a list of names and values before QuPath 0.4."""
    if isinstance(given, list):
        pairs = [(m.get("name"), m.get("value")) for m in given if isinstance(m, Mapping)]
    else:
        pairs = list(given.items()) if isinstance(given, Mapping) else []
    return {text(name).casefold(): value for name, value in pairs}


def _texts(given: Any) -> dict[str, str]:
    pairs = given.items() if isinstance(given, Mapping) else ()
    return {key: value for key, value in pairs if isinstance(value, str)}


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _moment(given: str) -> datetime | None:
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        return None


def write(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write points and regions for QuPath; figures with a verdict are locked.

    Raises:
        UserError: the file cannot be written, or the slide's file is not at hand.
    """
    corner0 = corner(marks.slide)
    with replacing(path) as file:
        file.write('{"type":"FeatureCollection","features":[')
        comma = ""
        for mark in marks.marks:
            file.write(f"{comma}\n{_json(_point(mark, corner0))}")
            comma = ","
        for outline in marks.outlines:
            file.write(f"{comma}\n{_json(_region(outline, corner0))}")
            comma = ","
        file.write("\n]}\n")
    return ()


def _json(feature: Mapping[str, Any]) -> str:
    return json.dumps(feature, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _feature(
    uuid: str, geometry: Mapping[str, Any], name: str, metadata: dict[str, str]
) -> dict[str, Any]:
    feature: dict[str, Any] = {"type": "Feature"}
    if UUID.match(uuid):
        feature["id"] = uuid
    elif uuid:
        metadata["id"] = uuid
    properties: dict[str, Any] = {"objectType": "annotation"}
    if name != FIGURE_CLASSES[""]:
        properties["classification"] = {"name": name, "color": list(colour(name))}
    if metadata:
        properties["metadata"] = metadata
    return feature | {"geometry": geometry, "properties": properties}


def _point(mark: Mark, corner0: tuple[float, float]) -> dict[str, Any]:
    place = [mark.x0 - corner0[0], mark.y0 - corner0[1]]
    metadata = {"label": mark.label, "verdict": mark.verdict, "reader": mark.reader}
    if mark.decided_at is not None:
        metadata["decided_at"] = mark.decided_at.isoformat()
    for order, said in enumerate(mark.sayings, 1):
        metadata[f"{_SAID}{said.reader}" if said.reader else f"{_VOTE}{order}"] = said.verdict
    kept = {key: value for key, value in metadata.items() if value}
    feature = _feature(mark.uuid, {"type": "Point", "coordinates": place}, figure_class(mark), kept)
    measured = {PROBABILITY: mark.probability, SCORE: mark.score}
    known = {name: value for name, value in measured.items() if value is not None}
    if known:
        feature["properties"]["measurements"] = known
    if mark.verdict:
        feature["properties"]["isLocked"] = True
    return feature


def _region(outline: Outline, corner0: tuple[float, float]) -> dict[str, Any]:
    shifted = shapely.transform(outline.polygon0, lambda places: places - corner0)
    feature = _feature(
        outline.uuid, shapely.geometry.mapping(shifted), _class_for_qupath(outline), {}
    )
    if outline.name:
        feature["properties"]["name"] = outline.name
    return feature


def _class_for_qupath(outline: Outline) -> str:
    """QuPath leaves classes that end with an asterisk out of its measurements."""
    return IGNORED if outline.kind == "excluded" else region_class(outline)
