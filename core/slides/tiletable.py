"""Looks at a TIFF slide's JPEG tiles without decoding them: are they whole?

fastslide 0.8.1 waits forever on a tile that is no JPEG and fills up a tile whose stream ends early
without a word (tried here with zeroed, overwritten and cut tiles of an SVS and a generic TIFF).
So before a window goes to it the tiles below the window are looked at, and whatever is not
plainly sound is left to OpenSlide, which reports damage.
"""

import re
import threading
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_JPEG = 7  # TIFF compression tag
_SOI, _EOI, _SOS = b"\xff\xd8", b"\xff\xd9", 0xDA
# Inside the entropy-coded part 0xFF is followed by 0x00, by a restart marker, or by a fill byte.
_FOREIGN_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_UNSEEN, _SOUND, _DOUBTFUL = 0, 1, 2


class TruncatedSlideError(Exception):
    """A tile lies beyond the end of the file."""


class TileTable:
    """Where the tiles of every level lie in the file; thread-safe.

    Args:
        path: a TIFF whose pages with the sizes in `level_dimensions` are tiled JPEG.
        level_dimensions: (width, height) of each level.

    Raises:
        ValueError: this is no TIFF with JPEG tiles on every level.
        TruncatedSlideError: the file ends before its last tile.
    """

    def __init__(self, path: Path, level_dimensions: tuple[tuple[int, int], ...]) -> None:
        pages = _jpeg_pages(path)
        try:
            self._levels = [pages[size] for size in level_dimensions]
        except KeyError as error:
            raise ValueError(f"no page with JPEG tiles for the level of {error} px") from error
        size = path.stat().st_size
        for offsets, counts, _, _ in self._levels:
            if offsets.size and int((offsets + counts).max()) > size:
                raise TruncatedSlideError
        self._seen = [np.zeros(len(offsets), np.uint8) for offsets, *_ in self._levels]
        self._path, self._lock = path, threading.Lock()
        self._file: BinaryIO | None = None  # opened for the first tile

    def sound(self, level: int, left: int, top: int, right: int, bottom: int) -> bool:
        """Whether every tile below the rectangle (level pixels, inside the level) is sound."""
        offsets, counts, tile, columns = self._levels[level]
        for row in range(top // tile[1], (bottom - 1) // tile[1] + 1):
            for column in range(left // tile[0], (right - 1) // tile[0] + 1):
                index = row * columns + column
                state = self._seen[level][index]
                if state == _UNSEEN:
                    data = self._bytes(int(offsets[index]), int(counts[index]))
                    state = _SOUND if is_sound_jpeg(data) else _DOUBTFUL
                    self._seen[level][index] = state
                if state == _DOUBTFUL:
                    return False
        return True

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _bytes(self, offset: int, count: int) -> bytes:
        with self._lock:
            if self._file is None:
                self._file = self._path.open("rb")
            self._file.seek(offset)
            return self._file.read(count)


def is_sound_jpeg(data: bytes) -> bool:
    """Whether `data` is one JPEG stream with whole headers, no foreign marker and an end."""
    if not data.startswith(_SOI):
        return False
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            return False
        at += 2 + length
        if marker == _SOS:
            end = _FOREIGN_MARKER.search(data, at)
            # Scanners pad a tile by a byte or two; progressive streams hold further headers and
            # count as doubtful, which only costs speed.
            return end is not None and end.group() == _EOI and len(data) - end.end() <= 2
    return False


_Page = tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, int], int]


def _jpeg_pages(path: Path) -> dict[tuple[int, int], _Page]:
    import tifffile  # a third of a second that a session without slides need not pay

    pages: dict[tuple[int, int], _Page] = {}
    try:
        with tifffile.TiffFile(path) as tiff:
            for page in tiff.pages:
                if not isinstance(page, tifffile.TiffPage):
                    continue
                size = (int(page.imagewidth), int(page.imagelength))
                if not page.is_tiled or int(page.compression) != _JPEG or size in pages:
                    continue
                tile = (int(page.tilewidth), int(page.tilelength))
                pages[size] = (
                    np.asarray(page.dataoffsets, np.int64),
                    np.asarray(page.databytecounts, np.int64),
                    tile,
                    -(-size[0] // tile[0]),
                )
    except (tifffile.TiffFileError, OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError("no TIFF that can be looked into") from error
    return {
        size: page
        for size, page in pages.items()
        if len(page[0]) == page[3] * -(-size[1] // page[2][1])
    }
