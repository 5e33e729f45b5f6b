"""The coverage rule and the rule of one piece of tissue."""

import numpy as np
import pytest
import shapely

from core.counting.allowed import AllowedCentres, allowed_centres, tissue_held
from core.counting.hotspot import place_count_area
from core.counting.shapes import CountShape

BOX = CountShape("rectangle", 400.0, 300.0)
CELL = (20.0, 20.0)


def tissue(*slabs, shape=(60, 80)):
    mask = np.zeros(shape, bool)
    for rows, columns in slabs:
        mask[slice(*rows), slice(*columns)] = True
    return mask


@pytest.mark.parametrize(
    ("shape", "slack"),
    [(CountShape("rectangle", 170.0, 90.0), 1e-6), (CountShape("circle", 130.0, 130.0), 0.3)],
)
def test_tissue_held_is_the_overlap_with_the_placed_shape(shape, slack):
    mask = np.random.default_rng(1).random((12, 15)) < 0.6
    held = tissue_held(mask, 20.0, 25.0, shape)
    cells = [shapely.box(c * 20, r * 25, c * 20 + 20, r * 25 + 25) for r, c in np.argwhere(mask)]
    whole = shapely.union_all(cells)
    for row, column in ((0, 0), (5, 7), (11, 14), (3, 13)):
        placed = shape.polygon_um((column * 20 + 10.0, row * 25 + 12.5))
        assert held[row, column] == pytest.approx(placed.intersection(whole).area / 500, abs=slack)


def test_allowed_centres_hold_nearly_all_the_tissue_they_can():
    mask = tissue(((10, 50), (10, 70)))
    allowed = allowed_centres(mask, *CELL, (0.0, 0.0), BOX)
    assert allowed is not None
    held = tissue_held(mask, *CELL, BOX)
    assert (held[allowed.mask] >= 0.95 * held.max() - 1e-5).all()
    assert (held[~allowed.mask] < 0.95 * held.max()).all()
    assert allowed_centres(tissue(((0, 10), (0, 10))), *CELL, (0.0, 0.0), BOX) is None


def test_centres_on_the_border_of_a_cell_are_allowed():
    allowed = AllowedCentres(np.array([[True, False], [False, False]]), 10.0, 20.0, (100.0, 50.0))
    at = np.array([(100, 50), (110, 70), (110.1, 60), (105, 70.1), (99.9, 60), (105, 60)])
    assert allowed.contains(at).tolist() == [True, True, False, False, False, True]


def test_small_tissue_is_counted_whole():
    points = np.array([(50.0, 50.0), (900.0, 900.0)])
    placed = place_count_area(points, BOX, tissue(((0, 10), (0, 10))), CELL)
    assert placed.whole_tissue
    assert (placed.counted, placed.spots) == (2, ())
    assert placed.holds(points).all()
    assert placed.counted_area_mm2 == pytest.approx(0.04)
    with pytest.raises(ValueError, match="no tissue"):
        place_count_area(points, BOX, tissue(), CELL)


def test_the_count_area_lies_on_one_piece_unless_unlocked():
    # Two pieces, a twentieth of the box apart, mitoses along the gap, a smaller cluster left.
    mask = tissue(((10, 50), (2, 38)), ((10, 50), (39, 76)))
    along = [(740.0 + 80 * side, 500.0 + 10 * i) for side in (0, 1) for i in range(5)]
    points = np.array([*along, *[(200.0 + i, 500.0) for i in range(6)]])
    locked = place_count_area(points, BOX, mask, CELL, k=3)
    assert [s.count for s in locked.spots] == [6, 5, 5]
    free = place_count_area(points, BOX, mask, CELL, k=2, one_piece=False)
    assert [s.count for s in free.spots] == [10, 6]
    assert locked.counted_area_mm2 == pytest.approx(0.12)
    for placed in (locked, free):
        assert placed.holds(points).sum() == placed.counted
    crossing = place_count_area(points[:10], BOX, mask, CELL)
    assert crossing.holds(points).tolist() == [i in crossing.spots[0].members for i in range(16)]
    assert locked.covered_mm2 >= 0.95 * 0.12


def test_a_crumb_beside_the_tissue_is_no_place_to_count():
    mask = tissue(((10, 50), (2, 50)), ((10, 14), (70, 74)))
    points = np.array([(1440.0, 240.0)] * 9 + [(500.0, 500.0)] * 2)
    assert place_count_area(points, BOX, mask, CELL).counted == 2


def test_a_point_off_the_tissue_belongs_to_the_nearest_piece():
    mask = tissue(((10, 50), (2, 38)))
    points = np.array([(30.0, 500.0), (60.0, 500.0)])
    assert place_count_area(points, BOX, mask, CELL).counted == 2


def test_narrow_tissue_is_told_from_full():
    mask = tissue(((25, 30), (0, 80)))  # a core of 100 µm, 0.16 mm²
    points = np.array([(300.0, 540.0), (420.0, 560.0)])
    placed = place_count_area(points, BOX, mask, CELL)
    assert placed.counted == 2
    assert placed.covered_mm2 == pytest.approx(0.04, rel=0.06)
    assert placed.counted_area_mm2 == pytest.approx(0.12)


def test_without_mitoses_an_empty_area_is_placed_on_the_tissue():
    mask = tissue(((10, 50), (10, 70)))
    placed = place_count_area(np.empty((0, 2)), BOX, mask, CELL)
    assert placed.counted == 0
    assert placed.spots[0].centre_um == pytest.approx((800, 600), abs=21)
    assert placed.covered_mm2 == pytest.approx(0.12)
