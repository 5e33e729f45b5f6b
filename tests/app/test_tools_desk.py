"""Tools with the real canvas, room and desk: what they make is on disk, and can be undone."""

import pytest
from blobs import blob_slide
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtTest import QTest

from app.bridge import GuiBridge
from app.room import Room
from app.viewer.canvas import Canvas
from app.viewer.layers import LayerStack
from app.viewer.toolbox import Toolbox
from core.geometry import area_mm2
from core.reading.view import VERDICTS
from core.store import open_store

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton


@pytest.fixture
def viewer(qtbot, tmp_path):
    path = tmp_path / "blobs.tif"
    blob_slide(path, 3000, 2600, mpp=0.5, count=6)
    bridge = GuiBridge()
    bugs = []
    bridge.bug.connect(bugs.append)
    room = Room(open_store(tmp_path / "s.sqlite"), bridge, "Ada", backend="openslide")
    canvas = Canvas(bridge, threads=1)
    canvas.resize(700, 600)
    qtbot.addWidget(canvas)
    stack = LayerStack(room.io)
    stack.follow(room)
    box = Toolbox(room, stack, canvas)
    room.slide_opened.connect(canvas.set_slide)
    canvas.show()
    room.set_protocol("melanoma")
    room.open(path)
    qtbot.waitUntil(lambda: room.view is not None and room.view.area is not None, timeout=20_000)
    yield room, canvas, box
    canvas.set_slide(None)
    qtbot.waitUntil(lambda: not any(timer.isActive() for timer in canvas.findChildren(QTimer)))
    assert room.shutdown()
    room.store.close()
    assert not bugs


def drag(canvas, start, end):
    QTest.mousePress(canvas, LEFT, pos=QPoint(*start))
    QTest.mouseMove(canvas, QPoint(*(round((a + b) / 2) for a, b in zip(start, end, strict=True))))
    QTest.mouseMove(canvas, QPoint(*end))
    QTest.mouseRelease(canvas, LEFT, pos=QPoint(*end))


def test_a_calibration_is_made_once(qtbot, viewer):
    room, canvas, box = viewer
    dialogs = []
    box.calibrate.asked.connect(dialogs.append)
    box.use("calibrate")
    drag(canvas, (100, 100), (300, 100))
    dialogs[0].setDoubleValue(500.0)
    dialogs[0].accept()
    assert box.name == "select", "the next drag must not calibrate anew"
    qtbot.waitUntil(lambda: room.view.mpp_origin == "two points and a length")


def test_a_placed_mitosis_is_stored_selected_and_undone(qtbot, viewer):
    room, canvas, box = viewer
    box.use("add_mitosis")
    QTest.mouseClick(canvas, LEFT, pos=QPoint(200, 300))
    qtbot.waitUntil(lambda: len(room.selection) == 1)
    figures = room.view.figures
    row = figures.row(room.selection[0])
    place0 = canvas.transform.to_slide(200, 300)
    assert (figures.x0[row], figures.y0[row]) == pytest.approx(place0, abs=1e-6)
    assert VERDICTS[figures.verdict[row]] == "mitosis"
    box.use("select")
    QTest.mouseClick(canvas, LEFT, pos=QPoint(600, 20))
    assert room.selection == ()
    QTest.mouseClick(canvas, LEFT, pos=QPoint(202, 301))
    assert room.selection == (int(figures.key[row]),)
    room.ask(lambda desk: desk.undo())
    qtbot.waitUntil(lambda: box.select._candidates.figure_at(200, 300, canvas.transform) is None)


def test_a_drawn_region_is_stored_edited_and_undone(qtbot, viewer):
    room, canvas, box = viewer
    box.use("polygon")
    box.set_region_kind("excluded")
    for place in ((100, 100), (300, 100), (300, 300)):
        QTest.mouseClick(canvas, LEFT, pos=QPoint(*place))
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(room.view.regions))
    (region,) = room.view.regions
    assert region.version == 1
    box.use("select")
    QTest.mouseDClick(canvas, LEFT, pos=QPoint(200, 101))
    assert box.name == "edit"
    QTest.mouseRelease(canvas, LEFT, pos=QPoint(200, 101))
    assert box.edit.lineage == region.lineage
    drag(canvas, (300, 300), (100, 300))
    qtbot.waitUntil(lambda: room.view.regions[0].version == 2 and not box.edit._changed)
    assert len(box.edit.ring0) == 3
    QTest.mouseMove(canvas, QPoint(500, 500))
    QTest.keyClick(canvas, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: not room.view.regions)
    assert box.edit.lineage == ""
    room.ask(lambda desk: desk.undo())
    qtbot.waitUntil(lambda: [r.lineage for r in room.view.regions] == [region.lineage])


def test_the_count_area_is_moved_and_turned_with_its_mm2(qtbot, viewer):
    room, canvas, box = viewer
    canvas.fit()
    before = room.view.area
    assert before.kind == "rectangle"
    x, y = (round(part) for part in canvas.transform.to_screen(*before.centre0))
    box.use("area")
    drag(canvas, (x, y), (x + 30, y + 20))
    qtbot.waitUntil(lambda: room.view.area.state == "accepted")
    area = room.view.area
    assert area_mm2(area.polygon0, room.view.mpp) == pytest.approx(1.0, rel=1e-6)
    moved = canvas.transform.to_screen(*area.centre0)
    assert moved == pytest.approx((x + 30, y + 20), abs=1.0)
    qtbot.waitUntil(lambda: box.area.draft is None)
    room.ask(lambda desk: desk.undo())
    qtbot.waitUntil(lambda: room.view.area.state == "proposed")


def test_other_buttons_and_panning_make_nothing(qtbot, viewer):
    room, canvas, box = viewer
    before = (len(room.view.figures), room.view.regions, room.view.undo_text)
    for name in box.names:
        box.use(name)
        QTest.mouseClick(canvas, RIGHT, pos=QPoint(200, 300))
        QTest.keyPress(canvas, Qt.Key.Key_Space)
        drag(canvas, (200, 300), (220, 310))
        QTest.keyRelease(canvas, Qt.Key.Key_Space)
        assert not box._tools[name].busy()
    assert (len(room.view.figures), room.view.regions, room.view.undo_text) == before


def test_closing_the_slide_in_the_middle_of_drawing_is_quiet(qtbot, viewer):
    room, canvas, box = viewer
    box.use("polygon")
    QTest.mouseClick(canvas, LEFT, pos=QPoint(100, 100))
    room.slide_closing.connect(lambda _opened: canvas.set_slide(None))
    room.close_slide()
    assert box.polygon.points0 == ()
    QTest.mouseClick(canvas, LEFT, pos=QPoint(100, 100))
    assert box.polygon.points0 == ()
    canvas.grab()
