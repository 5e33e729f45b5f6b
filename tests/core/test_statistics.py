"""Garwood's interval against its own definition, and categories that are never rescaled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from core.counting.protocols import get_protocol
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


def test_gap_of_a_whole_number_rule_is_named():
    result = categorise(7, 2.0, get_protocol("breast_mm2"))
    assert result.category is None
    assert result.near_border
    assert "'score 1 (<=3)' and 'score 2 (4-7)'" in result.reason
    assert "whole-number rule" in result.reason
    assert categorise(8, 2.0, get_protocol("breast_mm2")).category == "score 2 (4-7)"


def test_count_without_categories():
    result = categorise(14, 2.37, get_protocol("vet_std"))
    assert (result.value, result.category, result.near_border) == (14, None, False)
    assert "no categories" in result.reason
