"""Fields as at a microscope: one patch or free, never overlapping, and a bound that holds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.counting.fields import _neighbours, place_fields
from core.counting.hotspot import prepare_ground
from core.counting.shapes import CountShape

CELL = (20.0, 20.0)
SQUARE = CountShape("rectangle", 200.0, 200.0)
BOX = CountShape("rectangle", 200.0, 160.0)
CIRCLE = CountShape("circle", 200.0, 200.0)
SHAPES = st.sampled_from([SQUARE, BOX, CIRCLE])


def full(shape, rows=100, columns=120):
    return prepare_ground(shape, np.ones((rows, columns), bool), CELL)


def overlap(a, b, shape):
    apart = np.abs(np.subtract(a, b)) / (shape.width_um, shape.height_um)
    return (np.hypot(*apart) if shape.kind == "circle" else apart.max()) < 1 - 1e-7


def touch(a, b, shape):
    """Whether a whole side is shared, or two circles touch."""
    apart = np.abs(np.subtract(a, b)) / (shape.width_um, shape.height_um)
    if shape.kind == "circle":
        return bool(abs(np.hypot(*apart) - 1) < 1e-7)
    return bool(np.allclose(sorted(apart), (0, 1), atol=1e-7))


def one_patch(centres, shape):
    found, queue = {0}, [0]
    while queue:
        at = queue.pop()
        for other in range(len(centres)):
            if other not in found and touch(centres[at], centres[other], shape):
                found.add(other)
                queue.append(other)
    return len(found) == len(centres)


def held(points, centres, shape):
    inside = np.zeros(len(points), bool)
    for centre in centres:
        inside |= shape.contains(points, centre)
    return inside


POINTS = st.tuples(st.integers(0, 99), st.integers(0, 60), st.floats(20, 900)).map(
    lambda made: np.clip(
        np.random.default_rng(made[0]).normal((1200, 1000), made[2], (made[1], 2)), 0, 1990
    )
)


@settings(max_examples=60, deadline=None)
@given(POINTS, SHAPES, st.integers(1, 10), st.booleans(), st.integers(1, 3))
def test_whatever_is_placed_is_what_was_asked_for(points, shape, number, contiguous, sets):
    ground = full(shape)
    placed = place_fields(ground, points, number, contiguous=contiguous, sets=sets)
    assert 1 <= len(placed.sets) <= sets
    seen = np.zeros(len(points), bool)
    everywhere = [at for one in placed.sets for at in one.centres_um]
    assert not any(overlap(a, b, shape) for a, b in itertools.combinations(everywhere, 2))
    for one in placed.sets:
        assert len(one.centres_um) == number
        inside = held(points, one.centres_um, shape)
        assert list(one.members) == np.flatnonzero(inside & ~seen).tolist()
        assert one.count == len(one.members)
        seen |= inside
        assert ground.pieces[0].allowed.contains(np.array(one.centres_um)).all()
        if contiguous:
            assert one_patch(one.centres_um, shape)
    assert placed.sets[0].count <= placed.bound <= len(points)


@settings(max_examples=40, deadline=None)
@given(POINTS, SHAPES, st.integers(1, 5), st.integers(0, 99))
def test_no_other_fields_hold_more_than_the_bound(points, shape, number, seed):
    placed = place_fields(full(shape), points, number, contiguous=True)
    free = place_fields(full(shape), points, number, contiguous=False)
    random = np.random.default_rng(seed)
    for _ in range(40):
        # Any fields, overlapping or not: their union cannot beat the bound either.
        centres = random.normal((1200, 1000), 150, (number, 2))
        assert held(points, centres, shape).sum() <= free.bound
        patch = [tuple(random.normal((1200, 1000), 250, 2))]
        while len(patch) < number:
            start = patch[random.integers(len(patch))]
            near = _neighbours(start, shape)
            patch.append(near[random.integers(len(near))])
        assert held(points, patch, shape).sum() <= placed.bound
    assert placed.sets[0].count <= free.bound


def test_one_field_is_the_exact_hot_spot_and_its_own_bound():
    points = np.random.default_rng(2).random((300, 2)) * 1900
    for contiguous in (True, False):
        placed = place_fields(full(SQUARE), points, 1, contiguous=contiguous)
        assert placed.sets[0].count == placed.bound


def test_free_fields_go_where_the_mitoses_are_and_contiguous_ones_stay_together():
    far = np.array([(300.0, 300.0)] * 5 + [(2000.0, 1500.0)] * 4 + [(1200.0, 300.0)] * 3)
    free = place_fields(full(SQUARE), far, 3, contiguous=False)
    assert (free.sets[0].count, free.bound) == (12, 12)
    together = place_fields(full(SQUARE), far, 3, contiguous=True)
    assert (together.sets[0].count, together.bound) == (5, 5)  # the others are out of reach


def test_a_patch_follows_a_band_of_mitoses():
    band = np.array([(100.0 + 20 * n, 1000.0) for n in range(90)])
    placed = place_fields(full(SQUARE), band, 9, contiguous=True)
    assert placed.sets[0].count == 90 == placed.bound
    assert np.ptp([y for _, y in placed.sets[0].centres_um]) == pytest.approx(0)


def test_later_sets_count_what_is_left():
    points = np.array([(500.0, 500.0)] * 9 + [(1500.0, 500.0)] * 7 + [(1000.0, 1500.0)] * 5)
    placed = place_fields(full(SQUARE), points, 2, contiguous=True, sets=5)
    assert [one.count for one in placed.sets] == [9, 7, 5]


def test_fields_lie_on_one_piece_of_tissue():
    mask = np.zeros((60, 120), bool)
    mask[10:50, 5:50] = mask[10:50, 55:110] = True
    ground = prepare_ground(SQUARE, mask, CELL)
    points = np.array([(300.0, 500.0)] * 5 + [(1700.0, 500.0)] * 4 + [(1300.0, 800.0)] * 3)
    for contiguous in (False, True):
        one = place_fields(ground, points, 3, contiguous=contiguous).sets[0]
        sides = {x < 1050 for x, _ in one.centres_um}
        assert len(sides) == 1
        assert one.count == (5 if contiguous else 7)


def test_narrow_tissue_has_room_for_fewer_fields():
    mask = np.zeros((40, 60), bool)
    mask[15:25, 5:40] = True  # 200 x 700 µm
    placed = place_fields(
        prepare_ground(SQUARE, mask, CELL), np.array([(300.0, 400.0)]), 10, contiguous=True
    )
    assert 2 <= len(placed.sets[0].centres_um) <= 3
    assert placed.sets[0].count == 1


def test_without_mitoses_the_fields_lie_on_tissue():
    for contiguous in (True, False):
        placed = place_fields(full(CIRCLE), np.empty((0, 2)), 10, contiguous=contiguous)
        assert [len(one.centres_um) for one in placed.sets] == [10]
        assert (placed.sets[0].count, placed.bound) == (0, 0)


def test_without_room_for_one_field_nothing_is_placed():
    mask = np.zeros((40, 40), bool)
    mask[3, 3] = True
    placed = place_fields(prepare_ground(SQUARE, mask, CELL), np.empty((0, 2)), 10, contiguous=True)
    assert (placed.sets, placed.bound) == ((), 0)
    with pytest.raises(ValueError, match="cannot be placed"):
        place_fields(full(SQUARE), np.empty((0, 2)), 0, contiguous=True)
