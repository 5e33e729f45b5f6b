"""Count areas that a reader places: exact mm², exact borders, one piece, there and back again."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_ground import full_ground, region, tissue_of

from core.counting.protocols import custom_protocol, get_protocol
from core.geometry import Mpp, area_mm2
from core.reading.area_store import area_from_region, properties
from core.reading.areas import MAX_ASPECT, holds, make_area, outline0, tissue_area
from core.reading.ground import make_ground, read_mm2, search_mask, search_region0

MPP = Mpp(0.25, 0.25)
UNEVEN = Mpp(0.2, 0.3)
VET = get_protocol("vet_std")
GROUND = full_ground()
UNEVEN_GROUND = full_ground(mpp=UNEVEN)
WIDTH0, HEIGHT0 = 500 * 64, 400 * 64

centres = st.tuples(st.floats(0.35, 0.65), st.floats(0.4, 0.6))
angles = st.floats(-360, 360)


@settings(max_examples=60, deadline=None)
@given(
    centre=centres,
    angle=angles,
    kind=st.sampled_from(["rectangle", "circle"]),
    width=st.floats(500, 3000),
    height=st.floats(500, 3000),
    locked=st.booleans(),
    uneven=st.booleans(),
)
def test_on_full_tissue_the_counted_mm2_are_the_outlines_own(
    centre, angle, kind, width, height, locked, uneven
):
    ground, mpp = (UNEVEN_GROUND, UNEVEN) if uneven else (GROUND, MPP)
    centre0 = (centre[0] * WIDTH0 * 0.25 / mpp.x, centre[1] * HEIGHT0 * 0.25 / mpp.y)
    area = make_area(
        ground, VET, centre0, kind=kind, width_um=width, height_um=height,
        angle_deg=angle, locked=locked,
    )  # fmt: skip
    exact = area_mm2(area.polygon0, mpp)
    assert area.counted_mm2 == pytest.approx(exact, rel=3e-5 if kind == "circle" else 1e-9)
    if locked:
        assert area.counted_mm2 == pytest.approx(VET.area_mm2, rel=1e-9)
        if kind == "rectangle":
            assert area.width_um / area.height_um == pytest.approx(width / height)
    elif kind == "rectangle":
        assert (area.width_um, area.height_um) == (width, height)


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(-1e4, 1e5), y=st.floats(-1e4, 1e5), angle=angles, wide=st.floats(10, 9000),
    high=st.floats(10, 9000), kind=st.sampled_from(["rectangle", "circle"]),
)  # fmt: skip
def test_moving_turning_and_drawing_never_change_the_planned_mm2(x, y, angle, wide, high, kind):
    area = make_area(GROUND, VET, (x, y), angle_deg=angle, width_um=wide, height_um=high, kind=kind)
    assert area.planned_mm2 == VET.area_mm2
    assert area_mm2(area.polygon0, MPP) == pytest.approx(VET.area_mm2, rel=3e-5)
    assert area.counted_mm2 <= VET.area_mm2 * (1 + 1e-9)
    assert 1 / MAX_ASPECT - 1e-9 <= area.width_um / area.height_um <= MAX_ASPECT + 1e-9


@settings(max_examples=40, deadline=None)
@given(angle=angles, aspect=st.floats(0.2, 5), seed=st.integers(0, 99), uneven=st.booleans())
def test_a_turned_area_holds_the_points_of_its_outline(angle, aspect, seed, uneven):
    ground, mpp = (UNEVEN_GROUND, UNEVEN) if uneven else (GROUND, MPP)
    centre0 = (4000 / mpp.x, 3200 / mpp.y)
    area = make_area(ground, VET, centre0, width_um=aspect, height_um=1, angle_deg=angle)
    points = np.random.default_rng(seed).uniform(-1500, 1500, (200, 2)) / (mpp.x, mpp.y) + centre0
    inside = holds(area, ground, points[:, 0], points[:, 1])
    edge = shapely.distance(area.polygon0.exterior, shapely.points(points)) < 0.01
    expected = shapely.intersects_xy(area.polygon0, points[:, 0], points[:, 1])
    assert (inside == expected)[~edge].all()


def test_points_on_the_border_count_and_beyond_it_do_not():
    area = make_area(GROUND, custom_protocol(1.0, "square"), (16000.0, 12800.0))
    assert (area.width_um, area.height_um) == (1000.0, 1000.0)
    x0 = np.array([16000 - 2000.0, 16000 + 2000.0, 16000 + 2000.01, 16000.0])
    y0 = np.array([12800.0, 12800 + 2000.0, 12800.0, 12800 - 2000.01])
    assert holds(area, GROUND, x0, y0).tolist() == [True, True, False, False]


def test_a_positive_angle_turns_clockwise_on_the_screen():
    shape = custom_protocol(1.0, "rectangle-4:1").shape
    corners = outline0(shape, (0.0, 0.0), 30.0, MPP).exterior.coords[:-1]
    right = max(corners)
    assert right[1] > 0  # y points down: the right end of a clockwise turned bar is lower


def test_what_lies_outside_the_tumour_or_is_excluded_is_always_cut_out():
    centre0 = (16000.0, 12800.0)
    tumour = region("tumour", shapely.box(0, 0, 16000, 25600))
    half = make_area(full_ground(regions=[tumour]), VET, centre0)
    assert half.counted_mm2 == pytest.approx(VET.area_mm2 / 2)
    hole = region("excluded", shapely.box(15800, 12600, 16000, 12800))
    both = make_area(full_ground(regions=[tumour, hole]), VET, centre0)
    assert both.counted_mm2 == pytest.approx(VET.area_mm2 / 2 - 0.0025)
    only_hole = make_area(full_ground(regions=[hole]), VET, centre0)
    assert only_hole.counted_mm2 == pytest.approx(VET.area_mm2 - 0.0025)
    unread = make_area(full_ground(failed0=[shapely.box(15000, 12000, 16000, 13000)]), VET, centre0)
    assert unread.counted_mm2 == pytest.approx(VET.area_mm2 - 0.0625)


def test_figures_outside_the_regions_or_in_unread_windows_do_not_count():
    regions = [
        region("tumour", shapely.box(0, 0, 16000, 25600)),
        region("excluded", shapely.box(15000, 12000, 15500, 12500)),
    ]
    ground = full_ground(regions=regions, failed0=[shapely.box(14000, 12000, 14500, 12500)])
    area = make_area(ground, VET, (16000.0, 12800.0))
    x0 = np.array([15900.0, 16100.0, 15200.0, 14200.0])
    y0 = np.array([12800.0, 12800.0, 12200.0, 12200.0])
    assert holds(area, ground, x0, y0).tolist() == [True, False, False, False]


def test_mostly_tissue_counts_whole_and_scarce_tissue_as_tissue_only():
    protocol = custom_protocol(1.0, "square")  # 1000 µm: 62.5 cells
    centre0 = (10 * 64 + 2000.0, 10 * 64 + 2000.0)
    mask = np.ones((100, 100))
    mask[:, 67:] = 0  # 57 of 62.5 columns are tissue: 91.2 %
    ground = make_ground(tissue_of(mask, MPP), MPP)
    assert make_area(ground, protocol, centre0).counted_mm2 == pytest.approx(1.0)
    mask[:, 66:] = 0  # 56 of 62.5: 89.6 %
    ground = make_ground(tissue_of(mask, MPP), MPP)
    assert make_area(ground, protocol, centre0).counted_mm2 == pytest.approx(56 / 62.5)


def test_exactly_nine_tenths_of_tissue_are_enough():
    protocol = custom_protocol(0.64, "square")  # 800 µm: 50 cells
    mask = np.ones((80, 80))
    mask[:, 55:] = 0
    ground = make_ground(tissue_of(mask, MPP), MPP)
    area = make_area(ground, protocol, (35 * 64.0, 35 * 64.0))  # columns 10 to 60
    assert area.counted_mm2 == pytest.approx(0.64)


def two_pieces():
    mask = np.zeros((200, 200))
    mask[:, :90] = 1
    mask[:, 100:] = 1
    return make_ground(tissue_of(mask, MPP), MPP)


def test_it_lies_on_the_piece_of_which_it_holds_most_unless_unlocked():
    ground, protocol = two_pieces(), custom_protocol(1.0, "square")
    centre0 = (85 * 64.0, 100 * 64.0)  # 62.5 columns: 36.25 of the left piece, 16.25 of the right
    area = make_area(ground, protocol, centre0)
    assert area.counted_mm2 == pytest.approx(36.25 / 62.5)
    x0 = np.array([80.5, 93.5, 96.5, 105.5]) * 64  # the gap belongs to the nearer piece
    y0 = np.full(4, 100 * 64.0)
    assert holds(area, ground, x0, y0).tolist() == [True, True, False, False]
    free = make_area(ground, protocol, centre0, locked=False)
    assert free.counted_mm2 == pytest.approx(52.5 / 62.5)
    assert holds(free, ground, x0, y0).all()


def test_a_hot_spots_anchor_says_on_which_piece_it_was_found():
    ground, protocol = two_pieces(), custom_protocol(1.0, "square")
    anchor0 = (110 * 64.0, 100 * 64.0)
    area = make_area(ground, protocol, (85 * 64.0, 100 * 64.0), anchor0=anchor0)
    assert area.counted_mm2 == pytest.approx(16.25 / 62.5)
    assert holds(area, ground, np.array([anchor0[0]]), np.array([anchor0[1]])).all()


def test_beside_the_tissue_nothing_is_counted():
    mask = np.zeros((100, 100))
    mask[:10, :10] = 1
    ground = make_ground(tissue_of(mask, MPP), MPP)
    assert make_area(ground, VET, (1e5, 1e5)).counted_mm2 == 0
    nowhere = make_ground(
        tissue_of(mask, MPP), MPP, [region("tumour", shapely.box(5e3, 5e3, 6e3, 6e3))]
    )
    assert make_area(nowhere, VET, (5500.0, 5500.0)).counted_mm2 == 0


def test_all_tissue_as_the_area():
    ground = full_ground(rows=50, cols=50, failed0=[shapely.box(0, 0, 640, 3200)])
    area = tissue_area(ground, VET)
    assert area.kind == "tissue"
    assert area.counted_mm2 == pytest.approx(0.64 * 40 / 50) == read_mm2(ground)
    assert holds(area, ground, np.array([100.0, 1000.0]), np.array([50.0, 50.0])).tolist() == [
        False,
        True,
    ]


def test_regions_make_the_search_mask():
    tissue = tissue_of(np.ones((4, 4)), MPP)
    assert search_region0([]) is None
    tumour = region("tumour", shapely.box(0, 0, 130, 260))
    excluded = region("excluded", shapely.box(0, 0, 260, 64))
    mask = search_mask(tissue, search_region0([tumour, excluded]))
    assert mask.astype(int).tolist() == [[0, 0, 0, 0]] + [[1, 1, 0, 0]] * 3
    mask = search_mask(tissue, search_region0([excluded]))
    assert mask.sum() == 12
    bow_tie = region("tumour", shapely.Polygon([(0, 0), (128, 128), (128, 0), (0, 128)]))
    assert search_region0([bow_tie]).area == pytest.approx(128 * 64)


@settings(max_examples=25, deadline=None)
@given(centre=centres, angle=angles, aspect=st.floats(0.3, 3), locked=st.booleans())
def test_a_stored_area_comes_back_as_it_was(centre, angle, aspect, locked):
    centre0 = (centre[0] * WIDTH0, centre[1] * HEIGHT0)
    area = make_area(
        GROUND, VET, centre0, width_um=aspect * 900, height_um=900, angle_deg=angle,
        locked=locked, lineage="r", anchor0=centre0,
    )  # fmt: skip
    stored = region("count_area", area.polygon0, **properties(area, MPP, VET))
    again = area_from_region(stored, GROUND, VET)
    assert again.polygon0.equals_exact(area.polygon0, 1e-5)
    assert again.counted_mm2 == pytest.approx(area.counted_mm2)
    assert (again.angle_deg, again.locked, again.state, again.lineage, again.anchor0) == (
        area.angle_deg, locked, "accepted", "r", centre0,
    )  # fmt: skip


def test_a_new_pixel_size_keeps_the_place_and_the_locked_mm2():
    area = make_area(GROUND, VET, (16000.0, 12800.0), angle_deg=20)
    stored = region("count_area", area.polygon0, **properties(area, MPP, VET))
    coarser = full_ground(mpp=Mpp(0.3, 0.3))
    again = area_from_region(stored, coarser, VET)
    assert again.centre0 == pytest.approx((16000.0, 12800.0))
    assert area_mm2(again.polygon0, coarser.mpp) == pytest.approx(VET.area_mm2)


def test_a_programs_own_proposal_is_not_a_readers_area():
    polygon0 = shapely.box(0, 0, 100, 100)
    assert area_from_region(region("count_area", polygon0, protocol="vet_std"), GROUND, VET) is None
