import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.geometry import Rect0
from core.slides.coarse import CoarsePicture
from core.slides.levels import LevelScale
from core.slides.tilegrid import COARSEST_PX, DIRECT_FACTOR, TileGrid, TileKey


def grid_of(width, height, factors=(1, 4, 16), bounds=None, tile=256):
    sizes = tuple((-(-width // f), -(-height // f)) for f in factors)
    scales = tuple(LevelScale(f, f) for f in factors)
    return TileGrid(sizes, scales, bounds or Rect0(0, 0, width, height), tile)


def steps(grid):
    return [level.step0_x for level in grid.levels]


def test_levels_are_put_between_and_above_the_files_own():
    grid = grid_of(40_000, 40_000)
    assert steps(grid) == [1, 2, 4, 8, 16, 32]
    assert [level.factor for level in grid.levels] == [1, 2, 1, 2, 1, 2]
    assert grid.base is None
    assert max(grid.levels[-1].width_px, grid.levels[-1].height_px) <= COARSEST_PX


def test_a_pyramid_by_two_stays_as_it_is():
    assert steps(grid_of(8000, 6000, (1, 2, 4, 8))) == [1, 2, 4, 8]


def test_a_slide_without_levels_is_assembled_at_the_top():
    grid = grid_of(40_000, 40_000, (1,))
    assert steps(grid) == [1, 2, 4, 8, 16, 32]
    assert [level.assembled for level in grid.levels] == [False] * 4 + [True] * 2
    assert grid.base == 3
    assert grid.levels[grid.base].factor == DIRECT_FACTOR


@pytest.mark.parametrize(
    ("wanted", "step"),
    [(0.1, 1), (1, 1), (0.995, 1), (1.9, 1), (2, 2), (3.99, 4), (7, 4), (1000, 32)],
)
def test_the_level_is_the_coarsest_that_is_sharp(wanted, step):
    grid = grid_of(40_000, 40_000)
    assert grid.levels[grid.level_for(wanted)].step0_x == step


@given(
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    factors=st.sampled_from([(1,), (1, 4, 16), (1, 2, 4), (1, 3), (1, 32)]),
    tile=st.sampled_from([0, 256, 240, 1024, 999]),
)
def test_tiles_cover_each_level_without_gap_or_overlap(width, height, factors, tile):
    grid = grid_of(width, height, factors, tile=tile)
    for number, level in enumerate(grid.levels):
        keys = grid.all_tiles(number)
        assert len(keys) == level.columns * level.rows
        sizes = [grid.size(key) for key in keys]
        assert sum(w * h for w, h in sizes) == level.width_px * level.height_px
        assert min(min(size) for size in sizes) > 0


def test_tiles_in_a_rectangle_and_a_ring_around():
    grid = grid_of(5000, 5000)
    assert grid.tiles_in(Rect0(512, 0, 512, 10), 0) == [TileKey(0, 1, 0)]
    assert len(grid.tiles_in(Rect0(512, 512, 512, 512), 0, ring=1)) == 9
    assert grid.tiles_in(Rect0(-900, 100, 300, 300), 0) == []
    assert grid.tiles_in(Rect0(9000, 9000, 10, 10), 0) == []


def test_nothing_outside_the_bounds_is_wanted():
    grid = grid_of(5000, 5000, bounds=Rect0(2048, 2048, 1024, 1024))
    assert grid.tiles_in(Rect0(0, 0, 5000, 5000), 0, ring=1) == [
        TileKey(0, column, row) for row in (4, 5) for column in (4, 5)
    ]


def test_edge_tiles_are_clipped():
    grid = grid_of(1300, 700)
    assert grid.size(TileKey(0, 2, 1)) == (276, 188)
    assert grid.rect0(TileKey(0, 2, 1)) == Rect0(1024, 512, 276, 188)


def test_tiles_are_multiples_of_the_files_own():
    sides = {own: grid_of(9000, 9000, tile=own).tile_px for own in (0, 240, 256, 512, 1024, 4096)}
    assert sides == {0: 512, 240: 480, 256: 512, 512: 512, 1024: 1024, 4096: 512}


def test_the_coarse_picture_grows_tile_by_tile():
    grid = grid_of(40_000, 12_000, (1,))
    picture = CoarsePicture(grid, (255, 255, 255))
    rng = np.random.default_rng(0)
    colours = {key: rng.integers(0, 200, 3) for key in grid.all_tiles(grid.base)}
    top = TileKey(grid.coarsest, 0, 0)
    assert picture.tile(top).min() == 255
    for key, colour in colours.items():
        width, height = grid.size(key)
        changed = picture.put(key, np.full((height, width, 3), colour, np.uint8))
        assert changed
        assert all(grid.levels[tile.level].assembled for tile in changed)
    assert not picture.missing
    for level in range(grid.base + 1, len(grid.levels)):
        for key in grid.all_tiles(level):
            rgb, rect0 = picture.tile(key), grid.rect0(key)
            assert rgb.shape == (*reversed(grid.size(key)), 3)
            under = grid.tiles_in(Rect0(rect0.x0, rect0.y0, 8, 8), grid.base)[0]
            assert tuple(rgb[0, 0]) == tuple(colours[under])


def test_an_unreadable_base_tile_stays_background():
    grid = grid_of(40_000, 12_000, (1,))
    picture = CoarsePicture(grid, (250, 251, 252))
    lost = TileKey(grid.base, 0, 0)
    assert lost in picture.sources(TileKey(grid.coarsest, 0, 0))
    picture.put(lost, None)
    assert lost not in picture.missing
    assert tuple(picture.tile(TileKey(grid.coarsest, 0, 0))[0, 0]) == (250, 251, 252)
