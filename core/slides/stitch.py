"""Stitches the frames of one labelled field into a slide, for benchmarks and trying out."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from core.errors import InputError
from core.slides.pyramid import write_pyramid

FRAME_MPP = 0.25  # data README: every frame of the fields
# Sixteen frames in two steps: capital letters are quadrants (A B over C D), small ones the same.
_PLACES = {letter: (index // 2, index % 2) for index, letter in enumerate("ABCD")}


def stitch_field(
    data_dir: Path, field: str, out_tiff: Path, *, subsampled: bool = True
) -> dict[str, tuple[int, int]]:
    """Write the frames `fields/atypia14/{field}Aa.webp` … `Dd.webp` as one pyramidal slide.

    Missing frames stay white. JPEG quality 90, levels 1, 4, 16, at 0.25 µm/px.

    Args:
        data_dir: the folder of labelled tissue.
        field: for instance `H05_03`.
        out_tiff: slide to write.
        subsampled: chroma 4:2:0, as scanners write it and as the WebP frames themselves hold it;
            False writes 4:4:4.

    Returns:
        For each frame present (`Aa` …) the level-0 pixel of its top left corner, to move its
        labels onto the slide.

    Raises:
        InputError: there is no frame of this field, or one is unreadable.
        SlideError: the slide cannot be written.
    """
    frames = _read_frames(data_dir / "fields" / "atypia14", field)
    if not frames:
        raise InputError(f"There are no frames of the field {field} in {data_dir}.")
    height = max(frame.shape[0] for frame in frames.values())
    width = max(frame.shape[1] for frame in frames.values())
    canvas = np.full((4 * height, 4 * width, 3), 255, np.uint8)
    corners: dict[str, tuple[int, int]] = {}
    for letters, frame in frames.items():
        row, column = (
            2 * _PLACES[letters[0]][axis] + _PLACES[letters[1].upper()][axis] for axis in (0, 1)
        )
        x0, y0 = column * width, row * height
        canvas[y0 : y0 + frame.shape[0], x0 : x0 + frame.shape[1]] = frame
        corners[letters] = (x0, y0)
    write_pyramid(out_tiff, canvas, FRAME_MPP, subsampled=subsampled)
    return corners


def _read_frames(folder: Path, field: str) -> dict[str, NDArray[np.uint8]]:
    frames = {}
    for capital in "ABCD":
        for small in "abcd":
            path = folder / f"{field}{capital}{small}.webp"
            if not path.is_file():
                continue
            try:
                with Image.open(path) as image:
                    frames[capital + small] = np.asarray(image.convert("RGB"))
            except (OSError, UnidentifiedImageError) as error:
                raise InputError(f"The frame {path} cannot be read: {error}.") from error
    return frames
