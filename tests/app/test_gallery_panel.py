"""The gallery's panel on a real small slide, with views made by hand."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from deskviews import area, desk_view, figures
from fakedesk import FakeRoom, asking, blind
from PySide6.QtCore import QPoint, Qt
from slidefiles import make_slide

from app.actions import Keymap
from app.panels.gallery import GalleryPanel
from app.panels.gallery_delegate import CELL_H, CELL_W
from app.panels.gallery_model import FigureList
from app.reviewing import Reviewer
from app.room import OpenedSlide
from core.reading.view import LABELS, NONE, VERDICTS
from core.slides.reader import Slide, open_slide

SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
LEFT = Qt.MouseButton.LeftButton


def many(n, seed=0):
    rng = np.random.default_rng(seed)
    places = rng.uniform(100, 1200, (n, 2))
    return asking(desk_view(figures(places, probability=rng.uniform(0.2, 1, n)), area=area()))


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    with open_slide(make_slide(tmp_path_factory.mktemp("slides") / "a.tif")) as slide:
        yield slide


@pytest.fixture
def shown(slide, qtbot):
    made = []

    def show(view, height=4):
        room = FakeRoom(view)
        figures_ = FigureList()
        reviewer = Reviewer(room, figures_)
        panel = GalleryPanel(room, figures_, reviewer, Keymap())
        made.append((panel, room))
        qtbot.addWidget(panel)
        panel.resize(3 * CELL_W + 60, height * CELL_H)
        panel.show()
        room.slide_opened.emit(OpenedSlide(slide, 1, 1))
        room.view_changed.emit(view)
        return panel, room, reviewer

    yield show
    for panel, room in made:
        panel.shutdown()
        room.shutdown()


def all_loaded(panel):
    keys = panel._list.keys
    return all(
        panel.loader.crop(int(keys[place])) is not None for place in panel.grid.visible_places()
    )


def click(qtbot, panel, place, modifier=Qt.KeyboardModifier.NoModifier):
    point = panel.grid.cell_rect(place).center()
    qtbot.mouseClick(panel.grid.viewport(), LEFT, modifier, point)


def test_only_crops_near_the_screen_are_read_and_never_on_the_gui_thread(shown, qtbot, monkeypatch):
    reads = []
    read = Slide.read_scaled

    def watched(self, *args):
        reads.append(threading.current_thread().name)
        return read(self, *args)

    monkeypatch.setattr(Slide, "read_scaled", watched)
    panel, _, _ = shown(many(50_000))
    qtbot.waitUntil(lambda: all_loaded(panel))
    visible = len(panel.grid.visible_places())
    assert 0 < visible <= 15
    qtbot.waitUntil(lambda: not panel.loader._wanted and not panel.loader._reading)
    assert len(reads) <= 2 * visible + 12
    assert set(reads) == {"crops"}


def test_a_verdict_neither_scrolls_nor_reads_anew(shown, qtbot):
    panel, room, reviewer = shown(many(500))
    click(qtbot, panel, 1)
    qtbot.waitUntil(lambda: all_loaded(panel))
    order = panel._list.keys
    at = panel.grid.verticalScrollBar().value()
    reviewer.mitosis()
    qtbot.waitUntil(lambda: not reviewer.busy)
    assert panel._list.keys is order
    assert panel.grid.verticalScrollBar().value() == at
    assert all_loaded(panel)
    assert room.selection == (int(order[2]),)
    assert panel.header.text() == "499 of 500 to review"


def test_the_current_figure_is_scrolled_to(shown, qtbot):
    panel, room, reviewer = shown(many(500))
    for _ in range(40):
        reviewer.next()
    place = panel._list.position(room.selection[0])
    assert place == 39
    assert panel.grid.viewport().rect().contains(panel.grid.cell_rect(place))


def test_a_figure_selected_before_its_slides_list_came_is_scrolled_to(shown, qtbot):
    view = many(500)
    panel, room, _ = shown(view)
    key = int(panel._list.keys[300])
    panel._list.set_view(None)
    room.select((key,))
    room.view_changed.emit(view)
    place = panel._list.position(key)
    assert panel.grid.viewport().rect().contains(panel.grid.cell_rect(place))


def test_without_a_slide_there_is_nothing_to_choose(shown, qtbot):
    panel, _, _ = shown(many(5))
    assert panel.controls.isVisible()
    panel._list.set_view(None)
    assert not panel.controls.isVisible()


def test_the_next_crop_is_there_before_it_is_shown(shown, qtbot):
    panel, room, reviewer = shown(many(500), height=2)
    reviewer.next()
    qtbot.waitUntil(lambda: not panel.loader._wanted and not panel.loader._reading)
    for _ in range(5):
        reviewer.next()
        assert panel.loader.crop(room.selection[0]) is not None


def test_shift_ctrl_and_the_rubber_band_select_several(shown, qtbot):
    panel, room, _ = shown(many(30))
    keys = panel._list.keys.tolist()
    click(qtbot, panel, 1)
    assert room.selection == (keys[1],)
    assert room.went == [keys[1]]
    click(qtbot, panel, 4, SHIFT)
    assert set(room.selection) == set(keys[1:5])
    assert room.selection[0] == keys[4]
    click(qtbot, panel, 2, CTRL)
    assert set(room.selection) == {keys[1], keys[3], keys[4]}
    click(qtbot, panel, 0, CTRL)
    assert room.selection[0] == keys[0]
    assert not panel.join.isHidden()
    start = panel.grid.cell_rect(0).center()
    end = panel.grid.cell_rect(4).center()
    view = panel.grid.viewport()
    qtbot.mousePress(view, LEFT, pos=start)
    qtbot.mouseMove(view, start + QPoint(30, 5))
    qtbot.mouseMove(view, end)
    qtbot.mouseRelease(view, LEFT, pos=end)
    assert set(room.selection) == {keys[0], keys[1], keys[3], keys[4]}
    click(qtbot, panel, 0)
    assert room.selection == (keys[0],)
    assert panel.join.isHidden()


def test_two_selected_are_joined_as_one(shown, qtbot):
    panel, room, reviewer = shown(many(30))
    click(qtbot, panel, 1)
    click(qtbot, panel, 2, CTRL)
    first = room.selection[0]
    panel.join.click()
    qtbot.waitUntil(lambda: not reviewer.busy)
    assert room.selection == (first,)


def test_the_threshold_filters_and_counts_at_once(shown, qtbot):
    view = many(1000)
    panel, _, _ = shown(view)
    assert panel.counted.text() == "20 % and more: 1000 above, 1000 in the count area"
    panel.threshold.setValue(500)
    expected = int((view.figures.probability >= 0.5).sum())
    assert panel.counted.text() == (
        f"50 % and more: {expected} above, {expected} in the count area"
    )
    assert len(panel._list.keys) == expected


def test_states_filter_and_what_is_done_is_put_away_on_request(shown, qtbot):
    panel, _room, reviewer = shown(many(20))
    panel.states["unreviewed"].click()
    assert panel.states["unreviewed"].text().endswith(" 20")
    assert panel.again.isHidden()
    reviewer.next()
    reviewer.imposter()
    qtbot.waitUntil(lambda: not reviewer.busy)
    assert len(panel._list.keys) == 20
    assert panel.again.text() == "Put 1 away"
    panel.again.click()
    assert len(panel._list.keys) == 19
    panel.states["unreviewed"].click()
    assert len(panel._list.keys) == 20


def test_blinded_nothing_tells_a_probability(shown):
    panel, room, _ = shown(blind(many(20)))
    assert len(panel._list.keys) == 20
    assert panel.threshold_row.isHidden()
    assert not panel.sort.isEnabled()
    assert panel._list.filter.sort == "place"
    assert panel.grid._cell(room.view, 0).probability == ""


def test_a_closed_slide_leaves_nothing_behind(shown, qtbot):
    panel, room, _ = shown(many(20))
    qtbot.waitUntil(lambda: all_loaded(panel))
    room.slide_closing.emit(OpenedSlide(None, 1, 1))
    assert len(panel._list.keys) == 0
    assert panel.loader.crop(1) is None
    assert panel.header.text() == ""


def test_the_side_of_a_crop_can_be_chosen(shown, qtbot):
    panel, _, _ = shown(many(20))
    with qtbot.waitSignal(panel.side_changed) as changed:
        at = panel.side.findData(32.0)
        panel.side.setCurrentIndex(at)
        panel.side.activated.emit(at)
    assert changed.args == [32.0]
    assert panel.loader.look.side_um == 32.0


def test_cells_keep_their_places_when_the_panel_grows(shown, qtbot):
    panel, _, _ = shown(many(500))
    bar = panel.grid.verticalScrollBar()
    bar.setValue(10 * CELL_H)
    first = panel.grid.visible_places().start
    panel.resize(5 * CELL_W + 60, 4 * CELL_H)
    assert first in panel.grid.visible_places()
    assert panel.grid.place_at(QPoint(1, 1)) is None or panel.grid.columns() == 5


def test_the_current_figure_stays_whole_when_the_panel_shrinks(shown, qtbot):
    panel, room, _ = shown(many(500), height=6)
    room.select((int(panel._list.keys[200]),))
    for height, width in ((5, 3), (3, 3), (4, 2), (3, 5)):
        panel.resize(width * CELL_W + 60, height * CELL_H)
        rect = panel.grid.cell_rect(panel._list.position(room.selection[0]))
        assert panel.grid.viewport().rect().contains(rect)


def test_candidates_that_come_in_do_not_move_what_a_reader_scrolled_to(shown, qtbot):
    view = many(300)
    panel, room, _ = shown(view)
    panel.grid.verticalScrollBar().setValue(20 * CELL_H + 40)
    top = panel.grid.visible_places().start
    key = int(panel._list.keys[top])
    rng = np.random.default_rng(9)
    more = np.concatenate([view.figures.probability, rng.uniform(0.2, 1, 200)])
    places = np.column_stack([rng.uniform(100, 1200, 500), rng.uniform(100, 1200, 500)])
    room.view = asking(desk_view(figures(places, probability=more), area=area()))
    room.view_changed.emit(room.view)
    assert len(panel._list.keys) == 500
    place = panel._list.position(key)
    assert place != top
    assert place in panel.grid.visible_places()


def test_another_order_begins_at_its_start(shown, qtbot):
    panel, _, _ = shown(many(300))
    bar = panel.grid.verticalScrollBar()
    bar.setValue(20 * CELL_H)
    panel.sort.setCurrentIndex(2)
    panel.sort.activated.emit(2)
    assert bar.value() == 0


def test_what_the_models_call_atypical_is_marked_told_and_filtered_but_not_when_blinded(shown):
    atypical = LABELS.index("atypical")
    some = replace(
        figures(np.full((3, 2), 500.0), probability=0.905, label=[atypical, atypical, 2]),
        verdict=np.array([NONE, VERDICTS.index("mitosis"), NONE], np.uint8),
        atypical=np.array([0.835, 0.7, 0.2], np.float32),
    )
    view = asking(desk_view(some))
    panel, room, _ = shown(view)
    cells = [panel.grid._cell(view, place) for place in range(3)]
    assert [cell.atypical for cell in cells] == [True, False, False]
    assert [cell.caption for cell in cells] == ["atypical?", "mitosis", ""]
    assert panel.grid.hint(0) == "Mitosis: 90 %\nAtypical, if it is one: 83 %"
    assert panel.states["atypical"].text() == "Atypical 1"
    panel.states["atypical"].click()
    assert list(panel._list.keys) == [1]
    panel.states["atypical"].click()
    hidden = np.full(3, np.nan, np.float32)
    masked = replace(view.figures, label=np.zeros(3, np.uint8), probability=hidden, atypical=hidden)
    room.view = replace(blind(view), figures=masked)
    room.view_changed.emit(room.view)
    assert not panel.grid._cell(room.view, 0).atypical
    assert panel.grid.hint(0) == ""


def test_the_order_that_teaches_most_can_be_chosen(shown):
    view = many(60)
    panel, room, _ = shown(view)
    panel.sort.setCurrentIndex(panel.sort.findData("teaching"))
    panel.sort.activated.emit(panel.sort.currentIndex())
    rows = panel._list.rows
    assert sorted(rows.tolist()) == list(range(60))
    assert room.selection == (view.figures.key[rows[0]],)  # reading goes on from its start
    doubt = np.abs(view.figures.probability - 0.6)
    assert doubt[rows[0]] == doubt.min()
    # Not merely the least certain one after another.
    assert rows.tolist() != np.argsort(doubt, kind="stable").tolist()
