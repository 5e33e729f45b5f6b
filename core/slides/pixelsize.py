"""µm per pixel: where it is written, and whether it can be true."""

from collections.abc import Mapping
from math import isfinite

import openslide

from core.errors import PixelSizeError
from core.geometry import Mpp

# Slides are scanned at 0.1 (oil, 100x) to 4 µm/px (2.5x); beyond these bounds it is a slip.
MIN_MPP, MAX_MPP = 0.05, 10.0
UM_PER_UNIT = {"centimeter": 1e4, "inch": 25_400.0}


def check_mpp(mpp: float) -> Mpp:
    """A typed pixel size, for both axes.

    Raises:
        PixelSizeError: not a positive number, or outside 0.05 to 10 µm per pixel.
    """
    if not isfinite(mpp) or not MIN_MPP <= mpp <= MAX_MPP:
        raise PixelSizeError(
            f"{mpp:g} µm per pixel cannot be right.",
            f"Scanners give {MIN_MPP:g} to {MAX_MPP:g}; at 40x it is about 0.25.",
        )
    return Mpp(mpp, mpp)


def find_mpp(properties: Mapping[str, str]) -> tuple[Mpp | None, str]:
    """The pixel size that the file states, and where it stands.

    `openslide.mpp-x` and `-y` come first: OpenSlide fills them from each scanner's own fields,
    while the TIFF resolution tags of scanner files are often a screen's 72 or 96 dpi (see
    notes/field.md §2). A size that cannot be true counts as not stated.

    Returns:
        The size and `openslide.mpp` or `tiff resolution`; None and an empty text without one.
    """
    stated = _pair(
        properties.get(openslide.PROPERTY_NAME_MPP_X), properties.get(openslide.PROPERTY_NAME_MPP_Y)
    )
    if stated is not None:
        return stated, "openslide.mpp"
    unit = UM_PER_UNIT.get(properties.get("tiff.ResolutionUnit", "").lower())
    x, y = (_number(properties.get(f"tiff.{axis}Resolution")) for axis in "XY")
    if unit and x and y and (size := _plausible(unit / x, unit / y)):
        return size, "tiff resolution"
    return None, ""


def _pair(x: str | None, y: str | None) -> Mpp | None:
    first, second = _number(x), _number(y)
    if first is None and second is None:
        return None
    # One axis alone stands for both: pixels are square unless said otherwise.
    return _plausible(first or second or 0.0, second or first or 0.0)


def _plausible(x: float, y: float) -> Mpp | None:
    fits = all(MIN_MPP <= value <= MAX_MPP for value in (x, y))
    return Mpp(x, y) if fits else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) and value > 0 else None
