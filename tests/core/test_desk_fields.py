"""Fields and whole tumours at the desk: proposed, accepted, moved, undone, signed, found again."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from desks import SIDE0, add_run, add_slide, all_tissue, candidate
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_ground import figures_at, full_ground, region, tissue_of

from core.counting.protocols import get_protocol
from core.errors import InputError
from core.geometry import Mpp
from core.reading.area_store import area_from_region, properties, region_polygon0, stored_plan
from core.reading.areas import holds
from core.reading.counting import make_proposer
from core.reading.desk import Desk
from core.reading.field_areas import field_area, field_shape, plan_of, plans
from core.reading.ground import make_ground
from core.store import open_store

MPP = Mpp(0.25, 0.25)
VET = get_protocol("vet_std")  # ten consecutive fields, or one outline
HPF = get_protocol("breast_10hpf")  # ten free fields, round
BELL = get_protocol("uterine_smc")  # four sets of ten
RATE = get_protocol("breast_mm2")  # a rate: the whole tumour may be counted
# Three clusters: 6, 5 and 4 mitoses.
CLUSTERS = [
    (x + 40 * n, x, 0.9)
    for x, number in ((6000, 6), (20_000, 5), (34_000, 4))
    for n in range(number)
]


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


def desk_at(store, protocol_id, rows=CLUSTERS):
    slide_id = add_slide(store)
    desk = Desk(store, slide_id, store.add_reader("Ada"), protocol_id=protocol_id)
    desk.use_run(add_run(store, slide_id, [candidate(*row) for row in rows]))
    desk.set_tissue(all_tissue())
    return desk


def again(store, protocol_id):
    """Another session of the same reader at the same slide."""
    slide_id = store.slides()[0].id
    desk = Desk(store, slide_id, store.add_reader("Ada"), protocol_id=protocol_id)
    desk.use_run(store.runs(slide_id)[0].id)
    return desk.set_tissue(all_tissue())


def test_each_protocol_says_what_it_lets_be_counted():
    assert plans(VET) == ("one", "fields")
    assert plans(HPF) == ("fields", "one")
    assert plans(BELL) == ("fields",)
    assert plans(RATE) == ("one", "whole")
    assert field_shape(HPF).kind == "circle"
    assert field_shape(HPF).area_mm2 * 10 == pytest.approx(HPF.area_mm2)
    assert field_shape(VET).area_mm2 == pytest.approx(0.237)
    assert field_shape(VET).width_um / field_shape(VET).height_um == pytest.approx(4 / 3)


def test_free_fields_are_proposed_where_mitoses_are_and_count_together(store):
    view = desk_at(store, "breast_10hpf").view()
    assert (view.area.kind, view.area.state, len(view.area.fields0)) == ("fields", "proposed", 10)
    assert view.count.tally.mitoses == 15 == view.figures.in_area.sum()
    assert view.area.counted_mm2 == pytest.approx(HPF.area_mm2)
    assert view.count.category.category is not None
    assert (view.count.plan, len(view.count.spots)) == ("fields", 1)
    assert view.count.spots[0].at_most == 15


def test_consecutive_fields_are_chosen_survive_and_can_be_left_again(store):
    desk = desk_at(store, "vet_std")
    assert desk.view().area.kind == "rectangle"
    view = desk.use_plan("fields")
    assert (view.area.kind, view.area.state, view.count.tally.mitoses) == ("fields", "accepted", 6)
    assert view.area.counted_mm2 == pytest.approx(2.37)
    assert view.area.polygon0.geom_type == "Polygon"
    assert [spot.mitoses for spot in view.count.spots] == [6, 5, 4]
    assert len(view.count.spots[0].fields0) == 10
    later = again(store, "vet_std")
    assert np.allclose(later.area.centres0, view.area.centres0)
    assert (later.count.plan, later.count.tally.mitoses) == ("fields", 6)
    assert later.area.counted_mm2 == pytest.approx(view.area.counted_mm2)
    moved = desk.accept_spot(desk.view().count.spots[1].centre0)
    assert (moved.count.tally.mitoses, moved.count.better.mitoses) == (5, 6)
    assert desk.undo().count.tally.mitoses == 6
    back = desk.use_plan("one")
    assert (back.area.kind, back.area.state, back.count.plan) == ("rectangle", "proposed", "one")
    assert desk.undo().area.kind == "fields"
    with pytest.raises(InputError, match="does not count this"):
        desk.use_plan("whole")


def test_one_field_or_all_of_them_can_be_moved(store):
    desk = desk_at(store, "breast_10hpf")
    before = desk.view().area
    first = next(n for n, at in enumerate(before.centres0) if at[0] < 10_000)
    view = desk.move_field(first, (10_000.0, 30_000.0))
    assert view.area.state == "accepted"
    assert view.count.tally.mitoses == 9
    assert view.area.centres0[first] == pytest.approx((10_000.0, 30_000.0))
    assert view.area.centres0[first + 1 :] == before.centres0[first + 1 :]
    assert view.count.better.mitoses == 15
    assert desk.undo().area.centres0 == before.centres0
    shifted = desk.shift_fields(100.0, -200.0).area
    assert np.subtract(shifted.centres0, before.centres0) == pytest.approx(
        np.tile((100.0, -200.0), (10, 1)), abs=1e-6
    )
    with pytest.raises(InputError, match="no longer there"):
        desk.move_field(10, (0.0, 0.0))


def test_fields_on_one_another_count_their_mm2_once(store):
    desk = desk_at(store, "breast_10hpf")
    area = desk.view().area
    view = desk.move_field(0, area.centres0[1])
    assert view.area.counted_mm2 == pytest.approx(0.9 * HPF.area_mm2, rel=1e-4)
    assert view.count.category.category is None
    assert "not rescaled" in view.count.category.reason


def test_of_several_sets_the_highest_is_the_count_and_all_are_read(store):
    desk = desk_at(store, "uterine_smc")
    view = desk.view()
    assert view.count.sets == (6, 5, 4)  # no mitosis is left for a fourth
    assert len(view.area.sets) == 3
    assert view.count.tally.mitoses == 6
    desk.set_all_tissue_is_tumour(True)
    figures = view.figures
    first = figures.key[figures.in_area].tolist()
    view = desk.give(first[:2], "imposter")
    assert view.count.sets == (4, 5, 4)
    assert view.count.tally.mitoses == 5  # the second is the highest now
    assert view.figures.in_area.sum() == 5
    (blocker,) = view.count.blockers
    assert len(blocker.keys) == 13  # of all sets, not of the highest only
    desk.settle_spots()
    view = desk.give(figures.key.tolist(), "mitosis")
    view = desk.settle_spots()
    assert view.count.blockers == ()
    view = desk.sign()
    assert (view.area.state, view.count.signed.mitoses) == ("accepted", 6)
    assert view.count.signed.details["area"]["sets"] == [6, 5, 4]
    assert len(view.count.signed.details["area"]["fields0"]) == 10
    later = again(store, "uterine_smc")
    assert (later.count.sets, len(later.area.sets)) == ((6, 5, 4), 3)
    assert later.count.signed is not None
    with pytest.raises(InputError, match="signed"):
        desk.move_field(0, (9000.0, 9000.0))


def test_the_whole_tumour_less_what_is_excluded_is_counted(store):
    desk = desk_at(store, "breast_mm2")
    desk.draw_region("tumour", shapely.box(0, 0, SIDE0 / 2 + 2000, SIDE0))
    desk.draw_region("excluded", shapely.box(0, 0, 10_000, 10_000))
    view = desk.use_plan("whole")
    assert (view.area.kind, view.area.state, view.count.plan) == ("tissue", "accepted", "whole")
    assert view.area.counted_mm2 == pytest.approx(55 - 6.25)
    assert view.count.tally.mitoses == 5
    assert view.count.category.category is not None  # a rate holds on any stated area
    assert view.area.planned_mm2 == RATE.area_mm2
    later = again(store, "breast_mm2")
    assert (later.area.kind, later.count.plan) == ("tissue", "whole")
    assert later.area.counted_mm2 == view.area.counted_mm2
    desk.give(view.figures.key.tolist(), "mitosis")
    signed = desk.sign().count.signed
    assert signed.counted_mm2 == pytest.approx(48.75)
    assert signed.region_id is not None
    desk.reopen("again")
    assert desk.use_plan("one").area.kind == "rectangle"


def test_excluded_parts_are_cut_out_of_fields_and_the_shortfall_withholds_the_category(store):
    desk = desk_at(store, "breast_10hpf")
    view = desk.shift_fields(0.0, 0.0)
    x0, y0, x1, y1 = view.area.fields0[0].bounds
    half0 = shapely.box(x0, y0, (x0 + x1) / 2, y1)
    view = desk.draw_region("excluded", half0)
    left = 1 - view.area.polygon0.intersection(half0).area / view.area.polygon0.area
    assert left < 0.951
    assert view.area.counted_mm2 == pytest.approx(left * HPF.area_mm2, rel=1e-6)
    assert view.count.category.category is None


def test_tissue_smaller_than_all_fields_is_counted_whole():
    small = make_ground(tissue_of(np.ones((60, 60)), MPP), MPP)  # 0.92 mm²
    proposer = make_proposer(small, HPF)
    assert proposer.whole_tissue
    assert proposer.area(proposer.spots(figures_at([(100, 100)]))).kind == "tissue"


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), protocol=st.sampled_from([VET, HPF, BELL]))
def test_stored_fields_come_back_as_they_were(seed, protocol):
    ground = full_ground()
    random = np.random.default_rng(seed)
    field = field_shape(protocol)
    sets = [
        tuple(map(tuple, random.uniform((6000, 6000), (26_000, 20_000), (10, 2)).tolist()))
        for _ in range(protocol.sets)
    ]
    area = field_area(ground, protocol, sets, field, anchors0=[None] * len(sets), lineage="r")
    stored = region("count_area", region_polygon0(area), **properties(area, MPP, protocol))
    kept = area_from_region(stored, ground, protocol)
    assert kept.counted_mm2 == pytest.approx(area.counted_mm2)
    assert [one.centres0 for one in kept.sets] == [
        pytest.approx(np.array(one.centres0)) for one in area.sets
    ] or kept.centres0 == pytest.approx(np.array(area.centres0))
    assert (kept.state, kept.lineage, plan_of(kept, protocol)) == ("accepted", "r", "fields")
    assert stored_plan(stored, protocol) == "fields"
    points = random.uniform((5000, 5000), (27_000, 21_000), (300, 2))
    inside = holds(kept, ground, points[:, 0], points[:, 1])
    expected = shapely.intersects_xy(kept.polygon0, points[:, 0], points[:, 1])
    edge = shapely.distance(kept.polygon0.boundary, shapely.points(points)) < 0.1
    assert (inside == expected)[~edge].all()


def test_a_new_pixel_size_keeps_fields_side_by_side():
    ground = full_ground()
    proposer = make_proposer(ground, VET, "fields")
    area = proposer.area_at(proposer.spots(figures_at([(16_000, 12_800)])), 0)
    stored = region("count_area", area.polygon0, **properties(area, MPP, VET))
    coarser = full_ground(mpp=Mpp(0.3, 0.3))
    kept = area_from_region(stored, coarser, VET)
    assert kept.counted_mm2 == pytest.approx(2.37)
    assert kept.polygon0.geom_type == "Polygon"
    assert kept.centre0 == pytest.approx(area.centre0)
    other = replace(VET, fields=None)  # a laboratory took the fields out of its rule
    assert area_from_region(stored, ground, other).counted_mm2 == pytest.approx(2.37)
