"""Small slides for the tests, and ways to damage them."""

from itertools import product
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from core.slides.pyramid import write_pyramid


def textured(height: int, width: int, seed: int = 0, cell: int = 6) -> np.ndarray:
    """Pink and purple blotches of about `cell` px: enough detail to notice a shift of one pixel."""
    rng = np.random.default_rng(seed)
    small = rng.random((height // cell + 2, width // cell + 2)).astype(np.float32)
    grey = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    eosin, nuclei = np.array([225.0, 160, 195]), np.array([90.0, 60, 130])
    mixed = eosin + (nuclei - eosin) * np.clip(grey, 0, 1)[..., None]
    return mixed.round().astype(np.uint8)


def make_slide(path: Path, rgb: np.ndarray | None = None, mpp=0.25, **options) -> Path:
    write_pyramid(path, textured(1300, 1500) if rgb is None else rgb, mpp, **options)
    return path


def tile_spans(path: Path, level: int = 0) -> list[tuple[int, int]]:
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[level]
        return list(zip(page.dataoffsets, page.databytecounts, strict=True))


def damage_tile(path: Path, index: int, how: str = "zero", level: int = 0) -> None:
    """Overwrite a tile: with zeros, with noise, its second half, or its headers."""
    offset, count = tile_spans(path, level)[index]
    data = bytearray(path.read_bytes())
    half = count // 2
    new = {
        "zero": bytes(count),
        "noise": np.random.default_rng(0).bytes(count),
        "half": bytes(data[offset : offset + half]) + bytes(count - half),
        "header": bytes(data[offset : offset + 2]) + bytes(30) + data[offset + 32 : offset + count],
    }[how]
    data[offset : offset + count] = new
    path.write_bytes(data)


def box_average(rgb: np.ndarray, factor: int) -> np.ndarray:
    height, width = (n // factor * factor for n in rgb.shape[:2])
    parts = [
        rgb[y:height:factor, x:width:factor].astype(float)
        for y, x in product(range(factor), repeat=2)
    ]
    return sum(parts) / len(parts)
