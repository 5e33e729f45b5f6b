import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPointF

from app.viewer.transform import ViewTransform, fitted
from core.geometry import Mpp, Rect0

places0 = st.floats(-1e5, 1e5)
transforms = st.builds(
    ViewTransform,
    st.tuples(places0, places0),
    st.floats(1 / 32, 256),
    st.one_of(st.sampled_from([0.0, 90.0, 180.0, 270.0]), st.floats(0, 359.99)),
    st.integers(1, 4000),
    st.integers(1, 3000),
)
pixels = st.floats(-4000, 4000)


@given(view=transforms, x=pixels, y=pixels, factor=st.floats(0.2, 5))
def test_zoom_keeps_what_is_under_the_cursor(view, x, y, factor):
    before = view.to_slide(x, y)
    after = view.zoomed_at(x, y, factor)
    assert after.to_slide(x, y) == pytest.approx(before, abs=1e-6)
    assert after.px0_per_px == pytest.approx(view.px0_per_px / factor)


@given(view=transforms, x=pixels, y=pixels)
def test_there_and_back(view, x, y):
    assert view.to_screen(*view.to_slide(x, y)) == pytest.approx((x, y), abs=1e-5)


@given(view=transforms, x=pixels, y=pixels, dx=pixels, dy=pixels)
def test_panning_moves_the_slide_with_the_hand(view, x, y, dx, dy):
    x0, y0 = view.to_slide(x, y)
    assert view.panned(dx, dy).to_screen(x0, y0) == pytest.approx((x + dx, y + dy), abs=1e-5)


@given(view=transforms, turn=st.floats(-720, 720))
def test_turning_keeps_the_middle(view, turn):
    turned = view.rotated(turn)
    assert 0 <= turned.angle_deg < 360
    middle = (view.width_px / 2, view.height_px / 2)
    assert turned.to_slide(*middle) == pytest.approx(view.centre0, abs=1e-6)


@given(view=transforms, points=st.lists(st.tuples(places0, places0), min_size=1, max_size=5))
def test_arrays_and_painters_agree_with_single_points(view, points):
    one_by_one = np.array([view.to_screen(*point) for point in points])
    np.testing.assert_allclose(view.points_to_screen(np.array(points)), one_by_one, atol=1e-4)
    np.testing.assert_allclose(view.points_to_slide(one_by_one), points, atol=1e-3)
    painter = view.qtransform().map(QPointF(*points[0]))
    assert (painter.x(), painter.y()) == pytest.approx(tuple(one_by_one[0]), abs=1e-2)


@given(view=transforms)
def test_the_visible_rectangle_holds_all_corners(view):
    seen = view.visible_rect0()
    for x0, y0 in view.corners0():
        assert seen.x0 - 1e-3 <= x0 <= seen.x1 + 1e-3
        assert seen.y0 - 1e-3 <= y0 <= seen.y1 + 1e-3


def test_a_quarter_turn_is_clockwise_on_the_screen():
    view = ViewTransform((0.0, 0.0), 1.0, 90.0, 100, 100)
    assert view.to_screen(10.0, 0.0) == pytest.approx((50, 60))


@pytest.mark.parametrize("angle", [0.0, 90.0, 33.0])
def test_fitting_shows_the_whole(angle):
    view = fitted(Rect0(100, 50, 4000, 1000), 800, 600, angle)
    for corner in [(100, 50), (4100, 50), (4100, 1050), (100, 1050)]:
        x, y = view.to_screen(*corner)
        assert 0 <= x <= 800
        assert 0 <= y <= 600


def test_magnification_is_ten_over_um_per_pixel():
    assert ViewTransform((0, 0), 1.0, 0, 10, 10).magnification(Mpp(0.25, 0.25)) == 40
