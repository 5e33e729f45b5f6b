import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slidefiles import box_average, damage_tile, make_slide, textured

from core.errors import SlideError
from core.slides import agreement, backends
from core.slides.backends import FastSlidePixels, OpenSlidePixels, SlideReadError
from core.slides.crops import read_crop, read_crops
from core.slides.reader import open_slide
from core.slides.resample import plan_source, resample
from core.slides.turbo import TurboPixels

RGB = textured(1300, 1500)
BACKENDS = ["openslide", "turbo", "fastslide"]


@pytest.fixture(scope="module")
def tiff(tmp_path_factory):
    return make_slide(tmp_path_factory.mktemp("slides") / "slide.tif", RGB)


@pytest.fixture(params=BACKENDS)
def slide(request, tiff):
    with open_slide(tiff, backend=request.param) as opened:
        yield opened


def difference(a, b):
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


def test_auto_takes_turbo_where_it_shows_the_same_pixels(tiff):
    with open_slide(tiff) as slide:
        assert slide.backend == "turbo"
        assert "same pixels" in slide.backend_note


def test_auto_takes_fastslide_where_turbo_differs(tiff, monkeypatch):
    right = TurboPixels.read
    monkeypatch.setattr(TurboPixels, "read", lambda *a: np.minimum(right(*a), 250) + 1)
    with open_slide(tiff) as slide:
        assert slide.backend == "fastslide"
        assert "agrees" in slide.backend_note


def test_level_zero_comes_as_it_is(slide):
    assert difference(slide.read_at(100, 200, 300, 250, 0.25), RGB[200:450, 100:400]) < 3


def test_whole_ratios_are_box_averages(slide):
    expected = box_average(RGB[40:740, 20:620], 2)
    assert difference(slide.read_at(20, 40, 300, 350, 0.5), expected) < 2


def test_coarse_levels_are_used_and_lie_in_place(slide):
    expected = box_average(RGB, 8)[10:100, 20:120]
    assert slide._level_for(8, 8) == 1
    assert difference(slide.read_at(160, 80, 100, 90, 2.0), expected) < 2


@given(
    ratio=st.sampled_from([0.6, 1.0, 1.3, 2.0, 2.5, 3.0, 4.0, 5.3]),
    column=st.integers(0, 30),
    row=st.integers(0, 30),
)
@settings(max_examples=30, deadline=None)
def test_a_pixel_does_not_depend_on_the_window(ratio, column, row):
    """Two windows that share output pixels agree to the rounding of Pillow's coefficients."""
    picture = textured(400, 400, seed=3)

    def window(left, top, width, height):
        plan = plan_source(left * ratio, top * ratio, width, height, ratio, ratio)
        ys = np.clip(np.arange(plan.top, plan.top + plan.height_px), 0, 399)
        xs = np.clip(np.arange(plan.left, plan.left + plan.width_px), 0, 399)
        return resample(np.ascontiguousarray(picture[np.ix_(ys, xs)]), plan, width, height)

    large, small = window(0, 0, 50, 50), window(column, row, 20, 20)
    shared = large[row : row + 20, column : column + 20].astype(int)
    assert np.abs(shared - small).max() <= (0 if ratio == int(ratio) else 1)


def test_windows_tile_without_seams(slide):
    whole = slide.read_at(0, 0, 400, 200, 0.7).astype(int)
    second = slide.read_at(200 * 2.8, 0, 200, 200, 0.7).astype(int)
    assert np.abs(whole[:, 200:] - second).max() <= 1


def test_beyond_the_edge_is_background(slide):
    window = slide.read_at(-64, -64, 128, 128, 0.25)
    assert (window[:60] == 255).all()
    assert difference(window[64:, 64:], RGB[:64, :64]) < 3
    assert (slide.read_at(9000, 9000, 32, 32, 0.25) == 255).all()
    corner = slide.read_at(1436, 1236, 128, 128, 0.25)
    assert (corner[66:] == 255).all()
    assert difference(corner[:64, :64], RGB[1236:, 1436:]) < 3


