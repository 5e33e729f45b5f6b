"""What a mitotic count says and how sure it is: rate, Poisson interval, category.

The interval speaks of the chance of the count in the area that was counted. A hot spot is chosen
because it holds the most, so its rate is not the slide's rate, and the interval does not say so:
`HOT_SPOT_NOTE` stands beside each such count.
"""

from dataclasses import dataclass
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv

from core.counting.expectation import (
    OPEN,
    ExpectedCount,
    Settling,
    expected_count,
    settling,
)
from core.counting.rules import Protocol

# Counted and planned area are the same within this fraction (masks and drawn polygons round).
AREA_TOLERANCE = 1e-3
HOT_SPOT_NOTE = (
    "The count area lies where most mitoses were found: its count is a maximum, not the mean of "
    "the tumour, and the interval does not allow for that choice."
)
# Jeffreys' prior of a Poisson mean is proportional to its power of -1/2: a gamma of shape 1/2
# (Brown, Cai, DasGupta 2003, Statistica Sinica 13:19-49).
_JEFFREYS = 0.5


@dataclass(frozen=True, slots=True)
class RateInterval:
    """A count with its exact Poisson (Garwood) interval.

    Attributes:
        count: mitoses.
        area_mm2: counted area.
        level: coverage, 0.95 for 95 %.
        low: lower end for the expected count.
        high: upper end for the expected count.
    """

    count: int
    area_mm2: float
    level: float
    low: float
    high: float

    @property
    def per_mm2(self) -> float:
        """Mitoses per mm²."""
        return self.count / self.area_mm2

    @property
    def low_per_mm2(self) -> float:
        """Lower end per mm²."""
        return self.low / self.area_mm2

    @property
    def high_per_mm2(self) -> float:
        """Upper end per mm²."""
        return self.high / self.area_mm2


@dataclass(frozen=True, slots=True)
class Categorisation:
    """What the protocol makes of a count.

    Attributes:
        value: the count in the protocol's unit.
        unit: that unit in words.
        category: its name; None where the protocol has none, or none may be given.
        reason: why there is no category, or by which rule a value between the whole numbers that
            the source prints has its category; else empty.
        reached: the categories that the Poisson interval touches, ascending; empty where
            categories are withheld.
        near_border: whether a category border lies inside the interval.
    """

    value: float
    unit: str
    category: str | None
    reason: str
    reached: tuple[str, ...]
    near_border: bool


def garwood(count: int, area_mm2: float, level: float = 0.95) -> RateInterval:
    """The exact Poisson interval of Garwood (1936), Biometrika 28:437-442.

    Raises:
        ValueError: negative count, area not above 0, level not between 0 and 1.
    """
    if count < 0 or not (isfinite(area_mm2) and area_mm2 > 0) or not 0 < level < 1:
        raise ValueError(f"no interval for {count} in {area_mm2} mm² at {level}")
    tail = (1 - level) / 2
    # Quantiles of chi² with twice as many degrees of freedom, halved, are those of the gamma
    # distribution; importing scipy.stats for them takes a second, felt when the window opens.
    low = float(gammaincinv(count, tail)) if count else 0.0
    high = float(gammaincinv(count + 1, 1 - tail))
    return RateInterval(count, area_mm2, level, low, high)


def categorise(
    count: int, counted_area_mm2: float, protocol: Protocol, level: float = 0.95
) -> Categorisation:
    """The category of a count, or the reason why there is none.

    Categories of a fixed area are withheld when the counted area is not the planned one (within
    `AREA_TOLERANCE`): cutoffs are never rescaled.

    Args:
        count: mitoses in the count area.
        counted_area_mm2: the area that was really counted.
        protocol: the rule.
        level: coverage of the interval that decides `near_border`.

    Raises:
        ValueError: negative count, area not above 0, level not between 0 and 1.
    """
    interval = garwood(count, counted_area_mm2, level)
    area_mm2 = _nominal_mm2(counted_area_mm2, protocol)
    value = protocol.value(count, area_mm2)
    if not protocol.categories:
        return Categorisation(
            value, protocol.unit, None, "The protocol has no categories.", (), False
        )
    if protocol.fixed_area and area_mm2 != protocol.area_mm2:
        reason = (
            f"{counted_area_mm2:.3g} mm² were counted; the categories hold for "
            f"{protocol.area_mm2:.4g} mm² only and are not rescaled."
        )
        return Categorisation(value, protocol.unit, None, reason, (), False)
    low, high = (end * protocol.unit_mm2 / area_mm2 for end in (interval.low, interval.high))
    names = tuple(c.name for c in protocol.categories if c.max >= low and c.min <= high)
    own = next((c.name for c in protocol.categories if c.holds(value)), None)
    ends = {_place(protocol, low), _place(protocol, high)}
    near = len(ends) > 1 or own is None
    if own is None:
        reason = _gap(protocol, value)
    else:
        printed = any(c.min - 1 < value < c.min for c in protocol.categories[1:])
        reason = protocol.gap_rule if printed else ""
    return Categorisation(value, protocol.unit, own, reason, names, near)


def _nominal_mm2(counted_area_mm2: float, protocol: Protocol) -> float:
    """The planned area where the counted one is the same within rounding."""
    same = abs(counted_area_mm2 - protocol.area_mm2) <= AREA_TOLERANCE * protocol.area_mm2
    return protocol.area_mm2 if same else counted_area_mm2


