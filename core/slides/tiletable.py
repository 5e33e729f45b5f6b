"""Where the JPEG tiles of a TIFF slide lie, their bytes, and whether they are whole.

fastslide 0.8.1 waits forever on a tile that is no JPEG and fills up a tile whose stream ends early
without a word (tried here with zeroed, overwritten and cut tiles of an SVS and a generic TIFF).
So before a window goes to it the tiles below the window are looked at, and whatever is not
plainly sound is left to OpenSlide, which reports damage.
"""

import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_JPEG = 7  # TIFF compression tag
_CONTIGUOUS = 1  # TIFF planar configuration
# TIFF photometric tag (RGB, YCbCr) to the colour transform of Adobe's APP14 segment, which begins
# so and ends with it (libjpeg.txt, "Special markers").
_ADOBE_TRANSFORMS = {2: 0, 6: 1}
_ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
_SOI, _EOI, _SOS = b"\xff\xd8", b"\xff\xd9", 0xDA
# Inside the entropy-coded part 0xFF is followed by 0x00, by a restart marker, or by a fill byte.
_FOREIGN_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_UNSEEN, _SOUND, _DOUBTFUL = 0, 1, 2


class TruncatedSlideError(Exception):
    """A tile lies beyond the end of the file."""


@dataclass(frozen=True, slots=True)
class TileLevel:
    """The tiles of one level, row by row.

    Attributes:
        offsets, counts: (N,) int64, bytes from the file's start and bytes; 0 bytes: left out.
        width_px, height_px: of a tile; those at the edges reach beyond the level.
        columns: tiles in a row.
        header: what replaces a tile's first two bytes to make it a stream of its own (tables that
            all tiles share, and whether they hold RGB or YCbCr); None for other colours.
    """

    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    width_px: int
    height_px: int
    columns: int
    header: bytes | None


class TileTable:
    """Where the tiles of every level lie in the file; thread-safe.

    Args:
        path: a TIFF whose pages with the sizes in `level_dimensions` are tiled JPEG.
        level_dimensions: (width, height) of each level.

    Attributes:
        levels: the tiles of each level.

    Raises:
        ValueError: this is no TIFF with JPEG tiles on every level.
        TruncatedSlideError: the file ends before its last tile.
    """

    def __init__(self, path: Path, level_dimensions: tuple[tuple[int, int], ...]) -> None:
        pages = _jpeg_pages(path)
        try:
            self.levels = tuple(pages[size] for size in level_dimensions)
        except KeyError as error:
            raise ValueError(f"no page with JPEG tiles for the level of {error} px") from error
        size = path.stat().st_size
        for tiles in self.levels:
            if tiles.offsets.size and int((tiles.offsets + tiles.counts).max()) > size:
                raise TruncatedSlideError
        self._seen = [np.zeros(len(tiles.offsets), np.uint8) for tiles in self.levels]
        self._path, self._lock = path, threading.Lock()
        self._file: BinaryIO | None = None  # opened for the first tile

    def sound(self, level: int, left: int, top: int, right: int, bottom: int) -> bool:
        """Whether every tile below the rectangle (level pixels, inside the level) is sound."""
        tiles = self.levels[level]
        for row in range(top // tiles.height_px, (bottom - 1) // tiles.height_px + 1):
            for column in range(left // tiles.width_px, (right - 1) // tiles.width_px + 1):
                index = row * tiles.columns + column
                state = self._seen[level][index]
                if state == _UNSEEN:
                    try:
                        data = self._bytes(int(tiles.offsets[index]), int(tiles.counts[index]))
                    except OSError:
                        return False  # OpenSlide reads the same place next and says what is wrong
                    state = _SOUND if is_sound_jpeg(data) else _DOUBTFUL
                    self._seen[level][index] = state
                if state == _DOUBTFUL:
                    return False
        return True

    def stream(self, level: int, index: int) -> bytes | None:
        """A tile as a JPEG stream of its own, or None where it was left out or is no JPEG.

        Raises:
            OSError: the file cannot be read.
        """
        tiles = self.levels[level]
        data = self._bytes(int(tiles.offsets[index]), int(tiles.counts[index]))
        if tiles.header is None or not data.startswith(_SOI):
            return None
        return tiles.header + data[2:]

    def close(self) -> None:
        """Close the file; the next tile opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _bytes(self, offset: int, count: int) -> bytes:
        with self._lock:
            if self._file is None:
                self._file = self._path.open("rb", buffering=0)
            file = self._file
            if not hasattr(os, "pread"):  # Windows: one file position for all threads
                file.seek(offset)
                return file.read(count)
        return os.pread(file.fileno(), count, offset)


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


def _jpeg_pages(path: Path) -> dict[tuple[int, int], TileLevel]:
    import tifffile  # a third of a second that a session without slides need not pay

    pages: dict[tuple[int, int], TileLevel] = {}
    try:
        with tifffile.TiffFile(path) as tiff:
            for page in tiff.pages:
                if not isinstance(page, tifffile.TiffPage):
                    continue
                size = (int(page.imagewidth), int(page.imagelength))
                if page.is_tiled and int(page.compression) == _JPEG and size not in pages:
                    pages[size] = _tile_level(page)
    except (tifffile.TiffFileError, OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError("no TIFF that can be looked into") from error
    return {
        (width, height): tiles
        for (width, height), tiles in pages.items()
        if len(tiles.offsets) == tiles.columns * -(-height // tiles.height_px)
    }


def _tile_level(page: Any) -> TileLevel:
    """The tiles of a `tifffile.TiffPage`."""
    transform = _ADOBE_TRANSFORMS.get(int(page.photometric))
    plain = int(page.samplesperpixel) == 3 and int(page.bitspersample) == 8
    header = None
    if plain and transform is not None and int(page.planarconfig) == _CONTIGUOUS:
        tables = bytes(page.jpegtables or b"")
        # Without its own start and end; the marker says what libjpeg would otherwise guess, so
        # that the tag of the TIFF decides, as OpenSlide has it.
        header = _SOI + _ADOBE + bytes([transform]) + tables[2:-2]
    return TileLevel(
        offsets=np.asarray(page.dataoffsets, np.int64),
        counts=np.asarray(page.databytecounts, np.int64),
        width_px=int(page.tilewidth),
        height_px=int(page.tilelength),
        columns=-(-int(page.imagewidth) // int(page.tilewidth)),
        header=header,
    )
