"""Boxes around figures as JSON: as MIDOG keeps them, and as COCO does.

Both have `images`, `categories` and `annotations`, and both call the box `bbox`: in the files of
the MIDOG challenges (MIDOG++, https://doi.org/10.1038/s41597-023-02327-4) it is x1, y1, x2, y2, in
COCO x, y, width, height. A file that is written here says in `info` which of them it holds. MIDOG's
`labels` are the votes of its experts.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from core.exchange.classes import FIGURE_CLASSES, REGION_CLASSES, PlainRing, plain_rings
from core.exchange.collecting import Collector, fraction, number, text, unreadable
from core.exchange.csv import RESEARCH_USE
from core.exchange.files import replacing
from core.exchange.marks import Mark, Saying, SlideFrame, SlideMarks, meaning
from core.exchange.texts import read_json

Convention = Literal["midog", "coco"]
#: All boxes of MIDOG++ have this side, level-0 pixels.
BOX_PX = 50
BBOX_TEXT = {"midog": "x1,y1,x2,y2", "coco": "x,y,width,height"}
MITOSIS, IMPOSTER = 1, 2
_CATEGORIES = {MITOSIS: "mitotic figure", IMPOSTER: "not mitotic figure"}
_COCO_CATEGORIES = {
    "mitosis": (1, "mitotic figure"),
    "imposter": (2, "not mitotic figure"),
    "atypical": (3, "atypical mitotic figure"),
    "unsure": (4, "unsure"),
    "": (5, FIGURE_CLASSES[""]),
}
_REGION_IDS = {name: number for number, name in enumerate(REGION_CLASSES.values(), 6)}
_HINT = "Choose the format by its name: midog or coco."


def read_midog(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read boxes given by two corners; as `read_coco`."""
    return _read(path, slide, "midog")


