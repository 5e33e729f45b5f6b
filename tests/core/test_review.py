"""The rule from verdicts to current state to counts, undo and redo, carrying verdicts over."""

from datetime import UTC, datetime, timedelta

import pytest

from core.errors import PixelSizeError, StoreError
from core.geometry import Mpp
from core.ports import ModelOrigin
from core.review import (
    Tally,
    carry_verdicts,
    current_states,
    inverse,
    is_mitosis,
    overruled,
    tally,
)
from core.store import (
    Candidate,
    NewAction,
    NewVerdict,
    RunSpec,
    SlideRecord,
    VerdictRecord,
    open_store,
)

START = datetime(2025, 1, 1, tzinfo=UTC)


def verdict(n, value, *, point=1, reader=1, consensus=False, atypical=False, action=0, undoes=None):
    return VerdictRecord(
        id=n,
        slide_id=1,
        point_id=point,
        reader_id=reader,
        reader=f"R{reader}",
        run_id=None,
        value=value,
        atypical=atypical,
        consensus=consensus,
        action_id=action or n,
        method="key",
        undoes_id=undoes,
        decided_at=START + timedelta(seconds=n),
    )


def called(state, reader=None):
    counting = state.counting(reader)
    return None if counting is None else counting.value


def test_newest_verdict_of_a_reader_counts_whatever_the_order():
    given_ = [verdict(1, "mitosis"), verdict(2, "imposter"), verdict(3, "unsure", point=2)]
    for order in (given_, given_[::-1]):
        states = current_states(order)
        assert called(states[1]) == "imposter"
        assert called(states[2]) == "unsure"


def test_readers_who_differ_leave_a_dispute_until_the_consensus():
    split = [verdict(1, "mitosis"), verdict(2, "imposter", reader=2)]
    state = current_states(split)[1]
    assert state.disputed
    assert called(state) is None
    assert called(state, 1) == "mitosis"
    assert called(state, 2) == "imposter"
    state = current_states([*split, verdict(3, "mitosis", reader=2, consensus=True)])[1]
    assert not state.disputed
    assert [called(state, reader) for reader in (None, 1, 2)] == ["mitosis"] * 3
    assert state.by_reader[2].value == "imposter"  # the original stands beside it


def test_typical_against_atypical_is_a_dispute_too():
    state = current_states([verdict(1, "mitosis"), verdict(2, "mitosis", reader=2, atypical=True)])
    assert state[1].disputed


def test_a_cleared_verdict_leaves_none():
    state = current_states([verdict(1, "mitosis"), verdict(2, "cleared")])[1]
    assert called(state) is None
    assert not state.by_reader


def test_verdict_goes_before_label():
    assert is_mitosis(None, "mitosis")
    assert is_mitosis(None, "atypical")
    assert not is_mitosis(None, "imposter")
    assert not is_mitosis(None, None)
    assert is_mitosis(verdict(1, "mitosis"), "imposter")
    assert not any(
        is_mitosis(verdict(1, value), "mitosis") for value in ("imposter", "unsure", "deleted")
    )


def test_tally_separates_confirmed_from_unreviewed():
    counted = tally(
        [
            (verdict(1, "mitosis"), "imposter"),
            (verdict(2, "mitosis", atypical=True), None),
            (None, "mitosis"),
            (None, "atypical"),
            (None, "imposter"),
            (verdict(3, "imposter"), "mitosis"),
            (verdict(4, "unsure"), "mitosis"),
            (verdict(5, "deleted"), None),
        ]
    )
    assert counted == Tally(
        mitoses=4, confirmed=2, unreviewed=2, atypical=2, imposters=1, unsure=1, deleted=1
    )


def test_an_action_is_taken_back_to_what_held_before():
    history = [
        verdict(1, "mitosis", atypical=True),
        verdict(2, "imposter", reader=2),
        verdict(3, "imposter", action=3),
        verdict(4, "unsure", point=2, action=3),
        verdict(5, "imposter", consensus=True),
        verdict(6, "mitosis", reader=2, consensus=True),
    ]
    taken = inverse(history, history[2:4])
    assert [(new.value, new.atypical, new.point_id, new.undoes_id) for new in taken] == [
        ("cleared", False, 2, 4),
        ("mitosis", True, 1, 3),
    ]
    # A consensus is the point's, whoever settled it.
    assert [new.value for new in inverse(history, history[5:])] == ["imposter"]
    assert overruled(history, history[4:5])
    assert not overruled(history, history[5:])


@pytest.fixture
def slide(tmp_path):
    with open_store(tmp_path / "store.sqlite") as store:
        record = SlideRecord("quickhash-1", "ab", "a.svs", 9000, 9000, 0.25, 0.5, "typed", "x")
        yield store, store.add_slide(record), store.add_reader("Ada")


def run_of(store, slide_id, places, *, key="k", again=False):
    origin = ModelOrigin("m", "00" * 32, "cpu", "float32")
    run = store.open_run(RunSpec(key, slide_id, {}, origin, origin, "1"), again=again)
    store.save_candidates(run.id, [Candidate(x0, y0, 0.5, 0.5, "imposter") for x0, y0 in places])
    return store.finish_run(run.id, "done", {})


def test_the_same_action_is_not_undone_twice(slide):
    store, slide_id, reader = slide
    action = store.give_verdicts(slide_id, reader, [NewVerdict("mitosis", place0=(1, 2))])
    history = list(store.iter_verdicts(slide_id))
    undo = NewAction("undo", verdicts=inverse(history, history), undoes_id=action)
    store.act(slide_id, reader, undo)
    with pytest.raises(StoreError, match="taken back already"):
        store.act(slide_id, reader, undo)


def test_verdicts_carry_to_a_new_run_one_to_one_within_the_radius(slide):
    store, slide_id, reader = slide
    old = run_of(store, slide_id, [(100, 100), (1000, 1000), (2000, 2000)])
    ids = [candidate.id for candidate in store.iter_candidates(old.id)]
    store.give_verdicts(
        slide_id,
        reader,
        [
            *(NewVerdict("mitosis", candidate_id=n) for n in ids),
            NewVerdict("mitosis", place0=(5000, 5000)),
        ],
    )
    # 0.25 µm/px along x, 0.5 along y: 7.5 µm are 30 px along x but 15 along y.
    places = [(110, 100), (104, 100), (1000, 1016), (2030, 2000), (5000, 5015)]
    new = run_of(store, slide_id, places, again=True)
    assert carry_verdicts(store, new.id) == 3
    points = {point.id: (point.x0, point.y0) for point in store.iter_points(slide_id)}
    carried = [points.get(row.point_id) for row in store.iter_candidates(new.id)]
    assert carried == [None, (100, 100), None, (2000, 2000), (5000, 5000)]
    assert carry_verdicts(store, new.id) == 0  # again adds nothing
    assert carry_verdicts(store, old.id) == 0
    assert len(list(store.iter_verdicts(slide_id))) == 4


def test_carrying_needs_a_pixel_size_only_where_there_are_points(slide):
    store, _, reader = slide
    slide_id = store.add_slide(SlideRecord("q", "no mpp", "b", 9, 9, None, None, "", ""))
    run = run_of(store, slide_id, [(1, 1)], key="other")
    assert carry_verdicts(store, run.id) == 0
    store.give_verdicts(slide_id, reader, [NewVerdict("mitosis", place0=(1, 2))])
    with pytest.raises(PixelSizeError):
        carry_verdicts(store, run.id)
    assert carry_verdicts(store, run.id, Mpp(0.25, 0.25)) == 1
