"""Where figures can count on a slide: readable tissue in the tumour, less what is excluded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from core.geometry import UM2_PER_MM2, Mpp
from core.slides.tissue import Tissue
from core.store.records import RegionRecord

Floats = NDArray[np.float64]
# Farther out than any slide reaches, level-0 pixels.
_FAR0 = 1e7


@dataclass(frozen=True, slots=True)
class Ground:
    """Where figures can count on a slide; good until tissue, regions, mpp or the run change.

    Attributes:
        tissue: of the slide.
        mpp: its pixel size.
        where0: tumour regions less excluded ones, level-0 pixels; None for everywhere.
        failed0: the windows that could not be read; None if all could.
        read: (h, w) bool, cells of readable tissue in the regions.
        nearest: (h, w) int32, the piece of `read` nearest to each cell, from 1; 0 without tissue.
    """

    tissue: Tissue
    mpp: Mpp
    where0: BaseGeometry | None
    failed0: BaseGeometry | None
    read: NDArray[np.bool_]
    nearest: NDArray[np.int32]

    @property
    def cell_um(self) -> tuple[float, float]:
        """Width and height of a cell of the tissue's mask."""
        return self.tissue.cell0_x * self.mpp.x, self.tissue.cell0_y * self.mpp.y

    @property
    def origin_um(self) -> tuple[float, float]:
        """X and y of the top left corner of cell (0, 0)."""
        return self.tissue.origin0[0] * self.mpp.x, self.tissue.origin0[1] * self.mpp.y

    def open_at(self, x0: Floats, y0: Floats) -> NDArray[np.bool_]:
        """Which level-0 points lie in the regions and not in a window that failed: (N,) bool."""
        inside = np.ones(len(x0), dtype=np.bool_)
        if self.where0 is not None:
            inside &= shapely.intersects_xy(self.where0, x0, y0)
        if self.failed0 is not None:
            inside[inside] = ~shapely.intersects_xy(self.failed0, x0[inside], y0[inside])
        return inside

    def piece_at(self, x0: Floats, y0: Floats) -> NDArray[np.int32]:
        """The piece to which each level-0 point belongs: (N,) int32."""
        tissue = self.tissue
        height, width = self.nearest.shape
        column = np.floor((np.asarray(x0) - tissue.origin0[0]) / tissue.cell0_x).astype(np.int64)
        row = np.floor((np.asarray(y0) - tissue.origin0[1]) / tissue.cell0_y).astype(np.int64)
        found = self.nearest[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        return np.asarray(found, dtype=np.int32)


def search_region0(regions: Iterable[RegionRecord]) -> BaseGeometry | None:
    """Tumour regions less excluded ones, level-0 pixels; None where there are neither."""
    polygons: dict[str, list[BaseGeometry]] = {"tumour": [], "excluded": []}
    for region in regions:
        if region.kind in polygons:
            polygons[region.kind].append(shapely.make_valid(shapely.from_wkb(region.wkb)))
    if not polygons["tumour"] and not polygons["excluded"]:
        return None
    excluded = shapely.union_all(polygons["excluded"])
    if polygons["tumour"]:
        return shapely.union_all(polygons["tumour"]).difference(excluded)
    x0, y0, x1, y1 = excluded.bounds
    far = 1e7  # a slide is smaller: OpenSlide's levels stay below 2^23 pixels a side
    return shapely.box(min(x0, -far), min(y0, -far), max(x1, far), max(y1, far)).difference(
        excluded
    )


def search_mask(
    tissue: Tissue, where0: BaseGeometry | None, failed0: BaseGeometry | None = None
) -> NDArray[np.bool_]:
    """(h, w) bool: tissue cells whose centre lies in `where0` and not in `failed0`."""
    mask = np.array(tissue.mask)
    for area0, wanted in ((where0, True), (failed0, False)):
        if area0 is None:
            continue
        row, col = np.nonzero(mask)
        x0 = tissue.origin0[0] + (col + 0.5) * tissue.cell0_x
        y0 = tissue.origin0[1] + (row + 0.5) * tissue.cell0_y
        mask[row, col] = shapely.intersects_xy(area0, x0, y0) == wanted
    return mask


def make_ground(
    tissue: Tissue,
    mpp: Mpp,
    regions: Iterable[RegionRecord] = (),
    failed0: Sequence[BaseGeometry] = (),
) -> Ground:
    """Where figures can count.

    Args:
        tissue: of the slide.
        mpp: its pixel size.
        regions: of the slide; count areas among them are passed over.
        failed0: windows that could not be read, level-0 pixels.
    """
    return ground_in(tissue, mpp, search_region0(regions), failed0)


def ground_in(
    tissue: Tissue, mpp: Mpp, where0: BaseGeometry | None, failed0: Sequence[BaseGeometry] = ()
) -> Ground:
    """The same, with tumour less excluded regions as one geometry; None for everywhere."""
    unread0 = shapely.union_all(list(failed0)) if failed0 else None
    for area0 in (where0, unread0):
        if area0 is not None:
            shapely.prepare(area0)
    read = search_mask(tissue, where0, unread0)
    labels, count = ndimage.label(read, structure=np.ones((3, 3)))
    if count > 1:
        _, (rows, columns) = ndimage.distance_transform_edt(
            labels == 0, sampling=(tissue.cell0_y * mpp.y, tissue.cell0_x * mpp.x),
            return_indices=True,
        )  # fmt: skip
        labels = labels[rows, columns]
    elif count:
        labels = np.ones_like(labels)
    return Ground(tissue, mpp, where0, unread0, read, labels.astype(np.int32))


def read_mm2(ground: Ground) -> float:
    """All the readable tissue in the regions, to a cell of its mask."""
    tissue, read = ground.tissue, int(np.count_nonzero(ground.read))
    if ground.where0 is None:
        # The tissue's own area is finer than whole cells at the slide's edge. It was measured with
        # the pixel size of its time, in which a cell was a square.
        cells = max(1, int(np.count_nonzero(tissue.mask)))
        since = ground.cell_um[0] * ground.cell_um[1] / tissue.um_per_px**2
        return tissue.area_mm2 * since * read / cells
    return float(read) * ground.cell_um[0] * ground.cell_um[1] / UM2_PER_MM2


def tissue_px0(open0: BaseGeometry, ground: Ground, piece: int) -> dict[int, float]:
    """Tissue in a geometry by piece, in level-0 pixels²; cells on its edge count in part."""
    tissue = ground.tissue
    if open0.is_empty or not ground.read.any():
        return {}
    x0, y0, x1, y1 = open0.bounds
    left, top = tissue.origin0
    height, width = tissue.mask.shape
    cols = slice(
        max(0, floor((x0 - left) / tissue.cell0_x)), floor((x1 - left) / tissue.cell0_x) + 1
    )
    rows = slice(max(0, floor((y0 - top) / tissue.cell0_y)), floor((y1 - top) / tissue.cell0_y) + 1)
    if cols.stop <= 0 or rows.stop <= 0 or cols.start >= width or rows.start >= height:
        return {}
    nearest = ground.nearest[rows, cols]
    row, col = np.nonzero(tissue.mask[rows, cols] & ((nearest == piece) | (piece == 0)))
    corner_x = left + (col + cols.start) * tissue.cell0_x
    corner_y = top + (row + rows.start) * tissue.cell0_y
    cells = shapely.box(corner_x, corner_y, corner_x + tissue.cell0_x, corner_y + tissue.cell0_y)
    shapely.prepare(open0)
    area = np.where(shapely.contains(open0, cells), tissue.cell0_x * tissue.cell0_y, 0.0)
    edge = (area == 0) & shapely.intersects(open0, cells)
    area[edge] = shapely.area(shapely.intersection(open0, cells[edge]))
    sums = np.bincount(nearest[row, col], weights=area)
    return {label: float(px) for label, px in enumerate(sums) if px > 0}
