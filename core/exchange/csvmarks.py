"""Points as CSV: `candidates.csv` read back, any table with x and y, and one of our own.

Columns are known by their names, whatever their order; a table without a heading is x, y, class.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite, isnan
from pathlib import Path

from core.exchange.collecting import Collector, fraction, number, unreadable
from core.exchange.csv import RESEARCH_USE, guarded
from core.exchange.files import replacing
from core.exchange.marks import CALLED, Mark, SlideFrame, SlideMarks
from core.exchange.texts import decoded, read_bytes

#: Names of columns, as they are written and as others call them; small letters.
_COLUMNS = {
    "x_px": ("x_px", "x", "x0", "x_pixel", "x_pixels", "centroid x px", "coordinatex"),
    "y_px": ("y_px", "y", "y0", "y_pixel", "y_pixels", "centroid y px", "coordinatey"),
    "x_um": ("x_um", "x_µm", "centroid x µm", "centroid x um"),
    "y_um": ("y_um", "y_µm", "centroid y µm", "centroid y um"),
    "slide": ("filename", "file_name", "file", "image", "slide"),
    "uuid": ("uuid", "guid", "object id"),
    "label": ("label",),
    "class": ("class", "classification", "category", "name"),
    "verdict": ("verdict",),
    "reader": ("reader",),
    "probability": ("probability", "confidence", "mitosis probability"),
    "detector_score": ("detector_score", "detector score"),
    "decided_at": ("decided_at",),
}
WRITTEN = [
    "slide",
    "uuid",
    "x_px",
    "y_px",
    "x_um",
    "y_um",
    "detector_score",
    "probability",
    "label",
    "verdict",
    "reader",
    "decided_at",
    "class",
    "research_use",
]
#: Data sets count classes so: CCMCT 1 and 0, MIDOG 1 and 2.
_NUMBERED = {"1": "mitosis", "0": "imposter", "2": "imposter"}
_DELIMITERS = ",;\t"


def read(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read points of a slide; rows of other slides are passed over.

    Places are level-0 pixels (`x_px`, `x`), or micrometres (`x_um`) where the slide's pixel size
    is known. A cell that begins with an apostrophe before what a spreadsheet takes for a formula
    loses it: so the writer guards them.

    Raises:
        InputError: the file is missing, no table, without columns of places, or of other slides.
    """
    table, note = decoded(path, read_bytes(path))
    into = Collector(path, slide)
    if note:
        into.note(note)
    rows = csv.reader(io.StringIO(table.lstrip("\ufeff"), newline=""), delimiter=_delimiter(table))
    try:
        head = next((row for row in rows if any(cell.strip() for cell in row)), [])
        columns = _columns(head)
        if columns is None:
            columns = _Columns(dict(zip(("x_px", "y_px", "class"), range(len(head)), strict=False)))
            body = [head, *rows]
            if len(head) < 2 or isnan(number(head[0])) or isnan(number(head[1])):
                raise unreadable(
                    path,
                    "has no columns of places",
                    "Name them x and y, in pixels of the full resolution.",
                )
        else:
            body = list(rows)
    except csv.Error as error:
        raise unreadable(path, f"is not a table of comma-separated values ({error})") from error
    _take(path, into, slide, columns, [row for row in body if any(row)])
    return into.done()


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where which column of a table is."""

    at: Mapping[str, int]

    def cell(self, row: Sequence[str], name: str) -> str:
        """A cell, without the writer's guard; empty where there is none."""
        index = self.at.get(name, -1)
        found = row[index].strip() if 0 <= index < len(row) else ""
        unguarded = found[1:]
        return unguarded if found.startswith("'") and guarded(unguarded) == found else found


def _delimiter(table: str) -> str:
    line = next((line for line in table.splitlines() if line.strip()), "")
    return max(_DELIMITERS, key=line.count)


