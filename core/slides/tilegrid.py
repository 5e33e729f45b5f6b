"""The grid of tiles that a viewer shows of a slide: levels, their scales, which tiles lie where.

Pyramids in files may step by 4, 16 or not at all. The grid puts levels between and above the
file's own, so that neighbours differ by about two: a tile costs the same file pixels either way,
but memory and painting stay small and coarse views are averaged instead of skipping pixels.
"""

from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

from core.geometry import Rect0
from core.slides.levels import LevelScale

TILE_PX = 512
#: Tiles of a file are taken as they are if that gives tiles between these sides.
SMALLEST_TILE_PX, LARGEST_TILE_PX = 320, 1024
#: A level may be this much coarser than what is asked for and still count as sharp.
LEVEL_SLACK = 1.01
#: Levels are added until the longer side of the slide is at most this: the part always in memory,
#: and about what a screen shows of the whole slide, so that opening decodes it only once.
COARSEST_PX = 2048
#: A tile averages at most this many file pixels along an axis; coarser ones are put together from
#: such tiles, which takes the time of reading the whole slide.
DIRECT_FACTOR = 8
#: The finest level put together that way has at most this side: 64 MiB as 32-bit pixels.
ASSEMBLED_PX = 4096
# The next file level is near enough to need no level before it.
_NO_ROOM = 1.5


class TileKey(NamedTuple):
    """Names a tile: level of the grid (0 is the finest), column and row."""

    level: int
    column: int
    row: int


@dataclass(frozen=True, slots=True)
class GridLevel:
    """One level of the grid.

    Attributes:
        step0_x, step0_y: level-0 pixels per pixel of the level.
        width_px, height_px: its size.
        columns, rows: of tiles.
        factor: file pixels per pixel along an axis; 1 for the file's own levels.
        assembled: put together from finer tiles, not read by itself.
    """

    step0_x: float
    step0_y: float
    width_px: int
    height_px: int
    columns: int
    rows: int
    factor: int
    assembled: bool


class TileGrid:
    """All tiles of a slide.

    Args:
        level_dimensions: (width, height) of the file's levels, finest first.
        scales: their level-0 pixels per pixel.
        bounds: where the scanner put pixels, level-0 pixels; no tile outside is wanted.
        file_tile_px: side of the file's own tiles, 0 if it has none.

    Attributes:
        tile_px: side of a tile in pixels of its level, a multiple of the file's own tiles.
        levels: finest first.
        bounds: as given.
    """

    def __init__(
        self,
        level_dimensions: tuple[tuple[int, int], ...],
        scales: tuple[LevelScale, ...],
        bounds: Rect0,
        file_tile_px: int = 0,
    ) -> None:
        self.tile_px, self.bounds = _tile_px(file_tile_px), bounds
        levels: list[GridLevel] = []
        # By scale: some formats list levels out of order or twice.
        order = sorted(range(len(scales)), key=lambda n: scales[n].x * scales[n].y)
        for place, n in enumerate(order):
            if place and scales[n].x < 1.01 * scales[order[place - 1]].x:
                continue
            own = scales[n]
            limit = scales[order[place + 1]].x / own.x if place + 1 < len(order) else None
            levels += self._doubled(level_dimensions[n], own, limit)
        self.levels = tuple(levels)

    @property
    def coarsest(self) -> int:
        """The level that is always kept."""
        return len(self.levels) - 1

    @property
    def base(self) -> int | None:
        """The level whose tiles the assembled ones are made of; None where none is needed."""
        first = next((n for n, level in enumerate(self.levels) if level.assembled), None)
        return None if first is None else first - 1

    def level_for(self, px0_per_px: float) -> int:
        """The coarsest level that is sharp at this many level-0 pixels per device pixel."""
        return max(
            (
                number
                for number, level in enumerate(self.levels)
                if max(level.step0_x, level.step0_y) <= px0_per_px * LEVEL_SLACK
            ),
            default=0,
        )

    def size(self, key: TileKey) -> tuple[int, int]:
        """Width and height of a tile in pixels; less than `tile_px` at the right and lower edge."""
        level = self.levels[key.level]
        return (
            min(self.tile_px, level.width_px - key.column * self.tile_px),
            min(self.tile_px, level.height_px - key.row * self.tile_px),
        )

    def rect0(self, key: TileKey) -> Rect0:
        """Where a tile lies, level-0 pixels."""
        level = self.levels[key.level]
        width, height = self.size(key)
        return Rect0(
            key.column * self.tile_px * level.step0_x,
            key.row * self.tile_px * level.step0_y,
            width * level.step0_x,
            height * level.step0_y,
        )

    def tiles_in(self, rect0: Rect0, level: int, ring: int = 0) -> list[TileKey]:
        """The tiles of a level that touch a rectangle within the bounds, row by row.

        Args:
            rect0: level-0 pixels.
            level: of the grid.
            ring: take this many tiles more on every side.
        """
        at = self.levels[level]
        across, down = self.tile_px * at.step0_x, self.tile_px * at.step0_y
        left, right = _span(rect0.x0, rect0.x1, self.bounds.x0, self.bounds.x1, across, ring)
        top, bottom = _span(rect0.y0, rect0.y1, self.bounds.y0, self.bounds.y1, down, ring)
        return [
            TileKey(level, column, row)
            for row in range(max(0, top), min(bottom, at.rows))
            for column in range(max(0, left), min(right, at.columns))
        ]

    def all_tiles(self, level: int) -> list[TileKey]:
        """Every tile of a level within the bounds."""
        return self.tiles_in(self.bounds, level)

    def _doubled(
        self, size: tuple[int, int], own: LevelScale, limit: float | None
    ) -> list[GridLevel]:
        """A file level and those between it and the next (`limit` times coarser; None: the top)."""
        found: list[GridLevel] = []
        factor = 1
        while True:
            width, height = ceil(size[0] / factor), ceil(size[1] / factor)
            assembled = factor > DIRECT_FACTOR
            if not assembled or max(width, height) <= ASSEMBLED_PX:
                found.append(self._level(width, height, own, factor, assembled))
            factor *= 2
            if limit is None and max(width, height) <= COARSEST_PX:
                return found
            # Only the top is assembled: within a file a coarser level exists.
            if limit is not None and (factor * _NO_ROOM > limit or factor > DIRECT_FACTOR):
                return found

    def _level(
        self, width: int, height: int, own: LevelScale, factor: int, assembled: bool
    ) -> GridLevel:
        return GridLevel(
            own.x * factor,
            own.y * factor,
            width,
            height,
            ceil(width / self.tile_px),
            ceil(height / self.tile_px),
            factor,
            assembled,
        )


def _tile_px(own: int) -> int:
    """A side near 512 that is a multiple of the file's own and can be halved five times."""
    if own > 0:
        side = own * max(1, round(TILE_PX / own))
        if SMALLEST_TILE_PX <= side <= LARGEST_TILE_PX and side % 32 == 0:
            return side
    return TILE_PX


def _span(
    start: float, end: float, low: float, high: float, step: float, ring: int
) -> tuple[int, int]:
    """First tile and the one after the last that touch [start, end) within [low, high)."""
    # A hair inside, so that an edge that lies on a border takes no tile behind it.
    hair = step * 1e-9
    first = floor((max(start, low) + hair) / step) - ring
    last = ceil((min(end, high) - hair) / step) + ring
    if min(end, high) <= max(start, low):
        return 0, 0
    return max(first, floor((low + hair) / step)), min(last, ceil((high - hair) / step))
