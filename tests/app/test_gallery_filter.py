import numpy as np
import pytest
from deskviews import desk_view, figures
from fakedesk import asking, blind
from hypothesis import given, settings
from hypothesis import strategies as st

from app.panels.gallery_filter import (
    GalleryFilter,
    above,
    at_position,
    in_scope,
    in_state,
    labelled_atypical,
    ordered,
    position_of,
    review_queue,
    state_masks,
)
from app.texts import percent
from core.geometry import Mpp
from core.reading.view import DELETED, LABELS, NONE, VERDICTS, Figures


@st.composite
def some_figures(draw):
    n = draw(st.integers(0, 30))
    column = lambda values: draw(st.lists(values, min_size=n, max_size=n))  # noqa: E731
    keys = np.sort(np.array(column(st.integers(-500, 500).filter(bool)), np.int64))
    keys = np.unique(keys)
    m = len(keys)
    probability = np.array(column(st.floats(0, 1, width=32)), np.float32)[:m]
    probability[keys < 0] = np.nan
    return Figures(
        key=keys,
        x0=np.array(column(st.floats(0, 1e5)), float)[:m],
        y0=np.array(column(st.floats(0, 1e5)), float)[:m],
        probability=probability,
        score=probability,
        label=np.zeros(m, np.uint8),
        verdict=np.array(column(st.integers(0, len(VERDICTS) - 1)), np.uint8)[:m],
        disputed=np.array(column(st.booleans()), bool)[:m],
        in_area=np.array(column(st.booleans()), bool)[:m],
    )


@settings(deadline=None, max_examples=60)
@given(
    some_figures(),
    st.sampled_from(["probability", "uncertainty", "place"]),
    st.sampled_from([np.nan, 0.3]),
)
def test_sorting_loses_and_adds_nothing(shown, sort, count_threshold):
    rows = np.arange(0, len(shown), 2)
    got = ordered(shown, rows, sort, count_threshold=count_threshold, mpp=None)
    assert sorted(got) == list(rows)
    if sort == "probability":
        values = shown.probability[got]
        known = values[~np.isnan(values)]
        assert (np.diff(known) <= 0).all()
        assert np.isnan(values[len(known) :]).all()


@settings(deadline=None, max_examples=60)
@given(some_figures(), st.booleans(), st.booleans(), st.sampled_from([np.nan, 0.0, 0.4]))
def test_what_is_next_to_review_asks_for_a_verdict_and_nothing_is_missed(
    shown, blinded, in_area, threshold
):
    view = asking(desk_view(shown, review_threshold=threshold))
    view = blind(view) if blinded else view
    queue = review_queue(view, in_area=in_area)
    wanted = (shown.verdict == NONE) & (shown.probability >= threshold)
    if in_area:
        wanted &= shown.in_area
    assert sorted(queue) == list(np.flatnonzero(wanted))
    assert list(review_queue(view, in_area=in_area, first=3)) == list(queue[:3])
    inside = shown.in_area[queue]
    assert (np.diff(inside.astype(int)) <= 0).all(), "the count area comes first"
    if not blinded:
        for part in (queue[inside], queue[~inside]):
            assert (np.diff(shown.probability[part]) <= 0).all()


def test_uncertain_ones_lie_nearest_the_count_threshold():
    shown = figures(np.zeros((4, 2)), probability=[0.9, 0.35, 0.1, 0.28])
    got = ordered(shown, np.arange(4), "uncertainty", count_threshold=0.3, mpp=None)
    assert list(got) == [3, 1, 2, 0]


def test_by_place_goes_through_rows_of_fields_in_turns():
    # Fields of 500 µm are 1000 px at 0.5 µm/px.
    places = [(100, 100), (1500, 100), (1500, 1100), (100, 1100), (2500, 900)]
    got = ordered(figures(places), np.arange(5), "place", count_threshold=0.3, mpp=Mpp(0.5, 0.5))
    assert list(got) == [0, 1, 4, 2, 3]


def test_a_blinded_order_does_not_tell_probabilities():
    places = np.column_stack([np.arange(6) * 50.0, np.zeros(6)])
    shown = figures(places, probability=[0.3, 0.9, 0.5, 0.8, 0.4, 0.7])
    view = asking(desk_view(shown))
    assert list(review_queue(blind(view))) == [0, 1, 2, 3, 4, 5]
    assert list(review_queue(view))[:2] == [1, 3]


def test_states_and_area_filter_what_is_shown():
    shown = figures(np.zeros((5, 2)), verdict=["none", "atypical", "imposter", "unsure", "deleted"])
    masks = state_masks(shown)
    assert {state: int(mask.sum()) for state, mask in masks.items()} == {
        "unreviewed": 1,
        "mitosis": 1,
        "atypical": 1,
        "imposter": 1,
        "unsure": 1,
        "disputed": 0,
        "hand-placed": 0,
    }
    both = GalleryFilter(states=frozenset({"unreviewed", "unsure"}))
    assert list(in_state(shown, both)) == [True, False, False, True, False]
    assert not in_state(shown, GalleryFilter())[shown.verdict == DELETED].any()


def test_hand_placed_figures_pass_every_threshold():
    shown = figures(np.zeros((2, 2)), probability=[np.nan, 0.2])
    shown = Figures(np.array([-3, 4]), *[getattr(shown, n) for n in Figures.__slots__[1:]])
    assert list(in_scope(shown, GalleryFilter(threshold=0.5))) == [True, False]


def test_the_live_count_comes_from_the_arrays():
    shown = figures(np.zeros((3, 2)), probability=[0.9, 0.5, 0.1])
    counted = above(shown, 0.5)
    assert (counted.slide, counted.area) == (2, 2)


def test_the_threshold_scale_reaches_small_probabilities():
    assert at_position(0) == 0
    assert at_position(position_of(0.00871)) == pytest.approx(0.00871)
    assert position_of(0.5) == pytest.approx(0.5)
    assert percent(0.00871) == "0.9 %"
    assert percent(0.873) == "87 %"
    assert percent(0.999) == "99 %", "no 100 for what the model is not certain of"
    assert percent(0.0001) == "<0.1 %"


def test_what_the_models_call_atypical_is_found_until_a_reader_says_otherwise():
    atypical = LABELS.index("atypical")
    shown = figures(np.zeros((3, 2)), label=atypical, verdict=["none", "mitosis", "atypical"])
    assert list(state_masks(shown)["atypical"]) == [True, False, True]
    assert list(labelled_atypical(shown)) == [True, False, False]
