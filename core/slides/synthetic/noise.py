"""Periodic noise pictures from which every texture of the demo slide is cut."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Float = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Band:
    """A band-passed noise.

    Attributes:
        wavelength_um: distance between neighbouring crests.
        octaves: width of the band (standard deviation of log2 of the frequency).
        tile_px: period; different periods keep sums of textures from repeating.
    """

    wavelength_um: float
    octaves: float
    tile_px: int


# Wavelengths were read off close-ups of MITOS-ATYPIA-14 frames at 0.25 µm/px: granules of the
# cytoplasm 1 to 2 µm, its vacuoles 3 to 4 µm, blotches of a cell 10 µm, uneven staining 60 µm.
BANDS = {
    "grain": Band(1.3, 0.45, 1024),
    "foam": Band(2.8, 0.4, 1152),
    "net": Band(5.0, 0.35, 1200),
    "blotch": Band(9.0, 0.6, 1280),
    "drift": Band(60.0, 0.6, 1440),
    "chromatin": Band(3.2, 0.45, 960),
    "fibre": Band(2.4, 0.8, 1080),
}


class NoiseBank:
    """Textures of zero mean and unit variance, made once per slide.

    Args:
        seed: any two banks of the same seed and pixel size are equal.
        mpp: µm per pixel of the picture.
    """

    def __init__(self, seed: int, mpp: float) -> None:
        rng = np.random.default_rng([seed, 11])
        self._tiles = {name: _band_noise(rng, band, mpp) for name, band in BANDS.items()}
        self._tiles["sensor"] = rng.standard_normal((1024, 1024)).astype(np.float32)
        self._tiles["smooth_sensor"] = _band_noise(rng, Band(0.9, 0.4, 900), mpp)

    def cut(self, name: str, left: int, top: int, width: int, height: int) -> Float:
        """A (height, width) float32 cut of the texture, repeated without end."""
        tile = self._tiles[name]
        rows = np.arange(top, top + height) % tile.shape[0]
        columns = np.arange(left, left + width) % tile.shape[1]
        found: Float = tile[rows[:, None], columns[None, :]]
        return found

    def sample(self, name: str, x: Float, y: Float) -> Float:
        """The texture at the nearest pixel of each (x, y), arrays of one shape, in px."""
        tile = self._tiles[name]
        rows = np.rint(y).astype(np.int32) % tile.shape[0]
        columns = np.rint(x).astype(np.int32) % tile.shape[1]
        found: Float = tile[rows, columns]
        return found


def _band_noise(rng: np.random.Generator, band: Band, mpp: float) -> Float:
    side = band.tile_px
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(side), np.fft.fftfreq(side)))
    centre = mpp / band.wavelength_um
    with np.errstate(divide="ignore"):
        weight = np.exp(-0.5 * (np.log2(frequency / centre) / band.octaves) ** 2)
    # Dividing by the frequency gives every octave of the band the same energy.
    weight = np.divide(weight, np.maximum(frequency, 1e-6))
    weight[0, 0] = 0
    white = np.fft.rfft2(rng.standard_normal((side, side)))
    field = np.fft.irfft2(white * weight, s=(side, side))
    unit: Float = ((field - field.mean()) / field.std()).astype(np.float32)
    return unit


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], sigma_cells: float) -> Float:
    """Low-pass noise of unit variance on a coarse grid, with no wrap at its borders."""
    pad = int(3 * sigma_cells) + 1
    raw = rng.standard_normal((shape[0] + 2 * pad, shape[1] + 2 * pad)).astype(np.float32)
    field = gaussian_filter(raw, sigma_cells)[pad:-pad, pad:-pad]
    # The gain of a Gaussian filter on white noise is known, so it does not depend on the shape.
    return np.asarray(field * (2 * np.sqrt(np.pi) * sigma_cells), np.float32)


def upsample(coarse: Float, step: float, left: float, top: float, width: int, height: int) -> Float:
    """Bilinear interpolation of `coarse`, whose sample (i, j) lies at pixel (j*step, i*step).

    Returns:
        (height, width) float32 of the picture whose top left pixel is (left, top).
    """
    rows = _weights((top + np.arange(height)) / step, coarse.shape[0])
    columns = _weights((left + np.arange(width)) / step, coarse.shape[1])
    (row0, row1, row_share), (col0, col1, col_share) = rows, columns
    lines = coarse[row0] * (1 - row_share)[:, None] + coarse[row1] * row_share[:, None]
    out: Float = lines[:, col0] * (1 - col_share) + lines[:, col1] * col_share
    return out


def _weights(where: Float, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Float]:
    where = np.clip(where, 0, count - 1)
    low = np.minimum(where.astype(np.intp), max(count - 2, 0))
    high = np.minimum(low + 1, count - 1)
    return low, high, (where - low).astype(np.float32)
