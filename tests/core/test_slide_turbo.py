import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import product

import numpy as np
import pytest
import tifffile
from PIL import Image
from slidefiles import make_slide, textured

from core.errors import SlideError
from core.slides.backends import OpenSlidePixels
from core.slides.decodedtiles import BLOCKS, DecodedTiles
from core.slides.reader import open_slide
from core.slides.tiletable import TileTable
from core.slides.turbo import TurboPixels

RGB = textured(700, 900, seed=5)
TILE_PX = 128


def jpeg_parts(pixels, rgb):
    """A tile without its tables, and the tables alone, as Aperio and libtiff write them."""
    file = BytesIO()
    Image.fromarray(pixels).save(
        file, "JPEG", quality=80, subsampling=0 if rgb else 2, keep_rgb=rgb
    )
    data, at, tables, rest = file.getvalue(), 2, b"", b""
    while data[at + 1] != 0xDA:
        size = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] in (0xDB, 0xC4):
            tables += data[at : at + size]
        elif data[at + 1] not in (0xE0, 0xEE):  # leave out what JFIF and Adobe say of colours
            rest += data[at : at + size]
        at += size
    return b"\xff\xd8" + rest + data[at:], b"\xff\xd8" + tables + b"\xff\xd9"


def write_with_tables(path, *, rgb, bigtiff):
    """A tiled TIFF whose tiles share their tables, in RGB or in YCbCr 4:2:0."""
    rows, columns = -(-RGB.shape[0] // TILE_PX), -(-RGB.shape[1] // TILE_PX)
    padded = np.pad(
        RGB,
        [(0, rows * TILE_PX - RGB.shape[0]), (0, columns * TILE_PX - RGB.shape[1]), (0, 0)],
        mode="edge",
    )
    parts = [
        jpeg_parts(
            padded[y * TILE_PX : (y + 1) * TILE_PX, x * TILE_PX : (x + 1) * TILE_PX].copy(), rgb
        )
        for y, x in product(range(rows), range(columns))
    ]
    tables = parts[0][1]
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
        tiff.write(
            iter([tile for tile, _ in parts]),
            shape=RGB.shape,
            dtype=np.uint8,
            tile=(TILE_PX, TILE_PX),
            photometric="rgb",
            compression="zlib",  # in name: tifffile takes ready tiles only for codecs that it has
            extratags=[
                (347, 7, len(tables), tables, True),
                *([] if rgb else [(530, 3, 2, (2, 2), True)]),
            ],
            metadata=None,
        )
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags[259].overwrite(7)  # JPEG
        tiff.pages[0].tags[262].overwrite(2 if rgb else 6)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("rgb", [False, True])
def test_tiles_that_share_tables_have_openslides_pixels(tmp_path, rgb, bigtiff):
    path = tmp_path / "s.tif"
    write_with_tables(path, rgb=rgb, bigtiff=bigtiff)
    with open_slide(path, mpp=0.25) as slide, open_slide(path, backend="openslide") as reference:
        assert slide.backend == "turbo", slide.backend_note
        whole = slide.read_level(0, 0, 0, 900, 700)
        assert (whole == reference.read_level(0, 0, 0, 900, 700)).all()
        assert np.abs(whole.astype(int) - RGB).mean() < 4


def test_every_level_and_edge_has_openslides_pixels(tmp_path):
    path = make_slide(tmp_path / "s.tif", subsampled=True, downsamples=(1, 2, 4))
    reference = OpenSlidePixels(path)
    turbo = TurboPixels(reference, TileTable(path, reference.level_dimensions))
    rng = np.random.default_rng(0)
    for level, (width, height) in enumerate(reference.level_dimensions):
        for _ in range(12):
            left, top = int(rng.integers(-99, width)), int(rng.integers(-99, height))
            place = (level, left, top, int(rng.integers(1, 600)), int(rng.integers(1, 600)))
            assert (turbo.read(*place) == reference.read(*place)).all(), place
    turbo.close()
    reference.close()


def test_a_tile_that_was_left_out_is_background(tmp_path):
    path = make_slide(tmp_path / "s.tif", RGB, downsamples=(1,))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for tag in (324, 325):
            values = list(tiff.pages[0].tags[tag].value)
            values[5] = 0  # the second of the second row
            tiff.pages[0].tags[tag].overwrite(values)
    with (
        open_slide(path, backend="turbo") as slide,
        open_slide(path, backend="openslide") as reference,
    ):
        whole = slide.read_level(0, 0, 0, 900, 700)
        assert (whole[256:512, 256:512] == 255).all()
        assert (whole == reference.read_level(0, 0, 0, 900, 700)).all()


def test_a_background_in_colour_shows_beyond_the_edge(tmp_path):
    path = make_slide(tmp_path / "s.tif", RGB)
    reference = OpenSlidePixels(path)
    reference.background = (10, 20, 30)
    turbo = TurboPixels(reference, TileTable(path, reference.level_dimensions))
    assert (turbo.read(0, -50, -50, 20, 20) == (10, 20, 30)).all()
    window = turbo.read(0, -5, 695, 20, 20)
    assert (window[:, :5] == (10, 20, 30)).all()
    assert (window[5:] == (10, 20, 30)).all()
    turbo.close()
    reference.close()


def test_turbo_by_force_wants_jpeg_tiles(tmp_path):
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, RGB, tile=(128, 128), photometric="rgb")
    with pytest.raises(SlideError, match="no TIFF with JPEG tiles"):
        open_slide(path, backend="turbo")
    with open_slide(path) as slide:
        assert slide.backend == "openslide"


def filled(value):
    def decode(out):
        out[:] = value

    return decode


def test_decoded_tiles_are_kept_within_the_limit():
    tiles = DecodedTiles(BLOCKS * 400)  # four tiles of 100 bytes a block
    for key in range(100):
        assert (tiles.get(key, (10, 10, 1), filled(key)) == key).all()
        assert len(tiles) <= BLOCKS * 4
    assert len(tiles) > (BLOCKS - 1) * 4
    calls = []
    for key in (99, 70, 0):
        tiles.get(key, (10, 10, 1), lambda out, key=key: calls.append(key))
    assert calls == [0]
    tiles.clear()
    assert len(tiles) == 0
    large = tiles.get("large", (1000, 1), filled(7))
    assert (large == 7).all()
    assert not large.flags.writeable


def test_two_threads_do_not_decode_the_same_tile():
    tiles, calls = DecodedTiles(1 << 20), []
    begun = threading.Event()

    def decode(out):
        calls.append(1)
        begun.set()
        time.sleep(0.05)
        out[:] = 3

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(tiles.get, 1, (4, 4, 3), decode)
        assert begun.wait(5)
        others = [pool.submit(tiles.get, 1, (4, 4, 3), decode) for _ in range(3)]
        assert all((answer.result() == 3).all() for answer in [first, *others])
    assert len(calls) == 1


def test_a_failure_is_told_and_tried_again():
    tiles = DecodedTiles(1 << 20)

    def fail(out):
        raise SlideError("damaged")

    for _ in range(2):
        with pytest.raises(SlideError, match="damaged"):
            tiles.get(1, (4, 4, 3), fail)
    assert (tiles.get(1, (4, 4, 3), filled(9)) == 9).all()
