"""grand-challenge's *Multiple points*, as the MIDOG challenges take them: millimetres and scores.

A point is x, y, 0 in millimetres from the corner of the image where that carries a resolution
(SimpleITK's physical point), else in pixels; its name says mitotic or non-mitotic figure, and
points under the threshold are listed with the latter, for the average precision.
https://github.com/DeepMicroscopy/MIDOG_reference_docker
"""

import json
from collections.abc import Mapping
from pathlib import Path

from core.exchange.classes import FIGURE_CLASSES
from core.exchange.collecting import Collector, fraction, number, text, unreadable
from core.exchange.files import replacing
from core.exchange.marks import Mark, SlideFrame, SlideMarks
from core.exchange.texts import read_json

TYPE = "Multiple points"
_NAMES = {
    "mitosis": "mitotic figure",
    "atypical": "mitotic figure",
    "imposter": "non-mitotic figure",
    "unsure": "unsure",
    "deleted": "deleted",
}
_PIXELS = "the slide has no pixel size, so that its points are in pixels and not in millimetres"


def read(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read points; in pixels where the slide has no pixel size, which is noted.

    Raises:
        InputError: the file is missing, or not of this type.
    """
    document, note = read_json(path)
    points = document.get("points") if isinstance(document, Mapping) else None
    kind = text(document.get("type")) if isinstance(document, Mapping) else ""
    if kind.casefold() != TYPE.casefold() or not isinstance(points, list):
        raise unreadable(path, f"is not of the type {TYPE}")
    into = Collector(path, slide)
    if note:
        into.note(note)
    scale_x, scale_y = _px_per_mm(slide)
    if slide.mpp is None:
        into.note(f"{path.name}: {_PIXELS}")
    for point in points:
        place = point.get("point") if isinstance(point, Mapping) else None
        if not isinstance(place, list) or len(place) < 2:
            into.passed_over("points without a place")
            continue
        into.mark(
            number(place[0]) * scale_x,
            number(place[1]) * scale_y,
            text(point.get("name")),
            probability=fraction(point.get("probability")),
        )
    return into.done()


def write(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write points; as `read`. Returns what the format could not hold.

    Raises:
        UserError: the file cannot be written.
    """
    scale = _px_per_mm(marks.slide)
    with replacing(path) as file:
        file.write(f'{{"type": "{TYPE}", "points": [')
        for order, mark in enumerate(marks.marks):
            file.write(f"{',' if order else ''}\n{_point(mark, scale)}")
        file.write('\n], "version": {"major": 1, "minor": 0}}\n')
    notes = []
    if atypical := sum(mark.called == "atypical" for mark in marks.marks):
        notes.append(f"atypical mitoses, written as mitotic figures: {atypical}")
    if marks.outlines:
        notes.append(f"regions not written, for the format has none: {len(marks.outlines)}")
    if marks.slide.mpp is None:
        notes.append(f"{path.name}: {_PIXELS}")
    return tuple(notes)


def _px_per_mm(slide: SlideFrame) -> tuple[float, float]:
    return (1.0, 1.0) if slide.mpp is None else (1000 / slide.mpp.x, 1000 / slide.mpp.y)


def _point(mark: Mark, scale: tuple[float, float]) -> str:
    point: dict[str, object] = {
        "point": [mark.x0 / scale[0], mark.y0 / scale[1], 0],
        "name": _NAMES.get(mark.called) or mark.name or FIGURE_CLASSES[""],
    }
    if mark.probability is not None:
        point["probability"] = mark.probability
    return json.dumps(point, ensure_ascii=False, allow_nan=False)
