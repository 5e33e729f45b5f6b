"""The hot spot against brute force over subsets, which shares no idea with the search."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from core.counting.allowed import AllowedCentres
from core.counting.hotspot import find_hot_spots
from core.counting.shapes import CountShape

STEP = 10.0  # µm between lattice places; borders, ties and duplicates are then common
LATTICE = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=7)
ANYWHERE = st.integers(0, 80_000).map(lambda nm: nm / 1000)
EVERYWHERE = (-1e6, -1e6, 1e6, 1e6)


@st.composite
def masks(draw):
    """No mask, or a few cells of 10 × 15 µm somewhere about the points."""
    if draw(st.booleans()):
        return None
    bits = draw(st.lists(st.booleans(), min_size=48, max_size=48))
    origin = draw(st.sampled_from([(0.0, 0.0), (-20.0, 5.0), (12.5, -7.5)]))
    return AllowedCentres(np.array(bits).reshape(6, 8), 10.0, 15.0, origin)


def cells_of(allowed):
    """Closed cells as x0, y0, x1, y1."""
    if allowed is None:
        return [EVERYWHERE]
    ox, oy = allowed.origin_um
    return [
        (
            ox + c * allowed.cell_um_x,
            oy + r * allowed.cell_um_y,
            ox + (c + 1) * allowed.cell_um_x,
            oy + (r + 1) * allowed.cell_um_y,
        )
        for r, c in zip(*np.nonzero(allowed.mask), strict=True)
    ]


def rectangle_fits(subset, half, cell, taken=()):
    """Whether one allowed centre holds all points: exact on lattice numbers."""
    xs, ys = [p[0] for p in subset], [p[1] for p in subset]
    x0, x1 = max(max(xs) - half[0], cell[0]), min(min(xs) + half[0], cell[2])
    y0, y1 = max(max(ys) - half[1], cell[1]), min(min(ys) + half[1], cell[3])
    if x0 > x1 or y0 > y1:
        return False
    # What open boxes leave of a closed box has its extremes on their borders.
    xs = [x0, x1, *(x + side * 2 * half[0] for x, _ in taken for side in (-1, 1))]
    ys = [y0, y1, *(y + side * 2 * half[1] for _, y in taken for side in (-1, 1))]
    return any(
        all(max(abs(x - tx) / half[0], abs(y - ty) / half[1]) >= 2 - 1e-9 for tx, ty in taken)
        for x in xs
        if x0 <= x <= x1
        for y in ys
        if y0 <= y <= y1
    )


def nearest_worst(subset, cell):
    """Least over the cell of the greatest distance to the points (constrained smallest circle)."""
    pairs = list(itertools.combinations(subset, 2))
    candidates = [(cell[i], cell[j]) for i in (0, 2) for j in (1, 3)]
    candidates += [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in pairs] + list(subset)
    for a, b, c in itertools.combinations(subset, 3):
        d = 2 * (a[0] * (b[1] - c[1]) + b[0] * (c[1] - a[1]) + c[0] * (a[1] - b[1]))
        if d:
            sq = [p[0] ** 2 + p[1] ** 2 for p in (a, b, c)]
            candidates.append(
                (
                    (sq[0] * (b[1] - c[1]) + sq[1] * (c[1] - a[1]) + sq[2] * (a[1] - b[1])) / d,
                    (sq[0] * (c[0] - b[0]) + sq[1] * (a[0] - c[0]) + sq[2] * (b[0] - a[0])) / d,
                )
            )
    for x in (cell[0], cell[2]):  # on an edge: below a point, or level between two
        candidates += [(x, p[1]) for p in subset]
        for a, b in pairs:
            if a[1] != b[1]:
                rest = (x - a[0]) ** 2 - (x - b[0]) ** 2 + a[1] ** 2 - b[1] ** 2
                candidates.append((x, rest / (2 * (a[1] - b[1]))))
    for y in (cell[1], cell[3]):
        candidates += [(p[0], y) for p in subset]
        for a, b in pairs:
            if a[0] != b[0]:
                rest = (y - a[1]) ** 2 - (y - b[1]) ** 2 + a[0] ** 2 - b[0] ** 2
                candidates.append((rest / (2 * (a[0] - b[0])), y))
    inside = [
        (x, y)
        for x, y in candidates
        if cell[0] - 1e-9 <= x <= cell[2] + 1e-9 and cell[1] - 1e-9 <= y <= cell[3] + 1e-9
    ]
    return min(max(np.hypot(x - p[0], y - p[1]) for p in subset) for x, y in inside)


def most(points, allowed, fits):
    """Size of the largest subset that one allowed centre holds."""
    cells = cells_of(allowed)
    for size in range(len(points), 0, -1):
        for subset in itertools.combinations(points, size):
            if any(fits(subset, cell) for cell in cells):
                return size
    return 0


def checked(spots, points, shape, allowed):
    """What holds of every answer; returns the counts."""
    seen = set()
    for index, spot in enumerate(spots):
        inside = np.flatnonzero(shape.contains(points, spot.centre_um)).tolist()
        assert list(spot.members) == [i for i in inside if i not in seen]
        assert spot.count == len(spot.members)
        seen |= set(spot.members)
        assert allowed is None or allowed.contains(np.array([spot.centre_um]))[0]
        for other in spots[:index]:
            apart = np.abs(np.subtract(spot.centre_um, other.centre_um))
            apart = apart / (shape.width_um / 2, shape.height_um / 2)
            gap = np.hypot(*apart) if shape.kind == "circle" else apart.max()
            assert gap >= 2 - 1e-7
    return [spot.count for spot in spots]


@settings(max_examples=250, deadline=None)
@given(LATTICE, masks(), st.integers(1, 5), st.integers(1, 5))
def test_rectangle_equals_brute_force(lattice, allowed, width, height):
    rows = [(x * STEP, y * STEP) for x, y in lattice]
    points = np.array(rows)
    shape = CountShape("rectangle", width * STEP, height * STEP)
    half = (shape.width_um / 2, shape.height_um / 2)
    spots = find_hot_spots(points, shape, allowed, k=4)
    counts = checked(spots, points, shape, allowed)
    taken, rest = [], dict(enumerate(rows))
    for index in range(4):
        best = most(list(rest.values()), allowed, lambda s, c: rectangle_fits(s, half, c, taken))
        assert best == (counts[index] if index < len(counts) else 0)
        if best == 0:
            break
        taken.append(spots[index].centre_um)
        rest = {i: point for i, point in rest.items() if i not in spots[index].members}


@settings(max_examples=120, deadline=None)
@given(LATTICE, masks(), st.sampled_from([10.0, 15.0, 20.0, 25.0, 32.0, 50.0]))
def test_circle_equals_brute_force(lattice, allowed, radius):
    rows = [(x * STEP, y * STEP) for x, y in lattice]
    points = np.array(rows)
    shape = CountShape("circle", 2 * radius, 2 * radius)
    counts = [*checked(find_hot_spots(points, shape, allowed, k=2), points, shape, allowed), 0]
    worst = {}

    def fits(subset, cell, reach):
        key = (subset, cell)
        if key not in worst:
            worst[key] = nearest_worst(subset, cell)
        return worst[key] <= radius * reach

    low = most(rows, allowed, lambda s, c: fits(s, c, 1 + 1e-9))
    high = most(rows, allowed, lambda s, c: fits(s, c, 1 + 3e-7))
    assert low <= counts[0] <= high


@settings(max_examples=60, deadline=None)
@given(LATTICE, masks(), st.sampled_from([10.0, 15.0, 25.0]))
def test_no_sampled_placement_beats_the_next_best_circles(lattice, allowed, radius):
    points = np.array(lattice, dtype=float) * STEP
    shape = CountShape("circle", 2 * radius, 2 * radius)
    spots = find_hot_spots(points, shape, allowed, k=4)
    checked(spots, points, shape, allowed)
    grid = np.arange(-30.0, 111.0, 2.5)
    centres = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    if allowed is not None:
        centres = centres[allowed.contains(centres)]
    free = np.ones(len(points), bool)
    for index in range(4):
        apart = np.hypot(*np.moveaxis(centres[:, None] - points[free][None], -1, 0))
        sampled = (apart <= radius).sum(axis=1).max(initial=0)
        assert sampled <= (spots[index].count if index < len(spots) else 0)
        if index >= len(spots):
            break
        free[list(spots[index].members)] = False
        centres = centres[np.hypot(*(centres - spots[index].centre_um).T) >= 2 * radius]


def circle_meetings(points, radius, taken):
    """Where outlines of the circles about the points and of the forbidden places cross."""
    rims = [(x, y, radius) for x, y in points] + [(x, y, 2 * radius) for x, y in taken]
    yield from ((x, y - r) for x, y, r in rims)
    for (ax, ay, r), (bx, by, q) in itertools.combinations(rims, 2):
        far = np.hypot(bx - ax, by - ay)
        if 0 < far <= r + q and far >= abs(r - q):
            along = (far * far + r * r - q * q) / (2 * far)
            aside = np.sqrt(max(r * r - along * along, 0.0))
            ux, uy = (bx - ax) / far, (by - ay) / far
            for side in (-aside, aside):
                yield ax + along * ux - side * uy, ay + along * uy + side * ux


@pytest.mark.parametrize("evenly", [False, True])
def test_the_next_best_circles_equal_all_meetings(evenly):
    radius = 260.0
    points = np.random.default_rng(3).random((140, 2)) * 2000
    if evenly:
        points = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), -1).reshape(-1, 2) * 170
    shape = CountShape("circle", 2 * radius, 2 * radius)
    spots = find_hot_spots(points, shape, k=4)
    checked(spots, points, shape, None)
    free, taken = np.ones(len(points), bool), []
    for spot in spots:
        places = np.array(list(circle_meetings(points[free], radius, taken)))
        for centre in taken:
            places = places[np.hypot(*(places - centre).T) >= 2 * radius * (1 - 1e-9)]
        apart = np.hypot(*np.moveaxis(places[:, None] - points[free][None], -1, 0))
        assert spot.count == (apart <= radius * (1 + 1e-9)).sum(axis=1).max()
        free[list(spot.members)] = False
        taken.append(spot.centre_um)


@pytest.mark.parametrize("kind", ["circle", "rectangle"])
@pytest.mark.parametrize("evenly", [False, True])
def test_many_points_all_over_the_tissue_do_end(kind, evenly):
    # Nearly every place is nearly as good as the best: no bound spares much.
    points = np.random.default_rng(4).random((3000, 2)) * 8000
    if evenly:
        points = np.stack(np.meshgrid(np.arange(25.0), np.arange(25.0)), -1).reshape(-1, 2) * 320
    mask = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((400, 400)), 9) > -0.02
    allowed = AllowedCentres(mask, 20.0, 20.0)
    shape = CountShape(kind, 1600.0, 1600.0)
    spots = find_hot_spots(points, shape, allowed, k=5)
    counts = checked(spots, points, shape, allowed)
    assert len(counts) == 5
    rows, columns = np.nonzero(mask[::10, ::10])
    centres = np.stack([columns, rows], axis=1) * 200.0
    held = max(int(shape.contains(points, (x, y)).sum()) for x, y in centres.tolist())
    assert counts[0] >= held


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(ANYWHERE, ANYWHERE), min_size=1, max_size=6),
    masks(),
    st.sampled_from(["circle", "rectangle"]),
)
def test_any_numbers_equal_brute_force(rows, allowed, kind):
    points = np.array(rows)
    shape = CountShape(kind, 40.0, 40.0 if kind == "circle" else 26.0)
    counts = [*checked(find_hot_spots(points, shape, allowed), points, shape, allowed), 0]

    def held(grown):
        if kind == "circle":
            return most(rows, allowed, lambda s, c: nearest_worst(s, c) <= 20 * grown)
        half = (20 * grown, 13 * grown)
        return most(rows, allowed, lambda s, c: rectangle_fits(s, half, c))

    assert held(1 - 1e-9) <= counts[0] <= held(1 + 3e-7)


@settings(max_examples=60, deadline=None)
@given(LATTICE, masks(), st.sampled_from(["circle", "rectangle"]), st.randoms())
def test_the_order_of_points_does_not_matter(lattice, allowed, kind, random):
    shape = CountShape(kind, 30.0, 30.0)
    shuffled = list(lattice)
    random.shuffle(shuffled)
    first = find_hot_spots(np.array(lattice) * STEP, shape, allowed, k=3)
    second = find_hot_spots(np.array(shuffled) * STEP, shape, allowed, k=3)
    assert [(s.centre_um, s.count) for s in first] == [(s.centre_um, s.count) for s in second]


def test_among_equals_the_topmost_then_leftmost_centred_on_its_points():
    points = np.array([(500, 100), (510, 104), (100, 100), (110, 104), (300, 300), (310, 300)])
    for kind in ("rectangle", "circle"):
        spots = find_hot_spots(points.astype(float), CountShape(kind, 40.0, 40.0), k=9)
        assert [s.centre_um for s in spots] == [
            pytest.approx((105, 102)),
            pytest.approx((505, 102)),
            pytest.approx((305, 300)),
        ]


def test_border_points_count_on_every_side():
    cross = np.array([(0, 0), (80, 0), (0, 60), (80, 60), (40, -21)], dtype=float)
    box = find_hot_spots(cross, CountShape("rectangle", 80.0, 60.0))[0]
    assert (box.count, box.centre_um) == (4, (40.0, 30.0))
    circle = find_hot_spots(cross, CountShape("circle", 100.0, 100.0))[0]
    assert circle.count == 4
    assert find_hot_spots(cross, CountShape("circle", 99.999, 99.999))[0].count == 3


def test_duplicates_count_each_time_and_many_collinear_points_are_no_trouble():
    line = np.array([(5.0, float(y)) for y in range(400)] + [(5.0, 7.0)] * 30)
    for kind in ("rectangle", "circle"):
        spot = find_hot_spots(line, CountShape(kind, 100.0, 100.0))[0]
        assert spot.count == 101 + 30


def test_an_allowed_patch_inside_the_best_region_is_found():
    points = np.array([(0.0, 0.0), (10.0, 0.0), (5.0, 8.0)])
    mask = np.zeros((40, 40), bool)
    mask[21, 22] = True  # one cell of half a µm, far from every outline
    allowed = AllowedCentres(mask, 0.5, 0.5, (-6.0, -6.0))
    for kind in ("rectangle", "circle"):
        spot = find_hot_spots(points, CountShape(kind, 60.0, 60.0), allowed)[0]
        assert spot.count == 3
        assert allowed.contains(np.array([spot.centre_um]))[0]


def test_nearly_equal_points_are_no_trouble():
    points = np.array([(0.0, 0.0), (0.0, 1.0), (3.6e-216, 0.0)])
    assert find_hot_spots(points, CountShape("circle", 40.0, 40.0))[0].count == 3


def test_nothing_to_count():
    shape = CountShape("rectangle", 40.0, 30.0)
    mask = np.zeros((5, 5), bool)
    far_away = np.array([(1000.0, 1000.0)])
    assert find_hot_spots(np.empty((0, 2)), shape) == []
    assert find_hot_spots(np.empty((0, 2)), shape, AllowedCentres(mask, 10, 10)) == []
    mask[1:4, 1:4] = True
    empty = find_hot_spots(np.empty((0, 2)), shape, AllowedCentres(mask, 10, 10))
    assert [(s.count, s.centre_um) for s in empty] == [(0, (25.0, 25.0))]
    assert find_hot_spots(far_away, shape, AllowedCentres(mask, 10, 10)) == []
    with pytest.raises(ValueError, match="finite"):
        find_hot_spots(np.array([(np.nan, 1.0)]), shape)
