"""What the store keeps for the desktop: actions, cases, where files and readers are."""

from pathlib import Path

import numpy as np
import pytest
from desks import add_run, add_slide, candidate, start_run
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import StoreError
from core.geometry import Mpp
from core.store import (
    CountRecord,
    NewAcknowledgement,
    NewAction,
    NewCalibration,
    NewRegion,
    NewVerdict,
    SlideRecord,
    ViewedArea,
    ViewState,
    open_store,
)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def slide_id(store):
    return add_slide(store)


def test_an_action_holds_all_kinds_and_leaves_its_lines_in_the_trail(store, slide_id):
    reader = store.add_reader("Ada")
    before = len(store.events())
    action = store.act(
        slide_id,
        reader,
        NewAction(
            "all at once",
            verdicts=[NewVerdict("mitosis", place0=(1, 2))],
            regions=[NewRegion("tumour", b"polygon", {"name": "main"})],
            calibrations=[NewCalibration(Mpp(0.3, 0.3), "typed")],
            acknowledgements=[NewAcknowledgement("all tissue is tumour")],
        ),
    )
    (known,) = store.iter_actions(slide_id, reader)
    assert known == action
    (verdict,) = store.verdicts(slide_id)
    (region,) = store.regions(slide_id)
    (said,) = store.acknowledgements(slide_id)
    size = store.calibrations(slide_id)[-1]
    for row in (verdict, region, said, size):
        assert (row.action_id, row.reader_id) == (action.id, reader)
    assert [(event.kind, event.reader) for event in store.events()[before:]] == [
        ("verdicts given", "Ada"),
        ("region drawn", "Ada"),
        ("calibration set", "Ada"),
        ("acknowledged", "Ada"),
    ]
    assert store.verify_events() == []


def test_an_action_is_whole_or_not_at_all(store, slide_id):
    reader = store.add_reader("Ada")
    with pytest.raises(StoreError, match="no point 99"):
        store.act(
            slide_id,
            reader,
            NewAction(
                "half", [NewVerdict("mitosis", place0=(1, 2)), NewVerdict("mitosis", point_id=99)]
            ),
        )
    assert list(store.iter_actions(slide_id, reader)) == []
    assert store.verdicts(slide_id) == []
    with pytest.raises(StoreError, match="nothing to do"):
        store.act(slide_id, reader, NewAction("nothing"))


def test_the_files_own_pixel_size_does_not_come_back_over_a_readers(store, slide_id):
    reader = store.add_reader("Ada")
    store.set_mpp(slide_id, Mpp(0.3, 0.3), "two points and a length", reader)
    assert add_slide(store) == slide_id  # opened again
    assert store.slide(slide_id).mpp == Mpp(0.3, 0.3)
    taken_back = NewAction("pixel size set", calibrations=[NewCalibration(None, "")])
    store.act(slide_id, reader, taken_back)
    slide = store.slide(slide_id)
    assert (slide.mpp, slide.mpp_origin) == (None, "")


def test_cases_hold_slides(store, slide_id):
    other = add_slide(store, "0 first by name")
    case = store.add_case("  B 24/117 ")
    assert store.add_case("B 24/117") == case
    store.set_case(slide_id, case, "Ada")
    store.set_case(other, case)
    assert [slide.id for slide in store.case_slides(case)] == [other, slide_id]
    assert [known.name for known in store.cases()] == ["B 24/117"]
    store.set_case(other, None)
    assert [slide.id for slide in store.case_slides(case)] == [slide_id]
    with pytest.raises(StoreError, match="needs a name"):
        store.add_case(" ")
    with pytest.raises(StoreError, match="no slide 99"):
        store.set_case(99, case)


def test_alias_and_path_are_changed_with_a_line_in_the_trail(store, slide_id):
    assert store.slide(slide_id).shown_name == "ab.svs"
    store.set_alias(slide_id, " slide 7 ", "Ada")
    store.set_alias(slide_id, "slide 7", "Ada")  # says nothing new
    store.set_path(slide_id, Path("elsewhere") / "moved.svs", "Ada")
    slide = store.slide(slide_id)
    assert (slide.shown_name, slide.name) == ("slide 7", "moved.svs")
    assert Path(slide.path) == Path("elsewhere") / "moved.svs"
    assert [event.kind for event in store.events()[-2:]] == ["alias set", "slide relocated"]
    store.set_alias(slide_id, "")
    assert store.slide(slide_id).alias is None
    assert store.verify_events() == []


def test_slides_opened_last_come_first(store, slide_id):
    other, never = add_slide(store, "cd"), add_slide(store, "ef")
    assert store.recent_slides() == []
    for opened in (slide_id, other, slide_id):
        store.note_opened(opened)
    recent = [slide.id for slide in store.recent_slides()]
    assert recent == [slide_id, other]
    assert never not in recent
    assert len(store.recent_slides(1)) == 1


