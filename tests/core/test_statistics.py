"""Interval and category chances against scipy, categories never rescaled, and the whole record."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, gamma, poisson

from core.counting.expectation import IS_MITOSIS, IS_NOT, OPEN
from core.counting.protocols import Category, catalogue, custom_protocol, get_protocol
from core.counting.statistics import (
    HOT_SPOT_NOTE,
    categorise,
    category_probabilities,
    count_statistics,
    garwood,
    settling_text,
)


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
    assert categorise(7, 2.0, protocol).reason == protocol.gap_rule
    assert categorise(15, 2.0, protocol).reason == protocol.gap_rule
    for count in (0, 3, 6, 8, 9, 14, 16, 17):
        assert categorise(count, 2.0, protocol).reason == ""


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


@given(st.integers(0, 2000), st.sampled_from([0.5, 0.9, 0.95]))
def test_garwood_is_the_chi_square_interval(count, level):
    interval, tail = garwood(count, 1.0, level), (1 - level) / 2
    assert interval.high == pytest.approx(chi2.ppf(1 - tail, 2 * count + 2) / 2)
    assert interval.low == pytest.approx(chi2.ppf(tail, 2 * count) / 2 if count else 0)


WITH_CATEGORIES = [p for p in catalogue().values() if p.categories]


@given(st.sampled_from(WITH_CATEGORIES), st.integers(0, 300))
def test_category_chances_are_those_of_the_gamma_distribution(protocol, count):
    chances = category_probabilities(count, protocol.area_mm2, protocol)
    assert [name for name, _ in chances] == [c.name for c in protocol.categories]
    assert sum(p for _, p in chances) == pytest.approx(1)
    rate = gamma(count + 0.5, scale=1 / protocol.area_mm2)  # per mm²
    for (_, found), low, high in zip(
        chances, protocol.categories, [*protocol.categories[1:], None], strict=True
    ):
        end = 1.0 if high is None else rate.cdf(high.min / protocol.unit_mm2)
        assert found == pytest.approx(end - rate.cdf(low.min / protocol.unit_mm2), abs=1e-9)


def test_category_chances_of_another_area_where_the_source_gives_a_rate():
    protocol = get_protocol("breast_mm2")
    (_, one), (_, two), (_, three) = category_probabilities(12, 3.0, protocol)
    assert one == pytest.approx(gamma.cdf(12, 12.5))
    assert one + two == pytest.approx(gamma.cdf(24, 12.5))
    assert three == pytest.approx(gamma.sf(24, 12.5))
    assert category_probabilities(12, 1.0, get_protocol("dog_mct_kiupel")) == ()
    assert category_probabilities(12, 2.37, get_protocol("vet_std")) == ()
    with pytest.raises(ValueError, match="no interval"):
        category_probabilities(-1, 2.37, protocol)


def test_the_record_before_and_after_the_review():
    protocol = get_protocol("dog_mct_kiupel")
    p = np.array([0.95] * 6 + [0.6, 0.4, 0.01])
    look = p > 0.1
    decided = np.full(len(p), OPEN)
    before = count_statistics(7, 2.37, protocol, p, decided, to_review=look)
    assert before.expected.mean == pytest.approx(p.sum())
    assert before.open == 8
    assert before.elsewhere == pytest.approx(gamma.cdf(7, 7.5))
    variance = (p * (1 - p)).sum()
    assert before.open_share == pytest.approx(variance / (variance + p.sum()))
    assert not before.settling.settled
    assert before.settling.category == "mitotic criterion not met (0-6)" or before.settling.confirm
    assert before.note == HOT_SPOT_NOTE
    decided[:7] = IS_MITOSIS
    decided[7] = IS_NOT
    after = count_statistics(7, 2.37, protocol, p, decided, to_review=look, hot_spot=False)
    assert after.settling.settled
    assert after.settling.category == after.category.category == "high grade (>=7)"
    assert (after.expected.low, after.open, after.note) == (7, 0, "")
    assert after.open_share < 0.01


def test_the_record_without_categories_candidates_or_probabilities():
    none = np.zeros(0)
    plain = count_statistics(0, 1.0, custom_protocol(1.0), none, none.astype(int))
    assert (plain.chances, plain.elsewhere, plain.settling) == ((), None, None)
    assert (plain.expected.mean, plain.expected.high, plain.open_share) == (0, 0, 0)
    protocol = get_protocol("gist")
    blinded = np.array([np.nan, np.nan])
    record = count_statistics(1, 5.0, protocol, blinded, np.array([OPEN, IS_MITOSIS]))
    assert (record.expected, record.settling, record.open) == (None, None, 1)
    by_hand = count_statistics(2, 5.0, protocol, blinded, np.array([IS_MITOSIS, IS_MITOSIS]))
    assert (by_hand.expected.mean, by_hand.settling.settled) == (2, True)
    some = np.array([0.5, np.nan, np.nan])
    mixed = count_statistics(1, 5.0, protocol, some, np.array([OPEN, OPEN, IS_MITOSIS]))
    assert (mixed.expected.mean, mixed.expected.low, mixed.expected.high) == (2, 1, 3)
    assert (mixed.expected.unknown, mixed.expected.variance) == (1, 0.5)


def test_what_no_model_scored_can_go_either_way():
    protocol = get_protocol("dog_mct_kiupel")
    p = np.array([0.9] * 6 + [np.nan, 0.05])
    decided = np.array([IS_MITOSIS] * 6 + [OPEN, OPEN])
    look = np.zeros(8, bool)
    record = count_statistics(6, 2.37, protocol, p, decided, to_review=look)
    assert (record.settling.settled, record.settling.rows, record.open) == (False, (6,), 1)
    assert (record.expected.low, record.expected.high) == (6, 8)
    assert record.expected.mean == pytest.approx(6.55)
    text = settling_text(record.settling)
    assert text.startswith("Not settled")
    assert text.endswith("Open candidates of unknown probability (1) are taken as an even chance.")
    for verdict, number in ((IS_MITOSIS, 7), (IS_NOT, 6)):
        decided[6] = verdict
        after = count_statistics(number, 2.37, protocol, p, decided, to_review=look)
        assert after.settling.settled
        assert after.settling.category == after.category.category
        assert "unknown" not in settling_text(after.settling)


def test_the_rows_that_settle_are_those_of_the_arrays_that_were_given():
    p = np.array([np.nan, 0.2, 0.9, 0.7])
    record = count_statistics(0, 5.0, get_protocol("gist"), p, np.full(4, OPEN))
    assert record.settling.settled
    six = np.array([np.nan, *[0.99] * 5, 0.2, 0.9])
    record = count_statistics(6, 5.0, get_protocol("gist"), six, np.full(8, OPEN))
    assert record.settling.category == "high (>5)"
    assert record.settling.confirm == (1, 2, 3, 4, 5, 7)
