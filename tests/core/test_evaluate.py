"""Matching and metrics, against hand-made cases and an independent slow matcher."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis.evaluate import (
    FilePoints,
    bootstrap_interval,
    evaluate_files,
    match,
)

XY = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda p: (p[0] * 2.5, p[1] * 2.5)),
    max_size=12,
)


def points(rows):
    return np.array(rows, dtype=float).reshape(-1, 2)


def slow_match(pred, scores, truth, radius):
    """The same rule, written with plain loops and squared distances."""
    taken = {}
    for i in sorted(range(len(pred)), key=lambda i: (-scores[i], pred[i][0], pred[i][1])):
        best = None
        for j, t in enumerate(truth):
            apart = (t[0] - pred[i][0]) ** 2 + (t[1] - pred[i][1]) ** 2
            free = j not in taken.values()
            if free and apart <= radius**2 and (best is None or apart < best[0]):
                best = (apart, j)
        if best is not None:
            taken[i] = best[1]
    return [taken.get(i, -1) for i in range(len(pred))]


def one_file(pred, scores, truth, area=None, name="a"):
    return FilePoints(name, points(pred), np.array(scores, dtype=float), points(truth), area)


@settings(max_examples=200, deadline=None)
@given(XY, XY, st.data())
def test_match_equals_the_slow_matcher(pred, truth, data):
    scores = data.draw(
        st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=len(pred), max_size=len(pred))
    )
    found = match(points(pred), np.array(scores, dtype=float), points(truth))
    slow = slow_match(pred, scores, truth, 7.5)
    # Equal places are interchangeable, so compare places taken, not indices.
    place = [tuple(truth[j]) if j >= 0 else None for j in found.truth_index]
    hits = sorted((pred[i], scores[i], place[i] is None) for i in range(len(pred)))
    expected = sorted((pred[i], scores[i], slow[i] < 0) for i in range(len(pred)))
    assert hits == expected
    used = found.truth_index[found.hit]
    assert len(set(used.tolist())) == len(used)


def test_border_of_the_radius_counts_and_beyond_does_not():
    at_border = match(
        points([(0, 0), (100, 0)]), np.array([0.9, 0.8]), points([(7.5, 0), (107.51, 0)])
    )
    assert at_border.truth_index.tolist() == [0, -1]


def test_higher_score_chooses_first_and_takes_the_nearest():
    found = match(points([(0, 0), (4, 0)]), np.array([0.2, 0.9]), points([(3, 0)]))
    assert found.truth_index.tolist() == [-1, 0]
    assert found.distance_um[1] == 1.0


@settings(max_examples=100, deadline=None)
@given(XY, XY, st.data())
def test_one_matching_serves_every_threshold(pred, truth, data):
    scores = data.draw(
        st.lists(st.sampled_from([0.1, 0.4, 0.5, 0.9]), min_size=len(pred), max_size=len(pred))
    )
    whole = evaluate_files([one_file(pred, scores, truth)]).curve()
    for threshold in (0.0, 0.3, 0.5, 0.7, 1.0):
        keep = [i for i, score in enumerate(scores) if score >= threshold]
        cut = one_file([pred[i] for i in keep], [scores[i] for i in keep], truth)
        assert whole.at(threshold) == evaluate_files([cut]).curve().at(-math.inf)


def test_average_precision_and_best_threshold_by_hand():
    # Ranks: hit, false, hit; one of three truths is never reached.
    file = one_file(
        [(0, 0), (50, 0), (100, 0)], [0.9, 0.8, 0.7], [(0, 0), (100, 0), (200, 0)], area=2.0
    )
    curve = evaluate_files([file]).curve()
    assert curve.average_precision() == pytest.approx((1 + 2 / 3) / 3)
    threshold, scores = curve.best()
    assert (threshold, scores.tp, scores.fp, scores.fn) == (0.7, 2, 1, 1)
    assert scores.f1 == pytest.approx(2 / 3)
    assert curve.recall_at_candidates_per_mm2(0.5) == pytest.approx(1 / 3)
    assert curve.recall_at_candidates_per_mm2(1.0) == pytest.approx(1 / 3)
    assert curve.recall_at_candidates_per_mm2(1.5) == pytest.approx(2 / 3)
    assert curve.recall_at_fp_per_file(1) == pytest.approx(2 / 3)
    assert curve.candidates_per_mm2(0.8) == 1.0


def test_equal_scores_enter_together():
    file = one_file([(0, 0), (50, 0)], [0.5, 0.5], [(0, 0)])
    curve = evaluate_files([file]).curve()
    assert curve.thresholds.tolist() == [0.5]
    assert curve.average_precision() == pytest.approx(0.5)


def test_files_without_candidates_or_truth_count():
    missed = one_file([], [], [(0, 0), (9, 9)], name="missed")
    empty = one_file([(1, 1)], [0.9], [], name="empty")
    evaluation = evaluate_files([missed, empty])
    pooled = evaluation.curve().at(0.5)
    assert (pooled.tp, pooled.fp, pooled.fn) == (0, 1, 2)
    assert [(name, s.fp, s.fn) for name, s in evaluation.per_file(0.5)] == [
        ("missed", 0, 2),
        ("empty", 1, 0),
    ]
    assert math.isnan(evaluation.curve().recall_at_candidates_per_mm2(100))


def test_nothing_at_all_is_nan_not_perfect():
    curve = evaluate_files([]).curve()
    assert math.isnan(curve.at(0.5).f1)
    assert math.isnan(curve.average_precision())
    assert math.isinf(curve.best()[0])


def test_a_repeated_file_weighs_like_two_files():
    a = one_file([(0, 0), (50, 0)], [0.9, 0.4], [(0, 0)], area=1.0)
    b = one_file([(0, 0)], [0.6], [(30, 30)], area=1.0)
    weighted = evaluate_files([a, b]).curve(np.array([2, 1]))
    doubled = evaluate_files([a, a, b]).curve()
    assert weighted.tp.tolist() == doubled.tp.tolist()
    assert weighted.fp.tolist() == doubled.fp.tolist()
    assert (weighted.n_truth, weighted.n_files, weighted.area_mm2) == (3, 3, 3.0)


def test_bootstrap_is_reproducible_and_contains_the_figure():
    random = np.random.default_rng(3)
    files = []
    for i in range(30):
        truth = random.uniform(0, 300, (4, 2))
        pred = np.concatenate([truth[:3] + 1, random.uniform(400, 600, (2, 2))])
        files.append(FilePoints(str(i), pred, random.uniform(0, 1, 5), truth))
    evaluation = evaluate_files(files)
    first = bootstrap_interval(evaluation, lambda c: c.at(0.3).f1, resamples=200)
    assert first == bootstrap_interval(evaluation, lambda c: c.at(0.3).f1, resamples=200)
    assert first.low <= evaluation.curve().at(0.3).f1 <= first.high
    assert first.low < first.high


def test_scores_and_places_must_be_finite_and_fit():
    with pytest.raises(ValueError, match="scores of shape"):
        match(points([(0, 0)]), np.array([]), points([]))
    with pytest.raises(ValueError, match="finite"):
        match(points([(0, 0)]), np.array([math.nan]), points([]))


def test_best_threshold_of_a_resample_that_drew_only_empty_files():
    with_all = one_file([(0, 0)], [0.6], [(0, 0)], name="a")
    empty = one_file([], [], [], name="b")
    threshold, scores = evaluate_files([with_all, empty]).curve(np.array([0, 2])).best()
    assert scores.tp == scores.fp == scores.fn == 0
    assert threshold == 0.6
