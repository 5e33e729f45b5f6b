"""A coarse picture of a slide whose file has no coarse level, put together tile by tile."""

import threading

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.slides.tilegrid import TileGrid, TileKey


class CoarsePicture:
    """The assembled levels of a grid; grows as tiles of the grid's base level come in.

    Places whose tiles have not come show the background. Safe from any thread.

    Args:
        grid: with assembled levels.
        background: (red, green, blue).
    """

    def __init__(self, grid: TileGrid, background: tuple[int, int, int]) -> None:
        if grid.base is None:
            raise ValueError("the grid has no assembled levels")
        self._grid, self._base = grid, grid.base
        self._finest = grid.base + 1
        level, base = grid.levels[self._finest], grid.levels[self._base]
        self._ratio = level.factor // base.factor
        self._lock = threading.Lock()
        self._rgb = np.empty((level.height_px, level.width_px, 3), np.uint8)
        self._rgb[:] = background
        self._missing = set(grid.all_tiles(self._base))

    @property
    def missing(self) -> frozenset[TileKey]:
        """Base tiles that have not come."""
        with self._lock:
            return frozenset(self._missing)

    def sources(self, key: TileKey) -> list[TileKey]:
        """The base tiles that an assembled tile still waits for."""
        under = self._grid.tiles_in(self._grid.rect0(key), self._base)
        with self._lock:
            return [source for source in under if source in self._missing]

    def put(self, key: TileKey, rgb: NDArray[np.uint8] | None) -> list[TileKey]:
        """Add a base tile; None if it cannot be read.

        Args:
            key: of the base level.
            rgb: (h, w, 3) uint8 of the tile's size.

        Returns:
            The assembled tiles that it changed, of all levels.
        """
        small = None if rgb is None else np.asarray(Image.fromarray(rgb).reduce(self._ratio))
        left, top = (at * self._grid.tile_px // self._ratio for at in (key.column, key.row))
        with self._lock:
            self._missing.discard(key)
            if small is not None:
                place = self._rgb[top : top + small.shape[0], left : left + small.shape[1]]
                place[:] = small[: place.shape[0], : place.shape[1]]
        rect0 = self._grid.rect0(key)
        return [
            tile
            for level in range(self._finest, len(self._grid.levels))
            for tile in self._grid.tiles_in(rect0, level)
        ]

    def tile(self, key: TileKey) -> NDArray[np.uint8]:
        """An assembled tile as far as it is known: (h, w, 3) uint8."""
        factor = self._grid.levels[key.level].factor // self._grid.levels[self._finest].factor
        width, height = self._grid.size(key)
        left, top = (at * self._grid.tile_px * factor for at in (key.column, key.row))
        with self._lock:
            part = self._rgb[top : top + height * factor, left : left + width * factor].copy()
        if factor == 1:
            return part
        return np.asarray(Image.fromarray(part).reduce(factor))
