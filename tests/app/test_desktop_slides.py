"""The list of slides: cases, states, names, files that moved."""

import pytest
from desktops import LONG_MS
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QInputDialog

from app.bridge import GuiBridge
from app.listing import load_listing, neighbour, relocate, shown_name
from app.panels.slides import ROW, SlidesPanel
from app.room import Room
from app.worker import AnalysisWorker
from core.errors import SlideError
from core.store import SlideRecord, open_store


def add(store, name, path=""):
    return store.add_slide(SlideRecord("q", name, name, 900, 700, 0.25, 0.25, "typed", "x", path))


@pytest.fixture
def panel(qtbot, tmp_path):
    store = open_store(tmp_path / "s.sqlite")
    bridge = GuiBridge()
    room = Room(store, bridge, "A")
    worker = AnalysisWorker(store, bridge, load=lambda _device: None)
    panel = SlidesPanel(room, worker)
    qtbot.addWidget(panel)
    yield panel
    assert worker.close()
    assert room.shutdown()
    panel._later.stop()
    store.close()


def listed(qtbot, panel):
    with qtbot.waitSignal(panel.listed, timeout=LONG_MS):
        panel.renew()
    tree = panel.tree
    found = []
    for i in range(tree.topLevelItemCount()):
        top = tree.topLevelItem(i)
        children = [top.child(j).text(0) for j in range(top.childCount())]
        found.append((top.text(0), children) if children else top.text(0))
    return found


def test_slides_stand_under_their_cases_by_name(qtbot, panel):
    store = panel._room.store
    b, a, c = (add(store, name) for name in ("b.svs", "a.svs", "c.svs"))
    assert listed(qtbot, panel) == ["a.svs", "b.svs", "c.svs"]
    panel.set_case([b, c], "Case 2")
    qtbot.waitUntil(lambda: panel.tree.topLevelItemCount() == 2, timeout=LONG_MS)
    assert listed(qtbot, panel) == [("Case 2", ["b.svs", "c.svs"]), ("Without a case", ["a.svs"])]
    panel.set_alias(a, "First")
    qtbot.waitUntil(lambda: store.slide(a).alias == "First", timeout=LONG_MS)
    assert listed(qtbot, panel)[1] == ("Without a case", ["First"])


def test_a_case_is_named_as_it_was_typed(qtbot, panel):
    store = panel._room.store
    slide_id, other = add(store, "a.svs"), add(store, "b.svs")
    store.set_case(other, store.add_case("S24-123"))
    listed(qtbot, panel)
    panel._items[slide_id].setSelected(True)
    panel._choose_case()
    box = panel.findChild(QInputDialog).findChild(QComboBox)
    assert [box.itemText(at) for at in range(box.count())] == ["", "S24-123"]
    qtbot.keyClicks(box.lineEdit(), "S24-12")
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: store.slide(slide_id).case_id is not None, timeout=LONG_MS)
    names = {case.id: case.name for case in store.cases()}
    assert names[store.slide(slide_id).case_id] == "S24-12"


def test_an_unchanged_row_stays_and_a_changed_one_is_painted_anew(qtbot, panel):
    store = panel._room.store
    first, second = add(store, "1.svs"), add(store, "2.svs")
    listed(qtbot, panel)
    items = dict(panel._items)
    panel.tree.topLevelItem(1).setSelected(True)
    panel._running = {first}
    listed(qtbot, panel)
    assert panel._items == items
    assert panel.chosen() == [second]


def test_files_that_are_not_there_are_marked_and_skipped(qtbot, panel, tmp_path):
    store = panel._room.store
    here = tmp_path / "2.svs"
    here.touch()
    ids = [add(store, "1.svs", "/none/1.svs"), add(store, "2.svs", str(here))]
    listed(qtbot, panel)
    assert panel._items[ids[0]].data(0, ROW)[0] == "missing"
    assert panel._items[ids[1]].data(0, ROW)[0] == "new"
    cases = load_listing(store, "A")
    assert neighbour(cases, None, 1).id == ids[1]
    assert neighbour(cases, ids[1], -1) is None
    with pytest.raises(SlideError, match="There is no slide"):
        relocate(store, ids[0], tmp_path / "none.svs", "A")


def test_the_filter_looks_at_names_and_cases(qtbot, panel):
    store = panel._room.store
    ids = [add(store, name) for name in ("kidney.svs", "lung.svs", "lung 2.svs")]
    store.set_case(ids[0], store.add_case("Lung case"))
    listed(qtbot, panel)
    panel.filter.setText("lung")
    assert not any(item.isHidden() for item in panel._items.values())
    panel.filter.setText("lung 2")
    assert [panel._items[i].isHidden() for i in ids] == [True, True, False]


def test_hidden_names_give_way_to_aliases_and_numbers(qtbot, panel):
    store = panel._room.store
    ids = [add(store, "Smith.svs", "/slides/Smith.svs"), add(store, "Jones.svs")]
    store.set_alias(ids[1], "Case 7")
    assert shown_name(store.slide(ids[0]), hidden=False) == "Smith.svs"
    panel._room.set_hide_names(True)
    assert set(listed(qtbot, panel)) == {"Slide 1", "Case 7"}
    assert panel._items[ids[0]].toolTip(0) == ""
