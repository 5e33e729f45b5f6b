"""Where a slide holds tissue, found by colour on a coarse picture.

Each cell is judged by itself against the slide's own white, with fixed limits: a threshold taken
from the slide's histogram (Otsu) would call half of an all-tissue field background.
"""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from core.geometry import UM2_PER_MM2, Rect0
from core.slides.overview import read_overview
from core.slides.reader import Slide

CELL_UM = 16.0
# Optical densities are natural: ln(white / grey level). Eosin and haematoxylin absorb green most;
# palest eosin seen on real frames has 0.05 more in green than in the clearer of red and blue.
MIN_GREEN_EXCESS_OD = 0.04
# Ink: felt pens and print absorb more, or let another colour through.
MAX_TISSUE_OD = 2.2
BLACK_LEVEL, BLACK_CHROMA = 70, 40
# Green may pass a little better than red (deep blue nuclei) or blue (blood), more is pen.
MAX_GREEN_OVER_RED, MAX_GREEN_OVER_BLUE = 6, 14
MAX_RED_CHROMA = 175
# White is the slide's brightest percentile, but never darker than a stained all-tissue field's.
WHITE_PERCENTILE, MIN_WHITE = 99.5, 235.0
# Glass may be tinted this much; a field of nothing but pale eosin is more so.
MAX_GLASS_TINT = 6.0
MIN_PIECE_MM2 = 0.005
MAX_HOLE_MM2 = 0.004


@dataclass(frozen=True, slots=True)
class Tissue:
    """Tissue as a mask of square cells in µm.

    Attributes:
        mask: (h, w) bool.
        um_per_px: side of a cell in µm.
        cell0_x: width of a cell in level-0 pixels.
        cell0_y: its height.
        origin0: level-0 corner of the first cell.
        area_mm2: area of the tissue.
    """

    mask: NDArray[np.bool_]
    um_per_px: float
    cell0_x: float
    cell0_y: float
    origin0: tuple[float, float]
    area_mm2: float

    def polygon0(self) -> BaseGeometry:
        """The tissue as one (multi)polygon of whole cells, level-0 pixels."""
        edges = np.diff(np.pad(self.mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        rows, starts = np.nonzero(edges == 1)
        _, ends = np.nonzero(edges == -1)
        x, y = self.origin0
        boxes = shapely.box(
            x + starts * self.cell0_x,
            y + rows * self.cell0_y,
            x + ends * self.cell0_x,
            y + (rows + 1) * self.cell0_y,
        )
        return shapely.union_all(boxes)

    def fraction(self, rect: Rect0) -> float:
        """Which part of a rectangle is tissue, 0 to 1; cells on its edge count in part."""
        left, right = self._span(rect.x0, rect.x1, self.origin0[0], self.cell0_x, 1)
        top, bottom = self._span(rect.y0, rect.y1, self.origin0[1], self.cell0_y, 0)
        if right <= left or bottom <= top:
            return 0.0
        first_row, first_column = floor(top), floor(left)
        part = self.mask[first_row : ceil(bottom), first_column : ceil(right)]
        high = _overlap(first_row, part.shape[0], top, bottom)
        wide = _overlap(first_column, part.shape[1], left, right)
        cells = float(high @ part.astype(float) @ wide)
        return cells * self.cell0_x * self.cell0_y / (rect.width0 * rect.height0)

    def _span(
        self, start0: float, end0: float, origin0: float, cell0: float, axis: int
    ) -> tuple[float, float]:
        size = self.mask.shape[axis]
        first, last = (start0 - origin0) / cell0, (end0 - origin0) / cell0
        return min(max(first, 0.0), size), min(max(last, 0.0), size)


def find_tissue(slide: Slide) -> Tissue:
    """Find the tissue inside the slide's bounds.

    Parts that cannot be read count as tissue, so that their windows are tried and reported.

    Args:
        slide: an open slide; its pixel size must be known.

    Returns:
        Tissue; without any, its mask is all False and its area 0.

    Raises:
        PixelSizeError: the pixel size is unknown.
    """
    mpp = slide.require_mpp()
    step0_x, step0_y = CELL_UM / mpp.x, CELL_UM / mpp.y
    view = read_overview(slide, slide.bounds, step0_x, step0_y)
    mask = _tidy(tissue_colours(view.rgb)) | view.unreadable
    # The last row and column of cells reach over the edge: only what is on the slide counts.
    high = _overlap(0, mask.shape[0], 0.0, slide.bounds.height0 / step0_y)
    wide = _overlap(0, mask.shape[1], 0.0, slide.bounds.width0 / step0_x)
    return Tissue(
        mask=mask,
        um_per_px=CELL_UM,
        cell0_x=step0_x,
        cell0_y=step0_y,
        origin0=(slide.bounds.x0, slide.bounds.y0),
        area_mm2=float(high @ mask @ wide) * CELL_UM**2 / UM2_PER_MM2,
    )


def tissue_colours(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels have the colours of stained tissue: not glass, pen, print or glass edges.

    Args:
        rgb: (h, w, 3) uint8, some µm per pixel.

    Returns:
        (h, w) bool.
    """
    white = np.maximum(np.percentile(rgb, WHITE_PERCENTILE, axis=(0, 1)), MIN_WHITE)
    white = np.maximum(white, white.max() - MAX_GLASS_TINT)
    level = np.minimum(rgb, white).astype(np.float32)
    density = np.log(white / np.maximum(level, 1.0)).astype(np.float32)
    red, green, blue = (level[..., i] for i in range(3))
    excess = density[..., 1] - np.minimum(density[..., 0], density[..., 2])
    chroma = level.max(axis=2) - level.min(axis=2)
    black = (level.max(axis=2) < BLACK_LEVEL) & (chroma < BLACK_CHROMA)
    other_pen = (green > red + MAX_GREEN_OVER_RED) | (green > blue + MAX_GREEN_OVER_BLUE)
    red_pen = (chroma > MAX_RED_CHROMA) | (density.max(axis=2) > MAX_TISSUE_OD)
    return np.asarray((excess > MIN_GREEN_EXCESS_OD) & ~black & ~other_pen & ~red_pen, bool)


def _tidy(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps between cells, fill small holes, drop specks."""
    padded = np.pad(mask, 2)
    closed = ndimage.binary_closing(padded, np.ones((3, 3), bool))[2:-2, 2:-2] | mask
    cell_mm2 = CELL_UM**2 / UM2_PER_MM2
    filled = closed | ~_large_parts(~closed, MAX_HOLE_MM2 / cell_mm2)
    return _large_parts(filled, MIN_PIECE_MM2 / cell_mm2)


def _large_parts(mask: NDArray[np.bool_], min_cells: float) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    large = np.bincount(labels.ravel(), minlength=count + 1) >= min_cells
    large[0] = False
    return np.asarray(large[labels], bool)


def _overlap(first: int, count: int, start: float, end: float) -> NDArray[np.float64]:
    """How much of each whole cell from `first` on lies between start and end."""
    edges = first + np.arange(count)
    inside = np.minimum(edges + 1, end) - np.maximum(edges, start)
    return np.asarray(np.clip(inside, 0.0, 1.0), np.float64)
