"""Labelled tissue for training: screened frames and single-cell patches, split by slide.

Folder layout: `fields.csv` with the columns file, x, y, label, slide, mpp (frames), `patches.csv`
with file, dataset, label, subtype, slide, tissue, mpp; paths are relative to the folder.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import InputError

#: Same tissue as H05 on another scanner; neither may be trained on (data rule 1).
TEST_SLIDES = frozenset({"H05", "A05"})


@dataclass(frozen=True, slots=True)
class Frame:
    """A completely screened image with its points.

    Attributes:
        file: as named in the CSV.
        slide: the patient's slide; the unit of every split.
        mpp: µm per pixel.
        rgb: (H, W, 3) uint8.
        mitoses_px, imposters_px: (N, 2) float32, x then y, pixels of the image.
        whole: whether this is a whole frame, not a crop around a labelled cell.
    """

    file: str
    slide: str
    mpp: float
    rgb: NDArray[np.uint8]
    mitoses_px: NDArray[np.float32]
    imposters_px: NDArray[np.float32]
    whole: bool


@dataclass(frozen=True, slots=True)
class Patch:
    """A small image with one labelled cell at its centre.

    Attributes:
        label: `mitosis`, `imposter` or `background`.
        subtype: `normal`, `atypical` or empty, for mitoses.
    """

    file: str
    dataset: str
    slide: str
    tissue: str
    mpp: float
    rgb: NDArray[np.uint8]
    label: str
    subtype: str


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV table.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise InputError(
            f"The table {path.name} cannot be read: {error.strerror}.",
            "--data must be a folder with fields.csv and patches.csv.",
        ) from error


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """An image as (H, W, 3) uint8.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise InputError(f"The image {path.name} cannot be read: {error}.") from error


def resize_to_mpp(rgb: NDArray[np.uint8], mpp_from: float, mpp_to: float) -> NDArray[np.uint8]:
    """Resample (H, W, 3) uint8 to another pixel size: box when shrinking, bicubic when growing."""
    if abs(mpp_from / mpp_to - 1) < 1e-3:
        return rgb
    height, width = rgb.shape[:2]
    size = (max(1, round(width * mpp_from / mpp_to)), max(1, round(height * mpp_from / mpp_to)))
    kernel = Image.Resampling.BOX if mpp_to > mpp_from else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(rgb).resize(size, kernel))


def load_frames(data: Path, *, mpp: float, slides: Iterable[str] | None = None) -> list[Frame]:
    """Read the frames of `slides` (all of them if None), resampled to `mpp` µm/px.

    Raises:
        InputError: a table or image cannot be read.
    """
    wanted = None if slides is None else set(slides)
    by_file: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(data / "fields.csv"):
        if wanted is None or row["slide"] in wanted:
            by_file.setdefault(row["file"], []).append(row)
    frames = []
    for file, rows in by_file.items():
        native = float(rows[0]["mpp"])
        points = {
            label: np.array(
                [(float(r["x"]), float(r["y"])) for r in rows if r["label"] == label], np.float32
            ).reshape(-1, 2)
            * (native / mpp)
            for label in ("mitosis", "imposter")
        }
        rgb = resize_to_mpp(read_rgb(data / file), native, mpp)
        frames.append(
            Frame(
                file,
                rows[0]["slide"],
                mpp,
                rgb,
                points["mitosis"],
                points["imposter"],
                int(rows[0]["width"]) > 1000,
            )
        )
    return frames


def load_patches(data: Path, *, mpp: float, datasets: Iterable[str]) -> list[Patch]:
    """Read the patches of the named sets, resampled to `mpp` µm/px."""
    wanted = set(datasets)
    return [
        Patch(
            row["file"],
            row["dataset"],
            row["slide"],
            row["tissue"],
            mpp,
            resize_to_mpp(read_rgb(data / row["file"]), float(row["mpp"]), mpp),
            row["label"],
            row["subtype"],
        )
        for row in read_rows(data / "patches.csv")
        if row["dataset"] in wanted
    ]


def field_slides(data: Path) -> dict[str, int]:
    """Slides of the frames with their number of mitoses, the test slide left out."""
    counts: dict[str, int] = {}
    for row in read_rows(data / "fields.csv"):
        if row["slide"] not in TEST_SLIDES:
            counts.setdefault(row["slide"], 0)
            counts[row["slide"]] += row["label"] == "mitosis"
    return counts


def balanced_groups(counts: dict[str, int], n_groups: int = 4) -> list[list[str]]:
    """Slides in groups of about equal numbers of mitoses: the largest first, to the emptiest."""
    groups: list[list[str]] = [[] for _ in range(n_groups)]
    sizes = [0] * n_groups
    for slide in sorted(counts, key=lambda s: (-counts[s], s)):
        k = sizes.index(min(sizes))
        groups[k].append(slide)
        sizes[k] += counts[slide]
    return groups
