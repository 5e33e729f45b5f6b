"""A verdict only goes to a figure that the reader sees, in the viewer or as a crop."""

import pytest
from desks import PARAMETERS, candidate
from desktops import LONG_MS
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from core.ports import ModelOrigin
from core.reading.view import VERDICTS
from core.store import RunSpec

ORIGIN = ModelOrigin("m", "00" * 32, "cpu", "float32")
N = 20


@pytest.fixture(autouse=True)
def run(qtbot, desktop):
    """Figures side by side, of which the gallery shows but a few."""
    room = desktop.room
    parameters = PARAMETERS | {"slide": {"mpp_x": 1.0, "mpp_y": 1.0}}
    run = room.store.open_run(
        RunSpec("run", room.opened.slide_id, parameters, ORIGIN, ORIGIN, "0.1.0")
    )
    rows = [candidate(300 + 100 * n, 800, 0.95 - n / 100) for n in range(N)]
    room.store.save_candidates(run.id, rows)
    room.store.finish_run(run.id, "done", {})
    room.ask(lambda desk: desk.use_run(run.id))
    qtbot.waitUntil(lambda: len(room.view.figures) == N, timeout=LONG_MS)


def choose_first(qtbot, desktop):
    """A click on the first crop, at 40×; its key."""
    window, grid = desktop.window, desktop.window.gallery.grid
    QTest.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=grid.cell_rect(0).center())
    qtbot.waitUntil(grid.hasFocus)
    window.viewing.canvas.set_magnification(40.0)
    assert desktop.room.selection == (int(window.figures.keys[0]),)
    return desktop.room.selection[0]


def look_elsewhere(desktop):
    desktop.room.go_to(2400.0, 1800.0)


def press(qtbot, desktop, key):
    QTest.keyClick(QApplication.focusWidget(), key)
    qtbot.waitUntil(lambda: not desktop.window.reviewer.busy, timeout=LONG_MS)


def verdict_of(desktop, key):
    figures = desktop.room.view.figures
    return VERDICTS[figures.verdict[figures.row(key)]]


def test_a_crop_that_was_scrolled_away_is_shown_before_a_key_means_it(qtbot, desktop):
    key = choose_first(qtbot, desktop)
    grid = desktop.window.gallery.grid
    look_elsewhere(desktop)
    grid.verticalScrollBar().setValue(grid.verticalScrollBar().maximum())
    assert desktop.window.figures.position(key) not in grid.visible_places()
    press(qtbot, desktop, Qt.Key.Key_M)
    assert verdict_of(desktop, key) == "none"
    assert "out of sight" in desktop.window.status.note.text()
    press(qtbot, desktop, Qt.Key.Key_M)
    assert verdict_of(desktop, key) == "mitosis"


def test_a_figure_that_the_gallery_no_longer_lists_is_shown_first_too(qtbot, desktop):
    key = choose_first(qtbot, desktop)
    desktop.window.gallery.states["imposter"].click()
    assert desktop.window.figures.position(key) is None
    look_elsewhere(desktop)
    press(qtbot, desktop, Qt.Key.Key_X)
    assert verdict_of(desktop, key) == "none"
    press(qtbot, desktop, Qt.Key.Key_X)
    assert verdict_of(desktop, key) == "imposter"


def test_a_crop_in_sight_gets_its_verdict_wherever_the_viewer_is(qtbot, desktop):
    key = choose_first(qtbot, desktop)
    look_elsewhere(desktop)
    press(qtbot, desktop, Qt.Key.Key_M)
    assert verdict_of(desktop, key) == "mitosis"


def test_a_crop_in_sight_is_not_meant_by_a_key_in_the_viewer(qtbot, desktop):
    key = choose_first(qtbot, desktop)
    desktop.window.viewing.canvas.setFocus()
    look_elsewhere(desktop)
    press(qtbot, desktop, Qt.Key.Key_M)
    assert verdict_of(desktop, key) == "none"
    press(qtbot, desktop, Qt.Key.Key_M)
    assert verdict_of(desktop, key) == "mitosis"
