import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.geometry import Mpp
from core.slides.viewedgrid import LARGEST_SIDE, ViewedGrid


def rectangle(x0, y0, width, height):
    return np.array(
        [(x0, y0), (x0 + width, y0), (x0 + width, y0 + height), (x0, y0 + height)], float
    )


def test_cells_are_about_64_um():
    assert ViewedGrid.for_slide(10_000, 8000, Mpp(0.25, 0.25)).cell0 == 256
    assert ViewedGrid.for_slide(10_000, 8000, Mpp(0.5, 0.5)).cell0 == 128
    assert ViewedGrid.for_slide(10_000, 8000, None).cells.shape == (32, 40)
    assert max(ViewedGrid.for_slide(9_000_000, 10, Mpp(0.25, 0.25)).cells.shape) <= LARGEST_SIDE


def test_what_lies_in_the_view_is_marked_once():
    grid = ViewedGrid(1000, 1000, 100)
    assert grid.mark(rectangle(200, 300, 300, 200))
    assert grid.cells.sum() == 6
    assert grid.cells[3:5, 2:5].all()
    assert not grid.mark(rectangle(200, 300, 300, 200))
    assert grid.mark(rectangle(-500, -500, 700, 700))
    assert grid.cells[:2, :2].all()
    assert not grid.mark(rectangle(5000, 5000, 10, 10))


def test_a_turned_view_marks_a_turned_rectangle():
    grid = ViewedGrid(1000, 1000, 10)
    corners = np.array([(500, 200), (800, 500), (500, 800), (200, 500)], float)
    grid.mark(corners)
    assert grid.cells.sum() == pytest.approx(1800, rel=0.05)
    assert not grid.cells[25, 25]
    assert grid.cells[50, 50]


@given(
    size=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    views=st.lists(st.tuples(*[st.floats(-100, 3000)] * 2, *[st.floats(1, 900)] * 2), max_size=4),
)
def test_the_store_gives_back_what_it_got(size, views):
    grid = ViewedGrid(*size, 64)
    for view in views:
        grid.mark(rectangle(*view))
    again = ViewedGrid.from_bytes(grid.to_bytes(), *size)
    np.testing.assert_array_equal(again.cells, grid.cells)
    assert again.cell0 == 64


@pytest.mark.parametrize("damage", [b"", b"XXXX" + bytes(12), None])
def test_foreign_bytes_are_refused(damage):
    data = ViewedGrid(1000, 1000, 100).to_bytes()
    with pytest.raises(ValueError, match="view"):
        ViewedGrid.from_bytes(data[:-4] if damage is None else damage, 1000, 1000)
    with pytest.raises(ValueError, match="another slide"):
        ViewedGrid.from_bytes(data, 5000, 1000)
