"""Agreement of raters: figures in common, κ against worked examples, counts."""

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.analysis.agreement import Marks, cohen_kappa, compare, fleiss_kappa


def marks(*rows):
    return Marks(
        np.array([row[:2] for row in rows], float).reshape(-1, 2),
        np.array([row[2] for row in rows], bool),
    )


def test_marks_within_the_radius_are_one_figure():
    both = compare(
        {"a": {"Ada": marks((0, 0, 1), (100, 0, 1)), "Ben": marks((7.5, 0, 1), (100, 7.6, 1))}}
    )
    (pair,) = both.pairs
    assert (pair.both, pair.only_first, pair.only_second, pair.neither) == (1, 1, 1, 0)
    assert pair.f1 == pytest.approx(0.5)
    assert len(both.disagreements) == 2


def test_a_mitosis_takes_a_place_before_an_imposter_beside_it():
    pair = compare({"a": {"Ada": marks((0, 0, 1)), "Ben": marks((1, 0, 0), (3, 0, 1))}}).pairs[0]
    assert (pair.both, pair.only_first, pair.only_second) == (1, 0, 0)


def test_an_imposter_and_nothing_are_both_no_mitosis():
    agreement = compare(
        {"a": {"Ada": marks((0, 0, 0), (50, 0, 1)), "Ben": marks((0, 0, 0), (50, 0, 0))}}
    )
    (pair,) = agreement.pairs
    assert (pair.both, pair.only_first, pair.only_second, pair.neither) == (0, 1, 0, 1)
    (disputed,) = agreement.disagreements
    assert disputed.said == {"Ada": True, "Ben": False}


def test_counts_have_bias_and_limits_over_slides():
    slides = {
        str(k): {
            "Ada": marks(*((i * 100, 0, 1) for i in range(n))),
            "Ben": marks(*((i * 100, 0, 1) for i in range(m))),
        }
        for k, (n, m) in enumerate([(3, 4), (5, 5), (7, 10)])
    }
    (pair,) = compare(slides).pairs
    # Differences 1, 0, 3: mean 4/3, standard deviation with n - 1: 1.5275.
    assert pair.bias == pytest.approx(4 / 3)
    assert pair.limits == pytest.approx((4 / 3 - 1.96 * 1.527525, 4 / 3 + 1.96 * 1.527525))
    (alone,) = compare({"0": slides["0"]}).pairs
    assert alone.bias == 1
    assert isnan(alone.limits[0])


def test_kappa_of_a_worked_example():
    # Both yes 20, only one 5, only the other 10, neither 15: po 0.7, pe 0.5, κ 0.4.
    a = np.repeat([True, True, False, False], [20, 5, 10, 15])
    b = np.repeat([True, False, True, False], [20, 5, 10, 15])
    assert cohen_kappa(a, b) == pytest.approx(0.4)


def test_fleiss_of_a_worked_example():
    # Three raters; yes counts 3, 2, 1, 0: agreement (1 + 1/3 + 1/3 + 1) / 4, chance 1/2.
    called = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    assert fleiss_kappa(called) == pytest.approx((2 / 3 - 0.5) / 0.5)


@pytest.mark.parametrize("called", [np.empty((0, 2), bool), np.ones((5, 2), bool)])
def test_kappa_is_nan_where_it_is_not_defined(called):
    assert isnan(fleiss_kappa(called))
    assert isnan(cohen_kappa(called[:, 0], called[:, 1]))
    assert isnan(fleiss_kappa(np.ones((5, 1), bool)))


@given(arrays(bool, st.tuples(st.integers(2, 40), st.just(2))))
def test_kappas_lie_below_one_and_reach_it_in_full_agreement(called):
    a, b = called.T
    kappa = cohen_kappa(a, b)
    assert isnan(kappa) or -1 - 1e-12 <= kappa <= 1
    assert cohen_kappa(a, a) == 1 or isnan(cohen_kappa(a, a))
    assert cohen_kappa(b, a) == pytest.approx(kappa, nan_ok=True)


def test_every_slide_needs_every_rater():
    with pytest.raises(ValueError, match="same raters"):
        compare({"a": {"Ada": marks(), "Ben": marks()}, "b": {"Ada": marks()}})
    with pytest.raises(ValueError, match="same raters"):
        compare({})


def test_nobody_marked_anything():
    agreement = compare({"a": {"Ada": marks(), "Ben": marks()}})
    (pair,) = agreement.pairs
    assert isnan(pair.f1)
    assert isnan(pair.kappa)
    assert pair.bias == 0
    assert agreement.figures == ()
    assert nan != agreement.fleiss_kappa
