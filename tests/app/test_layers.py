"""Layers of the viewer: what is painted where, what is hit, and what a blinded reader sees."""

import numpy as np
import pytest
import shapely
from deskviews import RoomStub, area, count, desk_view, figures, region, spot
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QImage, QPainter

from app.bridge import GuiBridge, WorkThread
from app.theme import MARKS
from app.viewer.candidates import MAX_STAMPED, CandidateLayer, hover_text
from app.viewer.layers import LayerStack
from app.viewer.marks import MarkKind, mark_kinds
from app.viewer.transform import ViewTransform
from core.geometry import Rect0
from core.reading.view import PieceView

WIDTH, HEIGHT = 400, 300
GROUND = QColor("#d8a0c8")
pytestmark = pytest.mark.usefixtures("qapp")


def at(magnification, centre0=(1000.0, 1000.0), angle_deg=0.0, size=(WIDTH, HEIGHT)):
    return ViewTransform(centre0, 40 / magnification, angle_deg, *size)


def painted(layer, transform, dpr=1.0):
    """(h, w, 3) int, red green blue, of a layer on pink ground, device pixels."""
    image = QImage(
        round(transform.width_px * dpr),
        round(transform.height_px * dpr),
        QImage.Format.Format_RGB32,
    )
    image.setDevicePixelRatio(dpr)
    image.fill(GROUND)
    painter = QPainter(image)
    layer.paint(painter, transform)
    painter.end()
    rows = np.frombuffer(image.bits(), np.uint8).reshape(image.height(), image.width(), 4)
    return rows[..., 2::-1].astype(int)


def touched(pixels):
    return (pixels != GROUND.getRgb()[:3]).any(axis=2)


def is_near(pixels, colour, tolerance=40):
    return np.abs(pixels - colour.getRgb()[:3]).max(axis=2) < tolerance


def candidates(points=((1000.0, 1000.0),), **changes):
    view_changes = {k: changes.pop(k) for k in ("blinded", "mpp") if k in changes}
    layer = CandidateLayer()
    layer.set_view(desk_view(figures(points, **changes), **view_changes))
    return layer


@pytest.fixture
def stack():
    bridge = GuiBridge()
    thread = WorkThread("density", bridge)
    yield LayerStack(thread)
    assert thread.close()


STATES = [
    {"verdict": "mitosis"},
    {"verdict": "atypical"},
    {"verdict": "imposter"},
    {"verdict": "unsure"},
    {"probability": 0.9},
    {"probability": 0.4},
    {"probability": 0.1},
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("magnification", [10, 20, 40, 80])
def test_a_mark_leaves_the_nucleus_free(state, magnification):
    pixels = painted(candidates(**state), at(magnification))
    rows, columns = np.nonzero(touched(pixels))
    away_um = np.hypot(columns - WIDTH / 2 + 0.5, rows - HEIGHT / 2 + 0.5) * 10 / magnification
    assert len(rows)
    two_px_um = 20 / magnification
    assert 12 - two_px_um < away_um.min() < 13 + two_px_um


@pytest.mark.parametrize("state", STATES)
def test_a_mark_is_a_dot_at_low_magnification(state):
    rows, columns = np.nonzero(touched(painted(candidates(**state), at(2.5))))
    assert len(rows)
    assert np.hypot(columns - WIDTH / 2, rows - HEIGHT / 2).max() < 8


@pytest.mark.parametrize("magnification", [2.5, 40])
def test_states_look_different_without_colour(magnification):
    pictures = [painted(candidates(**state), at(magnification)).mean(axis=2) for state in STATES]
    for one in range(len(pictures)):
        for other in range(one):
            assert np.abs(pictures[one] - pictures[other]).max() > 20


def test_a_blinded_reading_shows_no_score():
    views = [candidates(probability=p, blinded=True) for p in (0.05, 0.4, 0.99, float("nan"))]
    for magnification in (2.5, 40):
        first, *others = (painted(layer, at(magnification)) for layer in views)
        assert all((first == other).all() for other in others)
    view = desk_view(figures([(0, 0)], probability=0.93), blinded=True)
    assert hover_text(view, 0) == ""


def test_hover_says_verdict_and_probability_cut_not_rounded():
    view = desk_view(figures([(0, 0), (9, 9)], probability=(0.999, np.nan), verdict="mitosis"))
    assert hover_text(view, 0) == "mitosis · 99 %"
    assert hover_text(view, 1) == "mitosis · placed by hand"


def test_deleted_figures_are_neither_painted_nor_hit():
    layer = candidates(verdict="deleted")
    assert not touched(painted(layer, at(40))).any()
    assert layer.figure_at(WIDTH / 2, HEIGHT / 2, at(40)) is None


def test_without_thresholds_candidates_are_all_alike():
    kinds = mark_kinds(
        figures([(0, 0)] * 3, probability=(0.1, 0.5, np.nan)), *2 * (np.nan,), blinded=False
    )
    assert kinds.tolist() == [MarkKind.CANDIDATE] * 3


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 90.0])
@pytest.mark.parametrize("magnification", [2.5, 10, 40])
def test_a_figure_is_hit_where_it_is_painted(magnification, angle_deg):
    transform = at(magnification, angle_deg=angle_deg)
    points = [transform.to_slide(100, 80), transform.to_slide(300, 200)]
    layer = candidates(points)
    assert layer.figure_at(101, 79, transform) == 1
    assert layer.figure_at(298, 202, transform) == 2
    assert layer.figure_at(200, 140, transform) is None
    pixels = painted(layer, transform)
    assert touched(pixels)[180:220, 240:360].any()


