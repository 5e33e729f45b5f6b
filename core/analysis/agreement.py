"""How far readers, or readers and the model, agree: on single figures and on counts.

What raters marked within 7.5 µm of one another, one to one, is one figure. A rater who marked
nothing there, or an imposter, does not call it a mitosis. So the figures that nobody marked do not
exist here, and κ depends on how many imposters were marked: compare it only between readings of the
same candidates. F1 does not use what both leave out.

Cohen 1960, Educ Psychol Meas 20:37-46; Fleiss 1971, Psychol Bull 76:378-382; Bland & Altman 1986,
Lancet 327:307-310.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan

import numpy as np
from numpy.typing import NDArray

from core.analysis.evaluate import match

#: Standard normal quantile of the 95 % limits of agreement.
LIMITS_Z = 1.96


@dataclass(frozen=True, slots=True)
class Marks:
    """What one rater marked on one slide.

    Attributes:
        xy_um: (N, 2) float64, µm.
        mitosis: (N,) bool; False for an imposter.
    """

    xy_um: NDArray[np.float64]
    mitosis: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Figure:
    """A place that somebody marked.

    Attributes:
        slide: its name.
        x_um, y_um: where the first rater put it.
        said: by rater: True for a mitosis, False for an imposter, None for nothing.
    """

    slide: str
    x_um: float
    y_um: float
    said: Mapping[str, bool | None]

    @property
    def disputed(self) -> bool:
        """Whether some call it a mitosis and others do not."""
        called = {value is True for value in self.said.values()}
        return len(called) > 1


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two raters on the same figures.

    Attributes:
        first, second: the raters.
        both: figures that both call mitoses.
        only_first, only_second: that one of them does.
        neither: that neither does.
        f1: 2 both / (2 both + only_first + only_second); nan where nobody called anything.
        kappa: Cohen's; nan where chance alone would agree on everything.
        bias: mean over slides of the second's count less the first's.
        limits: 95 % limits of agreement of that difference; nan below two slides.
    """

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int
    f1: float
    kappa: float
    bias: float
    limits: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Some raters on some slides.

    Attributes:
        raters: their names.
        figures: all that somebody marked.
        counts: mitoses by slide, then by rater.
        pairs: every two raters.
        fleiss_kappa: of all raters together; nan for a single one, or where it is not defined.
    """

    raters: tuple[str, ...]
    figures: tuple[Figure, ...]
    counts: Mapping[str, Mapping[str, int]]
    pairs: tuple[PairAgreement, ...]
    fleiss_kappa: float

    @property
    def disagreements(self) -> tuple[Figure, ...]:
        """The figures on which raters differ."""
        return tuple(figure for figure in self.figures if figure.disputed)


def compare(slides: Mapping[str, Mapping[str, Marks]]) -> Agreement:
    """Compare raters who all read the same slides.

    Args:
        slides: marks by slide and rater; every slide has every rater.

    Raises:
        ValueError: no slide, or a rater is missing on one.
    """
    raters = tuple(next(iter(slides.values()), {}))
    if not raters or any(set(marks) != set(raters) for marks in slides.values()):
        raise ValueError("every slide needs the same raters")
    figures = [figure for name, marks in slides.items() for figure in _figures(name, marks)]
    counts = {
        name: {rater: int(np.count_nonzero(marks[rater].mitosis)) for rater in raters}
        for name, marks in slides.items()
    }
    called = np.array(
        [[figure.said[rater] is True for rater in raters] for figure in figures], bool
    ).reshape(-1, len(raters))
    pairs = tuple(
        _pair(raters[i], raters[j], called[:, i], called[:, j], list(counts.values()))
        for i, j in combinations(range(len(raters)), 2)
    )
    return Agreement(raters, tuple(figures), counts, pairs, fleiss_kappa(called))


def _figures(slide: str, marks: Mapping[str, Marks]) -> list[Figure]:
    """One figure for all marks of one place; each rater's marks go to different figures."""
    places = np.empty((0, 2))
    said: list[dict[str, bool | None]] = []
    for rater, own in marks.items():
        # Mitoses choose first, so that an imposter beside one does not take its place.
        taken = match(own.xy_um, own.mitosis.astype(np.float64), places).truth_index
        fresh = taken < 0
        for at, mitosis in zip(taken[~fresh], own.mitosis[~fresh], strict=True):
            said[at][rater] = bool(mitosis)
        said += [{rater: bool(mitosis)} for mitosis in own.mitosis[fresh]]
        places = np.concatenate([places, own.xy_um[fresh]])
    return [
        Figure(slide, float(x), float(y), {rater: one.get(rater) for rater in marks})
        for (x, y), one in zip(places, said, strict=True)
    ]


def _pair(
    first: str,
    second: str,
    a: NDArray[np.bool_],
    b: NDArray[np.bool_],
    counts: Sequence[Mapping[str, int]],
) -> PairAgreement:
    both, only_a, only_b = (int(np.count_nonzero(x)) for x in (a & b, a & ~b, ~a & b))
    called = 2 * both + only_a + only_b
    difference = np.array([count[second] - count[first] for count in counts], np.float64)
    bias = float(difference.mean())
    spread = LIMITS_Z * float(difference.std(ddof=1)) if len(difference) > 1 else nan
    return PairAgreement(
        first,
        second,
        both,
        only_a,
        only_b,
        len(a) - both - only_a - only_b,
        2 * both / called if called else nan,
        cohen_kappa(a, b),
        bias,
        (bias - spread, bias + spread),
    )


def cohen_kappa(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Cohen's κ of two raters' yes and no, (N,) bool each; nan without figures or variety."""
    if not len(a):
        return nan
    observed = float(np.mean(a == b))
    p, q = float(a.mean()), float(b.mean())
    expected = p * q + (1 - p) * (1 - q)
    return nan if expected == 1 else (observed - expected) / (1 - expected)


def fleiss_kappa(called: NDArray[np.bool_]) -> float:
    """Fleiss' κ of (N, raters) bool; nan below two raters, without figures or variety."""
    n, raters = called.shape
    if n == 0 or raters < 2:
        return nan
    yes = called.sum(1).astype(np.float64)
    no = raters - yes
    observed = float(np.mean((yes * (yes - 1) + no * (no - 1)) / (raters * (raters - 1))))
    p = float(yes.sum() / (n * raters))
    expected = p * p + (1 - p) * (1 - p)
    return nan if expected == 1 else (observed - expected) / (1 - expected)
