"""The density of mitoses on a slide as a picture; made on a work thread, without widgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPainter
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from app.theme import HEAT
from app.viewer.outlines import path_of, simplified
from app.viewer.transform import ViewTransform
from core.geometry import UM2_PER_MM2, Mpp, Rect0

#: Sides of a cell, in widths of the smoothing: fine enough that no cells are seen.
CELLS_PER_SIGMA = 6
MAX_CELLS = 1024
#: The colours begin at this part of the peak; what is below shows the tissue.
FLOOR = 0.04


@dataclass(frozen=True, slots=True)
class DensityMap:
    """A picture of density and what it covers.

    Attributes:
        image: premultiplied ARGB; transparent where there are no mitoses.
        rect0: what it covers, level-0 pixels.
        peak_per_mm2: mitoses per mm² where they are densest.
    """

    image: QImage
    rect0: Rect0
    peak_per_mm2: float


def density_map(
    points_um: NDArray[np.float64],
    area_mm2: float,
    mpp: Mpp,
    within0: Sequence[BaseGeometry] = (),
) -> DensityMap | None:
    """Smooth points over an area and colour the result.

    Args:
        points_um: (N, 2) float64, µm.
        area_mm2: over which is smoothed.
        mpp: µm per level-0 pixel.
        within0: what is coloured, level-0 pixels; everything if there are none.

    Returns:
        The picture; None without points.
    """
    if not len(points_um):
        return None
    density, corner_um, cell_um = density_per_mm2(points_um, area_mm2)
    peak = float(density.max())
    rows, columns = density.shape
    rect0 = Rect0(
        corner_um[0] / mpp.x,
        corner_um[1] / mpp.y,
        columns * cell_um / mpp.x,
        rows * cell_um / mpp.y,
    )
    image = _coloured(density / peak)
    if within0:
        _keep_within(image, within0, rect0)
    return DensityMap(image, rect0, peak)


def density_per_mm2(
    points_um: NDArray[np.float64], area_mm2: float
) -> tuple[NDArray[np.float64], tuple[float, float], float]:
    """Points per mm², smoothed with a Gaussian.

    The Gaussian is as wide as the area: the area over which a Gaussian averages, one over the
    integral of its square, is 4 pi sigma².

    Args:
        points_um: (N, 2) float64, µm, N > 0.
        area_mm2: over which is smoothed.

    Returns:
        (rows, columns) float64 of cells, the µm of the first cell's corner, the µm of a cell.
    """
    sigma_um = sqrt(area_mm2 * UM2_PER_MM2 / (4 * pi))
    margin_um = 3 * sigma_um
    corner = points_um.min(axis=0) - margin_um
    extent = points_um.max(axis=0) + margin_um - corner
    cell_um = max(sigma_um / CELLS_PER_SIGMA, float(extent.max()) / MAX_CELLS)
    columns, rows = (ceil(side / cell_um) for side in extent.tolist())
    at = ((points_um - corner) / cell_um).astype(np.int64)
    number = at[:, 1].clip(0, rows - 1) * columns + at[:, 0].clip(0, columns - 1)
    counts = np.bincount(number, minlength=rows * columns).reshape(rows, columns)
    smooth = ndimage.gaussian_filter(
        counts.astype(np.float64), sigma_um / cell_um, mode="constant", truncate=3.0
    )
    return smooth / (cell_um**2 / UM2_PER_MM2), (float(corner[0]), float(corner[1])), cell_um


def _keep_within(image: QImage, within0: Sequence[BaseGeometry], rect0: Rect0) -> None:
    """Make an image that covers a rectangle transparent outside of some geometries."""
    cell0 = rect0.width0 / image.width()
    mask = QImage(image.size(), QImage.Format.Format_ARGB32_Premultiplied)
    mask.fill(Qt.GlobalColor.transparent)
    whole = ViewTransform(
        (rect0.x0 + rect0.width0 / 2, rect0.y0 + rect0.height0 / 2),
        cell0,
        0.0,
        image.width(),
        image.height(),
    )
    painter = QPainter(mask)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for geometry0 in within0:
        painter.fillPath(path_of(simplified(geometry0, cell0 / 2), whole), Qt.GlobalColor.black)
    painter.end()
    painter.begin(image)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_DestinationIn)
    painter.drawImage(0, 0, mask)
    painter.end()


def _coloured(share: NDArray[np.float64]) -> QImage:
    """Shares of the peak, (h, w) from 0 to 1, in the colours of heat."""
    steps = np.linspace(0.0, 1.0, len(HEAT) - 1)
    stops = np.concatenate(([0.0], FLOOR + (1 - FLOOR) * steps))
    colours = np.array([(c.blue(), c.green(), c.red(), c.alpha()) for c in HEAT], np.float64)
    table = np.linspace(0.0, 1.0, 256)
    channels = np.stack([np.interp(table, stops, colours[:, part]) for part in range(4)], axis=1)
    channels[:, :3] *= channels[:, 3:] / 255
    pixels = np.round(channels).astype(np.uint8)[np.round(share * 255).astype(np.uint8)]
    height, width = share.shape
    image = QImage(
        np.ascontiguousarray(pixels).tobytes(),
        width,
        height,
        4 * width,
        QImage.Format.Format_ARGB32_Premultiplied,
    )
    return image.copy()  # owns its pixels; the bytes above go
