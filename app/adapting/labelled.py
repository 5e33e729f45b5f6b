"""Labelled folders as pictures with labelled points: tables, MIDOG's JSON, folders of crops."""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.adapting.request import CLASS_NAMES, FolderSource, Task
from core.errors import InputError
from core.exchange.marks import SlideFrame
from core.exchange.midog import read_midog
from core.exchange.texts import read_json
from models.training.data import TEST_SLIDES, read_rows

FIELDS, PATCHES = "fields.csv", "patches.csv"
#: Has one slide name for all its patients, so it can be tested on but not split by slide.
_TEST_SETS = frozenset({"atnorm_br"})
_FIELD_COLUMNS = frozenset({"file", "x", "y", "label", "slide", "mpp"})
_PATCH_COLUMNS = frozenset({"file", "dataset", "label", "subtype", "slide", "mpp"})
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})


@dataclass(frozen=True, slots=True)
class Picture:
    """An image with labelled points.

    Attributes:
        path: of the image.
        name: of the image within its source.
        slide: the unit of every split.
        mpp: µm per pixel.
        xy_px: points, pixels of the image; None for one in the middle.
        positive: of each point.
    """

    path: Path
    name: str
    slide: str
    mpp: float
    xy_px: tuple[tuple[float, float], ...] | None
    positive: tuple[bool, ...]


def pictures(source: FolderSource, task: Task) -> tuple[list[Picture], list[str]]:
    """The pictures of a labelled folder, and what was left out of it, in plain words.

    Raises:
        InputError: it is none of the kinds, or cannot be read.
    """
    path = source.path
    positive, negative = CLASS_NAMES[task]
    if not path.exists():
        raise InputError(f"There is no {path}.", "Check the name after --from.")
    if path.is_file():
        found, notes = _of_midog(path, source.mpp, task)
    elif (path / FIELDS).exists() or (path / PATCHES).exists():
        found, notes = _of_tables(path, task)
    elif (path / positive).is_dir() or (path / negative).is_dir():
        found, notes = _of_crops(path, source.mpp, task)
    elif len(files := sorted(path.glob("*.json"))) == 1:
        found, notes = _of_midog(files[0], source.mpp, task)
    else:
        raise InputError(
            f"{path.name} is no labelled folder for the task {task}.",
            f"It needs {FIELDS} or {PATCHES}, one MIDOG JSON beside its images, or the folders "
            f"{positive}/ and {negative}/ with crops.",
        )
    if source.slides is not None:
        missing = set(source.slides) - {picture.slide for picture in found}
        if missing:
            raise InputError(
                f"There is no slide {', '.join(sorted(missing))} in {path.name}.",
                f"It has {_some(sorted({picture.slide for picture in found}))}.",
            )
        found = [picture for picture in found if picture.slide in source.slides]
    return found, notes


def _some(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _of_tables(folder: Path, task: Task) -> tuple[list[Picture], list[str]]:
    """Fields and patches, by sets; a set with one class only is left out.

    A network would learn the set (its stain, focus and compression) instead of the cell.
    """
    sets: dict[str, list[Picture]] = {}
    if task == "mitosis" and (folder / FIELDS).exists():
        sets["fields"] = list(_fields(folder))
    if (folder / PATCHES).exists():
        for row in _table(folder / PATCHES, _PATCH_COLUMNS):
            sets.setdefault(row["dataset"], []).extend(_patch(folder, row, task))
    kept: list[Picture] = []
    one_class, test = [], []
    for name, members in sets.items():
        classes = {value for picture in members for value in picture.positive}
        if name in _TEST_SETS:
            test.append(name)
        elif len(classes) < 2:
            one_class += [name] if classes else []
        else:
            kept += members
    notes = []
    if one_class:
        notes.append(
            f"Left out, since they hold one class only and a network would learn the set instead "
            f"of the cell: {', '.join(sorted(one_class))}."
        )
    if test:
        notes.append(f"Left out, kept for tests: {', '.join(test)}.")
    tests = sorted({p.slide for p in kept} & TEST_SLIDES)
    if tests:
        notes.append(f"Left out, kept for tests: slide {', '.join(tests)}.")
    return [picture for picture in kept if picture.slide not in TEST_SLIDES], notes


def _table(path: Path, columns: frozenset[str]) -> list[dict[str, str]]:
    try:
        rows = read_rows(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} is no CSV table in UTF-8: {error}.") from error
    missing = columns - set(rows[0] if rows else columns)
    if missing:
        raise InputError(f"{path.name} lacks the columns {', '.join(sorted(missing))}.")
    for number, row in enumerate(rows, 2):
        if any(row[column] is None for column in columns):
            raise InputError(f"Line {number} of {path.name} is too short.")
    return rows


def _number(row: dict[str, str], column: str, table: str, least: float = -math.inf) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= least):
        raise InputError(f"{table}, {row['file']}: “{row[column]}” is no number for {column}.")
    return value


