"""`mitoscope benchmark read`: our reader against OpenSlide and against bare JPEG decoding."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import openslide
import simplejpeg

from app.benchmarks.report import Taken, alternate, timed
from core.slides.backends import OpenSlidePixels
from core.slides.reader import Slide, open_slide
from core.slides.tiletable import TileTable

WINDOW_PX = 1024
#: An offset that is no multiple of a tile's side, as the windows of an analysis have it.
BETWEEN_TILES_PX = 96
Corner = tuple[int, int]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Reading:
    """Medians of reading the same windows of level 0 in three ways, with cold caches each.

    Attributes:
        windows: how many, of `window_px` a side.
        offset_px: of the first window from the corner of the first tile.
        tiles: distinct tiles under the windows.
        threads: of each way.
        backend: of our reader.
        reader_s: our reader.
        openslide_s: `openslide.read_region`, RGBA made RGB.
        jpeg_s: libjpeg-turbo (in simplejpeg) on the tiles' bytes in memory, each tile once, to RGB.
        times_openslide: how many times faster than OpenSlide our reader is.
        times_jpeg: how many times longer than bare decoding it takes.
        times_openslide_cpu, times_jpeg_cpu: the same by processor time, which other programs on
            the machine disturb less.
    """

    windows: int
    window_px: int
    offset_px: int
    tiles: int
    threads: int
    backend: str
    reader_s: float
    openslide_s: float
    jpeg_s: float
    times_openslide: float
    times_jpeg: float
    times_openslide_cpu: float
    times_jpeg_cpu: float


def measure_reading(
    path: Path,
    *,
    offset_px: int = 0,
    window_px: int = WINDOW_PX,
    threads: int = 2,
    repeats: int = 5,
) -> Reading:
    """Read all whole windows of a slide with JPEG tiles in three ways, alternated.

    Args:
        path: the slide.
        offset_px: where the first window begins; a multiple of the tile's side touches the
            fewest tiles.
        window_px: side of a window.
        threads: how many threads read.
        repeats: rounds; medians are reported.
    """
    with open_slide(path) as slide:
        backend = slide.backend
        size = (slide.width0, slide.height0)
    corners = _corners(size, offset_px, window_px)
    tiles = tiles_below(path, corners, window_px)

    def ours() -> Taken:
        # By the name of the backend that `auto` chose: choosing would warm the tile cache.
        with open_slide(path, backend=backend) as s:
            return _spread(lambda corner: _read_ours(s, corner, window_px), corners, threads)

    def reference() -> Taken:
        with openslide.OpenSlide(path) as s:
            return _spread(lambda corner: _read_openslide(s, corner, window_px), corners, threads)

    def bare() -> Taken:
        return _spread(_decode, tiles, threads)

    taken = alternate({"ours": ours, "openslide": reference, "jpeg": bare}, repeats)
    mine, reference_taken, jpeg = taken["ours"], taken["openslide"], taken["jpeg"]
    return Reading(
        windows=len(corners),
        window_px=window_px,
        offset_px=offset_px,
        tiles=len(tiles),
        threads=threads,
        backend=backend,
        reader_s=mine.wall_s,
        openslide_s=reference_taken.wall_s,
        jpeg_s=jpeg.wall_s,
        times_openslide=reference_taken.wall_s / mine.wall_s,
        times_jpeg=mine.wall_s / jpeg.wall_s,
        times_openslide_cpu=reference_taken.cpu_s / mine.cpu_s,
        times_jpeg_cpu=mine.cpu_s / jpeg.cpu_s,
    )


def tiles_below(path: Path, corners: Sequence[Corner], window_px: int) -> list[bytes]:
    """The JPEG stream of every level-0 tile that one of the windows touches, each once."""
    reference = OpenSlidePixels(path)
    table = TileTable(path, reference.level_dimensions)
    tiles = table.levels[0]
    wide, high = tiles.width_px, tiles.height_px
    wanted = {
        row * tiles.columns + column
        for x0, y0 in corners
        for row in range(y0 // high, (y0 + window_px - 1) // high + 1)
        for column in range(x0 // wide, (x0 + window_px - 1) // wide + 1)
    }
    try:
        streams = [table.stream(0, index) for index in sorted(wanted)]
    finally:
        table.close()
        reference.close()
    return [stream for stream in streams if stream is not None]


def _corners(size: tuple[int, int], offset_px: int, window_px: int) -> list[Corner]:
    columns = range(offset_px, size[0] - window_px + 1, window_px)
    rows = range(offset_px, size[1] - window_px + 1, window_px)
    return [(x0, y0) for y0 in rows for x0 in columns]


def _spread(work: Callable[[Item], None], items: Sequence[Item], threads: int) -> Taken:
    def all_of_them() -> None:
        for _ in pool.map(work, items):
            pass

    with ThreadPoolExecutor(threads) as pool:
        return timed(all_of_them)


def _read_ours(slide: Slide, corner: Corner, window_px: int) -> None:
    slide.read_level(0, *corner, window_px, window_px)


def _read_openslide(handle: openslide.OpenSlide, corner: Corner, window_px: int) -> None:
    np.asarray(handle.read_region(corner, 0, (window_px, window_px)).convert("RGB"))


def _decode(tile: bytes) -> None:
    simplejpeg.decode_jpeg(tile)
