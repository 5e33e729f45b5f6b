"""The review keys: what each does, in which order, and where it goes."""

from dataclasses import replace

import numpy as np
import pytest
from deskviews import area, desk_view, figures
from fakedesk import FakeRoom, asking
from PySide6.QtWidgets import QMessageBox, QWidget

from app.panels.gallery_filter import GalleryFilter
from app.panels.gallery_model import FigureList
from app.reviewing import ASK_ABOVE, Reviewer, changed_keys
from core.reading.view import NONE, VERDICTS

PROBABILITY = [0.5, 0.9, 0.1, 0.7, 0.3, 0.05]
#: Keys of those above 0.2, the most probable first.
BY_PROBABILITY = [2, 4, 1, 5]


@pytest.fixture
def room(qtbot):
    places = np.column_stack([np.arange(6) * 100.0, np.zeros(6)])
    room = FakeRoom(asking(desk_view(figures(places, probability=PROBABILITY))))
    yield room
    room.desk.hold.set()
    room.shutdown()


@pytest.fixture
def listed(room):
    listed = FigureList()
    listed.set_view(room.view)
    room.view_changed.connect(listed.set_view)
    return listed


@pytest.fixture
def reviewer(room, listed):
    return Reviewer(room, listed)


def verdict_of(room, key):
    return VERDICTS[room.view.figures.verdict[room.view.figures.row(key)]]


def idle(reviewer, qtbot):
    qtbot.waitUntil(lambda: not reviewer.busy)


def test_the_list_begins_above_the_review_threshold(listed):
    assert list(listed.keys) == BY_PROBABILITY
    assert listed.to_review() == (4, 4)


def test_one_key_gives_the_verdict_and_goes_on(room, reviewer, qtbot):
    room.select((2,))
    reviewer.mitosis()
    assert room.selection == (2,), "nothing moves before it is on disk"
    idle(reviewer, qtbot)
    assert verdict_of(room, 2) == "mitosis"
    assert room.selection == (4,)
    assert room.went[-1] == 4


def test_each_key_has_its_verdict(room, reviewer, qtbot):
    room.select((2,))
    for press in (reviewer.atypical, reviewer.imposter, reviewer.unsure):
        press()
    idle(reviewer, qtbot)
    assert room.desk.given == [((2,), "atypical"), ((4,), "imposter"), ((1,), "unsure")]


def test_keys_pressed_meanwhile_are_neither_lost_nor_given_to_another_figure(room, reviewer, qtbot):
    room.select((2,))
    room.desk.hold.clear()
    reviewer.mitosis()
    reviewer.imposter()
    reviewer.next()
    reviewer.unsure()
    assert room.selection == (2,)
    room.desk.hold.set()
    idle(reviewer, qtbot)
    assert room.desk.given == [((2,), "mitosis"), ((4,), "imposter"), ((5,), "unsure")]
    assert room.selection == (5,), "the last one listed stays"


def test_a_reader_who_went_elsewhere_meanwhile_stays_there(room, reviewer, qtbot):
    room.select((2,))
    room.desk.hold.clear()
    reviewer.mitosis()
    room.select((5,))
    reviewer.imposter()
    room.desk.hold.set()
    idle(reviewer, qtbot)
    assert room.desk.given == [((2,), "mitosis"), ((5,), "imposter")]


def test_a_refused_verdict_stays_and_drops_the_keys_behind_it(room, reviewer, qtbot):
    room.select((2,))
    room.desk.refuse = True
    with qtbot.waitSignal(room.failed) as failed:
        reviewer.mitosis()
        reviewer.imposter()
    idle(reviewer, qtbot)
    assert failed.args[0].message == "The disk is full."
    assert room.selection == (2,)
    assert room.desk.given == []
    room.desk.refuse = False
    reviewer.mitosis()
    idle(reviewer, qtbot)
    assert verdict_of(room, 2) == "mitosis"


