"""The only cropper: classifier, gallery, report and training all take their crops here."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.slides.reader import Slide


def read_crop(slide: Slide, x0: float, y0: float, crop_px: int, mpp: float) -> NDArray[np.uint8]:
    """Read a square crop centred on a point; beyond the slide's edge is background.

    The same point gives the same pixels, whichever other crops are read with it.

    Args:
        slide: the slide.
        x0: centre, level-0 pixels.
        y0: likewise.
        crop_px: side of the crop in its own pixels.
        mpp: µm per pixel of the crop.

    Returns:
        (crop_px, crop_px, 3) uint8.

    Raises:
        PixelSizeError: the slide's pixel size is unknown.
        SlideReadError: damaged pixels.
    """
    own = slide.require_mpp()
    half_um = crop_px * mpp / 2
    return slide.read_at(x0 - half_um / own.x, y0 - half_um / own.y, crop_px, crop_px, mpp)


def read_crops(slide: Slide, points0: ArrayLike, crop_px: int, mpp: float) -> NDArray[np.uint8]:
    """Read a crop for each point, in the order of the points.

    Args:
        slide: the slide.
        points0: (N, 2) x0, y0 in level-0 pixels.
        crop_px: side of a crop.
        mpp: µm per pixel of the crops.

    Returns:
        (N, crop_px, crop_px, 3) uint8.

    Raises:
        PixelSizeError: the slide's pixel size is unknown.
        SlideReadError: damaged pixels under any of the crops.
    """
    points = np.asarray(points0, float).reshape(-1, 2)
    crops = np.empty((len(points), crop_px, crop_px, 3), np.uint8)
    for index, (x0, y0) in enumerate(points):
        crops[index] = read_crop(slide, float(x0), float(y0), crop_px, mpp)
    return crops
