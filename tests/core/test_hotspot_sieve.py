"""What the sieve drops never changes the rectangle that is found."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.counting import sweep
from core.counting.allowed import AllowedCentres
from core.counting.domain import Domain
from core.counting.shapes import CountShape
from core.counting.sieve import promising


def points(seed, number, spread, lattice):
    random = np.random.default_rng(seed)
    xy = random.random((number, 2)) * 4000
    near = random.random(number) < 0.4
    xy[near] = random.normal((1500, 2500), spread, (int(near.sum()), 2))
    return np.round(xy / 50) * 50 if lattice else xy


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    number=st.integers(1, 500),
    spread=st.floats(1, 900),
    lattice=st.booleans(),
    size=st.sampled_from([(400.0, 400.0), (300.0, 700.0), (50.0, 90.0)]),
    masked=st.booleans(),
    taken=st.integers(0, 3),
)
def test_the_sieve_changes_nothing(seed, number, spread, lattice, size, masked, taken):
    xy = points(seed, number, spread, lattice)
    random = np.random.default_rng(seed)
    shape = CountShape("rectangle", *size)
    allowed = AllowedCentres(random.random((40, 50)) < 0.4, 100.0, 80.0) if masked else None
    domain = Domain.of(shape, allowed)
    units = domain.to_units(xy)
    forbidden = domain.to_units(random.random((taken, 2)) * 4000)
    kept = promising(units, domain, forbidden)
    before = sweep.WORTH_IT
    sweep.WORTH_IT = 10**9
    try:
        whole = sweep.best_rectangle(units, domain, forbidden)
        sieved = sweep.best_rectangle(units[kept], domain, forbidden)
    finally:
        sweep.WORTH_IT = before
    assert sieved == whole


def test_most_of_many_strewn_points_are_dropped():
    xy = points(1, 20_000, 100, lattice=False)
    domain = Domain.of(CountShape("rectangle", 400.0, 400.0), None)
    kept = promising(domain.to_units(xy), domain, np.empty((0, 2)))
    assert 0 < kept.sum() < 0.6 * len(xy)
