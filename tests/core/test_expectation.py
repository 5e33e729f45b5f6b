"""The Poisson-binomial count against brute force, and the verdicts that settle a category."""

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from core.counting.expectation import (
    IS_MITOSIS,
    IS_NOT,
    OPEN,
    distribution,
    expected_count,
    settling,
)

chances = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
verdicts = st.sampled_from([OPEN, IS_NOT, IS_MITOSIS])


@given(st.lists(chances, max_size=90))
def test_the_distribution_is_the_convolution_of_its_candidates(probabilities):
    wanted = np.ones(1)
    for p in probabilities:
        wanted = np.convolve(wanted, [1 - p, p])
    found = distribution(np.array(probabilities))
    assert found.shape == (len(probabilities) + 1,)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1)
    assert found == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 65, 1000, 3001])
def test_equal_candidates_are_binomial(count):
    found = distribution(np.full(count, 0.3))
    assert found == pytest.approx(binom.pmf(np.arange(count + 1), count, 0.3), abs=1e-12)
    expected = expected_count(np.full(count, 0.3))
    assert expected.mean == pytest.approx(0.3 * count)
    assert expected.variance == pytest.approx(0.21 * count)
    assert (expected.low, expected.high) == binom.interval(0.95, count, 0.3)


@given(st.lists(st.tuples(chances, verdicts), max_size=40), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_interval_leaves_at_most_half_the_rest_on_each_side(candidates, level):
    p = np.array([one for one, _ in candidates], dtype=np.float64)
    said = np.array([one for _, one in candidates], dtype=np.int8)
    expected = expected_count(p, said, level)
    sure = int((said == IS_MITOSIS).sum())
    mass = distribution(p[said == OPEN])
    counts = sure + np.arange(len(mass))
    tail = (1 - level) / 2 + 1e-9
    assert mass[counts < expected.low].sum() <= tail
    assert mass[counts > expected.high].sum() <= tail
    assert sure <= expected.low <= expected.high <= sure + (said == OPEN).sum()
    assert expected.mean == pytest.approx(sure + p[said == OPEN].sum())


def test_what_is_decided_is_certain_whatever_its_probability():
    expected = expected_count(np.array([0.1, 0.99, np.nan]), np.array([1, 0, 1]))
    assert (expected.mean, expected.low, expected.high, expected.variance) == (2, 2, 2, 0)


@pytest.mark.parametrize(
    ("probabilities", "said", "level"),
    [
        ([1.2], None, 0.95),
        ([-0.1], None, 0.95),
        ([0.5], [OPEN, OPEN], 0.95),
        ([0.5], [7], 0.95),
        ([0.5], None, 1.0),
    ],
)
def test_nonsense_is_refused(probabilities, said, level):
    with pytest.raises(ValueError, match=r"must|and|no interval"):
        expected_count(np.array(probabilities), None if said is None else np.array(said), level)


@given(st.lists(st.tuples(chances, verdicts, st.booleans()), max_size=30))
def test_the_interval_covers_both_ways_of_what_is_unknown(candidates):
    p = np.array([one for one, _, _ in candidates], dtype=np.float64)
    said = np.array([one for _, one, _ in candidates], dtype=np.int8)
    hidden = np.array([one for _, _, one in candidates], dtype=bool)
    found = expected_count(np.where(hidden, np.nan, p), said)
    none, every = (expected_count(np.where(hidden, sure, p), said) for sure in (0.0, 1.0))
    assert (found.low, found.high) == (none.low, every.high)
    assert found.mean == pytest.approx((none.mean + every.mean) / 2)
    assert found.unknown == np.count_nonzero(hidden & (said == OPEN))
    assert every.mean - none.mean == pytest.approx(found.unknown)
    assert found.variance == pytest.approx(none.variance + found.unknown / 4)


def below_and_from(*borders):
    """Names of categories that begin at the borders."""
    return lambda count: f"from {max(border for border in (0, *borders) if border <= count)}"


@given(
    st.lists(st.tuples(st.one_of(st.floats(0.01, 0.99), st.just(np.nan)), verdicts), max_size=7),
    st.lists(st.integers(1, 8), min_size=1, max_size=2, unique=True),
)
def test_the_fewest_verdicts_that_settle_are_found_against_trying_all(candidates, borders):
    p = np.array([one for one, _ in candidates], dtype=np.float64)
    said = np.array([one for _, one in candidates], dtype=np.int8)
    name_of = below_and_from(*borders)
    found = settling(p, said, name_of)
    assert found.unknown == np.count_nonzero(np.isnan(p) & (said == OPEN))
    p[np.isnan(p)] = 0.5  # an even chance
    sure, rows = int((said == IS_MITOSIS).sum()), np.flatnonzero(said == OPEN)
    finals = {name_of(sure + number) for number in range(len(rows) + 1)}
    assert found.settled == (len(finals) == 1)
    weights = dict.fromkeys(finals, 0.0)
    for outcome in product((0, 1), repeat=len(rows)):
        chance = prod(q if hit else 1 - q for q, hit in zip(p[rows], outcome, strict=True))
        weights[name_of(sure + sum(outcome))] += chance
    assert weights[found.category] == pytest.approx(max(weights.values()))
    assert found.probability == pytest.approx(weights[found.category])
    # Every way to decide some rows, after which the rest can no longer change the category.
    ways = []
    for way in product((OPEN, IS_NOT, IS_MITOSIS), repeat=len(rows)):
        hits, left = way.count(IS_MITOSIS), way.count(OPEN)
        reached = {name_of(sure + hits + number) for number in range(left + 1)}
        if reached == {found.category}:
            chance = prod(
                {OPEN: 1, IS_NOT: 1 - q, IS_MITOSIS: q}[one]
                for q, one in zip(p[rows], way, strict=True)
            )
            ways.append((len(rows) - left, -chance))
    fewest, chance = min(ways)
    assert len(found.rows) == fewest
    assert found.chance == pytest.approx(-chance)
    assert set(found.rows) <= set(rows.tolist())
    assert set(found.confirm).isdisjoint(found.reject)


def test_only_candidates_that_must_be_looked_at_can_unsettle():
    p = np.array([0.9, 0.8, 0.01, 0.02])
    name_of = below_and_from(2, 3)
    look = np.array([True, True, False, False])
    found = settling(p, None, name_of, look)
    assert (found.settled, found.category, found.confirm) == (False, "from 2", (0, 1))
    assert found.chance == found.probability == pytest.approx(0.72)
    decided = settling(p, np.array([1, 1, -1, -1]), name_of, look)
    assert (decided.settled, decided.category, decided.rows) == (True, "from 2", ())


def test_a_candidate_of_unknown_probability_can_go_either_way():
    name_of = below_and_from(2)
    look = np.array([False, False, False])
    found = settling(np.array([0.9, np.nan, 0.05]), np.array([1, -1, -1]), name_of, look)
    assert (found.settled, found.probability, found.chance, found.unknown) == (False, 0.5, 0.5, 1)
    assert found.rows == (1,)
    for verdict, category in ((IS_MITOSIS, "from 2"), (IS_NOT, "from 0")):
        decided = np.array([IS_MITOSIS, verdict, OPEN])
        then = settling(np.array([0.9, np.nan, 0.05]), decided, name_of, look)
        assert (then.settled, then.category, then.unknown) == (True, category, 0)
    far = settling(np.array([np.nan]), None, name_of)
    assert (far.settled, far.unknown) == (True, 1)


@given(
    st.lists(st.tuples(st.floats(0.01, 0.99), verdicts, st.booleans(), st.booleans()), max_size=7),
    st.integers(1, 8),
)
def test_settled_is_said_only_where_no_way_of_the_unknown_changes_it(candidates, border):
    p = np.array([np.nan if hidden else one for one, _, hidden, _ in candidates], dtype=np.float64)
    said = np.array([one for _, one, _, _ in candidates], dtype=np.int8)
    look = np.array([one for _, _, _, one in candidates], dtype=bool)
    name_of = below_and_from(border)
    found = settling(p, said, name_of, look)
    unknown = np.flatnonzero((said == OPEN) & np.isnan(p))
    for way in product((IS_NOT, IS_MITOSIS), repeat=len(unknown)):
        then = said.copy()
        then[unknown] = way
        after = settling(p, then, name_of, look)
        if found.settled:
            assert (after.settled, after.category) == (True, found.category)
    rest = said.copy()
    rest[list(found.confirm)], rest[list(found.reject)] = IS_MITOSIS, IS_NOT
    after = settling(p, rest, name_of, look)
    assert (after.settled, after.category) == (True, found.category)


def test_a_final_count_between_categories_has_no_name():
    found = settling(np.array([0.9]), None, lambda count: None if count else "low")
    assert (found.settled, found.category) == (False, None)
    assert found.confirm == (0,)
