"""Area resampling whose pixels depend on the tissue, not on the window they were read with."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# A window whose far edge is off by less than this many source pixels counts as a whole ratio.
RATIO_SLACK_PX = 0.05
# Pillow's bicubic kernel reaches two source pixels, its triangle one output pixel.
BICUBIC_REACH_PX = 2


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """Which whole pixels of a level a window needs, and how they become the window.

    Attributes:
        left, top, width_px, height_px: what to read, in whole pixels of the level.
        box: the window itself in the pixels that were read (left, upper, right, lower).
        whole: the whole ratios (x, y), or None where the ratio is broken.
    """

    left: int
    top: int
    width_px: int
    height_px: int
    box: tuple[float, float, float, float]
    whole: tuple[int, int] | None


def plan_source(
    left: float, top: float, width_px: int, height_px: int, ratio_x: float, ratio_y: float
) -> SourcePlan:
    """Plan the reading of one window.

    With whole ratios the origin is rounded to whole source pixels, so windows whose origins are
    multiples of the output pixel share their pixels exactly. With broken ratios the sub-pixel
    phase is kept and a margin is read, so that neighbours have no seam.

    Args:
        left: the window's left edge in pixels of the level (fractions allowed).
        top: its upper edge likewise.
        width_px: width of the window in output pixels.
        height_px: its height.
        ratio_x: level pixels per output pixel along x.
        ratio_y: along y.
    """
    whole_x, whole_y = max(1, round(ratio_x)), max(1, round(ratio_y))
    slack_x, slack_y = abs(ratio_x - whole_x) * width_px, abs(ratio_y - whole_y) * height_px
    if slack_x < RATIO_SLACK_PX and slack_y < RATIO_SLACK_PX:
        wide, high = width_px * whole_x, height_px * whole_y
        # floor(v + 0.5) and not round(): halves must go the same way for every window.
        corner = floor(left + 0.5), floor(top + 0.5)
        return SourcePlan(*corner, wide, high, (0, 0, wide, high), (whole_x, whole_y))
    margin_x, margin_y = _reach(ratio_x), _reach(ratio_y)
    x, y = floor(left) - margin_x, floor(top) - margin_y
    right, bottom = left + width_px * ratio_x, top + height_px * ratio_y
    return SourcePlan(
        x,
        y,
        ceil(right) + margin_x - x,
        ceil(bottom) + margin_y - y,
        (left - x, top - y, right - x, bottom - y),
        None,
    )


def split_rows(plan: SourcePlan, source_px: int) -> Iterator[tuple[slice, SourcePlan]]:
    """Divide a plan of whole ratios into bands of at most `source_px` rows, one row at least.

    Yields:
        The rows of the window that a band becomes, and its plan.
    """
    assert plan.whole is not None
    _, ratio = plan.whole
    step = max(1, source_px // ratio)
    for start in range(0, plan.height_px // ratio, step):
        stop = min(start + step, plan.height_px // ratio)
        high = (stop - start) * ratio
        box = (0, 0, plan.width_px, high)
        band = replace(plan, top=plan.top + start * ratio, height_px=high, box=box)
        yield slice(start, stop), band


def resample(
    pixels: NDArray[np.uint8], plan: SourcePlan, width_px: int, height_px: int
) -> NDArray[np.uint8]:
    """Turn what a plan asked for into the window.

    Whole ratios are exact box averages. Broken ones are averaged with a triangle as wide as two
    output pixels (Pillow's box would weigh a source pixel either fully or not at all); where the
    level is coarser than the window, bicubic.

    Args:
        pixels: (plan.height_px, plan.width_px, 3) uint8.
        plan: from `plan_source`.
        width_px: width of the window in output pixels.
        height_px: its height.

    Returns:
        (height_px, width_px, 3) uint8.
    """
    if plan.whole == (1, 1):
        return pixels
    image = Image.fromarray(pixels)
    if plan.whole is not None:
        return np.asarray(image.reduce(plan.whole))
    left, top, right, bottom = plan.box
    finer = (right - left) >= width_px and (bottom - top) >= height_px
    kernel = Image.Resampling.BILINEAR if finer else Image.Resampling.BICUBIC
    return np.asarray(image.resize((width_px, height_px), kernel, box=plan.box))


def _reach(ratio: float) -> int:
    return BICUBIC_REACH_PX * max(1, ceil(ratio)) + 1
