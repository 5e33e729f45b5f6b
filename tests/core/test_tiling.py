import numpy as np
import pytest
import shapely
from blobs import BlobDetector
from hypothesis import given
from hypothesis import strategies as st

from core.analysis.tiling import (
    BORDER_SLACK_PX,
    TISSUE_MARGIN_UM,
    Regions,
    make_grid,
    make_search_area,
    plan_windows,
)
from core.errors import RegionError, SlideError
from core.geometry import Mpp, Rect0
from core.slides.tissue import Tissue

MPP = Mpp(0.25, 0.25)
SLIDE = Rect0(0, 0, 6400, 4800)


def tissue_of(mask: np.ndarray, mpp: Mpp = MPP) -> Tissue:
    cell_um = 16.0
    area = float(mask.sum()) * cell_um**2 / 1e6
    return Tissue(
        mask=mask,
        um_per_px=cell_um,
        cell0_x=cell_um / mpp.x,
        cell0_y=cell_um / mpp.y,
        origin0=(0.0, 0.0),
        area_mm2=area,
    )


def all_tissue() -> Tissue:
    return tissue_of(np.ones((75, 100), bool))


def middle_tissue() -> Tissue:
    mask = np.zeros((75, 100), bool)
    mask[30:45, 40:60] = True
    return tissue_of(mask)


def detector(**changes):
    fake = BlobDetector()
    for name, value in changes.items():
        setattr(fake, name, value)
    return fake


def test_cores_are_aligned_and_leave_the_halo_on_every_side():
    grid = make_grid(detector(window_px=250, halo_px=30, grid_px=8), MPP)
    assert grid.halo_px == 32
    assert grid.core_px == 184
    assert 250 - 32 - 184 >= 30
    window = grid.window(2, 3)
    assert (window.rect0.x0 / grid.scale_x) % 8 == 0
    assert window.core0.x0 == 2 * 184 * 2
    assert window.rect0.x0 == window.core0.x0 - 64


def test_halo_without_core_is_a_bug():
    with pytest.raises(ValueError, match="no core"):
        make_grid(detector(window_px=64, halo_px=32), MPP)


@given(
    x0=st.floats(0, 6399.9),
    y0=st.floats(0, 4799.9),
    shift=st.tuples(st.integers(0, 300), st.integers(0, 300)),
)
def test_every_point_is_kept_by_its_window_and_by_others_only_in_the_slack(x0, y0, shift):
    grid = make_grid(detector(), MPP, shift_px=shift)
    area = make_search_area(all_tissue(), SLIDE, MPP, Regions())
    windows = plan_windows(grid, area)
    keepers = []
    for window in windows:
        rect = window.rect0
        if not (rect.x0 <= x0 <= rect.x1 and rect.y0 <= y0 <= rect.y1):
            continue
        xy_px = np.array([[(x0 - rect.x0) / grid.scale_x, (y0 - rect.y0) / grid.scale_y]])
        back, kept = grid.to_slide(window, xy_px)
        assert np.allclose(back, [[x0, y0]], atol=1e-6)
        if kept[0]:
            keepers.append(window)
    assert grid.cell(x0, y0) in [(window.col, window.row) for window in keepers]
    slack0 = BORDER_SLACK_PX * grid.scale_x
    for window in keepers:
        core = window.core0
        assert core.x0 - slack0 <= x0 <= core.x1 + slack0
        assert core.y0 - slack0 <= y0 <= core.y1 + slack0


def test_windows_come_in_raster_order_and_only_where_points_count():
    grid = make_grid(detector(), MPP)
    area = make_search_area(middle_tissue(), SLIDE, MPP, Regions())
    windows = plan_windows(grid, area)
    places = [(window.row, window.col) for window in windows]
    assert places == sorted(places)
    far = shapely.box(40 * 64, 30 * 64, 60 * 64, 45 * 64).buffer(TISSUE_MARGIN_UM / 0.25 + 64)
    assert all(window.core0.polygon().intersects(far) for window in windows)
    assert 0 < len(windows) < 60


@given(
    seed=st.integers(0, 50),
    shift=st.tuples(st.integers(-200, 200), st.integers(-200, 200)),
)
def test_no_point_that_counts_lies_outside_the_windows(seed, shift):
    rng = np.random.default_rng(seed)
    tumour = shapely.Point(3000, 2400).buffer(900)
    excluded = shapely.Point(3300, 2500).buffer(400)
    area = make_search_area(middle_tissue(), SLIDE, MPP, Regions(tumour, excluded))
    grid = make_grid(detector(), MPP, shift_px=shift)
    cores = {(window.col, window.row) for window in plan_windows(grid, area)}
    points = rng.uniform((0, 0), (6400, 4800), (400, 2))
    for x0, y0 in points[area.contains(points)]:
        assert grid.cell(x0, y0) in cores
        assert tumour.covers(shapely.Point(x0, y0))
        assert not excluded.contains(shapely.Point(x0, y0))


def test_a_point_beside_the_tissue_counts_up_to_the_margin():
    area = make_search_area(middle_tissue(), SLIDE, MPP, Regions())
    left0 = 40 * 64
    near, far = left0 - 100, left0 - 4 * TISSUE_MARGIN_UM - 130
    points = np.array([(left0 + 10, 2400), (near, 2400), (far, 2400), (-5.0, 9000.0)])
    assert area.contains(points).tolist() == [True, True, False, False]


def test_area_is_the_tissue_inside_the_regions():
    whole = make_search_area(middle_tissue(), SLIDE, MPP, Regions())
    assert whole.area_mm2() == pytest.approx(300 * 16**2 / 1e6)
    left_half = Regions(tumour=shapely.box(0, 0, 50 * 64, 4800))
    assert make_search_area(middle_tissue(), SLIDE, MPP, left_half).area_mm2() == pytest.approx(
        150 * 16**2 / 1e6
    )


def test_unequal_axes_are_each_scaled_by_their_own():
    grid = make_grid(detector(), Mpp(0.25, 0.5))
    core = grid.window(1, 1).core0
    assert core.width0 == 2 * core.height0


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        (Regions(tumour=shapely.box(9000, 9000, 9500, 9500)), "outside the slide"),
        (Regions(tumour=shapely.box(0, 0, 100, 100)), "no tissue in the region"),
        (Regions(excluded=shapely.box(-1, -1, 7000, 7000)), "cover all"),
    ],
)
def test_regions_that_leave_nothing_are_refused(regions, words):
    with pytest.raises(RegionError, match=words):
        make_search_area(middle_tissue(), SLIDE, MPP, regions)


def test_a_slide_without_tissue_is_refused():
    with pytest.raises(SlideError, match="No tissue"):
        make_search_area(tissue_of(np.zeros((75, 100), bool)), SLIDE, MPP, Regions())
