"""The demo slide: reproducible, readable, seamless, and dark where something was planted."""

from pathlib import Path

import numpy as np
import openslide
import pytest
from scipy.spatial import cKDTree

from core.cancel import Cancelled, CancelToken
from core.errors import SlideError
from core.slides.synthetic import DemoTruth, render_demo_slide
from core.slides.synthetic.layout import TissuePlan, lay_out
from core.slides.synthetic.render import make_scene, paint_tile
from core.slides.synthetic.stain import Optics, draw_stain

SIDE_MM = 0.4


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoTruth:
    return render_demo_slide(tmp_path_factory.mktemp("demo") / "demo.tiff", seed=3, side_mm=SIDE_MM)


def _pixels(path: Path) -> np.ndarray:
    with openslide.OpenSlide(str(path)) as slide:
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3]


def test_opens_as_a_pyramid_with_its_pixel_size(demo: DemoTruth) -> None:
    with openslide.OpenSlide(str(demo.path)) as slide:
        assert slide.dimensions == (1600, 1600)
        assert slide.level_count == 3
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(demo.mpp, rel=1e-4)
    assert [p.name for p in demo.path.parent.iterdir()] == ["demo.tiff"]


def test_same_seed_same_slide_other_seed_another(demo: DemoTruth, tmp_path: Path) -> None:
    again = render_demo_slide(tmp_path / "again.tiff", seed=3, side_mm=SIDE_MM)
    other = render_demo_slide(tmp_path / "other.tiff", seed=4, side_mm=SIDE_MM)
    assert again.path.read_bytes() == demo.path.read_bytes()
    np.testing.assert_array_equal(again.mitoses, demo.mitoses)
    assert not np.array_equal(_pixels(other.path), _pixels(demo.path))
    assert not np.array_equal(other.mitoses, demo.mitoses)


def test_truth_lies_on_the_slide_and_figures_keep_apart(demo: DemoTruth) -> None:
    assert len(demo.mitoses) == len(demo.phases) >= 4
    assert len(demo.imposters) == len(demo.imposter_kinds) >= 2
    points = np.concatenate([demo.mitoses, demo.imposters])
    assert points.min() > 0
    assert points.max() < SIDE_MM * 1000 / demo.mpp
    assert len(cKDTree(points).query_pairs(20 / demo.mpp)) == 0


def test_planted_mitoses_are_dark_and_the_glass_is_white(demo: DemoTruth) -> None:
    pixels = _pixels(demo.path)
    for x, y in np.rint(demo.mitoses).astype(int):
        # 6 µm around the centre hold chromatin, also between the plates of a telophase.
        near = pixels[y - 24 : y + 25, x - 24 : x + 25].mean(2)
        assert (near < 90).sum() > 100
    assert pixels[:12].mean() > 215


def test_cancelled_or_impossible_rendering_leaves_nothing(tmp_path: Path) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        render_demo_slide(tmp_path / "demo.tiff", side_mm=0.1, token=token)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SlideError, match="demo slide"):
        render_demo_slide(tmp_path / "missing" / "demo.tiff", side_mm=0.1)


def test_demo_size_holds_enough_figures_and_a_hot_spot() -> None:
    layout = lay_out(TissuePlan(), 0)
    assert 40 <= len(layout.mitoses_um) <= 60
    assert 40 <= len(layout.imposters_um) <= 60
    near = cKDTree(layout.mitoses_um).query_ball_point(layout.mitoses_um, 300.0)
    # Spread evenly, a disc of 0.3 mm would hold about four of them.
    assert max(map(len, near)) >= 12
    assert 1500 < len(layout.nuclei_um) / TissuePlan().side_mm ** 2 < 6000


def test_tiles_have_no_seams() -> None:
    layout = lay_out(TissuePlan(side_mm=0.3), 5)
    scene = make_scene(layout, draw_stain(np.random.default_rng(5)), Optics(), 0.25, 5)
    whole = paint_tile(scene, 300, 200, 500, 400)
    part = paint_tile(scene, 430, 290, 200, 150)
    difference = np.abs(whole[90:240, 130:330].astype(int) - part)
    assert difference.max() <= 2  # rounding of sums in another order
