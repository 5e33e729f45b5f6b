"""Which windows a detector sees, and which of its points count.

All windows lie on one grid per slide, counted in the detector's pixels from the slide's origin. A
window's *core* is the part whose points belong to it; the halo around the core only gives context.
Cores tile the plane half-open, so every point belongs to one window, and because window corners are
multiples of the detector's own grid, a point gets the same score whichever window it fell into.

A point counts if it lies in the search area: inside the tumour regions, outside the excluded ones,
and on tissue, whose mask is grown by `TISSUE_MARGIN_UM` first. A window is read if its core touches
that area. The rule is about points, not windows, so that shifting the grid changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from core.errors import RegionError, SlideError
from core.geometry import UM2_PER_MM2, Mpp, Rect0
from core.ports import Detector
from core.slides.tissue import Tissue

# The mask comes from a coarse level: a nucleus at the very rim of the tissue, or in a pale part of
# it, must not be lost to a mask cell (of 16 µm or so) that was judged empty.
TISSUE_MARGIN_UM = 50.0

# A point on a border may fall to either side by float rounding, and then to neither window. Each
# window therefore also keeps points this far outside its core; merging takes the doubles away.
BORDER_SLACK_PX = 1.0


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of an analysis, in level-0 pixels; None where there is none.

    Attributes:
        tumour: where to look; None means the whole slide.
        excluded: where not to look.
        notes: what was repaired or left out while reading them, for the summary.
    """

    tumour: BaseGeometry | None = None
    excluded: BaseGeometry | None = None
    notes: tuple[str, ...] = ()

    def region0(self, slide0: BaseGeometry) -> BaseGeometry:
        """What of a slide they leave: inside the tumour regions, outside the excluded ones.

        Raises:
            RegionError: they lie outside the slide, or leave nothing of it.
        """
        region0 = slide0
        if self.tumour is not None:
            region0 = self.tumour.intersection(slide0)
            if region0.area <= 0:
                raise RegionError(
                    "The tumour region lies outside the slide.",
                    "Check that the region was drawn on this slide, in pixels of its full "
                    "resolution.",
                )
        if self.excluded is not None:
            region0 = region0.difference(self.excluded)
            if region0.area <= 0:
                raise RegionError("The excluded regions cover all that was asked for.")
        return region0


@dataclass(frozen=True, slots=True)
class Window:
    """One window of the grid.

    Attributes:
        col: column of its core on the grid; may be negative in a shifted grid.
        row: row of its core.
        rect0: what the detector sees, halo included, in level-0 pixels.
        core0: the part whose points it keeps, in level-0 pixels.
    """

    col: int
    row: int
    rect0: Rect0
    core0: Rect0


