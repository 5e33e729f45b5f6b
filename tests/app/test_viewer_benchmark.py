import numpy as np
from slidefiles import make_slide, textured

from app.benchmarks.viewer import measure_viewer
from core.slides.pyramid import write_repeated
from core.slides.reader import open_slide


def test_the_viewer_is_measured_on_a_slide(tmp_path, qapp):
    path = make_slide(tmp_path / "slide.tif", textured(1600, 2400))
    row = measure_viewer(path, seconds=0.5, threads=1)
    assert (row.slide, row.width0, row.height0) == ("slide", 2400, 1600)
    assert 0 < row.coarse_ms <= row.sharp_ms
    assert row.frames > 0
    assert row.frame_p50_ms <= row.frame_p95_ms
    assert row.cache_mib > 0


def test_a_repeated_slide_shows_its_tile_over_and_over(tmp_path):
    rgb = textured(4096, 4096, cell=64)
    path = tmp_path / "large.tif"
    write_repeated(path, rgb, 9000, 6000, 0.25)
    assert path.stat().st_size < 20 * 2**20
    with open_slide(path, backend="openslide") as slide:
        assert slide.level_dimensions == ((9000, 6000), (2250, 1500), (563, 375))
        first = slide.read_level(0, 100, 200, 256, 256)
        np.testing.assert_array_equal(slide.read_level(0, 4196, 4296, 256, 256), first)
        assert np.abs(first.astype(int) - rgb[200:456, 100:356]).mean() < 3
        # OpenSlide shifts by fractions here, since 563 px are not a sixteenth of 9000.
        coarse = slide.read_level(2, 4096, 0, 64, 64)
        again = slide.read_level(2, 8192, 4096, 40, 40)
        assert np.abs(again.astype(int) - coarse[:40, :40]).max() <= 3
