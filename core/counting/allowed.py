"""Where the centre of a count area may lie: closed mask cells with enough tissue around."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from core.counting.shapes import CountShape
from core.geometry import UM2_PER_MM2

# A centre is allowed where the shape holds this fraction of the most tissue that it can hold
# anywhere (SlideRunner proc_MitHeatmap; Aubreville et al. 2020, Sci Rep 10:16447).
COVERAGE_FLOOR = 0.95
# Points per cell side when a circle's share of a cell is measured.
_CIRCLE_SAMPLES = 8
# Rounding of the Fourier convolution, in cells of tissue.
_CONVOLUTION_SLACK_CELLS = 1e-6


@dataclass(frozen=True, slots=True)
class AllowedCentres:
    """The union of closed cells; a centre on the border of a cell is allowed.

    Attributes:
        mask: (h, w) bool, the allowed cells.
        cell_um_x: width of a cell in µm.
        cell_um_y: height of a cell in µm.
        origin_um: x and y of the top left corner of cell (0, 0).
    """

    mask: NDArray[np.bool_]
    cell_um_x: float
    cell_um_y: float
    origin_um: tuple[float, float] = (0.0, 0.0)

    def contains(
        self, centres_um: NDArray[np.float64], slack_um: float = 1e-6
    ) -> NDArray[np.bool_]:
        """Which centres lie in an allowed closed cell.

        Args:
            centres_um: (N, 2) float64.
            slack_um: distance outside a cell that rounding is allowed.

        Returns:
            (N,) bool.
        """
        step = np.array([self.cell_um_x, self.cell_um_y])
        at = (np.asarray(centres_um, dtype=np.float64).reshape(-1, 2) - self.origin_um) / step
        slack = slack_um / step
        low, high = np.floor(at - slack).astype(np.int64), np.floor(at + slack).astype(np.int64)
        found = np.zeros(len(at), dtype=bool)
        height, width = self.mask.shape
        for column in (low[:, 0], high[:, 0]):
            for row in (low[:, 1], high[:, 1]):
                inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
                found[inside] |= self.mask[row[inside], column[inside]]
        return found


def tissue_held(
    tissue: NDArray[np.bool_], cell_um_x: float, cell_um_y: float, shape: CountShape
) -> NDArray[np.float64]:
    """The tissue that the shape holds when it is centred on each cell's centre.

    Args:
        tissue: (h, w) bool.
        cell_um_x: width of a cell in µm.
        cell_um_y: height of a cell in µm.
        shape: the count area.

    Returns:
        (h, w) float64, in cells; outside the mask there is no tissue.
    """
    kernel = _kernel(cell_um_x, cell_um_y, shape)
    held = _convolved(tissue.astype(np.float64), kernel)
    top, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    return np.asarray(held[top : top + tissue.shape[0], left : left + tissue.shape[1]])


def allowed_centres(
    tissue: NDArray[np.bool_],
    cell_um_x: float,
    cell_um_y: float,
    origin_um: tuple[float, float],
    shape: CountShape,
    most_cells: float | None = None,
) -> AllowedCentres | None:
    """The cells where the shape holds at least `COVERAGE_FLOOR` of the most tissue it can hold.

    Args:
        tissue: (h, w) bool, True on tissue.
        cell_um_x: width of a cell in µm.
        cell_um_y: height of a cell in µm.
        origin_um: x and y of the top left corner of cell (0, 0).
        shape: the count area.
        most_cells: the most tissue it can hold, if it is known from elsewhere (other pieces).

    Returns:
        None where all the tissue is smaller than the count area: then it is counted whole.
    """
    if tissue_mm2(tissue, cell_um_x, cell_um_y) < shape.area_mm2:
        return None
    held = tissue_held(tissue, cell_um_x, cell_um_y, shape)
    return allowed_from_held(held, cell_um_x, cell_um_y, origin_um, most_cells)


def allowed_from_held(
    held: NDArray[np.float64],
    cell_um_x: float,
    cell_um_y: float,
    origin_um: tuple[float, float],
    most_cells: float | None = None,
) -> AllowedCentres:
    """The coverage rule on what `tissue_held` returned; `most_cells` as in `allowed_centres`."""
    most = float(held.max()) if most_cells is None else most_cells
    mask = held >= COVERAGE_FLOOR * most - _CONVOLUTION_SLACK_CELLS
    return AllowedCentres(np.asarray(mask), cell_um_x, cell_um_y, origin_um)


def tissue_mm2(tissue: NDArray[np.bool_], cell_um_x: float, cell_um_y: float) -> float:
    """Area of a mask in mm²."""
    return float(np.count_nonzero(tissue)) * cell_um_x * cell_um_y / UM2_PER_MM2


def _convolved(values: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The full convolution of two arrays with two axes, by their Fourier transforms.

    `scipy.signal.fftconvolve` does the same, but importing scipy.signal takes a second, which is
    felt when the window opens.
    """
    full = [n + k - 1 for n, k in zip(values.shape, kernel.shape, strict=True)]
    size = [fft.next_fast_len(n, real=True) for n in full]
    product = fft.rfft2(values, size) * fft.rfft2(kernel, size)
    return np.asarray(fft.irfft2(product, size)[: full[0], : full[1]])


def _kernel(cell_um_x: float, cell_um_y: float, shape: CountShape) -> NDArray[np.float64]:
    """The share of each cell that the shape covers when centred on the middle cell."""
    half = np.array([shape.width_um / cell_um_x, shape.height_um / cell_um_y]) / 2
    if shape.kind == "rectangle":
        along_x, along_y = (_covered(float(reach)) for reach in half)
        return np.outer(along_y, along_x)
    samples = (np.arange(_CIRCLE_SAMPLES) + 0.5) / _CIRCLE_SAMPLES - 0.5
    axes = []
    for reach in half:
        cells = int(np.ceil(reach + 0.5))
        at = np.arange(-cells, cells + 1)[:, None] + samples
        axes.append((at.ravel() / reach) ** 2)
    inside = axes[1][:, None] + axes[0][None, :] <= 1
    rows, columns = (len(axis) // _CIRCLE_SAMPLES for axis in (axes[1], axes[0]))
    return np.asarray(
        inside.reshape(rows, _CIRCLE_SAMPLES, columns, _CIRCLE_SAMPLES).mean(axis=(1, 3))
    )


def _covered(reach: float) -> NDArray[np.float64]:
    """Share of each cell within `reach` cells of the middle cell's centre, along one axis."""
    cells = int(np.ceil(reach + 0.5))
    at = np.arange(-cells, cells + 1)
    share = np.minimum(at + 0.5, reach) - np.maximum(at - 0.5, -reach)
    return np.asarray(np.clip(share, 0.0, 1.0), dtype=np.float64)