def read_coco(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read the boxes of a slide as points at their centres.

    Args:
        path: of the file, which may list many images.
        slide: one of them by its name; a file of one image is taken to be of this slide.

    Raises:
        InputError: the file is missing or no such JSON, has no such image, or one of another size.
    """
    return _read(path, slide, "coco")


def _read(path: Path, slide: SlideFrame, convention: Convention) -> SlideMarks:
    document, note = read_json(path)
    if not isinstance(document, Mapping):
        raise unreadable(path, "is JSON, but no list of boxes with images and categories")
    for key in ("images", "annotations"):
        if not isinstance(document.get(key), list):
            raise unreadable(path, f"has no list of {key}")
    into = Collector(path, slide)
    if note:
        into.note(note)
    image = _image_of(path, slide, _mappings(document["images"]))
    categories = {
        category.get("id"): text(category.get("name"))
        for category in _mappings(document.get("categories"))
    }
    own = [a for a in _mappings(document["annotations"]) if a.get("image_id") == image.get("id")]
    for annotation in own:
        _take(into, annotation, categories or _CATEGORIES, convention)
    if not own:
        into.note(
            f"{path.name} lists the slide without any figure, which does not say that it has none"
        )
    return into.done()


def _image_of(path: Path, slide: SlideFrame, images: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The entry of a slide, by name, else the only one."""
    wanted = {slide.name.casefold(), Path(slide.name).stem.casefold()}
    named = [image for image in images if _names(image) & wanted]
    if not named and len(images) != 1:
        raise unreadable(
            path,
            f"lists {len(images)} images, and none is named {slide.name}",
            "Give the slide this name, or as its alias.",
        )
    image = (named or images)[0]
    size = number(image.get("width")), number(image.get("height"))
    if size[0] > 0 and size[1] > 0 and size != (slide.width0, slide.height0):
        raise unreadable(
            path,
            f"is of an image of {size[0]:g} × {size[1]:g} pixels, and the slide has "
            f"{slide.width0} × {slide.height0}",
            "Its positions would not fit.",
        )
    return image


def _names(image: Mapping[str, Any]) -> set[str]:
    name = text(image.get("file_name")).replace("\\", "/").rpartition("/")[2].casefold()
    return {name, Path(name).stem} - {""}


def _take(
    into: Collector,
    annotation: Mapping[str, Any],
    categories: Mapping[Any, str],
    convention: Convention,
) -> None:
    name = categories.get(_key(annotation.get("category_id")), "")
    rings = _rings(annotation.get("segmentation"))
    if rings and not meaning(name):
        into.outline([[ring] for ring in rings], name)
        return
    box = annotation.get("bbox")
    a, b, c, d = (
        map(number, box) if isinstance(box, list) and len(box) == 4 else (number(None),) * 4
    )
    x0, y0 = ((a + c) / 2, (b + d) / 2) if convention == "midog" else (a + c / 2, b + d / 2)
    votes = annotation.get("labels")
    into.mark(
        x0,
        y0,
        name,
        probability=fraction(annotation.get("score")),
        sayings=tuple(
            Saying("", meaning(categories.get(_key(vote), "")))
            for vote in (votes if isinstance(votes, list) else ())
            if meaning(categories.get(_key(vote), ""))
        ),
    )


def _rings(segmentation: Any) -> list[list[tuple[float, float]]]:
    """COCO's polygons x1, y1, x2, y2, …; its run-length masks are no polygons."""
    rings = []
    for flat in segmentation if isinstance(segmentation, list) else ():
        if isinstance(flat, list) and len(flat) > 5:
            numbers = [number(value) for value in flat]
            rings.append(list(zip(numbers[::2], numbers[1::2], strict=False)))
    return rings


def _key(value: Any) -> Any:
    return value if isinstance(value, (int, str)) else None


def _mappings(given: Any) -> list[Mapping[str, Any]]:
    return [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []


def convention_of(document: Mapping[str, Any]) -> Convention | None:
    """Which of the two boxes a document holds; None where it could be both.

    By what `info` says, else by what the numbers can be: a second corner lies beyond the first, and
    COCO's `area` is width times height.
    """
    info = document.get("info")
    said = " ".join(str(value) for value in info.values()) if isinstance(info, Mapping) else ""
    for convention, order in BBOX_TEXT.items():
        if order in said:
            return "midog" if convention == "midog" else "coco"
    if "midog" in said.casefold():
        return "midog"
    corners = True
    for annotation in _mappings(document.get("annotations")):
        box = annotation.get("bbox")
        if not isinstance(box, list) or len(box) != 4:
            continue
        a, b, c, d = map(number, box)
        if number(annotation.get("area")) == c * d:
            return "coco"
        corners = corners and c > a and d > b
        if not corners:
            return "coco"
        if c - a == d - b == BOX_PX and c != d:
            return "midog"
    return None


def write_midog(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write boxes of 50 px given by two corners, in whole pixels; two classes and no regions.

    Returns:
        What the format could not hold.

    Raises:
        UserError: the file cannot be written.
    """
    category = {"mitosis": MITOSIS, "atypical": MITOSIS, "imposter": IMPOSTER}
    kept = [mark for mark in marks.marks if mark.called in category]
    annotations = []
    for number_, mark in enumerate(kept, 1):
        left, top = round(mark.x0) - BOX_PX // 2, round(mark.y0) - BOX_PX // 2
        votes = [category[said.verdict] for said in mark.sayings if said.verdict in category]
        annotations.append(
            {
                "bbox": [left, top, left + BOX_PX, top + BOX_PX],
                "category_id": category[mark.called],
                "image_id": 1,
                "labels": votes,
                "id": number_,
            }
        )
    _write(path, marks.slide, "midog", list(_CATEGORIES.items()), annotations)
    notes = []
    if lost := len(marks.marks) - len(kept):
        notes.append(f"points that are neither mitosis nor imposter, not written: {lost}")
    if atypical := sum(mark.called == "atypical" for mark in kept):
        notes.append(f"atypical mitoses, written as mitotic figures: {atypical}")
    if marks.outlines:
        notes.append(f"regions not written, for the format has none: {len(marks.outlines)}")
    return tuple(notes)


def write_coco(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write boxes of 50 px by corner and size, and regions as polygons; as `write_midog`."""
    rings, notes = plain_rings(marks.outlines)
    annotations = [
        *(_coco_box(number_, mark) for number_, mark in enumerate(marks.marks, 1)),
        *(_coco_ring(number_, ring) for number_, ring in enumerate(rings, len(marks.marks) + 1)),
    ]
    names = [*_COCO_CATEGORIES.values(), *((id_, name) for name, id_ in _REGION_IDS.items())]
    _write(path, marks.slide, "coco", names, annotations)
    return notes


def _coco_box(number_: int, mark: Mark) -> dict[str, Any]:
    box = {
        "id": number_,
        "image_id": 1,
        "category_id": _COCO_CATEGORIES.get(mark.called, _COCO_CATEGORIES[""])[0],
        "bbox": [mark.x0 - BOX_PX / 2, mark.y0 - BOX_PX / 2, BOX_PX, BOX_PX],
        "area": BOX_PX * BOX_PX,
        "iscrowd": 0,
        "segmentation": [],
    }
    return box if mark.probability is None else box | {"score": mark.probability}


def _coco_ring(number_: int, ring: PlainRing) -> dict[str, Any]:
    xs, ys = zip(*ring.corners0, strict=True)
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    return {
        "id": number_,
        "image_id": 1,
        "category_id": _REGION_IDS[ring.name],
        "bbox": [min(xs), min(ys), width, height],
        "area": abs(sum(_cross(pair) for pair in _sides(ring))) / 2,
        "iscrowd": 0,
        "segmentation": [[value for corner in ring.corners0 for value in corner]],
    }


def _sides(ring: PlainRing) -> Iterable[tuple[tuple[float, float], tuple[float, float]]]:
    return zip(ring.corners0, ring.corners0[1:] + ring.corners0[:1], strict=True)


def _cross(side: tuple[tuple[float, float], tuple[float, float]]) -> float:
    (ax, ay), (bx, by) = side
    return ax * by - bx * ay


def _write(
    path: Path,
    slide: SlideFrame,
    convention: Convention,
    categories: Iterable[tuple[int, str]],
    annotations: list[dict[str, Any]],
) -> None:
    head = {
        "info": {
            "description": f"Figures of {slide.name}, written by Mitoscope",
            "bbox": BBOX_TEXT[convention],
            "date_created": datetime.now(UTC).date().isoformat(),
            "research_use": RESEARCH_USE,
        },
        "licenses": [],
        "images": [
            {"id": 1, "file_name": slide.name, "width": slide.width0, "height": slide.height0}
        ],
        "categories": [{"id": id_, "name": name} for id_, name in categories],
    }
    with replacing(path) as file:
        opened = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
        file.write(f'{opened},\n "annotations": [')
        for number_, annotation in enumerate(annotations):
            line = json.dumps(annotation, ensure_ascii=False, allow_nan=False)
            file.write(f"{',' if number_ else ''}\n  {line}")
        file.write("\n ]\n}\n")
