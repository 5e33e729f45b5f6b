"""How sure the count on the desk is: verdicts, unsure figures, and what would settle it."""

import numpy as np
import pytest
import shapely

from core.counting.protocols import get_protocol
from core.reading.statistics import figure_statistics
from core.reading.view import (
    ATYPICAL,
    DELETED,
    IMPOSTER,
    MITOSIS,
    NONE,
    UNSURE,
    AreaView,
    Figures,
)

AREA = AreaView(
    shapely.box(0, 0, 10, 10), (5, 5), "rectangle", 1, 1, 0, 2.37, 2.37, True, "proposed"
)


def figures(verdict, probability, in_area=None):
    count = len(verdict)
    probability = np.array(probability, np.float32)
    inside = np.ones(count, bool) if in_area is None else np.array(in_area)
    verdict = np.array(verdict, np.uint8)
    return Figures(
        key=np.arange(count) * 10 + 7,
        x0=np.zeros(count),
        y0=np.zeros(count),
        probability=probability,
        score=probability,
        label=np.full(count, 2, np.uint8),
        verdict=verdict,
        disputed=np.zeros(count, bool),
        in_area=inside,
        to_review=(probability >= 0.1) & (verdict == NONE),
    )


def test_verdicts_decide_and_unsure_stays_open():
    seen = figures(
        [MITOSIS, ATYPICAL, IMPOSTER, DELETED, UNSURE, NONE, NONE, NONE],
        [0.2, np.nan, 0.9, 0.9, 0.5, 0.75, 0.01, 0.99],
        [True] * 7 + [False],
    )
    record = figure_statistics(seen, AREA, get_protocol("dog_mct_kiupel"), 3)
    assert record.expected.mean == pytest.approx(2 + 0.5 + 0.75 + 0.01)
    assert record.open == 2
    assert record.settling.settled
    assert record.interval.count == 3


def test_the_figures_that_settle_are_named_by_their_keys():
    seen = figures([MITOSIS] * 6 + [NONE, NONE, UNSURE], [0.9] * 6 + [0.6, 0.75, 0.5])
    record = figure_statistics(seen, AREA, get_protocol("dog_mct_kiupel"), 8)
    assert record.settling.category == "high grade (>=7)"
    assert record.settling.confirm == (77,)
    assert record.settling.reject == ()


@pytest.mark.parametrize("verdict", [UNSURE, NONE])
def test_an_open_figure_placed_by_hand_keeps_the_category_open(verdict):
    placed = figures([verdict, *[MITOSIS] * 6, NONE], [np.nan, *[0.9] * 6, 0.05])
    record = figure_statistics(placed, AREA, get_protocol("dog_mct_kiupel"), 6)
    assert not record.settling.settled
    assert record.settling.rows == (7,)
    assert (record.open, record.expected.unknown) == (1, 1)


def test_a_blinded_reading_expects_nothing_of_open_figures():
    seen = figures([MITOSIS, NONE], [np.nan, np.nan])
    record = figure_statistics(seen, AREA, get_protocol("dog_mct_kiupel"), 1)
    assert (record.expected, record.settling) == (None, None)
    assert record.elsewhere is not None