def test_a_reader_finds_a_slide_as_they_left_it(tmp_path):
    path = tmp_path / "store.sqlite"
    with open_store(path) as store:
        slide_id, ada, bob = add_slide(store), store.add_reader("Ada"), store.add_reader("Bob")
        store.save_view_state(slide_id, ada, ViewState((1.0, 2.0)))
        left = ViewState((10.5, 20.25), 40.0, 90.0, -7, "vet_std")
        store.save_view_state(slide_id, ada, left)
    with open_store(path) as store:
        assert store.view_state(slide_id, ada) == left
        assert store.view_state(slide_id, bob) is None
        assert store.viewed_area(slide_id, bob) is None


@given(st.integers(1, 20), st.integers(1, 20), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_viewed_areas_come_back_as_they_were(rows, cols, random):
    import tempfile

    mask = np.array([[random.random() < 0.5 for _ in range(cols)] for _ in range(rows)])
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(Path(folder) / "store.sqlite") as store,
    ):
        slide_id, ada = add_slide(store), store.add_reader("Ada")
        store.save_viewed_area(slide_id, ada, ViewedArea(512.0, ~mask))
        store.save_viewed_area(slide_id, ada, ViewedArea(512.0, mask))
        found = store.viewed_area(slide_id, ada)
    assert found.cell0 == 512.0
    assert np.array_equal(found.mask, mask)


def test_slide_states_tell_how_far_a_reader_is(store, tmp_path):
    ada, bob = store.add_reader("Ada"), store.add_reader("Bob")
    new, running, stopped, done = (add_slide(store, name) for name in ("a", "b", "c", "d"))
    run = start_run(store, running, [candidate(1, 1)], "running")
    cancelled = start_run(store, stopped, key="stopped")
    store.finish_run(cancelled.id, "cancelled", {})
    first = add_run(store, done, [candidate(n, n) for n in range(1, 4)], "done")
    again = start_run(store, done, key="again")
    store.finish_run(again.id, "failed", {})
    ids = [row.id for row in store.iter_candidates(first)]
    store.give_verdicts(done, ada, [NewVerdict("mitosis", candidate_id=n) for n in ids[:2]])
    store.give_verdicts(done, ada, [NewVerdict("cleared", candidate_id=ids[0])])
    states = {state.slide.id: state for state in store.slide_states(ada)}
    assert [states[n].state for n in (new, running, stopped, done)] == [
        "new",
        "running",
        "new",
        "analysed",
    ]
    assert (states[done].run_id, states[done].candidates, states[done].verdicts) == (first, 3, 1)
    assert states[running].candidates == 1
    assert store.slide_states(bob)[-1].verdicts == 0
    store.finish_run(run.id, "done", {})

    store.act(done, ada, NewAction("", acknowledgements=[NewAcknowledgement("field done")]))
    assert store.slide_states(ada)[-1].state == "reviewed"
    count = store.add_count(
        CountRecord(done, "vet_std", "signed", 5, 2.37, 2.37, "0.1.0", reader_id=ada)
    )
    assert (store.slide_states(ada)[-1].state, store.slide_states(ada)[-1].mitoses) == ("signed", 5)
    assert store.slide_states(bob)[-1].state == "analysed"
    reopened = CountRecord(
        done, "vet_std", "reopened", 5, 2.37, 2.37, "0.1.0", reader_id=ada, lineage=count.lineage
    )
    store.add_count(reopened, "missed one")
    assert store.events()[-1].reason == "missed one"
    assert store.slide_states(ada)[-1].state == "reviewed"
    store.act(done, ada, NewAction("", acknowledgements=[NewAcknowledgement("field done", False)]))
    assert store.slide_states(ada, after_id=stopped)[0].state == "analysed"


def test_a_run_whose_process_died_is_not_shown_as_running(tmp_path):
    path = tmp_path / "store.sqlite"
    with open_store(path) as store:
        slide_id, ada = add_slide(store), store.add_reader("Ada")
        start_run(store, slide_id)
        store.flush()
        (state,) = store.slide_states(ada)
        assert state.state == "running"
    with open_store(path) as store:  # the run was never finished, its lease is given back
        (state,) = store.slide_states(ada)
        assert state.state == "new"


def test_a_slide_added_without_a_pixel_size_has_none(store):
    slide_id = store.add_slide(SlideRecord("q", "x", "x.svs", 9, 9, None, None, "", ""))
    assert store.slide(slide_id).mpp is None
    assert store.slide(slide_id).opened_at is None
