import numpy as np
import pytest
from blobs import BlobDetector
from hypothesis import given
from hypothesis import strategies as st

from core.analysis.candidates import MERGE_RADIUS_UM, Points, StreamMerger, agreement, merge
from core.analysis.tiling import make_grid
from core.geometry import Mpp

MPP = Mpp(0.25, 0.3)


def cloud(seed: int, count: int, side_um: float = 400.0):
    rng = np.random.default_rng(seed)
    xy_um = rng.uniform(0, side_um, (count, 2))
    # Few distinct scores, so that ties are common; some points twice.
    scores = rng.choice([0.2, 0.5, 0.9], count).astype(np.float32)
    twice = rng.integers(0, count, count // 10)
    return np.concatenate([xy_um, xy_um[twice]]), np.concatenate([scores, scores[twice]])


@given(seed=st.integers(0, 10_000), count=st.integers(1, 300))
def test_kept_points_are_apart_and_every_other_has_a_better_one_near(seed, count):
    xy_um, scores = cloud(seed, count)
    kept = merge(xy_um, scores)
    gaps = np.hypot(*(xy_um[kept][:, None] - xy_um[kept][None]).transpose(2, 0, 1))
    np.fill_diagonal(gaps, np.inf)
    assert (gaps >= MERGE_RADIUS_UM).all()
    for index in set(range(len(xy_um))) - set(kept.tolist()):
        near = np.hypot(*(xy_um[kept] - xy_um[index]).T) < MERGE_RADIUS_UM
        assert (scores[kept][near] >= scores[index]).any()


@given(seed=st.integers(0, 10_000), count=st.integers(1, 300))
def test_order_of_the_input_does_not_matter(seed, count):
    xy_um, scores = cloud(seed, count)
    order = np.random.default_rng(seed + 1).permutation(len(xy_um))
    first, second = merge(xy_um, scores), order[merge(xy_um[order], scores[order])]
    assert np.array_equal(xy_um[first], xy_um[second])


def test_merge_of_nothing_is_nothing():
    assert len(merge(np.empty((0, 2)), np.empty(0, np.float32))) == 0


def test_points_exactly_at_the_radius_both_stay():
    xy_um = np.array([[0.0, 0.0], [MERGE_RADIUS_UM, 0.0]])
    assert len(merge(xy_um, np.array([0.5, 0.9], np.float32))) == 2


def windows_and_points(seed: int, count: int):
    fake = BlobDetector()
    fake.window_px, fake.halo_px = 128, 16
    grid = make_grid(fake, MPP)
    planned = [grid.window(col, row) for row in range(9) for col in range(9)]
    xy_um, scores = cloud(seed, count)
    points = Points(xy_um / (MPP.x, MPP.y), scores)
    cells = [grid.cell(x0, y0) for x0, y0 in points.xy0]
    return grid, planned, points, cells


def of_window(points: Points, cells, window) -> Points:
    mine = [cell == (window.col, window.row) for cell in cells]
    return Points(points.xy0[mine], points.scores[mine])


def as_set(points: Points):
    return sorted(map(tuple, np.column_stack([points.xy0, points.scores]).tolist()))


def expected(points: Points):
    kept = merge(points.xy0 * (MPP.x, MPP.y), points.scores)
    return as_set(Points(points.xy0[kept], points.scores[kept]))


@given(seed=st.integers(0, 10_000), count=st.integers(1, 250), shuffled=st.booleans())
def test_merging_a_stream_of_windows_gives_what_merging_all_at_once_gives(seed, count, shuffled):
    grid, planned, points, cells = windows_and_points(seed, count)
    merger = StreamMerger(grid, planned)
    order = np.random.default_rng(seed).permutation(len(planned)) if shuffled else range(81)
    settled = [
        merger.finish(planned[index], of_window(points, cells, planned[index])) for index in order
    ]
    together = Points(
        np.concatenate([part.xy0 for part in settled]),
        np.concatenate([part.scores for part in settled]),
    )
    assert len(merger) == 0
    assert as_set(together) == expected(points)


@given(seed=st.integers(0, 10_000), stop=st.integers(0, 81))
def test_restoring_finished_windows_goes_on_where_they_ended(seed, stop):
    grid, planned, points, cells = windows_and_points(seed, 200)
    merger = StreamMerger(grid, planned)
    before = [of_window(points, cells, window) for window in planned[:stop]]
    parts = [
        merger.restore(
            {(window.col, window.row) for window in planned[:stop]},
            Points(
                np.concatenate([np.empty((0, 2)), *(part.xy0 for part in before)]),
                np.concatenate([np.empty(0, np.float32), *(part.scores for part in before)]),
            ),
        )
    ]
    parts += [merger.finish(window, of_window(points, cells, window)) for window in planned[stop:]]
    together = Points(
        np.concatenate([part.xy0 for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
    assert as_set(together) == expected(points)


def test_memory_holds_only_the_front():
    grid, planned, points, cells = windows_and_points(1, 250)
    merger = StreamMerger(grid, planned)
    largest = 0
    for window in planned:
        merger.finish(window, of_window(points, cells, window))
        largest = max(largest, len(merger))
    assert largest < len(points) / 3


def test_agreement_counts_mutually_nearest_pairs():
    first = np.array([[0.0, 0.0], [10.0, 0.0], [50.0, 0.0]])
    second = np.array([[0.5, 0.0], [0.6, 0.0], [10.0, 0.9]])
    result = agreement(first, np.array([0.1, 0.2, 0.3]), second, np.array([0.1, 0.9, 0.25]))
    assert (result.matched, result.first, result.second) == (2, 3, 3)
    assert result.share == pytest.approx(2 / 3)
    assert result.worst_score_gap == pytest.approx(0.05)
    nothing = np.empty((0, 2))
    assert agreement(nothing, np.empty(0), nothing, np.empty(0)).share == 1.0
