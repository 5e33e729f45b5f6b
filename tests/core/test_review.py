"""The rule from verdicts to current state to counts, undo and redo, carrying verdicts over."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import PixelSizeError, StoreError
from core.geometry import Mpp
from core.ports import ModelOrigin
from core.review import (
    Tally,
    carry_verdicts,
    current_states,
    is_mitosis,
    plan_redo,
    plan_undo,
    redo,
    tally,
    undo,
)
from core.store import (
    Candidate,
    NewVerdict,
    RunSpec,
    SlideRecord,
    VerdictRecord,
    open_store,
)

START = datetime(2025, 1, 1, tzinfo=UTC)


def verdict(
    n, value, *, point=1, reader=1, consensus=False, atypical=False, action="", undoes=None
):
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
        action=action or f"a{n}",
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


class Session:
    """A reader at work in memory, beside a plain undo stack of whole states."""

    def __init__(self):
        self.history: list[VerdictRecord] = []
        self.states: list[dict[int, str]] = [{}]
        self.at = 0

    def append(self, verdicts):
        action = f"a{len(self.history)}"
        for new in verdicts:
            self.history.append(
                verdict(
                    len(self.history) + 1,
                    new.value,
                    point=new.point_id,
                    action=action,
                    undoes=new.undoes_id,
                )
            )

    def decide(self, choices):
        self.append([NewVerdict(value=value, point_id=point) for point, value in choices])
        self.states[self.at + 1 :] = [self.states[self.at] | dict(choices)]
        self.at += 1

    def undo(self):
        plan = plan_undo(self.history, 1)
        assert (plan is None) == (self.at == 0)
        if plan:
            self.append(plan.verdicts)
            self.at -= 1

    def redo(self):
        plan = plan_redo(self.history, 1)
        assert (plan is None) == (self.at + 1 == len(self.states))
        if plan:
            self.append(plan.verdicts)
            self.at += 1

    def check(self):
        states = current_states(self.history)
        now = {point: called(state) for point, state in states.items() if called(state)}
        assert now == self.states[self.at]
        undone = [row.undoes_id for row in self.history if row.undoes_id is not None]
        assert len(undone) == len(set(undone))


decisions = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["mitosis", "imposter", "unsure", "deleted"])),
    min_size=1,
    max_size=3,
    unique_by=lambda choice: choice[0],
)


@given(st.lists(st.one_of(decisions, st.sampled_from(["undo", "redo"])), max_size=25))
@settings(max_examples=150, deadline=None)
def test_undo_and_redo_behave_as_a_stack_of_states(work):
    session = Session()
    for step in work:
        if step == "undo":
            session.undo()
        elif step == "redo":
            session.redo()
        else:
            session.decide(step)
        session.check()


def test_undo_is_per_reader():
    history = [verdict(1, "mitosis"), verdict(2, "imposter", reader=2)]
    plan = plan_undo(history, 1)
    assert plan is not None
    assert [(new.value, new.undoes_id) for new in plan.verdicts] == [("cleared", 1)]
    assert plan_undo(history, 3) is None


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


def test_undo_survives_a_restart_and_names_what_it_undoes(tmp_path):
    path = tmp_path / "store.sqlite"
    with open_store(path) as store:
        slide_id = store.add_slide(SlideRecord("q", "1", "a", 9, 9, None, None, "", ""))
        reader = store.add_reader("Ada")
        store.give_verdicts(slide_id, reader, [NewVerdict("mitosis", place0=(1, 2))])
    with open_store(path) as store:
        assert undo(store, slide_id, reader)
        assert undo(store, slide_id, reader) is None
    with open_store(path) as store:
        first, second = store.iter_verdicts(slide_id)
        assert (second.value, second.undoes_id) == ("cleared", first.id)
        assert redo(store, slide_id, reader)
        assert redo(store, slide_id, reader) is None
        (state,) = current_states(store.iter_verdicts(slide_id)).values()
        assert called(state) == "mitosis"


def test_the_same_verdict_is_not_undone_twice(slide):
    store, slide_id, reader = slide
    store.give_verdicts(slide_id, reader, [NewVerdict("mitosis", place0=(1, 2))])
    plan = plan_undo(list(store.iter_verdicts(slide_id)), reader)
    store.give_verdicts(slide_id, reader, plan.verdicts, method="undo")
    with pytest.raises(StoreError, match="taken back already"):
        store.give_verdicts(slide_id, reader, plan.verdicts, method="undo")


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
