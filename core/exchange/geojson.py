"""Reading regions from GeoJSON as QuPath writes it, in all its variants.

QuPath counts pixels of the full resolution from the corner of `openslide.bounds-*` where a slide
has bounds (MRXS, some NDPI), so that corner is added to every coordinate. A feature counts as an
excluded region if its class or name says so; every other polygon is a tumour region.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import shapely
from shapely import affinity
from shapely.errors import GEOSException, ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from core.analysis.tiling import Regions
from core.errors import RegionError
from core.geometry import POLYGONAL, valid_polygons

# QuPath's own classes that mean "leave this out" (Ignore*, Region*-less), and what people type.
EXCLUDED_CLASS = re.compile(
    r"^\s*(ignore|exclude|excluded|exclusion|necrosis|artefact|artifact|no tumou?r)\b",
    re.IGNORECASE,
)
QUPATH_IGNORED = "*"  # QuPath ends the names of classes that it ignores in measurements so

MAX_BYTES = 256 * 2**20  # a region file of more is a mistake (cell outlines, an export of tiles)
HINT = "Export the regions from QuPath as GeoJSON, in pixels of the full resolution."


def read_regions(path: Path, corner0: tuple[float, float] = (0.0, 0.0)) -> Regions:
    """Read tumour and excluded regions.

    Accepts a FeatureCollection, a Feature, a list of features (older QuPath), a GeometryCollection
    or a bare geometry. Points and lines are passed over and named in the notes; a self-intersecting
    polygon is repaired and that is noted.

    Args:
        path: the file.
        corner0: level-0 corner of the slide's bounds, added to all coordinates.

    Raises:
        RegionError: the file is missing, no GeoJSON, or holds no polygon.
    """
    tumour: list[BaseGeometry] = []
    excluded: list[BaseGeometry] = []
    notes: list[str] = []
    passed_over = repaired = 0
    for feature in features(_load(path), path):
        geometry = feature.get("geometry")
        kind = geometry.get("type") if isinstance(geometry, Mapping) else None
        if kind not in POLYGONAL:
            passed_over += 1
            continue
        polygon, was_repaired = _polygon(cast("Mapping[str, Any]", geometry), path)
        repaired += was_repaired
        (excluded if _is_excluded(feature) else tumour).append(polygon)
    if not tumour and not excluded:
        raise RegionError(f"{path.name} holds no polygon.", HINT)
    if passed_over:
        notes.append(f"{passed_over} features of {path.name} are no polygons and were passed over")
    if repaired:
        notes.append(f"{repaired} self-intersecting polygons of {path.name} were repaired")
    return Regions(_union(tumour, corner0), _union(excluded, corner0), tuple(notes))


def _load(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RegionError(
                f"{path.name} is larger than {MAX_BYTES // 2**20} MB, too large for regions.",
                "Export only the region annotations, not cells or tiles.",
            )
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise RegionError(f"There is no region file {path}.") from error
    except OSError as error:
        raise RegionError(f"The region file {path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise RegionError(f"{path.name} is not valid JSON: {error}.", HINT) from error


def features(document: Any, path: Path) -> Iterator[Mapping[str, Any]]:
    """All features of a document; a bare geometry counts as a feature without properties."""
    if isinstance(document, list):
        for part in document:
            yield from features(part, path)
        return
    kind = document.get("type") if isinstance(document, Mapping) else None
    if kind == "FeatureCollection" and isinstance(document.get("features"), list):
        yield from features(document["features"], path)
    elif kind == "GeometryCollection" and isinstance(document.get("geometries"), list):
        yield from features(document["geometries"], path)
    elif kind == "Feature":
        yield document
    elif isinstance(kind, str) and "coordinates" in document:
        yield {"type": "Feature", "geometry": document, "properties": {}}
    else:
        raise RegionError(f"{path.name} is JSON, but not GeoJSON.", HINT)


def _polygon(geometry: Mapping[str, Any], path: Path) -> tuple[BaseGeometry, bool]:
    """A valid polygon in level-0 pixels, and whether it had to be repaired."""
    try:
        polygon = shapely.force_2d(shape(geometry))
    except (ShapelyError, GEOSException, ValueError, TypeError, LookupError) as error:
        raise RegionError(f"A polygon of {path.name} is ill-formed: {error}.", HINT) from error
    if polygon.is_empty:
        raise RegionError(f"A polygon of {path.name} has no area.", HINT)
    if not all(abs(edge) < float("inf") for edge in polygon.bounds):
        raise RegionError(f"A polygon of {path.name} has no finite coordinates.", HINT)
    repaired = not polygon.is_valid
    polygon = valid_polygons(polygon)
    if polygon.area <= 0:
        raise RegionError(f"A polygon of {path.name} has no area.", HINT)
    return polygon, repaired


def _is_excluded(feature: Mapping[str, Any]) -> bool:
    properties = feature.get("properties")
    if not isinstance(properties, Mapping):
        return False
    return any(
        EXCLUDED_CLASS.match(name) or name.strip().endswith(QUPATH_IGNORED)
        for name in class_names(properties)
    )


def class_names(properties: Mapping[str, Any]) -> list[str]:
    """The class of a feature: QuPath's object, its `names`, or a plain string; else its name."""
    names: list[Any] = []
    classification = properties.get("classification")
    if isinstance(classification, Mapping):
        several = classification.get("names")
        names = several if isinstance(several, list) else [classification.get("name")]
    elif isinstance(classification, str):
        names = classification.split(":")
    return [name for name in names or [properties.get("name")] if isinstance(name, str)]


def _union(polygons: list[BaseGeometry], corner0: tuple[float, float]) -> BaseGeometry | None:
    if not polygons:
        return None
    return affinity.translate(shapely.union_all(polygons), *corner0)