def test_the_nearest_of_two_figures_is_hit():
    transform = at(5)
    layer = candidates([transform.to_slide(100, 100), transform.to_slide(105, 100)])
    assert layer.figure_at(101, 100, transform) == 1
    assert layer.figure_at(104, 100, transform) == 2


def test_a_band_finds_what_lies_in_it_by_place():
    transform = at(10)
    places = [(50, 90), (40, 20), (350, 50), (20, 60)]
    layer = candidates([transform.to_slide(*place) for place in places])
    assert layer.figures_in(QRectF(0, 0, 100, 100), transform) == (2, 4, 1)


def test_selected_and_disputed_figures_stand_out():
    plain = painted(candidates(), at(20))
    layer = candidates()
    layer.set_selection((1,))
    chosen = painted(layer, at(20))
    assert is_near(chosen, MARKS.selected).sum() > 50
    assert not is_near(plain, MARKS.selected).any()
    disputed = painted(candidates(disputed=True), at(20))
    assert is_near(disputed, MARKS.excluded, 60).sum() > 20


def test_slides_without_pixel_size_have_marks_too():
    assert touched(painted(candidates(mpp=None), at(40))).any()


def test_marks_are_sharp_on_dense_screens():
    layer = candidates(verdict="mitosis")
    single, double = (touched(painted(layer, at(20), dpr)) for dpr in (1.0, 2.0))
    assert double.shape == (2 * HEIGHT, 2 * WIDTH)
    rows, columns = np.nonzero(double)
    assert np.hypot(columns - WIDTH, rows - HEIGHT).min() > 11 * 2 * 2
    assert double.sum() > 2.5 * single.sum()


def many(n=50_000, **changes):
    rng = np.random.default_rng(1)
    return figures(rng.uniform(0, 40_000, (n, 2)), **changes)


def test_fifty_thousand_figures_are_a_picture_that_stays_while_panning():
    layer = CandidateLayer()
    layer.set_view(desk_view(many()))
    size = (800, 600)
    out = ViewTransform((20_000.0, 20_000.0), 60.0, 0.0, *size)
    before = painted(layer, out)
    assert 0.1 < touched(before).mean() <= 1
    after = painted(layer, out.panned(40, 30))
    assert (after[30:, 40:] == before[:-30, :-40]).mean() > 0.999
    # Far enough that a new picture is made: the same dots, on the same places.
    far = painted(layer, out.panned(300, 0))
    assert (far[:, 300:] == before[:, :-300]).mean() > 0.98