def category_probabilities(
    count: int, counted_area_mm2: float, protocol: Protocol
) -> tuple[tuple[str, float], ...]:
    """How probable it is that the true rate of the counted area lies in each category.

    The count is Poisson; before it is known, its mean has Jeffreys' prior, so afterwards a gamma
    distribution of shape count + 1/2. A true rate is no whole number: a category of whole numbers
    reaches up to the least number of the next one.

    Returns:
        (name, probability) by category, ascending, summing to 1; empty where the protocol has no
        categories or they are withheld.

    Raises:
        ValueError: as `categorise`.
    """
    garwood(count, counted_area_mm2)  # refuses what is no count
    area_mm2 = _nominal_mm2(counted_area_mm2, protocol)
    if not protocol.categories or (protocol.fixed_area and area_mm2 != protocol.area_mm2):
        return ()
    ends = [c.min * area_mm2 / protocol.unit_mm2 for c in protocol.categories] + [inf]
    below = gammainc(count + _JEFFREYS, ends)
    return tuple(
        (category.name, float(share))
        for category, share in zip(protocol.categories, np.diff(below), strict=True)
    )


@dataclass(frozen=True, slots=True)
class CountStatistics:
    """All that is known of how sure a count is.

    Attributes:
        interval: the count, its area and its Poisson interval.
        category: what the protocol makes of it.
        chances: `category_probabilities`; empty where there are none.
        elsewhere: probability that the true rate lies in another category than the count does;
            None without a category.
        expected: the count to expect once every candidate in the area is decided; None where some
            are open and no probability is known of any candidate, as in a blinded reading.
        open: candidates in the area that a reader still has to look at.
        open_share: share of the uncertainty of the rate that is in undecided candidates, 0..1; the
            rest is the chance of a Poisson count, which only a larger area makes smaller.
        settling: which verdicts would settle the category; None without one, and where `expected`
            is None.
        note: what a count in a hot spot is; empty for all tissue.
    """

    interval: RateInterval
    category: Categorisation
    chances: tuple[tuple[str, float], ...]
    elsewhere: float | None
    expected: ExpectedCount | None
    open: int
    open_share: float
    settling: Settling | None
    note: str


def count_statistics(
    count: int,
    counted_mm2: float,
    protocol: Protocol,
    probabilities: NDArray[np.float64],
    decided: NDArray[np.integer],
    *,
    to_review: NDArray[np.bool_] | None = None,
    hot_spot: bool = True,
    level: float = 0.95,
) -> CountStatistics:
    """How sure a count is; quick enough to be asked after each verdict.

    Args:
        count: mitoses in the count area.
        counted_mm2: the area that was really counted.
        protocol: the rule.
        probabilities: (N,) float64, calibrated, of the candidates in the count area; NaN where none
            is known. Open candidates without one can go either way and count as an even chance.
        decided: (N,) `expectation.IS_MITOSIS`, `IS_NOT` or `OPEN`.
        to_review: (N,) bool, from the review threshold on and without a verdict; None: all open.
            Open candidates without a probability are added, unless nothing is known of any.
        hot_spot: False where all tissue is counted.
        level: of the intervals.

    Raises:
        ValueError: negative count, area not above 0, lengths that differ, bad probabilities.
    """
    category = categorise(count, counted_mm2, protocol, level)
    chances = category_probabilities(count, counted_mm2, protocol)
    own = dict(chances).get(category.category or "")
    open_, unknown = decided == OPEN, np.isnan(probabilities)
    review = open_ if to_review is None else to_review & open_
    expected: ExpectedCount | None = None
    settled: Settling | None = None
    share = 0.0
    if not open_.any() or not unknown.all():
        review = review | (open_ & unknown)
        expected = expected_count(probabilities, decided, level)
        total = expected.variance + expected.mean
        share = expected.variance / total if total > 0 else 0.0
        if chances:
            area_mm2 = _nominal_mm2(counted_mm2, protocol)
            settled = settling(
                probabilities,
                decided,
                lambda number: _category_at(protocol, number, area_mm2),
                review,
            )
    return CountStatistics(
        interval=garwood(count, counted_mm2, level),
        category=category,
        chances=chances,
        elsewhere=None if own is None else 1 - own,
        expected=expected,
        open=int(np.count_nonzero(review)),
        open_share=share,
        settling=settled,
        note=HOT_SPOT_NOTE if hot_spot else "",
    )


def settling_text(settling: Settling) -> str:
    """In words, which verdicts would settle the category."""
    name = settling.category or "between two categories"
    if settling.settled:
        return f"The category is settled ({name}), however open candidates are decided."
    wanted = []
    if settling.confirm:
        wanted.append(f"confirming {len(settling.confirm)}")
    if settling.reject:
        wanted.append(f"rejecting {len(settling.reject)}")
    even = (
        f" Open candidates of unknown probability ({settling.unknown}) are taken as an even chance."
        if settling.unknown
        else ""
    )
    return (
        f"Not settled: most probably {name} ({settling.probability:.0%}); "
        f"{' and '.join(wanted)} of the open candidates would settle it.{even}"
    )


def _category_at(protocol: Protocol, count: int, area_mm2: float) -> str | None:
    value = protocol.value(count, area_mm2)
    return next((c.name for c in protocol.categories if c.holds(value)), None)


def _place(protocol: Protocol, value: float) -> float:
    """Index of the category that holds the value; a half number in the gap above a category."""
    for index, category in enumerate(protocol.categories):
        if category.holds(value):
            return float(index)
    return sum(value > category.max for category in protocol.categories) - 0.5


def _gap(protocol: Protocol, value: float) -> str:
    below = [c for c in protocol.categories if c.max <= value][-1]
    above = next(c for c in protocol.categories if c.min >= value)
    return (
        f"{value:.3g} {protocol.unit} lies between {below.name!r} and {above.name!r}: "
        f"the whole-number rule of {protocol.name!r} ({protocol.source}) leaves it open."
    )