def test_an_answer_for_a_slide_that_is_gone_moves_nothing(room, reviewer, qtbot):
    room.select((2,))
    room.desk.hold.clear()
    reviewer.mitosis()
    reviewer.imposter()
    room.slide_closing.emit(None)
    room.desk.hold.set()
    with qtbot.waitSignal(room.view_changed):
        pass
    assert not reviewer.busy
    assert room.selection == (2,)
    assert room.desk.given == [((2,), "mitosis")]


def test_several_selected_get_one_verdict_in_one_act(room, reviewer, qtbot):
    room.select((4, 2))
    reviewer.imposter()
    idle(reviewer, qtbot)
    assert room.desk.given == [((4, 2), "imposter")]
    assert room.selection == (1,)


def test_next_and_previous_walk_the_list_and_end_there(room, reviewer):
    notes = []
    reviewer.noted.connect(notes.append)
    reviewer.next()
    assert room.selection == (2,)
    reviewer.previous()
    assert room.selection == (2,)
    for _ in range(5):
        reviewer.next()
    assert room.selection == (5,)
    assert len(notes) == 3
    room.select((6,))
    reviewer.next()
    assert room.selection == (2,), "from a figure that is not listed to the first that is"


def test_tab_goes_to_the_most_probable_without_a_verdict_in_turn(room, reviewer, qtbot):
    room.select((2,))
    reviewer.mitosis()
    reviewer.next()
    idle(reviewer, qtbot)
    assert room.selection == (1,)
    reviewer.next_unreviewed()
    assert room.selection == (5,)
    reviewer.next_unreviewed()
    assert room.selection == (4,), "begins again with the most probable"


def test_enter_goes_to_what_is_missing_and_only_then_ends_the_field(room, reviewer, qtbot):
    room.select((5,))
    for expected in BY_PROBABILITY:
        reviewer.field_done()
        assert room.selection == (expected,)
        assert room.desk.fields_done == 0
        reviewer.mitosis()
        idle(reviewer, qtbot)
    with qtbot.waitSignal(reviewer.noted):
        reviewer.field_done()
    assert room.desk.fields_done == 1
    assert not (room.view.figures.verdict == NONE).any()


def test_enter_minds_the_count_area_only(qtbot):
    shown = figures(np.zeros((3, 2)), probability=[0.5, 0.9, 0.7])
    inside = asking(desk_view(replace(shown, in_area=np.array([True, False, False])), area=area()))
    room = FakeRoom(inside)
    listed = FigureList()
    listed.set_view(inside)
    reviewer = Reviewer(room, listed)
    reviewer.field_done()
    assert room.selection == (1,)
    reviewer.mitosis()
    reviewer.field_done()
    idle(reviewer, qtbot)
    assert room.desk.fields_done == 1
    room.shutdown()


def test_undo_goes_back_to_what_was_undone(room, reviewer, qtbot):
    room.select((2,))
    reviewer.mitosis()
    reviewer.imposter()
    reviewer.undo()
    idle(reviewer, qtbot)
    assert room.selection == (4,)
    assert verdict_of(room, 4) == "none"
    reviewer.undo()
    idle(reviewer, qtbot)
    assert room.selection == (2,)
    reviewer.redo()
    idle(reviewer, qtbot)
    assert verdict_of(room, 2) == "mitosis"


def test_clearing_stays_and_joining_keeps_the_current_one(room, reviewer, qtbot):
    room.select((2,))
    reviewer.mitosis()
    idle(reviewer, qtbot)
    room.select((2,))
    reviewer.clear()
    idle(reviewer, qtbot)
    assert (verdict_of(room, 2), room.selection) == ("none", (2,))
    reviewer.join()
    assert not reviewer.busy, "one figure cannot be joined"
    room.select((2, 4, 1))
    reviewer.join()
    idle(reviewer, qtbot)
    assert [verdict_of(room, key) for key in (2, 4, 1)] == ["none", "deleted", "deleted"]
    assert room.selection == (2,)


def test_without_a_selection_no_key_gives_a_verdict(room, reviewer):
    reviewer.mitosis()
    reviewer.clear()
    assert room.desk.given == []
    assert not reviewer.busy


