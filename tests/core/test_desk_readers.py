"""Several readers of one slide: blinded reading, disagreements, consensus, two windows."""

import numpy as np
import pytest
import shapely
from desks import add_run, add_slide, all_tissue, candidate

from core.errors import InputError, StoreError
from core.reading.desk import Desk
from core.reading.view import ATYPICAL, IMPOSTER, MITOSIS, NONE
from core.store import open_store

PLACES = [(20_000 + 100 * n, 20_000, p) for n, p in enumerate((0.9, 0.8, 0.5, 0.1))]


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def sit_down(store):
    slide_id = add_slide(store)
    run_id = add_run(store, slide_id, [candidate(*row) for row in PLACES])

    def make(name, *, blinded=False):
        desk = Desk(store, slide_id, store.add_reader(name), protocol_id="vet_std", blinded=blinded)
        desk.use_run(run_id)
        desk.set_tissue(all_tissue())
        return desk

    return make


def codes(view):
    return view.figures.verdict.tolist()


def test_a_blinded_reader_sees_nothing_of_others(sit_down):
    ada = sit_down("Ada")
    keys = ada.view().figures.key.tolist()
    ada.give(keys[:2], "mitosis")
    ada.place(20_050, 24_000)
    ada.move_area((20_050, 20_050))
    ada.settle(keys[3:], "mitosis")
    bob = sit_down("Bob", blinded=True)
    view = bob.view()
    assert view.figures.key.tolist() == keys
    assert codes(view) == [NONE] * 4
    assert np.isnan(view.figures.probability).all()
    assert np.isnan(view.figures.score).all()
    assert not view.figures.label.any()
    assert not view.figures.disputed.any()
    assert view.area.state == "proposed"
    assert view.count.tally.mitoses == 0
    assert [spot.mitoses for spot in view.count.spots] == [0]
    assert view.others == {}
    assert view.figures.to_review.tolist() == [True, True, True, False]  # the load is the same
    bob.give(keys[:1], "imposter")
    assert bob.disagreements() == ()
    with pytest.raises(InputError, match="blinded"):
        bob.settle(keys[:1], "mitosis")
    assert codes(ada.refresh())[1:3] == [MITOSIS, MITOSIS]  # neither does Ada lose her own
    assert codes(ada.view())[0] == MITOSIS  # hand-placed


def test_two_blinded_desks_do_not_see_each_other(sit_down):
    ada, bob = sit_down("Ada", blinded=True), sit_down("Bob", blinded=True)
    keys = ada.view().figures.key.tolist()
    ada.give(keys, "imposter")
    bob.place(20_050, 24_000)
    assert codes(bob.refresh()) == [MITOSIS, *[NONE] * 4]
    assert codes(ada.refresh()) == [IMPOSTER] * 4
    assert ada.view().undo_text == "imposter, 4 figures"
    assert bob.view().undo_text == "mitosis placed"


def test_one_place_has_one_point_whoever_reads(sit_down):
    ada, bob = sit_down("Ada"), sit_down("Bob", blinded=True)
    ada.place(20_050, 24_000, "mitosis")
    bob.place(20_060, 24_010, "imposter")
    view = bob.set_reader(bob.view().reader.id, blinded=False)
    assert (view.figures.key < 0).sum() == 1
    (found,) = bob.disagreements()
    assert found.by_reader == {"Ada": "mitosis", "Bob": "imposter"}


def test_disagreements_are_settled_beside_the_originals(sit_down, store):
    ada, bob = sit_down("Ada"), sit_down("Bob")
    keys = ada.view().figures.key.tolist()
    ada.give(keys[:2], "mitosis")
    bob.refresh()
    bob.give(keys[:1], "imposter")
    bob.give(keys[1:2], "atypical")
    bob.give(keys[2:3], "imposter")
    view = ada.refresh()
    assert view.others == {bob.view().reader.id: 3}
    assert view.figures.disputed.tolist() == [True, True, False, False]
    found = ada.disagreements()
    assert [figure.key for figure in found] == keys[:2]
    assert found[1].by_reader == {"Ada": "mitosis", "Bob": "atypical"}
    view = ada.settle(keys[:2], "atypical")
    assert codes(view) == [ATYPICAL, ATYPICAL, NONE, NONE]
    assert ada.disagreements() == ()
    assert codes(bob.refresh()) == [ATYPICAL, ATYPICAL, IMPOSTER, NONE]
    assert codes(ada.undo())[:2] == [MITOSIS, MITOSIS]
    assert [figure.key for figure in ada.disagreements()] == keys[:2]


def test_a_consensus_is_undone_to_the_one_before_and_only_by_who_spoke_last(sit_down):
    ada, bob = sit_down("Ada"), sit_down("Bob")
    key = ada.view().figures.key[:1].tolist()
    ada.settle(key, "mitosis")
    bob.refresh()
    bob.settle(key, "imposter")
    with pytest.raises(StoreError, match="cannot be taken back"):
        ada.undo()
    assert codes(ada.view())[0] == IMPOSTER
    assert codes(bob.undo())[0] == MITOSIS


def test_what_another_reader_changed_since_is_not_taken_back(sit_down):
    ada, bob = sit_down("Ada"), sit_down("Bob")
    lineage = ada.draw_region("tumour", shapely.box(0, 0, 30_000, 30_000)).regions[0].lineage
    bob.refresh()
    bob.draw_region("tumour", shapely.box(0, 0, 25_000, 25_000), lineage)
    with pytest.raises(StoreError, match="cannot be taken back"):
        ada.undo()
    assert ada.view().regions[0].version == 2
    bob.undo()
    with pytest.raises(StoreError, match="cannot be taken back"):
        ada.undo()  # Bob's undo is a version of his


def test_others_marks_ask_for_a_verdict(sit_down):
    ada, bob = sit_down("Ada"), sit_down("Bob")
    ada.place(20_050, 20_500, "mitosis")
    ada.place(20_050, 20_900, "imposter")
    view = bob.refresh()
    assert view.figures.to_review.tolist() == [True, True, True, True, False]
    view = bob.give([int(view.figures.key[0])], "imposter")
    assert not view.figures.to_review[0]


def test_two_windows_of_one_reader_undo_each_others_acts_once(sit_down):
    one, two = sit_down("Ada"), sit_down("Ada")
    keys = one.view().figures.key.tolist()
    one.give(keys[:1], "mitosis")
    view = two.undo()  # it looks into the store first
    assert codes(view)[0] == NONE
    assert view.redo_text == "mitosis"
    assert codes(one.undo())[0] == NONE  # nothing is left to undo
    assert one.view().undo_text == ""


def test_undoing_the_signed_ground_of_another_reader_is_refused(sit_down):
    ada, bob = sit_down("Ada"), sit_down("Bob")
    ada.draw_region("tumour", shapely.box(0, 0, 40_000, 40_000))
    view = bob.refresh()
    bob.give(view.figures.key[view.figures.to_review].tolist(), "mitosis")
    assert bob.sign().count.signed.mitoses == 3
    with pytest.raises(InputError, match="signed by Bob"):
        ada.undo()
    assert ada.view().count.signed is None  # a signature is its reader's
