"""Cases that are deleted leave a tombstone, and come back."""

import pytest

from core.errors import StoreError
from core.store import SlideRecord, open_store


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "s.sqlite") as store:
        yield store


def add(store, name):
    return store.add_slide(SlideRecord("q", name, name, 900, 700, 0.25, 0.25, "typed", "x", ""))


def listed(store):
    return [state.slide.name for state in store.slide_states(1)]


def test_a_deleted_case_leaves_the_lists_and_comes_back_with_its_slides(store):
    inside, outside = add(store, "a.svs"), add(store, "b.svs")
    case = store.add_case("K7")
    store.set_case(inside, case)
    store.delete_case(case, "Ada", "wrong patient")
    assert store.cases() == []
    assert listed(store) == ["b.svs"]
    assert [c.name for c in store.deleted_cases()] == ["K7"]
    assert store.slide(inside).case_id == case
    event = store.events()[-1]
    assert (event.kind, event.reader, event.reason) == ("case deleted", "Ada", "wrong patient")
    store.restore_case(case, "Ada")
    assert [c.name for c in store.cases()] == ["K7"]
    assert listed(store) == ["a.svs", "b.svs"]
    assert outside not in [s.id for s in store.case_slides(case)]
    assert store.verify_events() == []


def test_the_name_is_free_again_until_the_case_wants_it_back(store):
    first = store.add_case("K7")
    store.delete_case(first, "Ada", "twice")
    second = store.add_case("K7")
    assert second != first
    with pytest.raises(StoreError, match="another case"):
        store.restore_case(first, "Ada")
    store.delete_case(second, "Ada", "no longer needed")
    assert [case.id for case in store.deleted_cases()] == [second, first]
    store.restore_case(first, "Ada")
    assert [case.id for case in store.cases()] == [first]


@pytest.mark.parametrize("reason", ["", "   "])
def test_deleting_needs_a_reason(store, reason):
    case = store.add_case("K7")
    with pytest.raises(StoreError, match="reason"):
        store.delete_case(case, "Ada", reason)
    assert [c.id for c in store.cases()] == [case]


def test_opening_a_slide_of_a_deleted_case_lists_it_without_the_case(store):
    slide = add(store, "a.svs")
    case = store.add_case("K7")
    store.set_case(slide, case)
    store.delete_case(case, "Ada", "why")
    store.note_opened(slide)
    assert listed(store) == ["a.svs"]
    assert store.slide(slide).case_id is None


def test_what_is_not_there_cannot_be_deleted_or_restored(store):
    with pytest.raises(StoreError, match="no case"):
        store.delete_case(4, "Ada", "why")
    with pytest.raises(StoreError, match="not among"):
        store.restore_case(4, "Ada")
