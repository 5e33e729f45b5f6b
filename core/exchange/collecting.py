"""Takes in what a foreign file says of a slide: leaves out what cannot be, and says so in notes."""

import re
from collections import Counter
from collections.abc import Sequence
from math import isfinite, nan
from pathlib import Path
from typing import Any

import shapely

from core.errors import InputError
from core.exchange.classes import FIGURE_CLASSES, IGNORED, REGION_CLASSES
from core.exchange.geojson import EXCLUDED_CLASS, QUPATH_IGNORED
from core.exchange.marks import Mark, Outline, SlideFrame, SlideMarks, meaning
from core.geometry import valid_polygons

#: As many places are named in a note.
NAMED = 3
UNCLASSIFIED = FIGURE_CLASSES[""]
_COUNT_AREA = re.compile(r"^\s*(count[ _-]?area|hot[ _-]?spot)\b", re.IGNORECASE)

Ring = Sequence[tuple[float, float]]


def number(value: Any) -> float:
    """A number of a file, also as text and with a decimal comma; nan where it is none."""
    if isinstance(value, bool) or value is None:
        return nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    if isinstance(value, str) and value.count(",") == 1 and "." not in value:
        return number(value.replace(",", "."))
    return nan


def fraction(value: Any) -> float | None:
    """A probability of a file; None where it is none in 0..1."""
    found = number(value)
    return found if 0 <= found <= 1 else None


def text(value: Any) -> str:
    """A text of a file; empty where there is none."""
    return value.strip() if isinstance(value, str) else ""


def outline_kind(name: str) -> str:
    """What a class or name makes of a polygon: excluded, count area, else tumour."""
    if EXCLUDED_CLASS.match(name) or name.strip().endswith(QUPATH_IGNORED):
        return "excluded"
    return "count_area" if _COUNT_AREA.match(name) else "tumour"


class Collector:
    """The marks and outlines of one file, as they are read.

    Args:
        path: of the file; its name stands in the notes.
        slide: on which they lie.
    """

    def __init__(self, path: Path, slide: SlideFrame) -> None:
        self._path, self._slide = path, slide
        self._marks: list[Mark] = []
        self._outlines: list[Outline] = []
        self._notes: list[str] = []
        self._counts: Counter[str] = Counter()
        self._off: list[tuple[float, float]] = []
        self._ids: set[str] = set()

    def mark(self, x0: float, y0: float, class_: str = "", **fields: Any) -> None:
        """Take in a point.

        Args:
            x0: level-0 pixels; left out where it is no number or off the slide.
            y0: level-0 pixels.
            class_: the file's class; becomes label or name of the mark.
            fields: of `Mark`.
        """
        if not (isfinite(x0) and isfinite(y0)):
            self.passed_over("points without a place")
            return
        if not (0 <= x0 <= self._slide.width0 and 0 <= y0 <= self._slide.height0):
            self._off.append((x0, y0))
            return
        if class_:
            fields["label"] = meaning(class_)
            fields["name"] = "" if fields["label"] or class_ == UNCLASSIFIED else class_
        if "uuid" in fields:
            fields["uuid"] = self._only_once(fields["uuid"])
        self._marks.append(Mark(x0, y0, **fields))

    def outline(
        self,
        parts: Sequence[Sequence[Ring]],
        class_: str = "",
        uuid: str = "",
        *,
        kind: str = "",
        name: str = "",
    ) -> None:
        """Take in an outline; one whose class is that of a figure becomes a point at its centre.

        Args:
            parts: its polygons: the exterior, then the holes; (x0, y0) level-0 pixels.
            class_: the file's class.
            uuid: as of `Outline`.
            kind: of `Outline`; empty for what the class says.
            name: of `Outline`; empty for the class, where it is not one of ours.
        """
        if any(not _is_ring(ring) for rings in parts for ring in rings) or not all(parts):
            self.passed_over("outlines without three corners")
        elif not parts:
            self.passed_over("outlines without a place")
        else:
            polygons = [shapely.Polygon(rings[0], rings[1:]) for rings in parts]
            whole = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
            if meaning(class_):
                self.mark(whole.centroid.x, whole.centroid.y, class_, uuid=uuid)
            else:
                own = class_ in (*REGION_CLASSES.values(), IGNORED, UNCLASSIFIED)
                name = name or ("" if own else class_)
                self._polygon(whole, name, uuid, kind or outline_kind(class_))

    def _polygon(self, polygon0: Any, name: str, uuid: str, kind: str) -> None:
        """Take in a polygon or multipolygon, mended where it meets itself."""
        if not polygon0.is_valid:
            polygon0 = valid_polygons(polygon0)
            self._counts["self-intersecting outlines mended"] += 1
        frame = shapely.box(0, 0, self._slide.width0, self._slide.height0)
        if polygon0.is_empty or polygon0.area <= 0:
            self.passed_over("outlines without an area")
        elif not polygon0.intersects(frame):
            centre = polygon0.centroid
            self._off.append((centre.x, centre.y))
        else:
            self._outlines.append(Outline(kind, polygon0, name, self._only_once(uuid)))

    def passed_over(self, what: str, count: int = 1) -> None:
        """Count things that are left out: `lines`."""
        self._counts[f"{what} passed over"] += count

    def note(self, sentence: str) -> None:
        """Say something of the whole file, once."""
        if sentence not in self._notes:
            self._notes.append(sentence)

    def done(self) -> SlideMarks:
        """All that was taken in."""
        notes = list(self._notes)
        if self._off:
            places = ", ".join(f"({x:g}, {y:g})" for x, y in self._off[:NAMED])
            more = ", …" if len(self._off) > NAMED else ""
            notes.append(
                f"marks of {self._path.name} off the slide, left out: {len(self._off)}, at "
                f"{places}{more}"
            )
        notes += [f"{what}: {count}" for what, count in sorted(self._counts.items())]
        return SlideMarks(self._slide, self._marks, self._outlines, tuple(notes))

    def _only_once(self, uuid: str) -> str:
        if not uuid:
            return ""
        if uuid in self._ids:
            self._counts["ids that occurred before, not taken again"] += 1
            return ""
        self._ids.add(uuid)
        return uuid


def _is_ring(ring: Ring) -> bool:
    return len(set(ring)) > 2 and all(isfinite(x) and isfinite(y) for x, y in ring)


def unreadable(path: Path, what: str, hint: str = "") -> InputError:
    """What is wrong with a file, by its name."""
    return InputError(f"{path.name} {what}.", hint)
