"""A coarse picture of a large rectangle, read in blocks so that memory stays bounded."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.geometry import Rect0
from core.slides.backends import SlideReadError

if TYPE_CHECKING:
    from core.slides.reader import Slide

OVERVIEW_THREADS = 2
# Damage is narrowed down to blocks of this side, in pixels of the picture.
SMALLEST_BLOCK_PX = 4


@dataclass(frozen=True, slots=True)
class Overview:
    """A coarse picture.

    Attributes:
        rgb: (h, w, 3) uint8.
        unreadable: (h, w) bool, parts whose pixels are damaged; background in `rgb`.
    """

    rgb: NDArray[np.uint8]
    unreadable: NDArray[np.bool_]


def read_overview(slide: "Slide", rect: Rect0, step0_x: float, step0_y: float) -> Overview:
    """Read a rectangle coarsely.

    Args:
        slide: the slide.
        rect: what to read, level-0 pixels.
        step0_x: level-0 pixels per pixel of the picture along x.
        step0_y: along y.
    """
    width = max(1, ceil(rect.width0 / step0_x - 1e-6))
    height = max(1, ceil(rect.height0 / step0_y - 1e-6))
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:] = slide.background
    unreadable = np.zeros((height, width), bool)
    # A power of two, so that a damaged block can be halved.
    side = 1 << (slide.block_px(step0_x, step0_y).bit_length() - 1)

    def read(row: int, column: int, side: int) -> None:
        rows, columns = min(side, height - row), min(side, width - column)
        if rows <= 0 or columns <= 0:
            return
        x0, y0 = rect.x0 + column * step0_x, rect.y0 + row * step0_y
        place = slice(row, row + rows), slice(column, column + columns)
        try:
            rgb[place] = slide.read_scaled(x0, y0, columns, rows, step0_x, step0_y)
        except SlideReadError:
            # Damage in one place must not hide the rest: narrow it down and say where it is.
            half = side // 2
            if half < SMALLEST_BLOCK_PX:
                unreadable[place] = True
                return
            for down, right in product((0, half), repeat=2):
                read(row + down, column + right, half)

    corners = list(product(range(0, height, side), range(0, width, side)))
    with ThreadPoolExecutor(max_workers=OVERVIEW_THREADS) as pool:
        list(pool.map(lambda corner: read(corner[0], corner[1], side), corners))
    return Overview(rgb, unreadable)