def test_what_matters_most_is_on_top_of_a_crowd():
    n = MAX_STAMPED + 500
    crowd = np.random.default_rng(2).normal(1000, 300, (n, 2))
    crowd[7] = (1000.0, 1000.0)
    layer = CandidateLayer()
    verdicts = ["none"] * n
    verdicts[7] = "mitosis"
    layer.set_view(desk_view(figures(crowd, probability=0.05, verdict=verdicts)))
    pixels = painted(layer, at(2.5))
    assert is_near(pixels, MARKS.mitosis)[HEIGHT // 2 - 2 : HEIGHT // 2 + 2, WIDTH // 2].all()


def test_a_verdict_changes_the_picture():
    layer = CandidateLayer()
    shown = many()
    out = ViewTransform((20_000.0, 20_000.0), 60.0, 0.0, 800, 600)
    layer.set_view(desk_view(shown))
    assert not is_near(painted(layer, out), MARKS.mitosis).any()
    layer.set_view(desk_view(many(verdict="mitosis")))
    assert is_near(painted(layer, out), MARKS.mitosis).any()


def test_regions_are_outlined_named_and_hidden_while_edited(stack):
    square = shapely.box(500, 500, 1500, 1500)
    stack.set_view(desk_view(regions=(region("tumour", square), region("count_area", square, "a"))))
    transform = at(5)
    pixels = painted(stack.regions, transform)
    x, y = (round(part) for part in transform.to_screen(500, 1000))
    assert is_near(pixels, MARKS.tumour, 60)[y, x - 2 : x + 3].any()
    assert not touched(pixels)[y, x + 20 : x + 60].any()
    stack.regions.hide("r1")
    assert not touched(painted(stack.regions, transform)).any()
    stack.regions.hide("")
    assert touched(painted(stack.regions, transform)).any()


def test_outlines_stay_in_place_while_panning(stack):
    square = shapely.box(500, 500, 1500, 1500)
    stack.set_view(desk_view(regions=(region("excluded", square),)))
    transform = at(5)
    before = painted(stack.regions, transform)
    after = painted(stack.regions, transform.panned(-20, 10))
    assert (after[10:, :-20] == before[:-10, 20:]).mean() > 0.99


def test_an_outline_larger_than_the_view_shows_no_edge(stack):
    stack.set_view(desk_view(pieces=(PieceView(0, shapely.box(-9e5, -9e5, 9e5, 9e5), 1.0, False),)))
    for move in (0, 100, 250, 256, 400):
        assert not touched(painted(stack.tissue, at(40).panned(move, 0))).any()


def test_a_ragged_outline_lies_on_the_tissue_and_follows_the_hand(stack):
    turn = np.linspace(0, 2 * np.pi, 9000, endpoint=False)
    radius = 900 + 40 * np.sin(300 * turn)
    ragged = shapely.Polygon(np.column_stack((np.cos(turn), np.sin(turn))) * radius[:, None] + 1000)
    stack.set_view(desk_view(pieces=(PieceView(0, ragged, 1.0, False),)))
    transform = at(5)
    before = painted(stack.tissue, transform)
    rows, columns = np.nonzero(touched(before))
    away0 = np.hypot(columns - WIDTH / 2, rows - HEIGHT / 2) * transform.px0_per_px
    assert len(rows)
    assert away0.min() > 800
    assert away0.max() < 1000
    after = painted(stack.tissue, transform.panned(30, 20))
    assert (after[20:, 30:] == before[:-20, :-30]).mean() > 0.98


def test_excluded_tissue_and_unread_windows_are_hatched(stack):
    box = shapely.box(600, 600, 1400, 1400)
    stack.set_view(
        desk_view(
            pieces=(PieceView(0, box, 1.0, True),), failed_windows0=(box,), blurred_windows0=(box,)
        )
    )
    for layer in (stack.tissue, stack.problems):
        inside = touched(painted(layer, at(10)))[100:200, 150:250]
        assert inside.mean() > 0.05


def test_acknowledged_blur_is_no_longer_hatched(stack):
    box = shapely.box(600, 600, 1400, 1400)
    stack.set_view(desk_view(blurred_windows0=(box,), blur_acknowledged=True))
    assert not touched(painted(stack.problems, at(10)))[100:200, 150:250].any()


def test_count_area_outline_lies_on_its_border(stack):
    here = area((1000.0, 1000.0), angle_deg=20.0)
    stack.set_view(desk_view(area=here))
    transform = at(1.25, size=(700, 700))
    pixels = painted(stack.count_area, transform)
    ring = np.array(here.polygon0.exterior.coords)
    for x, y in transform.points_to_screen((ring[:-1] + ring[1:]) / 2).round().astype(int):
        assert is_near(pixels, MARKS.count_area)[y - 1 : y + 2, x - 1 : x + 2].any()
    assert not touched(pixels)[340:360, 340:360].any()
    stack.count_area.shade_outside = True
    shaded = painted(stack.count_area, transform)
    assert touched(shaded)[5, 5]
    assert not touched(shaded)[340:360, 340:360].any()


def test_hot_spots_are_outlined_except_under_the_count_area(stack):
    spots = (spot((1000.0, 1000.0), 14), spot((9000.0, 1000.0), 9))
    stack.set_view(desk_view(area=area((1000.0, 1000.0)), count=count(spots)))
    transform = at(1.25, size=(900, 500), centre0=(5000.0, 1000.0))
    orange = is_near(painted(stack.hot_spots, transform), MARKS.hot_spot, 50)
    for centre0, seen in (((1000.0, 1000.0), False), ((9000.0, 1000.0), True)):
        x, y = (round(part) for part in transform.to_screen(centre0[0], centre0[1] + 2666))
        assert orange[y - 2 : y + 3, x].any() == seen


def test_density_is_made_off_the_gui_thread_and_blind_to_labels_when_blinded(stack, qtbot):
    rng = np.random.default_rng(3)
    called = figures(rng.normal(9000, 800, (40, 2)), label=2)
    view = desk_view(called, area=area((9000.0, 9000.0)))
    stack.set_visible("density", True)
    with qtbot.waitSignal(stack.changed):
        stack.set_view(view)
    qtbot.waitUntil(lambda: stack.density.peak_per_mm2 > 0)
    transform = ViewTransform((9000.0, 9000.0), 80.0, 0.0, 500, 500)
    pixels = painted(stack.density, transform)
    strength = np.abs(pixels - GROUND.getRgb()[:3]).sum(axis=2)
    assert strength[240:260, 240:260].min() > 60
    assert strength[:20, :20].max() == 0
    stack.set_density_opacity(0.0)
    assert not touched(painted(stack.density, transform)).any()
    stack.set_density_opacity(1.0)
    stack.set_view(desk_view(called, area=area((9000.0, 9000.0)), blinded=True))
    qtbot.waitUntil(lambda: stack.density.peak_per_mm2 == 0)
    assert not touched(painted(stack.density, transform)).any()


def test_viewed_areas_cover_what_was_viewed(stack):
    mask = np.zeros((10, 10), bool)
    mask[:, :5] = True
    stack.viewed.set_viewed(mask, Rect0(0, 0, 2000, 2000))
    pixels = touched(painted(stack.viewed, at(10)))
    assert pixels[150, :180].all()
    assert not pixels[150, 250:].any()


def test_density_keeps_to_the_tissue(stack, qtbot):
    points = np.random.default_rng(3).normal(9000, 800, (40, 2))
    left = PieceView(0, shapely.box(0, 0, 9000, 18_000), 1.0, False)
    stack.set_visible("density", True)
    stack.set_view(desk_view(figures(points, label=2), area=area((9000.0, 9000.0)), pieces=(left,)))
    qtbot.waitUntil(lambda: stack.density.peak_per_mm2 > 0)
    transform = ViewTransform((9000.0, 9000.0), 40.0, 0.0, 400, 400)
    pixels = touched(painted(stack.density, transform))
    assert pixels[200, 150:190].all()
    assert not pixels[200, 215:].any()


def test_layers_follow_the_room_and_let_go_of_a_closed_slide(stack):
    room = RoomStub()
    stack.follow(room)
    room.show(desk_view(figures([(1000.0, 1000.0)])))
    room.select((1,))
    assert is_near(painted(stack.candidates, at(40)), MARKS.selected).any()
    room.slide_closing.emit(None)
    for layer in stack.layers:
        assert not touched(painted(layer, at(40))).any()


def test_every_layer_has_its_own_name(stack):
    names = [layer.name for layer in stack.layers]
    assert len(set(names)) == len(names)
    assert names[-1] == "candidates"