def _columns(head: Sequence[str]) -> _Columns | None:
    """The columns by a table's heading; None if it is none, or lacks places."""
    names = [cell.strip().casefold() for cell in head]
    at = {}
    for name, known in _COLUMNS.items():
        found = [names.index(other) for other in known if other in names]
        if found:
            at[name] = found[0]
    pixels, lengths = {"x_px", "y_px"} <= at.keys(), {"x_um", "y_um"} <= at.keys()
    return _Columns(at) if pixels or lengths else None


def _take(
    path: Path,
    into: Collector,
    slide: SlideFrame,
    columns: _Columns,
    rows: Sequence[Sequence[str]],
) -> None:
    in_um = "x_px" not in columns.at
    if in_um and slide.mpp is None:
        raise unreadable(path, "gives places in µm, and the slide has no pixel size")
    own = _own_rows(path, slide, columns, rows)
    if len(own) < len(rows):
        into.passed_over("rows of other slides", len(rows) - len(own))
    for row in own:
        if in_um and slide.mpp is not None:
            x0 = number(columns.cell(row, "x_um")) / slide.mpp.x
            y0 = number(columns.cell(row, "y_um")) / slide.mpp.y
        else:
            x0, y0 = number(columns.cell(row, "x_px")), number(columns.cell(row, "y_px"))
        label, verdict = columns.cell(row, "label"), columns.cell(row, "verdict")
        class_ = columns.cell(row, "class")
        if label in CALLED or verdict in CALLED:
            label = label if label in CALLED else ""
            class_ = ""
        else:
            label, class_ = "", label or class_
        if class_ in _NUMBERED:
            into.note(f"{path.name}: class 1 was read as mitosis, 0 and 2 as imposter")
            class_ = _NUMBERED[class_]
        into.mark(
            x0,
            y0,
            class_,
            label=label,
            probability=fraction(columns.cell(row, "probability")),
            score=fraction(columns.cell(row, "detector_score")),
            verdict=verdict if verdict in CALLED else "",
            reader=columns.cell(row, "reader"),
            uuid=columns.cell(row, "uuid"),
            decided_at=_moment(columns.cell(row, "decided_at")),
        )


def _own_rows(
    path: Path, slide: SlideFrame, columns: _Columns, rows: Sequence[Sequence[str]]
) -> list[Sequence[str]]:
    """The rows of a slide; all of them where the table names none, or only one."""
    names = [columns.cell(row, "slide").casefold() for row in rows]
    wanted = {slide.name.casefold(), Path(slide.name).stem.casefold()}
    if len(set(names)) < 2:
        return list(rows)
    own = [row for row, name in zip(rows, names, strict=True) if name in wanted]
    if not own:
        raise unreadable(
            path,
            f"is of {len(set(names))} slides, and none is named {slide.name}",
            "Give the slide this name, or as its alias.",
        )
    return own


def _moment(given: str) -> datetime | None:
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        return None


def write(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write points under the names of `candidates.csv`; returns what the format could not hold.

    Raises:
        UserError: the file cannot be written.
    """
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(WRITTEN)
        writer.writerows(_rows(marks))
    count = len(marks.outlines)
    return (f"regions not written, for the format has none: {count}",) if count else ()


def _rows(marks: SlideMarks) -> Iterable[list[str]]:
    mpp, slide = marks.slide.mpp, guarded(marks.slide.name)
    for mark in marks.marks:
        yield [
            slide,
            guarded(mark.uuid),
            repr(float(mark.x0)),
            repr(float(mark.y0)),
            "" if mpp is None else f"{mark.x0 * mpp.x:.3f}",
            "" if mpp is None else f"{mark.y0 * mpp.y:.3f}",
            _number(mark.score),
            _number(mark.probability),
            mark.label,
            mark.verdict,
            guarded(mark.reader),
            _time(mark),
            guarded(mark.name),
            RESEARCH_USE,
        ]


def _number(value: float | None) -> str:
    return repr(float(value)) if value is not None and isfinite(value) else ""


def _time(mark: Mark) -> str:
    return "" if mark.decided_at is None else mark.decided_at.isoformat()