def test_a_coarser_slide_is_enlarged(slide):
    large = slide.read_at(100, 100, 200, 200, 0.125)
    assert difference(box_average(large, 2), RGB[100:200, 100:200]) < 5


def test_unequal_axes_become_square(tmp_path):
    path = make_slide(tmp_path / "s.tif", RGB, mpp=(0.25, 0.5))
    with open_slide(path) as slide:
        window = slide.read_at(0, 0, 200, 200, 0.5)
        expected = (RGB[:200, :400:2].astype(float) + RGB[:200, 1:400:2]) / 2
        assert difference(window, expected) < 3


def test_read_level_gives_the_levels_own_pixels(slide):
    assert difference(slide.read_level(1, 400, 80, 50, 60), box_average(RGB, 4)[20:80, 100:150]) < 5


def test_thumbnail_shows_the_whole(slide):
    thumbnail = slide.thumbnail(150)
    assert thumbnail.shape == (130, 150, 3)
    # Level 1 by 2.5: a triangle, where the expected picture has a box.
    assert difference(thumbnail, box_average(RGB, 10)) < 6


def test_transparent_parts_show_the_background_colour(tiff):
    pixels = OpenSlidePixels(tiff)
    pixels.background = (10, 20, 30)
    assert (pixels.read(0, -50, -50, 20, 20) == (10, 20, 30)).all()
    pixels.close()


def test_background_colour_is_read_from_the_file():
    assert backends._background({"openslide.background-color": "F0A0FF"}) == (240, 160, 255)
    assert backends._background({"openslide.background-color": "none"}) == (255, 255, 255)
    assert backends._background({}) == (255, 255, 255)


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
@pytest.mark.parametrize("how", ["zero", "noise", "half", "header"])
def test_a_damaged_tile_fails_and_the_rest_goes_on(tmp_path, backend, how):
    path = make_slide(tmp_path / "s.tif", RGB[:520, :1030], downsamples=(1,))
    damage_tile(path, 7, how)  # the third of the second row: x 512..768, y 256..512
    with open_slide(path, backend=backend) as slide:
        for _ in range(2):
            with pytest.raises(SlideReadError, match="damaged"):
                slide.read_at(600, 300, 64, 64, 0.25)
            assert difference(slide.read_at(0, 0, 256, 256, 0.25), RGB[:256, :256]) < 3
        assert slide.thumbnail(103).shape == (52, 103, 3)


def test_readers_in_other_threads_outlive_an_error(tmp_path):
    path = make_slide(tmp_path / "s.tif", RGB, downsamples=(1,))
    damage_tile(path, 8)
    with open_slide(path, backend="openslide") as slide, ThreadPoolExecutor(4) as pool:

        def read(turn):
            if turn % 5 == 0:
                with pytest.raises(SlideReadError):
                    slide.read_at(600, 300, 64, 64, 0.25)
                return True
            return difference(slide.read_at(0, 0, 64, 64, 0.25), RGB[:64, :64]) < 3

        assert all(pool.map(read, range(60)))


def test_many_threads_read_the_same(slide):
    places = [(x, y) for x in range(0, 1200, 150) for y in range(0, 1000, 250)]

    def read(place):
        return slide.read_at(*place, 200, 200, 0.25)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(read, places))
    for place, window in zip(places, together, strict=True):
        assert (window == read(place)).all()


class Stuck:
    """Stands for fastslide's endless wait; a genuine one would leave a thread behind."""

    def __init__(self, release):
        self.release = release

    def read_region(self, *_):
        self.release.wait(20)
        raise RuntimeError("released")


def test_a_stuck_reader_is_left_behind(tiff, monkeypatch):
    monkeypatch.setattr(backends, "STUCK_AFTER_S", 0.2)
    release = threading.Event()
    with open_slide(tiff, backend="fastslide") as slide:
        fast = slide._sources[0]
        genuine, fast._handle = fast._handle, Stuck(release)
        for worker in fast._idle:
            worker.stop()
        fast._idle.clear()
        assert difference(slide.read_at(0, 0, 64, 64, 0.25), RGB[:64, :64]) < 3
        assert fast.stuck
        assert difference(slide.read_at(64, 0, 64, 64, 0.25), RGB[:64, 64:128]) < 3
    release.set()
    genuine.close()
    backends._STUCK_HANDLES.clear()


