"""Garwood's interval against its own definition, and categories that are never rescaled."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from core.counting.protocols import Category, get_protocol
from core.counting.statistics import categorise, garwood


@given(st.integers(0, 500), st.sampled_from([0.8, 0.95, 0.99]))
def test_garwood_ends_leave_half_the_rest_on_each_side(count, level):
    interval = garwood(count, 2.37, level)
    tail = (1 - level) / 2
    assert poisson.cdf(count, interval.high) == pytest.approx(tail)
    if count:
        assert poisson.sf(count - 1, interval.low) == pytest.approx(tail)
    else:
        assert interval.low == 0
    assert interval.low <= count <= interval.high


def test_garwood_per_mm2():
    interval = garwood(7, 2.0)
    assert (interval.low, interval.high) == pytest.approx((2.814, 14.423), abs=1e-3)
    assert interval.per_mm2 == 3.5
    assert interval.low_per_mm2 == pytest.approx(interval.low / 2)
    assert interval.high_per_mm2 == pytest.approx(interval.high / 2)


@pytest.mark.parametrize(("count", "area", "level"), [(-1, 1, 0.95), (1, 0, 0.95), (1, 1, 1)])
def test_garwood_refuses_nonsense(count, area, level):
    with pytest.raises(ValueError, match="no interval"):
        garwood(count, area, level)


def test_category_and_near_border():
    protocol = get_protocol("dog_mct_kiupel")
    clear = categorise(60, 2.37, protocol)
    assert (clear.value, clear.category, clear.near_border) == (60, "high grade (>=7)", False)
    close = categorise(8, 2.37, protocol)
    assert close.category == "high grade (>=7)"
    assert close.near_border
    assert len(close.reached) == 2


def test_category_is_withheld_on_another_area_not_rescaled():
    result = categorise(20, 1.2, get_protocol("dog_mct_kiupel"))
    assert result.category is None
    assert "not rescaled" in result.reason
    assert result.reached == ()
    assert categorise(20, 2.3701, get_protocol("dog_mct_kiupel")).value == 20


def test_rate_protocol_reports_per_its_unit():
    result = categorise(10, 10.0, get_protocol("net_gep"))
    assert (result.value, result.unit, result.category) == (2.0, "per 2 mm²", "G2 (2-20)")
    assert categorise(9, 10.0, get_protocol("net_gep")).category == "G1 (<2)"
    assert categorise(100, 10.0, get_protocol("net_gep")).category == "G2 (2-20)"
    assert categorise(101, 10.0, get_protocol("net_gep")).category == "G3 (>20)"


def test_the_breast_score_follows_the_unrounded_count_per_mm2_and_says_what_it_does_in_the_gaps():
    protocol = get_protocol("breast_mm2")
    for count, score in ((9, "score 1 (<=3)"), (10, "score 2 (4-7)"), (19, "score 3 (>=8)")):
        assert categorise(count, 2.37, protocol).category == score
    assert categorise(7, 2.0, protocol).category == "score 1 (<=3)"  # 3.5 per mm²
    assert categorise(4, 1.0, protocol).category == "score 2 (4-7)"
    assert "from 3 to 4 and from 7 to 8" in protocol.gap_rule


def test_gap_of_a_whole_number_rule_that_is_left_open_is_named():
    protocol = dataclasses.replace(
        get_protocol("breast_mm2"),
        whole_numbers=True,
        gap_rule="",
        categories=(
            Category("low (<=3)", 0, 3, True, True),
            Category("high (>=4)", 4, math.inf, True, False),
        ),
    )
    result = categorise(7, 2.0, protocol)
    assert result.category is None
    assert result.near_border
    assert "'low (<=3)' and 'high (>=4)'" in result.reason
    assert "whole-number rule" in result.reason
    assert categorise(8, 2.0, protocol).category == "high (>=4)"


def test_count_without_categories():
    result = categorise(14, 2.37, get_protocol("vet_std"))
    assert (result.value, result.category, result.near_border) == (14, None, False)
    assert "no categories" in result.reason
