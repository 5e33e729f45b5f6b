"""Write an RGB picture as a pyramidal, tiled JPEG TIFF that every slide reader opens.

Used for the demo slide and for real fields stitched into a slide; it is not an export of slides.
The few TIFF tags are written here because tifffile writes JPEG only with a 60 MB codec package.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import SlideError

UM_PER_CM = 10_000
# TIFF 6.0 field types (section 2) and BigTIFF's 64-bit integer.
_ASCII, _SHORT, _LONG, _RATIONAL, _LONG8 = 2, 3, 4, 5, 16
_STRUCT = {_ASCII: "s", _SHORT: "H", _LONG: "I", _RATIONAL: "II", _LONG8: "Q"}


def write_pyramid(
    path: Path,
    rgb: NDArray[np.uint8],
    mpp: float | tuple[float, float] | None,
    *,
    downsamples: Sequence[int] = (1, 4, 16),
    tile_px: int = 256,
    quality: int = 90,
    subsampled: bool = False,
    threads: int = 2,
) -> None:
    """Write `rgb` as a generic pyramidal BigTIFF; the same input gives the same bytes.

    Tiles are cut, encoded and written one after the other, so beyond `rgb` (which may be a
    `numpy.memmap`) and one coarser level little memory is needed. Coarser levels are box averages
    of level 0 with whole-number factors; a remainder at the right and lower edge is averaged over
    the pixels that exist.

    Args:
        path: file to write; replaced if it exists.
        rgb: (H, W, 3) uint8 sRGB.
        mpp: µm per level-0 pixel, one number or (x, y), written as pixels per centimetre, which
            OpenSlide turns into `openslide.mpp-x` and `-y`; None writes no resolution.
        downsamples: whole-number factors of the levels; the first is 1.
        tile_px: side of a tile in pixels, a multiple of 16.
        quality: JPEG quality, 1 to 95.
        subsampled: chroma 4:2:0 as scanners write it; False keeps 4:4:4.
        threads: encoding threads.

    Raises:
        SlideError: the file cannot be written.
    """
    encoding = _Encoding(tuple(downsamples), tile_px, quality, subsampled, threads)
    _write(path, rgb, rgb.shape[:2], mpp, encoding)


def write_repeated(
    path: Path, rgb: NDArray[np.uint8], width0: int, height0: int, mpp: float | None
) -> None:
    """Write a large slide that shows `rgb` over and over, for measurements; cheap in time and disk.

    The file holds each tile of `rgb` once, chroma 4:2:0, and names it wherever it shows. Readers
    decode every place anew all the same, since they know tiles by their places.

    Args:
        path: file to write; replaced if it exists.
        rgb: (H, W, 3) uint8 sRGB; H and W are multiples of 4096, so that tiles of every level
            repeat.
        width0: of the slide in pixels.
        height0: likewise.
        mpp: µm per level-0 pixel, or None.

    Raises:
        SlideError: the file cannot be written.
    """
    encoding = _Encoding((1, 4, 16), 256, 90, True, 2)
    if any(side % (encoding.tile_px * encoding.downsamples[-1]) for side in rgb.shape[:2]):
        raise ValueError("the sides are multiples of 4096 px")
    _write(path, rgb, (height0, width0), mpp, encoding)


@dataclass(frozen=True, slots=True)
class _Encoding:
    downsamples: tuple[int, ...]
    tile_px: int
    quality: int
    subsampled: bool
    threads: int


def _write(
    path: Path,
    rgb: NDArray[np.uint8],
    size0: tuple[int, ...],
    mpp: float | tuple[float, float] | None,
    encoding: _Encoding,
) -> None:
    """Write `rgb`, repeated where the slide of `size0` (height, width) is larger."""
    tile_px = encoding.tile_px
    if encoding.downsamples[:1] != (1,) or tile_px % 16:
        raise ValueError("levels start with 1 and tiles are multiples of 16 px")
    try:
        with path.open("wb") as file, ThreadPoolExecutor(max_workers=encoding.threads) as pool:
            file.write(b"II" + struct.pack("<HHHQ", 43, 8, 0, 0))
            link = 8  # where the offset of the next directory must be written
            for factor in encoding.downsamples:
                level = rgb if factor == 1 else _box_reduce(rgb, factor)
                spans = []
                for tile in _encoded_tiles(
                    level, tile_px, encoding.quality, encoding.subsampled, pool
                ):
                    spans.append((file.tell(), len(tile)))
                    file.write(tile)
                height, width = (-(-side // factor) for side in size0)
                held = [-(-side // tile_px) for side in level.shape[:2]]
                spans = [
                    spans[row % held[0] * held[1] + column % held[1]]
                    for row in range(-(-height // tile_px))
                    for column in range(-(-width // tile_px))
                ]
                tags = _tags((height, width), tile_px, encoding.subsampled, spans, mpp, factor)
                link = _write_directory(file, tags, link)
    except OSError as error:
        raise SlideError(f"Cannot write the slide {path}: {error.strerror or error}.") from error


_Tag = tuple[int, int, list[int] | bytes]


def _tags(
    shape: tuple[int, ...],
    tile_px: int,
    subsampled: bool,
    spans: list[tuple[int, int]],
    mpp: float | tuple[float, float] | None,
    factor: int,
) -> list[_Tag]:
    """The directory of one level; numbers are those of TIFF 6.0 and its JPEG supplement."""
    tags: list[_Tag] = [
        (254, _LONG, [int(factor > 1)]),  # NewSubfileType: reduced resolution
        (256, _LONG, [shape[1]]),
        (257, _LONG, [shape[0]]),
        (258, _SHORT, [8, 8, 8]),  # BitsPerSample
        (259, _SHORT, [7]),  # Compression: JPEG, whole streams with their own tables
        (262, _SHORT, [6]),  # PhotometricInterpretation: YCbCr
        (277, _SHORT, [3]),  # SamplesPerPixel
        (284, _SHORT, [1]),  # PlanarConfiguration: interleaved
        (305, _ASCII, b"mitoscope\0"),
        (322, _LONG, [tile_px]),
        (323, _LONG, [tile_px]),
        (324, _LONG8, [offset for offset, _ in spans]),
        (325, _LONG8, [size for _, size in spans]),
        (530, _SHORT, [2, 2] if subsampled else [1, 1]),  # YCbCrSubSampling
    ]
    if mpp is not None:
        for tag, value in zip(
            (282, 283), mpp if isinstance(mpp, tuple) else (mpp, mpp), strict=True
        ):
            per_cm = Fraction(UM_PER_CM / (value * factor)).limit_denominator(10_000)
            tags.append((tag, _RATIONAL, [per_cm.numerator, per_cm.denominator]))
        tags.append((296, _SHORT, [3]))  # ResolutionUnit: centimetre
    return sorted(tags, key=lambda tag: tag[0])


def _write_directory(file: BinaryIO, tags: list[_Tag], link: int) -> int:
    """Append a BigTIFF directory, point `link` to it, and return where the next link goes."""
    entries = []
    for tag, kind, values in tags:
        if isinstance(values, bytes):
            count, data = len(values), values
        else:
            count = len(values) // 2 if kind == _RATIONAL else len(values)
            data = struct.pack(f"<{_STRUCT[kind] * count}", *values)
        if len(data) > 8:  # only eight bytes fit into the entry itself
            offset = file.tell()
            file.write(data)
            data = struct.pack("<Q", offset)
        entries.append(struct.pack("<HHQ", tag, kind, count) + data.ljust(8, b"\0"))
    start = file.tell()
    file.write(struct.pack("<Q", len(entries)) + b"".join(entries) + struct.pack("<Q", 0))
    end = file.tell()
    file.seek(link)
    file.write(struct.pack("<Q", start))
    file.seek(end)
    return end - 8


def _box_reduce(rgb: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    out = np.empty((-(-height // factor), -(-width // factor), 3), np.uint8)
    rows = 16 * factor
    for top in range(0, height, rows):
        # Bands keep the working memory small; their height is a multiple of the factor, so no
        # output pixel crosses a band.
        band = Image.fromarray(np.ascontiguousarray(rgb[top : top + rows]))
        small = np.asarray(band.reduce(factor))
        out[top // factor : top // factor + small.shape[0]] = small
    return out


def _encoded_tiles(
    level: NDArray[np.uint8], tile_px: int, quality: int, subsampled: bool, pool: ThreadPoolExecutor
) -> Iterator[bytes]:
    height, width = level.shape[:2]

    def encode(corner: tuple[int, int]) -> bytes:
        top, left = corner
        tile = level[top : top + tile_px, left : left + tile_px]
        short = ((0, tile_px - tile.shape[0]), (0, tile_px - tile.shape[1]), (0, 0))
        padded = np.pad(tile, short, mode="edge") if any(s[1] for s in short) else tile
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(padded)).save(
            buffer, "JPEG", quality=quality, subsampling=2 if subsampled else 0
        )
        return buffer.getvalue()

    corners = (
        (top, left) for top in range(0, height, tile_px) for left in range(0, width, tile_px)
    )
    while batch := list(islice(corners, 64)):
        yield from pool.map(encode, batch)