def _fields(folder: Path) -> Iterator[Picture]:
    by_file: dict[str, list[dict[str, str]]] = {}
    for row in _table(folder / FIELDS, _FIELD_COLUMNS):
        if row["label"] in CLASS_NAMES["mitosis"]:
            by_file.setdefault(row["file"], []).append(row)
    for file, rows in by_file.items():
        yield Picture(
            folder / file,
            file,
            rows[0]["slide"],
            _number(rows[0], "mpp", FIELDS, least=0.01),
            tuple((_number(row, "x", FIELDS), _number(row, "y", FIELDS)) for row in rows),
            tuple(row["label"] == "mitosis" for row in rows),
        )


def _patch(folder: Path, row: dict[str, str], task: Task) -> Iterable[Picture]:
    called = row["label"] if task == "mitosis" else row["subtype"]
    if called in CLASS_NAMES[task]:
        positive = called == CLASS_NAMES[task][0]
        path, mpp = folder / row["file"], _number(row, "mpp", PATCHES, least=0.01)
        yield Picture(path, row["file"], row["slide"], mpp, None, (positive,))


def _of_midog(path: Path, mpp: float, task: Task) -> tuple[list[Picture], list[str]]:
    """Images named in a MIDOG JSON that lie beside it (or in `images/`)."""
    document, _ = read_json(path)
    listed = document.get("images") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise InputError(f"{path.name} is no MIDOG JSON: it has no list of images.")
    positive, negative = CLASS_NAMES[task]
    # The classes of MIDOG know no subtype; a file that names them has normal mitoses as mitoses.
    wanted = {positive: True, "mitosis" if task == "atypical" else negative: False}
    found, missing = [], []
    for image in listed:
        name = Path(str(image.get("file_name", ""))).name
        places = [path.with_name(name), path.with_name("images") / name]
        file = next((place for place in places if name and place.is_file()), None)
        if file is None:
            missing.append(name)
            continue
        with Image.open(file) as opened:
            width, height = opened.size
        marks = read_midog(path, SlideFrame(name, width, height, None)).marks
        points = [(m.x0, m.y0, wanted[m.called]) for m in marks if m.called in wanted]
        if points:
            xy_px = tuple((x, y) for x, y, _ in points)
            said = tuple(value for _, _, value in points)
            found.append(Picture(file, name, Path(name).stem, mpp, xy_px, said))
    if not found:
        raise InputError(
            f"None of the {len(listed)} images that {path.name} names lies beside it with labels.",
            "Put the images into the same folder, or into images/ there.",
        )
    notes = []
    if missing:
        notes.append(f"Left out: {len(missing)} images that are not there: {_some(missing, 5)}.")
    return found, notes


def _of_crops(folder: Path, mpp: float, task: Task) -> tuple[list[Picture], list[str]]:
    """Crops with the cell in the middle, in one folder for each class.

    A name's part before the first `_` is its slide; crops without `_` are all of one slide.
    """
    found = []
    for name in CLASS_NAMES[task]:
        for path in sorted((folder / name).glob("*")):
            if path.suffix.lower() in _IMAGES:
                slide = path.name.partition("_")[0] if "_" in path.name else folder.name
                positive = name == CLASS_NAMES[task][0]
                found.append(Picture(path, f"{name}/{path.name}", slide, mpp, None, (positive,)))
    return found, []
