"""How sure the count in the count area is, from the figures as the reader sees them."""

from dataclasses import replace

import numpy as np

from core.counting.expectation import IS_MITOSIS, IS_NOT, OPEN
from core.counting.protocols import Protocol
from core.counting.statistics import CountStatistics, count_statistics
from core.reading.view import ATYPICAL, DELETED, IMPOSTER, MITOSIS, UNSURE, AreaView, Figures

_DECIDED = {MITOSIS: IS_MITOSIS, ATYPICAL: IS_MITOSIS, IMPOSTER: IS_NOT, DELETED: IS_NOT}


def figure_statistics(
    figures: Figures, area: AreaView, protocol: Protocol, mitoses: int
) -> CountStatistics:
    """The statistics of the count in an area; quick enough to be made anew after each verdict.

    A figure called unsure is as open as one without a verdict; placed by hand, it has no
    probability and can go either way. In a blinded reading no probability is known of any figure,
    and nothing is expected of open ones.

    Args:
        figures: with `in_area` and `to_review` filled in.
        area: the count area.
        protocol: the rule.
        mitoses: counted in the area.

    Returns:
        The rows of its `settling` are keys of figures.

    Raises:
        ValueError: the area is not above 0 mm².
    """
    inside = np.flatnonzero(figures.in_area)
    verdict = figures.verdict[inside]
    decided = np.full(len(inside), OPEN, dtype=np.int8)
    for code, said in _DECIDED.items():
        decided[verdict == code] = said
    statistics = count_statistics(
        mitoses,
        area.counted_mm2,
        protocol,
        figures.probability[inside].astype(np.float64),
        decided,
        to_review=figures.to_review[inside] | (verdict == UNSURE),
        hot_spot=area.kind != "tissue",
    )
    found = statistics.settling
    if found is None:
        return statistics
    keys = figures.key[inside]
    named = replace(
        found,
        confirm=tuple(keys[list(found.confirm)].tolist()),
        reject=tuple(keys[list(found.reject)].tolist()),
    )
    return replace(statistics, settling=named)
