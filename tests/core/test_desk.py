"""The desk: verdicts, hand-placed figures, the count area, signing, runs."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from desks import (
    MPP,
    SIDE0,
    add_run,
    add_slide,
    all_tissue,
    candidate,
    start_run,
)

from core.counting.protocols import get_protocol
from core.errors import InputError, PixelSizeError
from core.geometry import Mpp
from core.reading.desk import Desk
from core.reading.view import ATYPICAL, DELETED, IMPOSTER, MITOSIS, NONE, UNSURE
from core.store import WindowResult, open_store

# Two clusters far apart: five figures of which two are labelled mitoses, and three with three.
LEFT = [(5000 + 40 * n, 5000, p) for n, p in enumerate((0.9, 0.8, 0.5, 0.1, 0.05))]
RIGHT = [(30_000 + 40 * n, 30_000, p) for n, p in enumerate((0.95, 0.9, 0.75))]


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def slide_id(store):
    return add_slide(store)


@pytest.fixture
def desk(store, slide_id):
    made = Desk(store, slide_id, store.add_reader("Ada"), protocol_id="vet_std")
    made.use_run(add_run(store, slide_id, [candidate(*row) for row in LEFT + RIGHT]))
    made.set_tissue(all_tissue())
    return made


def said(view):
    """Verdict codes by key of the figures that have one."""
    given = view.figures.verdict != NONE
    return dict(
        zip(view.figures.key[given].tolist(), view.figures.verdict[given].tolist(), strict=True)
    )


def left_of(view):
    """Whether the count area lies on the left cluster."""
    return view.area.centre0[0] < SIDE0 / 2


def test_a_verdict_is_on_disk_when_its_view_is_there(desk, store, slide_id):
    key = int(desk.view().figures.key[2])
    view = desk.give([key], "atypical")
    assert said(view) == {key: ATYPICAL}
    with open_store(store.path, read_only=True) as other:
        (verdict,) = other.iter_verdicts(slide_id)
    assert (verdict.value, verdict.atypical, verdict.method) == ("mitosis", True, "key")
    assert verdict.run_id == desk.view().run.id


def test_the_same_verdict_again_adds_nothing(desk, store, slide_id):
    keys = desk.view().figures.key[:2].tolist()
    desk.give(keys, "imposter")
    desk.give(keys, "imposter")
    assert len(store.verdicts(slide_id)) == 2
    assert said(desk.clear(keys)) == {}
    assert said(desk.clear(keys)) == {}
    assert len(store.verdicts(slide_id)) == 4


def test_columns_are_read_only_and_only_what_changed_is_new(desk):
    before = desk.view().figures
    after = desk.give([int(before.key[0])], "imposter").figures
    assert after.x0 is before.x0
    assert after.probability is before.probability
    assert before.verdict[0] == NONE
    for name in type(after).__slots__:
        assert not getattr(after, name).flags.writeable, name


def test_a_point_near_a_figure_is_that_figure(desk):
    x0, y0 = RIGHT[0][:2]
    key = int(desk.view().figures.key[len(LEFT)])
    view = desk.place(x0, y0 + 7.5 / MPP)
    assert said(view) == {key: MITOSIS}
    view = desk.place(20_000, 20_000, "unsure")
    assert view.figures.key[0] < 0
    assert view.figures.verdict[0] == UNSURE
    assert np.isnan(view.figures.probability[0])
    view = desk.place(20_000, 20_000 + 7 / MPP, "mitosis")  # the one placed before
    assert len(view.figures) == len(LEFT + RIGHT) + 1
    assert view.figures.verdict[0] == MITOSIS


def test_placing_needs_a_pixel_size(store):
    slide_id = add_slide(store, "bare", mpp=None)
    desk = Desk(store, slide_id, store.add_reader("Ada"), protocol_id="vet_std")
    view = desk.set_tissue(all_tissue())
    assert view.area is None
    assert view.count is None
    with pytest.raises(PixelSizeError):
        desk.place(1, 1)
    with pytest.raises(InputError, match="no mm²"):
        desk.move_area((100, 100))
    view = desk.set_mpp(Mpp(MPP, MPP), "typed")
    assert (view.mpp, view.mpp_origin, view.undo_text) == (Mpp(MPP, MPP), "typed", "pixel size set")
    assert view.count is not None
    assert desk.undo().mpp is None
    assert desk.redo().mpp == Mpp(MPP, MPP)


def test_joined_figures_count_once(desk):
    keys = desk.view().figures.key[: len(LEFT)].tolist()
    desk.give(keys[:2], "mitosis")
    view = desk.join(keys[:2])
    assert said(view) == {keys[0]: MITOSIS, keys[1]: DELETED}
    assert said(desk.undo()) == {keys[0]: MITOSIS, keys[1]: MITOSIS}
    with pytest.raises(InputError, match="two figures"):
        desk.join(keys[:1])


def test_field_done_is_one_transaction_and_one_undo(desk, store, slide_id):
    desk.move_area(LEFT[2][:2])
    keys = desk.view().figures.key.tolist()
    assert desk.view().count.to_review == 3
    with pytest.raises(InputError, match="3 figures above"):
        desk.field_done()
    before = said(desk.give(keys[:3], "mitosis"))
    events = len(store.events())
    view = desk.field_done()
    assert said(view) == before | {keys[3]: IMPOSTER, keys[4]: IMPOSTER}
    assert [event.kind for event in store.events()[events:]] == ["verdicts given", "acknowledged"]
    assert {v.method for v in store.verdicts(slide_id)[3:]} == {"field done"}
    assert len({v.action_id for v in store.verdicts(slide_id)[3:]}) == 1
    assert said(desk.undo()) == before
    (state,) = store.slide_states(view.reader.id)
    assert state.state == "analysed"
    desk.redo()
    (state,) = store.slide_states(view.reader.id)
    assert state.state == "reviewed"
    events = len(store.events())
    desk.field_done()  # again says nothing new
    assert len(store.events()) == events


def test_the_proposed_area_follows_the_best_place_and_an_accepted_one_stays(desk):
    view = desk.view()
    assert (view.area.state, view.spots_settled, left_of(view)) == ("proposed", True, False)
    right = view.figures.key[len(LEFT) :].tolist()
    view = desk.give(right[:2], "imposter")
    assert not view.spots_settled  # verdicts first
    assert not left_of(view)
    view = desk.settle_spots()
    assert view.spots_settled
    assert left_of(view)
    view = desk.accept_spot(desk.view().count.spots[0].centre0)
    assert (view.area.state, view.count.better) == ("accepted", None)
    desk.give(right[:2], "mitosis")
    view = desk.settle_spots()
    assert left_of(view)  # it never moves by itself; the better place is announced
    assert (view.count.better.mitoses, view.count.tally.mitoses) == (3, 2)
    assert not left_of(desk.use_proposal())
    view = desk.undo()
    assert (view.area.state, left_of(view)) == ("accepted", True)


def test_a_hot_spot_that_is_no_longer_proposed_is_refused(desk):
    first = desk.view().count.spots[0].centre0
    right = desk.view().figures.key[len(LEFT) :].tolist()
    desk.give(right, "imposter")
    view = desk.settle_spots()
    assert first not in [spot.centre0 for spot in view.count.spots]
    with pytest.raises(InputError, match="no longer proposed"):
        desk.accept_spot(first)
    assert desk.view().area.state == "proposed"


def test_a_hot_spot_is_accepted_where_it_was_though_its_place_in_the_list_changed(desk):
    first = desk.view().count.spots[0].centre0
    right = desk.view().figures.key[len(LEFT) :].tolist()
    left = desk.view().figures.key[: len(LEFT)].tolist()
    desk.give(left, "mitosis")
    spots = [spot.centre0 for spot in desk.settle_spots().count.spots]
    assert spots.index(first) == 1
    view = desk.accept_spot(first)
    assert view.area.centre0 == pytest.approx(first)
    assert view.figures.in_area[[view.figures.row(key) for key in right]].all()


def test_a_protocol_has_its_own_area(desk):
    desk.move_area((20_000, 20_000))
    other = get_protocol("breast_who5") if "breast_who5" in _protocols() else None
    other_id = other.id if other else next(p for p in _protocols() if p != "vet_std")
    view = desk.set_protocol(other_id)
    assert view.area.state == "proposed"
    assert view.count.protocol.id == other_id
    view = desk.set_protocol("vet_std")
    assert view.area.centre0 == pytest.approx((20_000, 20_000))


def _protocols():
    from core.counting.protocols import load_protocols

    return list(load_protocols())


def review_all(desk):
    """Give what signing asks for on the right cluster."""
    view = desk.set_all_tissue_is_tumour(True)
    waiting = view.figures.key[view.figures.in_area & view.figures.to_review].tolist()
    return desk.give(waiting, "mitosis")


def test_signing_lists_what_stands_in_the_way(desk):
    with pytest.raises(InputError) as refused:
        desk.sign()
    assert "tumour" in refused.value.hint
    assert "without a verdict" in refused.value.hint
    desk.accept_spot(desk.view().count.spots[0].centre0)
    right = desk.view().figures.key[len(LEFT) :].tolist()
    desk.set_all_tissue_is_tumour(True)
    desk.give(right[:2], "mitosis")
    desk.give(right[2:], "unsure")
    with pytest.raises(InputError) as refused:
        desk.sign()
    assert "unsure" in refused.value.hint


def test_a_signed_count_is_frozen_until_it_is_reopened(desk, store, slide_id):
    review_all(desk)
    right = desk.view().figures.key[len(LEFT) :].tolist()
    view = desk.sign({"tumour periphery looked at": True})
    signed = view.count.signed
    assert (signed.state, signed.mitoses, signed.reader_id) == ("signed", 3, view.reader.id)
    assert signed.region_id is not None
    assert view.area.state == "accepted"
    assert store.slide_states(view.reader.id)[0].state == "signed"
    for change in (
        lambda: desk.give(right[:1], "imposter"),
        lambda: desk.clear(right[:1]),
        lambda: desk.place(*RIGHT[0][:2], "imposter"),
        lambda: desk.move_area((9000, 9000)),
        lambda: desk.set_mpp(Mpp(0.5, 0.5), "typed"),
        lambda: desk.draw_region("tumour", shapely.box(0, 0, 9, 9)),
        lambda: desk.set_all_tissue_is_tumour(False),
        lambda: desk.settle(right[:1], "imposter"),
        desk.undo,
        desk.sign,
    ):
        with pytest.raises(InputError, match="signed"):
            change()
    left = int(desk.view().figures.key[0])
    assert said(desk.give([left], "imposter"))[left] == IMPOSTER  # elsewhere it goes on
    desk.undo()
    assert desk.field_done().undo_text == "field done"  # it changes no verdict
    desk.undo()
    with pytest.raises(InputError, match="why"):
        desk.reopen(" ")
    view = desk.reopen("a figure was missed")
    assert view.count.signed is None
    assert store.events()[-1].reason == "a figure was missed"
    desk.give(right[:1], "imposter")
    again = desk.sign().count.signed
    assert (again.lineage, again.version, again.mitoses) == (signed.lineage, 3, 2)


def test_tissue_smaller_than_the_area_is_counted_and_signed_whole(desk):
    tissue = all_tissue()
    tissue.mask[:] = False
    tissue.mask[70:80, 70:80] = True  # 1 mm² around the right cluster
    view = desk.set_tissue(replace(tissue, area_mm2=1.0))
    assert (view.area.kind, view.area.counted_mm2) == ("tissue", pytest.approx(1.0))
    assert view.count.spots == ()
    assert view.count.category.category is None
    view = review_all(desk)
    signed = desk.sign().count.signed
    assert (signed.mitoses, signed.region_id) == (view.count.tally.mitoses, None)
    with pytest.raises(InputError, match="signed"):
        desk.give(view.figures.key[:1].tolist(), "unsure")


def test_a_view_that_could_not_be_read_is_caught_up_with(desk, store, monkeypatch):
    from core.errors import StoreError

    key = int(desk.view().figures.key[0])

    def fail(*_):
        raise StoreError("The store is in use by another process.")

    with monkeypatch.context() as broken:
        broken.setattr(store, "points", fail)
        with pytest.raises(StoreError):
            desk.give([key], "imposter")  # written, but what it gave could not be read
    assert said(desk.refresh()) == {key: IMPOSTER}
    assert said(desk.undo()) == {}


def test_windows_that_failed_or_are_blurred_stand_in_the_way(store, slide_id):
    run = start_run(store, slide_id, [candidate(*row) for row in RIGHT])
    side0 = 896  # of a window's core, level-0 pixels
    col, row = RIGHT[0][0] // side0, RIGHT[0][1] // side0
    for x, state, blurred in ((col, "done", True), (col + 1, "failed", False), (0, "done", False)):
        store.save_window(
            run.id, WindowResult(x, row, state, "cpu", "float32", "", blurred=blurred)
        )
    store.finish_run(run.id, "done", {})
    desk = Desk(store, slide_id, store.add_reader("Ada"), protocol_id="vet_std")
    desk.set_tissue(all_tissue())
    desk.use_run(run.id)
    view = desk.move_area(RIGHT[0][:2])
    (blurred,) = view.blurred_windows0
    (failed,) = view.failed_windows0
    assert blurred.bounds == (col * side0, row * side0, (col + 1) * side0, (row + 1) * side0)
    assert failed.bounds[0] == (col + 1) * side0
    assert {"failed", "blur"} <= {blocker.kind for blocker in view.count.blockers}
    view = desk.acknowledge_blur()
    assert view.blur_acknowledged
    assert "blur" not in {blocker.kind for blocker in view.count.blockers}
    assert not desk.undo().blur_acknowledged


def test_verdicts_outlive_runs_and_carry_to_the_next(desk, store, slide_id):
    keys = desk.view().figures.key.tolist()
    desk.give(keys[:2], "imposter")
    desk.give(keys[5:6], "atypical")
    desk.place(20_000, 20_000)
    # The next run finds the first 5 µm away, the second not, and the third where it was.
    again = [(5000 + 5 / MPP, 5000, 0.9), RIGHT[0], (12_000, 12_000, 0.9)]
    run_id = add_run(store, slide_id, [candidate(*row) for row in again], "next")
    view = desk.use_run(run_id)
    first, second, third = view.figures.key[-3:].tolist()
    assert (view.figures.key < 0).sum() == 2  # hand-placed, and the one without a match
    assert said(view)[first] == IMPOSTER
    assert said(view)[second] == ATYPICAL
    assert third not in said(view)
    linked = {row.id: row.point_id for row in store.iter_candidates(run_id)}
    assert linked[third] is None
    assert linked[first] is not None
    view = desk.use_run(None)
    assert (view.run, len(view.figures)) == (None, 4)


def test_candidates_appear_while_a_run_runs(store, slide_id):
    run = start_run(store, slide_id, [candidate(*row) for row in LEFT])
    desk = Desk(store, slide_id, store.add_reader("Ada"), protocol_id="vet_std")
    desk.set_tissue(all_tissue())
    desk.use_run(run.id)
    desk.place(*RIGHT[0][:2])
    store.save_candidates(run.id, [candidate(*row) for row in RIGHT])
    view = desk.refresh()
    assert len(view.figures) == len(LEFT + RIGHT)  # the placed one is a candidate now
    assert said(view) == {int(view.figures.key[len(LEFT)]): MITOSIS}
    assert "run" in {blocker.kind for blocker in view.count.blockers}
    store.finish_run(run.id, "done", {})
    assert desk.refresh().run.state == "done"


def test_regions_have_versions_and_name_the_hot_spot(desk, store, slide_id):
    view = desk.view()
    assert view.count.spots_name == "hot spot of all tissue"
    left = shapely.box(1000, 1000, 19_000, 19_000)
    view = desk.draw_region("tumour", left)
    assert view.count.spots_name == "hot spot"
    assert left_of(view)
    (region,) = view.regions
    view = desk.draw_region("tumour", shapely.box(0, 0, SIDE0, SIDE0), region.lineage)
    assert (view.regions[0].version, view.undo_text) == (2, "tumour region changed")
    assert not left_of(view)
    assert left_of(desk.undo())
    assert desk.delete_region(region.lineage).regions == ()
    assert shapely.from_wkb(desk.undo().regions[0].wkb).equals(left)
    assert [v.version for v in store.region_versions(slide_id)] == [1, 2, 3, 4, 5]
    with pytest.raises(InputError, match="no area"):
        desk.draw_region("tumour", shapely.Polygon([(0, 0), (1, 1), (2, 2)]))


def test_a_piece_is_excluded_and_taken_in_again(desk):
    tissue = all_tissue()
    tissue.mask[:, 48:53] = False  # two pieces
    desk.set_tissue(tissue)
    assert not left_of(desk.view())
    right = next(p for p in desk.view().pieces if p.polygon0.bounds[0] > 10_000)
    view = desk.exclude_piece(right.index, True)
    assert [piece.excluded for piece in view.pieces if piece.index == right.index] == [True]
    assert left_of(view)
    assert desk.exclude_piece(right.index, True).undo_text == "piece of tissue excluded"
    assert not left_of(desk.exclude_piece(right.index, False))
    assert left_of(desk.undo())


def test_a_read_only_store_is_read_and_refuses_in_plain_words(desk, store, slide_id):
    from core.errors import StoreError

    desk.give(desk.view().figures.key[:1].tolist(), "imposter")
    run_id = desk.view().run.id
    with open_store(store.path, read_only=True) as reading:
        other = Desk(reading, slide_id, desk.view().reader.id, protocol_id="vet_std")
        view = other.use_run(run_id)
        assert len(said(view)) == 1
        with pytest.raises(StoreError, match="read-only"):
            other.give(view.figures.key[:1].tolist(), "mitosis")
        assert said(other.view()) == said(view)  # the last good state stands