def test_close_waits_for_readers_and_may_be_repeated(tiff):
    slide = open_slide(tiff)
    slide.close()
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read_at(0, 0, 8, 8, 0.25)


class Changed:
    """OpenSlide's pixels, shifted or recoloured."""

    def __init__(self, inner, shift=(0, 0), add=0, level=0):
        self.inner, self.shift, self.add, self.level = inner, shift, add, level

    def read(self, level, left, top, width, height):
        if level != self.level:
            return self.inner.read(level, left, top, width, height)
        pixels = self.inner.read(level, left + self.shift[0], top + self.shift[1], width, height)
        return np.clip(pixels.astype(int) + self.add, 0, 255).astype(np.uint8)


def test_where_equality_is_asked_for_one_grey_level_fails(tiff):
    pixels = OpenSlidePixels(tiff)
    for changed, exact, agrees in [(1, [0, 1, 2], False), (1, [0], True), (0, [1], True)]:
        other = Changed(pixels, level=changed, add=changed)
        verdict = agreement.compare_sources(pixels, other, pixels.level_dimensions, exact)
        assert verdict.agrees is agrees, verdict.note
    pixels.close()


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize(
    ("change", "agrees"),
    [
        ({}, True),
        ({"add": 3}, True),
        ({"add": 6}, False),
        ({"shift": (1, 0)}, False),
        ({"shift": (0, -1)}, False),
        ({"shift": (40, 0)}, False),
    ],
)
@pytest.mark.parametrize("cell", [6, 24])
def test_agreement_notices_shift_and_colour(tmp_path, change, agrees, level, cell):
    path = make_slide(tmp_path / "s.tif", textured(700, 800, cell=cell), downsamples=(1, 4))
    pixels = OpenSlidePixels(path)
    other = Changed(pixels, level=level, **change)
    verdict = agreement.compare_sources(pixels, other, pixels.level_dimensions)
    assert verdict.agrees is agrees, verdict.note
    pixels.close()


def test_an_empty_slide_cannot_show_agreement(tmp_path):
    path = make_slide(tmp_path / "s.tif", np.full((600, 600, 3), 255, np.uint8))
    with open_slide(path) as slide:
        assert slide.backend == "openslide"
        assert "too little" in slide.backend_note


@pytest.mark.parametrize("backend", ["turbo", "fastslide"])
def test_a_backend_by_force_must_open(tiff, monkeypatch, backend):
    for source in (FastSlidePixels, TurboPixels):
        monkeypatch.setattr(
            source, "__init__", lambda *_: (_ for _ in ()).throw(SlideReadError("no", ""))
        )
    with pytest.raises(SlideError, match=f"{backend} cannot read"):
        open_slide(tiff, backend=backend)
    with open_slide(tiff) as slide:
        assert slide.backend == "openslide"


def test_crops_are_centred_and_padded(slide):
    crop = read_crop(slide, 500, 400, 64, 0.25)
    assert difference(crop, RGB[368:432, 468:532]) < 3
    edge = read_crop(slide, 0, 0, 64, 0.25)
    assert (edge[:30, :30] == 255).all()
    assert difference(edge[32:, 32:], RGB[:32, :32]) < 3


def test_a_crop_is_the_same_alone_and_among_others(slide):
    points = np.array([[500.4, 400.0], [10.0, 10.0], [1499.0, 3.5]])
    crops = read_crops(slide, points, 64, 0.25)
    assert crops.shape == (3, 64, 64, 3)
    for point, crop in zip(points, crops, strict=True):
        assert (read_crop(slide, *point, 64, 0.25) == crop).all()
    assert (crops[0] == read_crop(slide, 500, 400, 64, 0.25)).all()
    assert read_crops(slide, np.empty((0, 2)), 64, 0.25).shape == (0, 64, 64, 3)
