"""Which parts of a slide a reader has had on the screen at reading magnification."""

import struct
import zlib
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.geometry import Mpp, Rect0

#: Side of a cell: that of a gallery crop.
CELL_UM = 64.0
#: The same where the µm are unknown, at the usual 0.25 µm/px.
CELL_PX0 = 256
#: Cells of a slide at most; on larger slides they grow.
LARGEST_SIDE = 4096
_HEADER = struct.Struct("<4sIII")  # magic with version, cell side in px, columns, rows
_MAGIC = b"MVG1"


class ViewedGrid:
    """A map of square cells, each viewed or not.

    Args:
        width0: of the slide, level-0 pixels.
        height0: likewise.
        cell0: side of a cell, level-0 pixels.

    Attributes:
        cell0: as given.
        cells: (rows, columns) bool.
    """

    def __init__(self, width0: int, height0: int, cell0: int) -> None:
        self.cell0 = cell0
        self.cells = np.zeros((-(-height0 // cell0), -(-width0 // cell0)), bool)

    @classmethod
    def for_slide(cls, width0: int, height0: int, mpp: Mpp | None) -> Self:
        """An empty map with cells of about 64 µm."""
        cell0 = CELL_PX0 if mpp is None else max(1, round(CELL_UM / mpp.mean))
        return cls(width0, height0, max(cell0, -(-max(width0, height0) // LARGEST_SIDE)))

    @property
    def rect0(self) -> Rect0:
        """What the cells cover, level-0 pixels; a little more than the slide."""
        rows, columns = self.cells.shape
        return Rect0(0, 0, columns * self.cell0, rows * self.cell0)

    def mark(self, corners0: NDArray[np.float64]) -> bool:
        """Mark the cells whose middle lies in a view; whether any is new.

        Args:
            corners0: (4, 2) level-0 pixels, the corners of a rectangle in order around it.
        """
        rows, columns = self.cells.shape
        low = np.floor(corners0.min(axis=0) / self.cell0).astype(int)
        high = np.ceil(corners0.max(axis=0) / self.cell0).astype(int)
        left, right = np.clip((low[0], high[0]), 0, columns)
        top, bottom = np.clip((low[1], high[1]), 0, rows)
        if left >= right or top >= bottom:
            return False
        x = (np.arange(left, right) + 0.5) * self.cell0
        y = (np.arange(top, bottom)[:, None] + 0.5) * self.cell0
        inside = np.ones((bottom - top, right - left), bool)
        for start, end in zip(corners0, np.roll(corners0, -1, axis=0), strict=True):
            side = (end[0] - start[0]) * (y - start[1]) - (end[1] - start[1]) * (x - start[0])
            inside &= side >= 0
        part = self.cells[top:bottom, left:right]
        new = bool((inside & ~part).any())
        part |= inside
        return new

    def to_bytes(self) -> bytes:
        """For the store; small, since viewed parts hang together."""
        rows, columns = self.cells.shape
        packed = zlib.compress(np.packbits(self.cells).tobytes())
        return _HEADER.pack(_MAGIC, self.cell0, columns, rows) + packed

    @classmethod
    def from_bytes(cls, data: bytes, width0: int, height0: int) -> Self:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: the bytes are no map of a slide of this size.
        """
        if len(data) < _HEADER.size:
            raise ValueError("too short for a map of viewed cells")
        magic, cell0, columns, rows = _HEADER.unpack_from(data)
        if magic != _MAGIC or cell0 < 1:
            raise ValueError("not a map of viewed cells")
        grid = cls(width0, height0, cell0)
        if grid.cells.shape != (rows, columns):
            raise ValueError("a map of viewed cells of another slide")
        try:
            bits = np.frombuffer(zlib.decompress(data[_HEADER.size :]), np.uint8)
        except zlib.error as error:
            raise ValueError(f"a damaged map of viewed cells: {error}") from error
        if len(bits) != -(-rows * columns // 8):
            raise ValueError("a map of viewed cells with too few cells")
        grid.cells = np.unpackbits(bits, count=rows * columns).reshape(rows, columns).astype(bool)
        return grid
