"""The hot spot on tissue with regions cut out, against every place where outlines can meet.

The search knows cells where a centre may lie; here the regions are drawn, so that the whole way
from a drawn exclusion to the proposed area is held against brute force, for every shape.
"""

import itertools

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_ground import figures_at, region, tissue_of

from core.counting.protocols import custom_protocol
from core.geometry import Mpp
from core.reading.areas import holds
from core.reading.counting import make_proposer
from core.reading.ground import make_ground

MPP = Mpp(0.5, 0.5)
CELL_UM = 40.0
SIDE_UM = 800.0  # 20 x 20 cells
SHAPES = {"square": 0.04, "rectangle-4:3": 0.03, "circle": 0.05}


@st.composite
def regions(draw):
    """An excluded box or two, a tumour that leaves some out, or both."""
    found = []
    corner = st.tuples(st.integers(0, 700), st.integers(0, 700), st.integers(60, 400))
    for n, (x, y, size) in enumerate(draw(st.lists(corner, max_size=2))):
        box0 = shapely.box(x, y, x + size, y + size / 2)
        found.append(region("excluded", shapely.transform(box0, lambda at: at / 0.5), f"e{n}"))
    if draw(st.booleans()):
        inside = shapely.Point(400, 400).buffer(draw(st.integers(250, 420)), quad_segs=8)
        found.append(region("tumour", shapely.transform(inside, lambda at: at / 0.5), "t"))
    return found


def meetings(points, shape, allowed):
    """Every place where a best centre may lie: crossings of outlines and of cell borders."""
    half_x, half_y = shape.width_um / 2, shape.height_um / 2
    rows, columns = np.nonzero(allowed.mask)
    lines_x = sorted({c * CELL_UM for c in columns} | {(c + 1) * CELL_UM for c in columns})
    lines_y = sorted({r * CELL_UM for r in rows} | {(r + 1) * CELL_UM for r in rows})
    if shape.kind != "circle":
        xs = [x + side * half_x for x, _ in points for side in (-1, 1)] + lines_x
        ys = [y + side * half_y for _, y in points for side in (-1, 1)] + lines_y
        return np.array(list(itertools.product(xs, ys)))
    found = list(itertools.product(lines_x, lines_y)) + [tuple(at) for at in points]
    for x, y in points:
        for line in lines_x:
            if abs(line - x) <= half_x:
                rise = np.sqrt(half_x**2 - (line - x) ** 2)
                found += [(line, y - rise), (line, y + rise)]
        for line in lines_y:
            if abs(line - y) <= half_x:
                run = np.sqrt(half_x**2 - (line - y) ** 2)
                found += [(x - run, line), (x + run, line)]
    for (ax, ay), (bx, by) in itertools.combinations(points, 2):
        apart = np.hypot(bx - ax, by - ay)
        if 0 < apart <= 2 * half_x:
            aside = np.sqrt(half_x**2 - (apart / 2) ** 2)
            ux, uy = (bx - ax) / apart, (by - ay) / apart
            middle = (ax + bx) / 2, (ay + by) / 2
            found += [(middle[0] - s * aside * uy, middle[1] + s * aside * ux) for s in (-1, 1)]
    return np.array(found)


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=40, deadline=None)
@given(drawn=regions(), seed=st.integers(0, 9999), number=st.integers(1, 9))
def test_the_hot_spot_beside_exclusions_equals_brute_force(name, drawn, seed, number):
    ground = make_ground(tissue_of(np.ones((20, 20)), MPP, CELL_UM), MPP, drawn)
    protocol = custom_protocol(SHAPES[name], name)
    proposer = make_proposer(ground, protocol)
    if proposer.placing is None or proposer.whole_tissue:
        return
    random = np.random.default_rng(seed)
    points = np.round(random.normal((400, 400), 170, (number, 2)).clip(1, 799) / 5) * 5 + 0.5
    figures = figures_at(points / 0.5)
    spots = proposer.spots(figures)
    open_ = ground.open_at(figures.x0, figures.y0)
    most = 0
    for piece in proposer.placing.pieces:
        own = points[open_ & piece.holds(points)]
        if not len(own):
            continue
        centres = meetings(own, protocol.shape, piece.allowed)
        centres = centres[piece.allowed.contains(centres, 1e-7)]
        held = [int(protocol.shape.contains(own, tuple(at)).sum()) for at in centres.tolist()]
        most = max(most, *held, 0)
    assert spots[0].mitoses == most
    area = proposer.area(spots)
    assert holds(area, ground, figures.x0, figures.y0).sum() == most
    open0 = area.polygon0 if ground.where0 is None else area.polygon0.intersection(ground.where0)
    share = open0.area / area.polygon0.area
    assert area.counted_mm2 <= SHAPES[name] * share * (1 + 1e-9)
