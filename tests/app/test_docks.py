"""The docks around the viewer: their first sizes, and those that a reader gave them."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMainWindow, QWidget

from app.docks import Docks

NAMES = ("slides", "analysis", "overview", "layers", "picture", "gallery", "count", "readers")


@pytest.fixture
def make_window(qtbot):
    def make(geometry="", layout=""):
        window = QMainWindow()
        middle = QWidget()
        middle.setMinimumWidth(560)
        window.setCentralWidget(middle)
        docks = Docks(window, {name: (name, QWidget()) for name in NAMES})
        window.layout().activate()  # as happens while the window is made
        window.resize(1400, 900)
        docks.restore(geometry, layout)
        qtbot.addWidget(window)
        window.show()
        docks.shown()
        return window, docks

    return make


def widths(docks):
    return {name: docks.docks[name].width() for name in ("slides", "gallery")}


def test_at_first_there_is_room_for_two_crops_side_by_side(qtbot, make_window):
    _, docks = make_window()
    qtbot.waitUntil(lambda: widths(docks) == {"slides": 244, "gallery": 404})


def test_what_a_reader_made_of_them_comes_back(qtbot, make_window):
    window, docks = make_window()
    both = [docks.docks["slides"], docks.docks["gallery"]]
    window.resizeDocks(both, [300, 350], Qt.Orientation.Horizontal)
    docks.docks["overview"].hide()
    qtbot.waitUntil(lambda: widths(docks) == {"slides": 300, "gallery": 350})
    layout = docks.save()[1]
    _, again = make_window(layout=layout)
    qtbot.waitUntil(lambda: widths(again) == {"slides": 300, "gallery": 350})
    assert not again.docks["overview"].isVisible()
    again.shown()
    assert widths(again) == {"slides": 300, "gallery": 350}


def test_the_slides_are_in_front_whatever_was_before(qtbot, make_window):
    _, docks = make_window()
    docks.show("analysis")
    qtbot.waitUntil(lambda: docks.docks["slides"].visibleRegion().isEmpty())
    _, again = make_window(layout=docks.save()[1])
    qtbot.waitUntil(lambda: not again.docks["slides"].visibleRegion().isEmpty())
    assert again.docks["analysis"].visibleRegion().isEmpty()
