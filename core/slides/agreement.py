"""Does a faster library show the same pixels as OpenSlide? Compared on samples of every level."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from core.slides.backends import PixelSource, SlideReadError

SAMPLE_PX = 256
SAMPLES_PER_LEVEL = 4
PROBE_GRID = 6
PROBE_PX = 64
# Grey levels: JPEG decoders differ by 1 on average, chroma upsampling by up to 2.5 (design.md).
MAX_MEAN_DIFFERENCE = 4.0
# Moved by one pixel the tiles must differ clearly more than unmoved: 1.25 times as much.
MIN_SHIFT_CONTRAST = 1.25
# Grey standard deviation below which a tile is plain background and cannot show a shift.
MIN_CONTENT = 3.0
SHIFT_PX = 2


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether the pixels agree, and the sentence that says why."""

    agrees: bool
    note: str


def compare_sources(
    reference: PixelSource,
    other: PixelSource,
    level_dimensions: tuple[tuple[int, int], ...],
    exact_levels: Collection[int] = (),
) -> Agreement:
    """Compare two pixel sources on the liveliest tiles of every level.

    Args:
        reference: OpenSlide's pixels.
        other: the source to be trusted or not.
        level_dimensions: (width, height) of each level.
        exact_levels: on these any difference fails.

    Returns:
        Agreement; it fails on a mean difference above 4 grey levels in any tile, on a shift of
        one pixel or more, on a level without content to compare, and on unreadable samples.
    """
    worst = 0.0
    for level, size in enumerate(level_dimensions):
        try:
            corners = _lively_corners(reference, level, size)
            if not corners:
                return Agreement(False, f"level {level} shows too little to compare")
            width, height = min(SAMPLE_PX, size[0]), min(SAMPLE_PX, size[1])
            pairs = [
                (
                    reference.read(level, x, y, width, height).astype(np.int16),
                    other.read(level, x, y, width, height).astype(np.int16),
                )
                for x, y in corners
            ]
        except SlideReadError as error:
            return Agreement(False, f"sample tiles of level {level}: {error.message}")
        difference = max(float(np.abs(a - b).mean()) for a, b in pairs)
        worst = max(worst, difference)
        if difference > (0 if level in exact_levels else MAX_MEAN_DIFFERENCE):
            return Agreement(False, f"level {level} differs by {difference:.2g} grey levels")
        if (shift := _shift(pairs)) != (0, 0):
            return Agreement(False, f"level {level} seems shifted by {shift} px")
    if not worst:
        return Agreement(True, "shows the same pixels as OpenSlide on every level")
    return Agreement(True, f"agrees with OpenSlide within {worst:.1f} grey levels on every level")


def _lively_corners(
    source: PixelSource, level: int, size: tuple[int, int]
) -> list[tuple[int, int]]:
    """Corners of the sample tiles with the most contrast, found on a grid of small probes."""
    xs = _grid(size[0])
    ys = _grid(size[1])
    found: list[tuple[float, int, int]] = []
    for x, y in product(xs, ys):
        probe_x = max(0, min(x + (SAMPLE_PX - PROBE_PX) // 2, size[0] - PROBE_PX))
        probe_y = max(0, min(y + (SAMPLE_PX - PROBE_PX) // 2, size[1] - PROBE_PX))
        probe = source.read(level, probe_x, probe_y, min(PROBE_PX, size[0]), min(PROBE_PX, size[1]))
        found.append((float(_grey(probe).std()), x, y))
    found.sort(reverse=True)
    return [(x, y) for content, x, y in found[:SAMPLES_PER_LEVEL] if content >= MIN_CONTENT]


def _grid(length: int) -> list[int]:
    """Starts of sample tiles along one axis, off the tile borders, without repetition."""
    last = max(0, length - SAMPLE_PX)
    return sorted({round(last * (i + 0.5) / PROBE_GRID) for i in range(PROBE_GRID)})


def _shift(pairs: list[tuple[NDArray[np.int16], NDArray[np.int16]]]) -> tuple[int, int]:
    """The shift up to two pixels at which the grey tiles agree best; (0, 0) must win clearly."""
    m = SHIFT_PX
    greys = [(_grey(a), _grey(b)) for a, b in pairs if min(a.shape[:2]) > 4 * m]
    reach = range(-m, m + 1)
    costs = {(dx, dy): 0.0 for dx in reach for dy in reach}
    for (dx, dy), (a, b) in product(costs, greys):
        height, width = a.shape
        gap = (
            a[m : height - m, m : width - m] - b[m + dy : height - m + dy, m + dx : width - m + dx]
        )
        # A slightly different brightness is no shift.
        costs[dx, dy] += float(np.abs(gap - gap.mean()).mean())
    others = {shift: cost for shift, cost in costs.items() if shift != (0, 0)}
    nearest = min(others, key=others.__getitem__)
    return (0, 0) if others[nearest] >= MIN_SHIFT_CONTRAST * costs[0, 0] else nearest


def _grey(rgb: NDArray[np.uint8] | NDArray[np.int16]) -> NDArray[np.float32]:
    return np.asarray(rgb.mean(axis=2, dtype=np.float32), np.float32)
