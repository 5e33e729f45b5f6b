"""The count to expect from calibrated probabilities, and the verdicts that would settle it.

Each candidate that nobody has decided is a mitosis with its probability, independently of the
others; a decided one is, or is not. The number of mitoses among them then has the Poisson-binomial
distribution, which is computed exactly (by convolution, not by a normal or Poisson approximation).

An open figure that no model scored (placed by hand) has no probability, written NaN: it may be a
mitosis or not. Where one number is asked for, it is taken as an even chance; what is said to hold
for certain holds either way.

What it does not know: mitoses that the detector did not propose, errors that candidates share (a
slide whose stain the classifier misreads), and that a hot spot was chosen for holding many.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

Floats = NDArray[np.float64]

#: What was decided of a candidate.
OPEN, IS_MITOSIS, IS_NOT = -1, 1, 0
# Factors that are multiplied out one after another.
_BLOCK = 32
# What is as likely as not: of an unknown probability no side is known to be the likelier one.
_EVEN = 0.5


@dataclass(frozen=True, slots=True)
class ExpectedCount:
    """The number of mitoses to expect once every candidate is decided.

    Attributes:
        mean: expected number.
        low: with `high` the central interval of the exact distribution; those of unknown
            probability are no mitoses at this end and mitoses at the other, so it covers both.
        high: upper end, a whole number.
        level: coverage, at least; 0.95 for 95 %.
        variance: of the number, all from candidates that are still open.
        unknown: open candidates of unknown probability, an even chance in `mean` and `variance`.
    """

    mean: float
    low: int
    high: int
    level: float
    variance: float
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Settling:
    """Which verdicts would settle the category, and which one that probably is.

    Attributes:
        settled: whether the category is the same however the open candidates are decided.
        category: that category; while not settled the most probable one of the final count. None
            where the final count may fall between categories.
        probability: that the final count lies in it.
        confirm: rows of the fewest open candidates that suffice if they are mitoses; most probable
            first.
        reject: rows of those that have to be no mitoses as well; least probable first.
        chance: that these verdicts all come out so.
        unknown: open candidates of unknown probability, an even chance in `probability` and
            `chance`.
    """

    settled: bool
    category: str | None
    probability: float
    confirm: tuple[int, ...] = ()
    reject: tuple[int, ...] = ()
    chance: float = 1.0
    unknown: int = 0

    @property
    def rows(self) -> tuple[int, ...]:
        """The candidates to look at, those whose verdict is surest first."""
        return self.confirm + self.reject


def distribution(probabilities: Floats) -> Floats:
    """How probable each number of mitoses is, 0 to N.

    Args:
        probabilities: (N,) float64, 0..1.

    Returns:
        (N + 1,) float64, sums to 1.

    Raises:
        ValueError: a probability is not one.
    """
    given = np.asarray(probabilities, dtype=np.float64).ravel()
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("probabilities must lie between 0 and 1")
    sure = int(np.count_nonzero(given == 1))
    unsure = given[(given > 0) & (given < 1)]
    known = np.zeros(len(given) + 1)
    mass = _product(unsure)
    # A transform leaves rounding of 1e-17 where there is nothing.
    mass = np.clip(mass, 0, None)
    known[sure : sure + len(mass)] = mass / mass.sum()
    return known


def _product(probabilities: Floats) -> Floats:
    """Coefficients of the product of all (1 - p + p z): (N + 1,) float64.

    Blocks of factors are multiplied out one after another, all blocks at once; their products are
    then multiplied in pairs through Fourier transforms.
    """
    count = len(probabilities)
    blocks = 1 << max(0, -(-count // _BLOCK) - 1).bit_length()
    padded = np.zeros(blocks * _BLOCK)  # a factor with p = 0 is 1
    padded[:count] = probabilities
    mass = np.zeros((blocks, _BLOCK + 1))
    mass[:, 0] = 1
    for p in padded.reshape(blocks, _BLOCK).T[:, :, None]:
        mass[:, 1:] = mass[:, 1:] * (1 - p) + mass[:, :-1] * p
        mass[:, :1] *= 1 - p
    while len(mass) > 1:
        length = 2 * mass.shape[1] - 1
        size = next_fast_len(length, real=True)
        moved = rfft(mass, size, axis=1)
        mass = irfft(moved[::2] * moved[1::2], size, axis=1)[:, :length]
    return np.asarray(mass[0, : count + 1])


def expected_count(
    probabilities: Floats, verdicts: NDArray[np.integer] | None = None, level: float = 0.95
) -> ExpectedCount:
    """The number of mitoses to expect among some candidates, with its Poisson-binomial interval.

    Args:
        probabilities: (N,) float64, calibrated, 0..1, NaN where unknown; those of decided
            candidates do not matter.
        verdicts: (N,) `IS_MITOSIS`, `IS_NOT` or `OPEN`; None before anything is reviewed.
        level: coverage of the interval; at most half of the rest lies beyond each end.

    Raises:
        ValueError: lengths differ, a probability is none, or the level is no level.
    """
    if not 0 < level < 1:
        raise ValueError(f"no interval of level {level}")
    return _expected(*_split(probabilities, verdicts), level)


def _expected(open_p: Floats, decided: int, level: float) -> ExpectedCount:
    known = open_p[~np.isnan(open_p)]
    unknown = len(open_p) - len(known)
    low, high = _ends(distribution(known), level)
    even = _evened(open_p)
    return ExpectedCount(
        mean=decided + float(even.sum()),
        low=decided + low,
        high=decided + high + unknown,
        level=level,
        variance=float(np.sum(even * (1 - even))),
        unknown=unknown,
    )


def _evened(probabilities: Floats) -> Floats:
    """Probabilities with the unknown ones taken as an even chance."""
    return np.where(np.isnan(probabilities), _EVEN, probabilities)


def _split(probabilities: Floats, verdicts: NDArray[np.integer] | None) -> tuple[Floats, int]:
    """Probabilities of the open candidates, and how many of the decided ones are mitoses."""
    given = np.asarray(probabilities, dtype=np.float64).ravel()
    if verdicts is None:
        return given, 0
    said = np.asarray(verdicts).ravel()
    if said.shape != given.shape:
        raise ValueError(f"{len(given)} probabilities and {len(said)} verdicts")
    if not np.isin(said, (OPEN, IS_MITOSIS, IS_NOT)).all():
        raise ValueError("verdicts must be OPEN, IS_MITOSIS or IS_NOT")
    return given[said == OPEN], int(np.count_nonzero(said == IS_MITOSIS))


def _ends(mass: Floats, level: float) -> tuple[int, int]:
    """Quantiles at both tails of a distribution over 0, 1, 2 and so on."""
    tail = (1 - level) / 2
    total = np.cumsum(mass)
    low = int(np.searchsorted(total, tail, side="right"))
    high = int(np.searchsorted(total, 1 - tail, side="left"))
    return min(low, len(mass) - 1), min(high, len(mass) - 1)


def settling(
    probabilities: Floats,
    verdicts: NDArray[np.integer] | None,
    category_of: Callable[[int], str | None],
    relevant: NDArray[np.bool_] | None = None,
) -> Settling:
    """Which verdicts would settle the category of the final count.

    Mitoses can only be added up: a category that begins at a and ends with b mitoses is certain as
    soon as a candidates are mitoses and all but b are known not to be. The fewest verdicts that can
    do this are therefore known in number, and those whose outcome is the likeliest are named. It is
    asked for the most probable category; if a verdict comes out otherwise, ask again.

    Args:
        probabilities: (N,) float64, calibrated, NaN where unknown; those of decided candidates do
            not matter.
        verdicts: as in `expected_count`.
        category_of: name of the category of a count; monotone, None between categories.
        relevant: (N,) bool, which open candidates a reader has to look at (those from the review
            threshold on); the others are taken for what they are labelled, no mitoses. One of
            unknown probability is not labelled and always looked at. None: all.

    Raises:
        ValueError: as `expected_count`.
    """
    open_p, decided = _split(probabilities, verdicts)
    said = np.full(np.size(probabilities), OPEN) if verdicts is None else np.ravel(verdicts)
    rows = np.flatnonzero(said == OPEN)
    if relevant is not None:
        kept = np.ravel(relevant)[rows] | np.isnan(open_p)
        rows, open_p = rows[kept], open_p[kept]
    most, unknown = decided + len(rows), int(np.count_nonzero(np.isnan(open_p)))
    open_p = _evened(open_p)
    runs = _runs(category_of, decided, most)
    if len(runs) == 1:
        return Settling(True, runs[0][0], 1.0, unknown=unknown)
    mass = distribution(open_p)
    chances = [float(mass[first - decided : last - decided + 1].sum()) for _, first, last in runs]
    best = int(np.argmax(chances))
    name, first, last = runs[best]
    order = np.argsort(-open_p, kind="stable")
    confirm = order[: max(0, first - decided)]
    reject = order[::-1][: max(0, most - last)]
    chance = float(np.prod(open_p[confirm]) * np.prod(1 - open_p[reject]))
    return Settling(
        False,
        name,
        min(chances[best], 1.0),
        tuple(rows[confirm].tolist()),
        tuple(rows[reject].tolist()),
        chance,
        unknown,
    )


def _runs(
    category_of: Callable[[int], str | None], first: int, last: int
) -> list[tuple[str | None, int, int]]:
    """Categories of the counts from first to last, each with its own first and last count."""
    runs = []
    while first <= last:
        name = category_of(first)
        low, high = first, last
        while low < high:  # the last count of this category, by halving
            middle = (low + high + 1) // 2
            if category_of(middle) == name:
                low = middle
            else:
                high = middle - 1
        runs.append((name, first, low))
        first = low + 1
    return runs