@dataclass(frozen=True, slots=True)
class WindowGrid:
    """The geometry of all windows of one slide for one detector.

    Attributes:
        slide_mpp: the slide's pixel size.
        mpp: the detector's µm per pixel.
        window_px: side of a window in detector pixels.
        core_px: side of its core; a multiple of the detector's grid.
        halo_px: detector pixels from the window's corner to the core's corner.
        shift_px: x and y by which the whole grid is shifted, detector pixels; (0, 0) but in tests.
    """

    slide_mpp: Mpp
    mpp: float
    window_px: int
    core_px: int
    halo_px: int
    shift_px: tuple[int, int] = (0, 0)

    @property
    def scale_x(self) -> float:
        """Level-0 pixels per detector pixel along x."""
        return self.mpp / self.slide_mpp.x

    @property
    def scale_y(self) -> float:
        """Level-0 pixels per detector pixel along y."""
        return self.mpp / self.slide_mpp.y

    def window(self, col: int, row: int) -> Window:
        """The window whose core is in this column and row."""
        x_px, y_px = self._core_corner_px(col, row)
        return Window(
            col,
            row,
            self._rect0(x_px - self.halo_px, y_px - self.halo_px, self.window_px),
            self._rect0(x_px, y_px, self.core_px),
        )

    def to_slide(
        self, window: Window, xy_px: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Points of a window as level-0 points.

        Args:
            window: the window that the detector saw.
            xy_px: (N, 2) x, y in pixels of the window.

        Returns:
            (N, 2) float64 level-0 x, y, and (N,) bool: whether the window keeps the point.
        """
        xy = np.asarray(xy_px, dtype=np.float64).reshape(-1, 2)
        low = self.halo_px - BORDER_SLACK_PX
        high = self.halo_px + self.core_px + BORDER_SLACK_PX
        kept: NDArray[np.bool_] = np.all((xy >= low) & (xy < high), axis=1)
        corner_px = np.array(self._core_corner_px(window.col, window.row)) - self.halo_px
        scale = np.array([self.scale_x, self.scale_y])
        return (xy + corner_px) * scale, kept

    def cell(self, x0: float, y0: float) -> tuple[int, int]:
        """Column and row of the core that a level-0 point lies in."""
        return (
            floor((x0 / self.scale_x - self.shift_px[0]) / self.core_px),
            floor((y0 / self.scale_y - self.shift_px[1]) / self.core_px),
        )

    def columns_rows(self, rect0: Rect0) -> tuple[range, range]:
        """Columns and rows whose cores touch a level-0 rectangle."""
        return (
            _cells(
                rect0.x0 / self.scale_x, rect0.x1 / self.scale_x, self.shift_px[0], self.core_px
            ),
            _cells(
                rect0.y0 / self.scale_y, rect0.y1 / self.scale_y, self.shift_px[1], self.core_px
            ),
        )

    def _core_corner_px(self, col: int, row: int) -> tuple[int, int]:
        return col * self.core_px + self.shift_px[0], row * self.core_px + self.shift_px[1]

    def _rect0(self, x_px: int, y_px: int, side_px: int) -> Rect0:
        return Rect0(
            x_px * self.scale_x,
            y_px * self.scale_y,
            side_px * self.scale_x,
            side_px * self.scale_y,
        )


def _cells(low_px: float, high_px: float, shift_px: int, core_px: int) -> range:
    return range(floor((low_px - shift_px) / core_px), ceil((high_px - shift_px) / core_px))


def make_grid(
    detector: Detector, slide_mpp: Mpp, *, shift_px: tuple[int, int] = (0, 0)
) -> WindowGrid:
    """The grid that a detector's window, halo and alignment ask for.

    The core is the largest multiple of `detector.grid_px` that leaves at least the halo on every
    side; the shift is rounded down to the alignment.

    Raises:
        ValueError: the halo leaves no core (a bug of the detector's manifest).
    """
    align = max(1, detector.grid_px)
    left_px = ceil(detector.halo_px / align) * align
    core_px = (detector.window_px - left_px - detector.halo_px) // align * align
    if core_px < 1:
        raise ValueError(f"a halo of {detector.halo_px} px leaves no core in a window")
    shift = (shift_px[0] // align * align, shift_px[1] // align * align)
    return WindowGrid(slide_mpp, detector.mpp, detector.window_px, core_px, left_px, shift)


@dataclass(frozen=True, slots=True)
class SearchArea:
    """Where points count: tumour regions less excluded ones, on tissue.

    Attributes:
        region0: the polygon, level-0 pixels, clipped to the slide's bounds.
        tissue: the slide's tissue.
        grown: (h, w) bool, the tissue mask grown by `TISSUE_MARGIN_UM`.
        mpp: the slide's pixel size.
        limited: whether the caller gave regions at all.
    """

    region0: BaseGeometry
    tissue: Tissue
    grown: NDArray[np.bool_]
    mpp: Mpp
    limited: bool
    _sums: NDArray[np.int64] = field(repr=False)

    def contains(self, xy0: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each of (N, 2) level-0 points counts: (N,) bool."""
        col, row = self._cell(xy0[:, 0], xy0[:, 1])
        height, width = self.grown.shape
        inside = (col >= 0) & (col < width) & (row >= 0) & (row < height)
        inside[inside] = self.grown[row[inside], col[inside]]
        inside[inside] = shapely.intersects_xy(self.region0, xy0[inside, 0], xy0[inside, 1])
        return np.asarray(inside, dtype=np.bool_)

    def touches(self, rects0: Sequence[Rect0]) -> NDArray[np.bool_]:
        """Whether a point that counts can lie in each of N level-0 rectangles: (N,) bool."""
        edges = np.array([(r.x0, r.y0, r.x1, r.y1) for r in rects0]).reshape(-1, 4)
        col0, row0 = self._cell(edges[:, 0], edges[:, 1])
        col1, row1 = self._cell(edges[:, 2], edges[:, 3])
        height, width = self.grown.shape
        col0, col1 = np.clip(col0, 0, width), np.clip(col1 + 1, 0, width)
        row0, row1 = np.clip(row0, 0, height), np.clip(row1 + 1, 0, height)
        sums = self._sums
        cells = sums[row1, col1] - sums[row0, col1] - sums[row1, col0] + sums[row0, col0]
        touched = cells > 0
        touched[touched] = shapely.intersects(self.region0, shapely.box(*edges[touched].T))
        return np.asarray(touched, dtype=np.bool_)

    def tissue_in_region(self) -> NDArray[np.bool_]:
        """(h, w) bool: tissue cells whose centre lies in the regions."""
        mask = np.array(self.tissue.mask)
        if self.limited:
            row, col = np.nonzero(mask)
            x0 = self.tissue.origin0[0] + (col + 0.5) * self.tissue.cell0_x
            y0 = self.tissue.origin0[1] + (row + 0.5) * self.tissue.cell0_y
            mask[row, col] = shapely.intersects_xy(self.region0, x0, y0)
        return mask

    def area_mm2(self) -> float:
        """Tissue inside the regions, mm², to a cell of the mask."""
        if not self.limited:
            return self.tissue.area_mm2
        cell_mm2 = self.tissue.cell0_x * self.tissue.cell0_y * self.mpp.px_area_um2 / UM2_PER_MM2
        return float(np.count_nonzero(self.tissue_in_region()) * cell_mm2)

    def _cell(
        self, x0: NDArray[np.float64], y0: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        col = np.floor((x0 - self.tissue.origin0[0]) / self.tissue.cell0_x)
        row = np.floor((y0 - self.tissue.origin0[1]) / self.tissue.cell0_y)
        return col.astype(np.int64), row.astype(np.int64)


def make_search_area(tissue: Tissue, bounds0: Rect0, mpp: Mpp, regions: Regions) -> SearchArea:
    """Combine tissue and regions.

    Raises:
        SlideError: the slide holds no tissue.
        RegionError: the regions lie outside the slide, cancel each other, or hold no tissue.
    """
    if not tissue.mask.any():
        raise SlideError(
            "No tissue was found on this slide.",
            "Check that it is a stained brightfield slide and not a blank or a label image.",
        )
    region0 = regions.region0(bounds0.polygon())
    grown = _grow(tissue)
    sums = np.zeros((grown.shape[0] + 1, grown.shape[1] + 1), dtype=np.int64)
    sums[1:, 1:] = grown.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    limited = regions.tumour is not None or regions.excluded is not None
    shapely.prepare(region0)
    area = SearchArea(region0, tissue, grown, mpp, limited, sums)
    if area.area_mm2() <= 0:
        raise RegionError(
            "There is no tissue in the region.",
            "Check that the region was drawn on this slide, in pixels of its full resolution.",
        )
    return area


def _grow(tissue: Tissue) -> NDArray[np.bool_]:
    """The mask grown by a disc of `TISSUE_MARGIN_UM`, in cells."""
    far_um = ndimage.distance_transform_edt(~tissue.mask) * tissue.um_per_px
    return np.asarray(far_um <= TISSUE_MARGIN_UM, dtype=np.bool_)


def plan_windows(grid: WindowGrid, area: SearchArea) -> list[Window]:
    """All windows whose core touches the search area, in raster order (row by row).

    The list takes some 400 bytes a window: 5 MB for a slide of 12,000 windows.
    """
    x0, y0, x1, y1 = area.region0.bounds
    columns, rows = grid.columns_rows(Rect0(x0, y0, x1 - x0, y1 - y0))
    planned: list[Window] = []
    for row in rows:
        line = [grid.window(col, row) for col in columns]
        touched = area.touches([window.core0 for window in line])
        planned += [window for window, hit in zip(line, touched, strict=True) if hit]
    return planned
