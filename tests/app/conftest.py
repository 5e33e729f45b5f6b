"""Fixtures of the desktop's tests: a small slide, and a room in which it is open."""

import pytest
from reading_room import close_room, open_room, small_slide


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    return small_slide(tmp_path_factory.mktemp("slides") / "Smith.tif")


@pytest.fixture
def room(qtbot, tmp_path, slide_file):
    room = open_room(qtbot, tmp_path, slide_file)
    yield room
    close_room(room)
