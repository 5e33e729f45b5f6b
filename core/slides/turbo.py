"""The JPEG tiles of a TIFF slide, decoded here: OpenSlide's pixels without its detours.

OpenSlide decodes with libjpeg-turbo too, but goes through premultiplied BGRA and cairo, and its
calls return RGBA that has to become RGB. simplejpeg is libjpeg-turbo that decodes straight into
RGB, without the interpreter's lock, and with the slow DCT and the smooth chroma upsampling that
OpenSlide uses: the same pixels to the last bit, which `open_slide` verifies on samples.
"""

from functools import partial

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from core.slides.backends import OpenSlidePixels, SlideReadError
from core.slides.decodedtiles import DecodedTiles
from core.slides.tiletable import TileTable

# Of decoded tiles, for each open slide: some five windows of the detector with their borders, so
# that neighbouring windows and the crops of their candidates find their tiles decoded.
CACHE_BYTES = 128 << 20


class TurboPixels:
    """libjpeg-turbo on the slide's own tiles; whatever is not plainly sound OpenSlide reads.

    Args:
        reference: reads tiles that were left out or do not decode, and decides what is damaged.
        tiles: where the tiles lie, or None where the format has no table of JPEG tiles.
        cache_bytes: limit of the decoded tiles that are kept.

    Raises:
        SlideReadError: no table, or the tiles hold neither RGB nor YCbCr.
    """

    def __init__(
        self,
        reference: OpenSlidePixels,
        tiles: TileTable | None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if tiles is None or any(level.header is None for level in tiles.levels):
            raise SlideReadError("It is no TIFF with JPEG tiles in RGB or YCbCr.")
        self._reference, self._tiles = reference, tiles
        colour = reference.background
        # A grey is filled in ten times as fast as a colour.
        self._background = np.array(colour if len(set(colour)) > 1 else colour[:1], np.uint8)
        self._decoded = DecodedTiles(cache_bytes)

    def read(self, level: int, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """See `PixelSource.read`."""
        level_width, level_height = self._reference.level_dimensions[level]
        x, y = max(0, left), max(0, top)
        right, bottom = min(level_width, left + width), min(level_height, top + height)
        out = np.empty((height, width, 3), np.uint8)
        if x >= right or y >= bottom:
            out[:] = self._background
            return out
        # Only the margins: to fill the whole window first is a second pass over its memory.
        for margin in (
            out[: y - top],
            out[bottom - top :],
            out[y - top : bottom - top, : x - left],
            out[y - top : bottom - top, right - left :],
        ):
            margin[:] = self._background
        tiles = self._tiles.levels[level]
        wide, high = tiles.width_px, tiles.height_px
        for row in range(y // high, (bottom - 1) // high + 1):
            y_from, y_to = max(y, row * high), min(bottom, (row + 1) * high)
            for column in range(x // wide, (right - 1) // wide + 1):
                x_from, x_to = max(x, column * wide), min(right, (column + 1) * wide)
                decode = partial(self._decode, level, row, column)
                tile = self._decoded.get((level, row, column), (high, wide, 3), decode)
                out[y_from - top : y_to - top, x_from - left : x_to - left] = tile[
                    y_from - row * high : y_to - row * high,
                    x_from - column * wide : x_to - column * wide,
                ]
        return out

    def close(self) -> None:
        """See `PixelSource.close`."""
        self._decoded.clear()
        self._tiles.close()

    def _decode(self, level: int, row: int, column: int, out: NDArray[np.uint8]) -> None:
        """Write a tile's pixels, (height, width, 3)."""
        try:
            stream = self._tiles.stream(level, row * self._tiles.levels[level].columns + column)
            if stream is not None:
                # strict: warnings (a stream that ends early) are errors, as in OpenSlide. The
                # buffer keeps a damaged header from asking for gigabytes.
                decoded = simplejpeg.decode_jpeg(stream, "RGB", buffer=out, strict=True)
                if decoded.shape == out.shape:
                    return
        except (ValueError, OSError):
            pass  # OpenSlide reads the same place next and says what is wrong
        high, wide, _ = out.shape
        out[:] = self._reference.read(level, column * wide, row * high, wide, high)
