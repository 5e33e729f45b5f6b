import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from slidefiles import damage_tile, make_slide, textured

from core.errors import PixelSizeError
from core.geometry import Rect0, area_mm2
from core.slides.focus import is_blurred, sharpness
from core.slides.reader import open_slide
from core.slides.tissue import find_tissue, tissue_colours

needs_data = pytest.mark.skipif("MITOSCOPE_DATA" not in os.environ, reason="no MITOSCOPE_DATA")
GLASS = (243, 243, 242)
COLOURS = {
    "eosin": (225, 150, 190),
    "pale eosin": (244, 228, 238),
    "nuclei": (95, 70, 140),
    "blood": (205, 85, 95),
    "deep blue nuclei": (70, 60, 120),
    "white": (255, 255, 255),
    "glass": GLASS,
    "grey glass edge": (150, 150, 152),
    "black": (5, 5, 5),
    "black pen": (45, 42, 50),
    "blue pen": (30, 60, 190),
    "green pen": (40, 150, 80),
    "red pen": (215, 20, 35),
}
TISSUE = {"eosin", "pale eosin", "nuclei", "blood", "deep blue nuclei"}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_of_tissue_and_of_other_things(name):
    rgb = np.full((40, 40, 3), GLASS, np.uint8)
    rgb[10:30, 10:30] = COLOURS[name]
    found = tissue_colours(rgb)
    assert found[10:30, 10:30].all() == (name in TISSUE)
    assert not found[:10].any()


@pytest.mark.parametrize("name", COLOURS)
def test_a_field_of_one_colour_is_all_or_nothing(name):
    rgb = np.full((40, 40, 3), COLOURS[name], np.uint8)
    assert tissue_colours(rgb).mean() == (name in TISSUE)


def tissue_of(tmp_path, rgb, **options):
    with open_slide(make_slide(tmp_path / "s.tif", rgb, **options)) as slide:
        return find_tissue(slide), slide


@pytest.mark.parametrize("downsamples", [(1,), (1, 4, 16)])
def test_a_piece_of_tissue_is_found_where_it_lies(tmp_path, downsamples):
    rgb = np.full((2560, 3200, 3), GLASS, np.uint8)
    rgb[640:1920, 960:2240] = textured(1280, 1280)
    tissue, slide = tissue_of(tmp_path, rgb, downsamples=downsamples)
    assert tissue.mask.shape == (40, 50)
    assert tissue.um_per_px == 16
    assert (tissue.cell0_x, tissue.cell0_y) == (64, 64)
    assert tissue.area_mm2 == pytest.approx(0.32**2, rel=0.02)
    assert tissue.fraction(Rect0(960, 640, 1280, 1280)) == pytest.approx(1)
    assert tissue.fraction(Rect0(0, 0, 900, 600)) == 0
    assert tissue.fraction(Rect0(-5000, 0, 100, 100)) == 0
    assert tissue.fraction(Rect0(960 - 32, 1000, 64, 64)) == pytest.approx(0.5)
    polygon = tissue.polygon0()
    assert area_mm2(polygon, slide.mpp) == pytest.approx(tissue.area_mm2)
    assert polygon.bounds == pytest.approx((960, 640, 2240, 1920))


def test_a_level_as_coarse_as_the_cells_will_do(tmp_path):
    rgb = np.full((2560, 3200, 3), GLASS, np.uint8)
    rgb[640:1920, 960:2240] = textured(1280, 1280)
    tissue, _ = tissue_of(tmp_path, rgb, downsamples=(1, 64))
    # JPEG smears colour across a pixel of that level, so the border is a cell wide.
    assert tissue.area_mm2 == pytest.approx(0.32**2, rel=0.06)
    assert tissue.fraction(Rect0(1024, 704, 1150, 1150)) == 1


def test_a_slide_without_tissue_has_none(tmp_path):
    tissue, _ = tissue_of(tmp_path, np.full((900, 900, 3), GLASS, np.uint8))
    assert tissue.area_mm2 == 0
    assert not tissue.mask.any()
    assert tissue.polygon0().is_empty


def test_all_tissue_is_all_tissue_and_no_more_than_the_slide(tmp_path):
    tissue, slide = tissue_of(tmp_path, textured(1300, 1500))
    assert tissue.mask.all()
    assert tissue.area_mm2 == pytest.approx(1300 * 1500 * 0.0625 / 1e6)
    assert tissue.fraction(slide.bounds) == pytest.approx(1)


def test_unequal_axes_keep_cells_square_in_um(tmp_path):
    tissue, _ = tissue_of(tmp_path, textured(1280, 1280), mpp=(0.25, 0.5))
    assert (tissue.cell0_x, tissue.cell0_y) == pytest.approx((64, 32))
    assert tissue.area_mm2 == pytest.approx(1280**2 * 0.125 / 1e6)


def test_what_cannot_be_read_is_tried_as_tissue(tmp_path):
    path = make_slide(
        tmp_path / "s.tif", np.full((2048, 2048, 3), GLASS, np.uint8), downsamples=(1,)
    )
    damage_tile(path, 18)  # x 512..768, y 512..768
    with open_slide(path) as slide:
        tissue = find_tissue(slide)
    assert tissue.fraction(Rect0(512, 512, 256, 256)) == 1
    assert tissue.fraction(Rect0(1024, 0, 1024, 2048)) == 0


def test_tissue_needs_a_pixel_size(tmp_path):
    with pytest.raises(PixelSizeError):
        tissue_of(tmp_path, textured(300, 300), mpp=None)


def test_blur_is_noticed_and_glass_is_not_blurred():
    sharp = textured(600, 600, cell=3)
    assert not is_blurred(sharp, 0.25)
    assert is_blurred(ndimage.gaussian_filter(sharp, (4, 4, 0)), 0.25)
    assert sharpness(np.full((300, 300, 3), 240, np.uint8), 0.25) is None
    assert not is_blurred(np.full((300, 300, 3), 240, np.uint8), 0.25)
    assert sharpness(sharp[:40, :50], 0.25) is not None


@pytest.mark.real
@needs_data
@pytest.mark.parametrize("scale", [1, 2])
def test_real_frames_are_tissue_and_sharp_until_blurred(scale):
    folder = Path(os.environ["MITOSCOPE_DATA"]) / "fields" / "atypia14"
    for path in sorted(folder.glob("*.webp"))[::40]:
        with Image.open(path) as image:
            frame = np.asarray(image.convert("RGB"))[:768, :768]
        cells = Image.fromarray(frame).reduce(64)
        assert tissue_colours(np.asarray(cells)).mean() > 0.9, path.name
        blurred = ndimage.gaussian_filter(frame, (3, 3, 0))
        for picture, expected in ((frame, False), (blurred, True)):
            window = np.asarray(Image.fromarray(picture).reduce(scale))
            assert is_blurred(window, 0.25 * scale) == expected, path.name