def test_the_list_keeps_still_when_a_verdict_no_longer_fits_the_filter(
    room, listed, reviewer, qtbot
):
    listed.set_filter(GalleryFilter(states=frozenset({"unreviewed"}), threshold=0.2))
    orders = []
    listed.order_changed.connect(lambda: orders.append(1))
    room.select((2,))
    reviewer.mitosis()
    idle(reviewer, qtbot)
    assert list(listed.keys) == BY_PROBABILITY
    assert orders == []
    assert listed.outdated() == 1
    assert listed.to_review() == (3, 4)
    listed.set_filter(listed.filter)
    assert list(listed.keys) == BY_PROBABILITY[1:]
    assert listed.outdated() == 0


def test_new_candidates_are_put_in_and_those_listed_stay(room, listed):
    places = np.column_stack([np.arange(8) * 100.0, np.zeros(8)])
    listed.set_view(asking(desk_view(figures(places, probability=[*PROBABILITY, 0.8, 0.01]))))
    assert list(listed.keys) == [2, 7, 4, 1, 5]
    assert listed.position(7) == 1
    assert listed.position(8) is None
    listed.set_view(None)
    assert len(listed.keys) == 0
    assert listed.position(7) is None


def test_what_changed_between_two_views_is_found():
    places = np.zeros((3, 2))
    before = figures(places)
    assert changed_keys(before, figures(places, verdict=["none", "mitosis", "none"])) == (2,)
    assert changed_keys(before, figures(np.zeros((4, 2)))) == (4,)
    assert changed_keys(figures(np.zeros((0, 2))), before) == (1, 2, 3)
    assert changed_keys(before, before) == ()


def test_a_figure_out_of_sight_is_shown_before_a_key_means_it(room, reviewer, qtbot):
    room.select((2,))
    reviewer.in_sight = lambda key: False
    told = []
    reviewer.noted.connect(told.append)
    reviewer.mitosis()
    reviewer.clear()
    assert not reviewer.busy
    room.select((2, 4))
    reviewer.join()
    assert not reviewer.busy
    assert room.desk.given == []
    assert room.went == [2, 2, 2]
    room.select((2,))
    assert "out of sight" in told[0]
    reviewer.in_sight = lambda key: True
    reviewer.mitosis()
    idle(reviewer, qtbot)
    assert verdict_of(room, 2) == "mitosis"


@pytest.fixture
def many(qtbot):
    """A room with more figures than a key changes unasked, all selected, and its reviewer."""
    count = ASK_ABOVE + 5
    places = np.column_stack([np.arange(count) * 100.0, np.zeros(count)])
    room = FakeRoom(asking(desk_view(figures(places, probability=np.full(count, 0.9)))))
    listed = FigureList()
    listed.set_view(room.view)
    room.view_changed.connect(listed.set_view)
    window = QWidget()
    qtbot.addWidget(window)
    reviewer = Reviewer(room, listed, window)
    reviewer.select_all()
    yield room, reviewer, window
    room.shutdown()


def answer(window, button):
    (box,) = window.findChildren(QMessageBox)
    assert str(ASK_ABOVE + 5) in box.text()
    box.button(button).click()


def test_a_verdict_for_many_figures_is_asked_for(many, qtbot):
    room, reviewer, window = many
    reviewer.imposter()
    reviewer.mitosis()
    answer(window, QMessageBox.StandardButton.Cancel)
    assert not reviewer.busy
    assert room.desk.given == [], "neither that key nor the one pressed behind it"


def test_a_verdict_for_many_figures_is_given_once_confirmed(many, qtbot):
    room, reviewer, window = many
    reviewer.imposter()
    answer(window, QMessageBox.StandardButton.Yes)
    idle(reviewer, qtbot)
    assert room.desk.given == [(room.selection, "imposter")]


def test_many_verdicts_undone_do_not_lie_under_the_next_key(many, qtbot):
    room, reviewer, window = many
    reviewer.imposter()
    answer(window, QMessageBox.StandardButton.Yes)
    idle(reviewer, qtbot)
    reviewer.undo()
    idle(reviewer, qtbot)
    assert len(room.selection) == 1
    assert (room.view.figures.verdict == NONE).all()
