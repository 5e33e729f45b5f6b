"""What a mitotic count says and how sure it is: rate, Poisson interval, category.

The interval speaks of the chance of the count in the area that was counted. A hot spot is chosen
because it holds the most, so its rate is not the slide's rate, and the interval does not say so.
"""

from dataclasses import dataclass
from math import isfinite

from scipy.special import gammaincinv

from core.counting.protocols import Protocol

# Counted and planned area are the same within this fraction (masks and drawn polygons round).
AREA_TOLERANCE = 1e-3


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
        reason: why there is no category; empty where there is one.
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
    same = abs(counted_area_mm2 - protocol.area_mm2) <= AREA_TOLERANCE * protocol.area_mm2
    area_mm2 = protocol.area_mm2 if same else counted_area_mm2
    value = protocol.value(count, area_mm2)
    if not protocol.categories:
        return Categorisation(
            value, protocol.unit, None, "The protocol has no categories.", (), False
        )
    if protocol.fixed_area and not same:
        reason = (
            f"{counted_area_mm2:.3g} mm² were counted; the categories hold for "
            f"{protocol.area_mm2:g} mm² only and are not rescaled."
        )
        return Categorisation(value, protocol.unit, None, reason, (), False)
    low, high = (end * protocol.unit_mm2 / area_mm2 for end in (interval.low, interval.high))
    names = tuple(c.name for c in protocol.categories if c.max >= low and c.min <= high)
    own = next((c.name for c in protocol.categories if c.holds(value)), None)
    ends = {_place(protocol, low), _place(protocol, high)}
    near = len(ends) > 1 or own is None
    reason = "" if own is not None else _gap(protocol, value)
    return Categorisation(value, protocol.unit, own, reason, names, near)


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
