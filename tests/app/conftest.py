"""Fixtures of the desktop's tests: a small slide, and a room in which it is open."""

import pytest
from desktops import LONG_MS, HeldDetector, tiny_models
from reading_room import close_room, open_room, small_slide

from app.desktop import build
from core.settings import Settings


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    return small_slide(tmp_path_factory.mktemp("slides") / "Smith.tif")


@pytest.fixture
def room(qtbot, tmp_path, slide_file):
    room = open_room(qtbot, tmp_path, slide_file)
    yield room
    close_room(room)


@pytest.fixture
def desktop(qtbot, tmp_path, slide_file):
    """The whole desktop with the slide open."""
    desktop = build(
        tmp_path / "s.sqlite",
        Settings(reader="Ada", backend="openslide", theme="light"),
        load=tiny_models(HeldDetector()),
        log_path=tmp_path / "desktop.log",
    )
    desktop.window.show()
    desktop.window.activateWindow()
    desktop.open([slide_file])
    qtbot.waitUntil(
        lambda: desktop.room.view is not None and bool(desktop.room.view.pieces), timeout=LONG_MS
    )
    yield desktop
    assert desktop.stop()
    desktop.window.deleteLater()
