"""Labelled cells for `mitoscope benchmark classify`: which cell, which slide, which domain.

A domain is what a judge may be trained on and tested on another of: a tumour type, or a set.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from models.training.classifier_training import (
    MPP,
    TILE_PX,
    Cells,
    cells_of_frame,
    cells_of_patches,
    cut_tile,
    join,
)
from models.training.data import (
    TEST_SLIDES,
    Frame,
    Patch,
    load_frames,
    load_patches,
    read_rgb,
    resize_to_mpp,
)

Task = Literal["mitosis", "atypical"]
Domain = Literal["tissue", "set"]

FIELDS = "fields"
#: The tissue of MITOS-ATYPIA-14; `fields.csv` does not name it.
FIELDS_TISSUE = "human breast cancer"
#: What is read when nothing is named. The imposters of `fields` come from the same frames as the
#: mitoses; patches add mitoses almost alone, so a network could learn the source from them.
DEFAULT_SOURCES: dict[Task, tuple[str, ...]] = {
    "mitosis": (FIELDS,),
    "atypical": ("amibr", "atnorm_br", "atnorm_md"),
}
_MIDOG_MITOSIS, _MIDOG_IMPOSTER = 1, 2


@dataclass(frozen=True, slots=True)
class Labelled:
    """Cells of one task.

    Attributes:
        cells: `mitosis` is the positive class of the task, `slide` the unit of splits: scans of
            one case share it.
        domain: (N,) what each cell belongs to.
        source: (N,) the set that it came from.
    """

    cells: Cells
    domain: NDArray[np.str_]
    source: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.domain)


def case_of(slide: str) -> str:
    """The case that a slide's name stands for: scans of one tissue get one name.

    TUPAC16 has several files for one case number; MITOS-ATYPIA-14 scanned each case twice, A04 is
    H04.
    """
    if found := re.match(r"(TUPAC16:\d+)", slide):
        return found[1]
    if found := re.fullmatch(r"(?:ATYPIA:)?[AH](\d\d)", slide):
        return f"H{found[1]}"
    return slide


def load(
    data: Path, task: Task, sources: Sequence[str] | None = None, domain: Domain = "tissue"
) -> Labelled:
    """Read the cells of a task; the test slide H05 is left out.

    Args:
        data: a folder with `fields.csv` and `patches.csv`, or a MIDOG JSON with its images beside.
        task: `mitosis` against imposter, or `atypical` against normal.
        sources: sets of `patches.csv`, and `fields`; None for `DEFAULT_SOURCES`.
        domain: what is a domain: the tumour type (`tissue`) or the source (`set`).

    Raises:
        InputError: nothing can be read, or one class is missing altogether.
    """
    if data.suffix.lower() == ".json":
        if task == "atypical":
            raise InputError("MIDOG labels do not tell atypical from normal mitoses.")
        labelled = _midog(data)
    else:
        labelled = _folder(data, task, sources or DEFAULT_SOURCES[task], domain)
    positives = int(labelled.cells.mitosis.sum())
    if not 0 < positives < len(labelled):
        raise InputError(
            f"The data hold {positives} positives among {len(labelled)} cells: one class is "
            "missing.",
            "Imposters lie in fields and tupac_prlab, subtypes in amibr and atnorm sets.",
        )
    return labelled


def _folder(data: Path, task: Task, sources: Sequence[str], domain: Domain) -> Labelled:
    parts: list[Cells] = []
    tissue: list[str] = []
    source: list[str] = []
    for name in dict.fromkeys(sources):
        if name == FIELDS:
            if task == "atypical":
                raise InputError("The labels of fields do not tell atypical from normal mitoses.")
            cells = _of_frames(load_frames(data, mpp=MPP))
            tissues = [FIELDS_TISSUE] * len(cells.slide)
        else:
            patches = [p for p in load_patches(data, mpp=MPP, datasets=[name]) if _has(p, task)]
            if not patches:
                raise InputError(f"The data hold no cells of the set “{name}” with such labels.")
            cells = cells_of_patches(patches)
            if task == "atypical":
                subtypes = np.array([p.subtype for p in patches])
                cells = replace(cells, mitosis=subtypes == "atypical")
            tissues = [p.tissue for p in patches]
        parts.append(cells)
        tissue += tissues
        source += [name] * len(tissues)
    cells = join(parts)
    cells = replace(cells, slide=np.array([case_of(s) for s in cells.slide.tolist()], dtype=str))
    labelled = Labelled(cells, np.array(tissue if domain == "tissue" else source), np.array(source))
    return _without(labelled, TEST_SLIDES)


def _has(patch: Patch, task: Task) -> bool:
    if task == "atypical":
        return patch.subtype in ("atypical", "normal")
    return patch.label in ("mitosis", "imposter")


def _of_frames(frames: Sequence[Frame]) -> Cells:
    """Labelled mitoses and imposters of frames."""
    parts = []
    for frame in frames:
        xy_px = np.concatenate([frame.mitoses_px, frame.imposters_px])
        is_mitosis = np.arange(len(xy_px)) < len(frame.mitoses_px)
        kind = np.where(is_mitosis, "mitosis", "imposter").tolist()
        unknown = np.full(len(xy_px), np.nan, np.float32)
        parts.append(cells_of_frame(frame, xy_px, is_mitosis, kind, unknown))
    if not parts:
        raise InputError("The data hold no frames.", "--sources chooses among the sets.")
    return join(parts)


def _without(labelled: Labelled, slides: frozenset[str]) -> Labelled:
    keep = ~np.isin(labelled.cells.slide, sorted(slides))
    return Labelled(labelled.cells.select(keep), labelled.domain[keep], labelled.source[keep])


def _midog(path: Path) -> Labelled:
    """Boxes of a MIDOG JSON (labels 1 mitotic figure, 2 not), its images in the same folder."""
    tiles: list[NDArray[np.uint8]] = []
    mitosis: list[bool] = []
    slide: list[str] = []
    domain: list[str] = []
    for image, boxes in _midog_images(path):
        rgb, mpp = read_rgb(path.parent / image["file_name"]), float(image.get("mpp", MPP))
        for box in boxes:
            left, top, right, bottom = box["bbox"]
            x, y = (left + right) / 2, (top + bottom) / 2
            native = cut_tile(rgb, x, y, 2 * round(TILE_PX * MPP / mpp / 2))
            fine = resize_to_mpp(native, mpp, MPP)
            tiles.append(cut_tile(fine, fine.shape[1] / 2, fine.shape[0] / 2))
            mitosis.append(box["category_id"] == _MIDOG_MITOSIS)
            slide.append(image["file_name"])
            domain.append(str(image.get("tumor_type", "unknown")))
    if not tiles:
        raise InputError(f"{path.name} has no labels.")
    cells = Cells(
        np.stack(tiles),
        np.array(mitosis),
        np.where(mitosis, "mitosis", "imposter"),
        np.array(slide),
        np.full(len(tiles), np.nan, np.float32),
    )
    return Labelled(cells, np.array(domain), np.full(len(tiles), "midog"))


def _midog_images(path: Path) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each image with its boxes of the two categories."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        by_image: dict[int, list[dict[str, Any]]] = {}
        for box in content["annotations"]:
            if box["category_id"] in (_MIDOG_MITOSIS, _MIDOG_IMPOSTER):
                by_image.setdefault(box["image_id"], []).append(box)
        images = [image for image in content["images"] if image["id"] in by_image]
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} is no MIDOG JSON: {error}.") from error
    for image in images:
        yield image, by_image[image["id"]]
