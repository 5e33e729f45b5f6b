import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from slidefiles import damage_tile, make_slide, textured

from app.bridge import GuiBridge
from app.viewer.canvas import Canvas
from app.viewer.colour import ColourSettings
from app.viewer.transform import ViewTransform
from core.slides.reader import open_slide
from core.slides.tilegrid import TileKey

RGB = textured(2600, 3000)


@pytest.fixture(scope="module")
def tiff(tmp_path_factory):
    return make_slide(tmp_path_factory.mktemp("slides") / "slide.tif", RGB)


@pytest.fixture
def bridge(qapp):
    made = GuiBridge()
    bugs = []
    made.bug.connect(bugs.append)
    yield made
    assert not bugs


@pytest.fixture
def canvas(qtbot, bridge):
    made = Canvas(bridge, threads=2)
    made.resize(640, 480)
    qtbot.addWidget(made)
    made.show()
    yield made
    opened = made.opened
    made.set_slide(None)
    if opened is not None:
        opened.slide.close()


def show(canvas, path, token=1):
    opened = SimpleNamespace(slide=open_slide(path), slide_id=7, token=token)
    canvas.set_slide(opened)
    return opened.slide


def settled(canvas, qtbot):
    # At rest the picture is drawn once more, smoothly.
    qtbot.waitUntil(lambda: canvas.is_sharp() and not canvas._rest.isActive(), timeout=10_000)
    QApplication.processEvents()
    return pixels(canvas.grab().toImage())


def pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def look(canvas, x0, y0, px0_per_px=1.0, angle=0.0):
    canvas.set_transform(
        ViewTransform((x0, y0), px0_per_px, angle, canvas.width(), canvas.height())
    )


def test_one_to_one_shows_the_slides_own_pixels(canvas, tiff, qtbot):
    show(canvas, tiff)
    look(canvas, 1320, 1240)
    seen = settled(canvas, qtbot)
    assert np.abs(seen - RGB[1000:1480, 1000:1640]).mean() < 3


@pytest.mark.parametrize("px0_per_px", [1.3, 2.0, 3.1])
def test_coarse_views_lie_in_place(canvas, tiff, qtbot, px0_per_px):
    show(canvas, tiff)
    look(canvas, 1500, 1300, px0_per_px)
    seen = settled(canvas, qtbot)
    rect = canvas.transform.visible_rect0()
    box = [
        min(max(side, 0), end)
        for side, end in zip((rect.x0, rect.y0, rect.x1, rect.y1), (3000, 2600) * 2, strict=True)
    ]
    left, top = (round(v) for v in canvas.transform.to_screen(*box[:2]))
    right, bottom = (round(v) for v in canvas.transform.to_screen(*box[2:]))
    expected = Image.fromarray(RGB).resize((right - left, bottom - top), box=box)
    difference = np.abs(seen[top:bottom, left:right] - np.asarray(expected, int))
    assert difference.mean() < 5


def test_opening_fits_the_slide_and_resizing_fits_it_again(canvas, tiff, qtbot):
    slide = show(canvas, tiff)
    assert canvas.transform.centre0 == (slide.width0 / 2, slide.height0 / 2)
    canvas.resize(320, 240)
    assert canvas.transform.to_screen(0, 0)[1] == pytest.approx(0, abs=6)
    canvas.set_magnification(20)
    canvas.resize(640, 480)
    assert canvas.magnification() == pytest.approx(20)


def test_an_ancestor_shows_while_the_sharp_tile_is_missing(canvas, tiff, qtbot, monkeypatch):
    slide = show(canvas, tiff)
    settled(canvas, qtbot)
    gate = threading.Event()
    read = slide.read_scaled
    monkeypatch.setattr(slide, "read_scaled", lambda *a: (gate.wait(10), read(*a))[1])
    look(canvas, 1500, 1300)
    seen = pixels(canvas.grab().toImage())
    assert not canvas.is_sharp()
    expected = RGB[1060:1540, 1180:1820]
    assert np.abs(seen.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 15
    background = (seen == 255).all(axis=2)
    assert not background.any()
    gate.set()
    assert np.abs(settled(canvas, qtbot) - expected).mean() < 3


def test_after_zooming_out_the_fine_tiles_still_show(canvas, tiff, qtbot, monkeypatch):
    slide = show(canvas, tiff)
    look(canvas, 1500, 1300)
    settled(canvas, qtbot)
    gate = threading.Event()
    read = slide.read_scaled
    monkeypatch.setattr(slide, "read_scaled", lambda *a: (gate.wait(10), read(*a))[1])
    look(canvas, 1500, 1300, 2.0)
    seen = pixels(canvas.grab().toImage())
    gate.set()
    sharp = settled(canvas, qtbot)
    assert np.abs(seen - sharp)[200:280, 280:360].mean() < 12


@pytest.mark.parametrize("px0_per_px", [0.37, 0.731, 1.117, 1.9])
def test_no_seams_at_broken_scales(canvas, tmp_path, qtbot, px0_per_px):
    grey = np.full((2000, 2000, 3), 120, np.uint8)
    show(canvas, make_slide(tmp_path / "grey.tif", grey))
    look(canvas, 1000.3, 1000.7, px0_per_px)
    assert np.abs(settled(canvas, qtbot) - 120).max() <= 2


@pytest.mark.parametrize("angle", [90.0, 180.0, 30.0])
def test_a_turned_slide_lies_where_the_transform_says(canvas, tmp_path, qtbot, angle):
    rgb = np.full((2000, 2000, 3), 200, np.uint8)
    rgb[900:1100, 1200:1400] = (40, 80, 160)
    show(canvas, make_slide(tmp_path / "mark.tif", rgb))
    look(canvas, 1200, 1000, 2.0)
    canvas.rotate(angle)
    seen = settled(canvas, qtbot)
    for place0, colour in [((1300, 1000), (40, 80, 160)), ((1100, 1000), (200, 200, 200))]:
        x, y = (round(v) for v in canvas.transform.to_screen(*place0))
        assert np.abs(seen[y, x] - colour).max() < 6


def test_nothing_is_decoded_on_the_gui_thread(canvas, tiff, qtbot, monkeypatch):
    slide = show(canvas, tiff)
    readers = set()
    for name in ("_read_source", "read_scaled"):
        real = getattr(slide, name)

        def watched(*args, real=real):
            readers.add(threading.current_thread())
            return real(*args)

        monkeypatch.setattr(slide, name, watched)
    settled(canvas, qtbot)
    for place in range(5):
        look(canvas, 500 + 400 * place, 1300)
        settled(canvas, qtbot)
    canvas.set_colour(ColourSettings(gamma=2))
    settled(canvas, qtbot)
    assert readers
    assert threading.main_thread() not in readers


def test_closing_waits_for_the_reads_under_way(canvas, tiff, qtbot, monkeypatch):
    slide = show(canvas, tiff)
    began, under_way = threading.Event(), []
    read = slide._read_source

    def slow(*args):
        under_way.append(1)
        began.set()
        threading.Event().wait(0.1)
        rgb = read(*args)
        under_way.pop()
        return rgb

    monkeypatch.setattr(slide, "_read_source", slow)
    canvas.repaint()
    assert began.wait(5)
    canvas.set_slide(None)
    assert not under_way
    assert not [t for t in threading.enumerate() if t.name.startswith("tiles-")]
    slide.close()


def test_tiles_of_the_former_slide_never_show(canvas, tiff, tmp_path, qtbot):
    former = show(canvas, tiff)
    canvas.repaint()
    green = np.full((900, 900, 3), (0, 200, 0), np.uint8)
    show(canvas, make_slide(tmp_path / "green.tif", green), token=2)
    former.close()
    QApplication.processEvents()
    seen = settled(canvas, qtbot)
    assert np.abs(seen[200:280, 280:360] - (0, 200, 0)).max() < 4


def test_a_damaged_tile_is_told_once_and_not_read_again(canvas, tmp_path, qtbot, monkeypatch):
    path = make_slide(tmp_path / "damaged.tif", RGB)
    damage_tile(path, 3 * 12 + 5)
    slide = show(canvas, path)
    told, tries = [], []
    canvas.failed.connect(told.append)
    read = slide.read_scaled
    monkeypatch.setattr(slide, "read_scaled", lambda *a: (tries.append(a), read(*a))[1])
    look(canvas, 1400, 850)
    seen = settled(canvas, qtbot)
    qtbot.waitUntil(lambda: canvas.source._queue.idle(), timeout=5000)
    assert len(told) == 1
    assert "damaged" in told[0].message
    count = len(tries)
    for dx in (1, -1, 2):
        canvas.pan_by(dx, 0)
        canvas.repaint()
    QTest.qWait(50)
    assert len(tries) == count
    assert (seen.std(axis=(0, 1)) > 1).all()


def test_a_bug_in_reading_reaches_the_bridge(qtbot, tiff, monkeypatch):
    bridge = GuiBridge()
    bugs = []
    bridge.bug.connect(bugs.append)
    canvas = Canvas(bridge, threads=1)
    qtbot.addWidget(canvas)
    canvas.show()
    slide = open_slide(tiff)

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(slide, "read_scaled", broken)
    canvas.set_slide(SimpleNamespace(slide=slide, slide_id=1, token=1))
    qtbot.waitUntil(lambda: bool(bugs), timeout=5000)
    assert isinstance(bugs[0], ZeroDivisionError)
    canvas.set_slide(None)
    slide.close()


def test_a_slide_without_levels_is_put_together(canvas, tmp_path, qtbot):
    rgb = textured(40, 200).repeat(100, axis=0).repeat(100, axis=1)
    show(canvas, make_slide(tmp_path / "flat.tif", rgb, downsamples=(1,), quality=60))
    grid = canvas.source.grid
    assert grid.base is not None
    seen = settled(canvas, qtbot)
    assert np.abs(seen[240, 320] - rgb[2010, 10010]).max() < 60
    qtbot.waitUntil(lambda: canvas.source._queue.idle(), timeout=20_000)
    assert canvas.source.is_coarse()


def test_colours_change_what_is_seen_and_back(canvas, tiff, qtbot):
    show(canvas, tiff)
    look(canvas, 1320, 1240)
    plain = settled(canvas, qtbot)
    canvas.set_colour(ColourSettings(brightness=0.2))
    bright = settled(canvas, qtbot)
    np.testing.assert_allclose(bright, np.clip(plain + 51, 0, 255), atol=2)
    canvas.set_colour(ColourSettings())
    np.testing.assert_array_equal(settled(canvas, qtbot), plain)


def test_sharp_means_device_pixels(canvas, tiff, monkeypatch):
    show(canvas, tiff)
    look(canvas, 1500, 1300, 2.0)
    grid = canvas.source.grid
    assert grid.level_for(canvas._wanted()[1]) == 1
    monkeypatch.setattr(canvas, "devicePixelRatioF", lambda: 2.0)
    assert grid.level_for(canvas._wanted()[1]) == 0


def wheel(canvas, x, y, angle=0, pixel=0):
    phase = Qt.ScrollPhase.ScrollUpdate if pixel else Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(
        QPointF(x, y),
        canvas.mapToGlobal(QPointF(x, y)),
        QPoint(0, pixel),
        QPoint(0, angle),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        phase,
        False,
    )
    QApplication.sendEvent(canvas, event)


@pytest.mark.parametrize("turn", [{"angle": 120}, {"angle": -15}, {"pixel": 30}])
def test_the_wheel_zooms_at_the_cursor(canvas, tiff, turn):
    show(canvas, tiff)
    look(canvas, 1500, 1300)
    before = canvas.transform.to_slide(123, 77)
    wheel(canvas, 123, 77, **turn)
    assert canvas.transform.px0_per_px != 1.0
    assert canvas.transform.to_slide(123, 77) == pytest.approx(before, abs=1e-6)


def test_zoom_is_held_within_sense(canvas, tiff):
    slide = show(canvas, tiff)
    for _ in range(40):
        canvas.zoom_in()
    assert canvas.transform.px0_per_px == pytest.approx(1 / 16)
    for _ in range(40):
        canvas.zoom_out()
    assert slide.width0 / canvas.transform.px0_per_px > 640 / 8
    canvas.pan_by(1e6, -1e6)
    assert canvas.transform.centre0 == (slide.width0, 0)


def test_dragging_moves_the_slide_with_the_hand(canvas, tiff):
    show(canvas, tiff)
    look(canvas, 1500, 1300)
    x0, y0 = canvas.transform.to_slide(100, 100)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    QTest.mouseMove(canvas, QPoint(150, 90))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(150, 90))
    assert canvas.transform.to_screen(x0, y0) == pytest.approx((150, 90))


class RecordingTool:
    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, takes):
        self.takes, self.heard = takes, []

    def __getattr__(self, name):
        def hear(*_):
            self.heard.append(name)
            return self.takes

        return hear


@pytest.mark.parametrize("takes", [True, False])
def test_a_tool_may_take_the_mouse(canvas, tiff, takes):
    show(canvas, tiff)
    look(canvas, 1500, 1300)
    tool = RecordingTool(takes)
    canvas.set_tool(tool)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    QTest.mouseMove(canvas, QPoint(150, 100))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(150, 100))
    assert (canvas.transform.centre0 == (1500, 1300)) == takes
    assert {"mouse_pressed", "mouse_released"} <= set(tool.heard)
    canvas.set_tool(None)
    assert tool.heard[-1] == "cancelled"


def test_space_pans_whatever_the_tool(canvas, tiff):
    show(canvas, tiff)
    look(canvas, 1500, 1300)
    tool = RecordingTool(True)
    canvas.set_tool(tool)
    QTest.keyPress(canvas, Qt.Key.Key_Space)
    assert canvas.cursor().shape() == Qt.CursorShape.OpenHandCursor
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    QTest.mouseMove(canvas, QPoint(140, 100))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(140, 100))
    QTest.keyRelease(canvas, Qt.Key.Key_Space)
    assert canvas.transform.centre0 == pytest.approx((1460, 1300))
    assert "mouse_pressed" not in tool.heard
    assert canvas.cursor().shape() == tool.cursor


def test_going_to_a_place_and_telling_where_the_mouse_is(canvas, tiff, qtbot):
    show(canvas, tiff)
    canvas.go_to(SimpleNamespace(x0=700.0, y0=900.0, magnification=40.0))
    assert canvas.transform.centre0 == (700, 900)
    assert canvas.magnification() == pytest.approx(40)
    assert canvas.transform.px0_per_px == pytest.approx(1)
    places = []
    canvas.hovered0.connect(places.append)
    QTest.mouseMove(canvas, QPoint(320, 240))
    assert places[-1] == pytest.approx((700, 900), abs=1)
    QApplication.sendEvent(canvas, QEvent(QEvent.Type.Leave))
    assert places[-1] is None


def test_layers_are_painted_over_the_tiles_in_order(canvas, tiff, qtbot):
    class Wash:
        visible = True

        def __init__(self, colour):
            self.name = self.colour = colour

        def paint(self, painter, transform):
            painter.fillRect(0, 0, 20, 20, QColor(self.colour))

    show(canvas, tiff)
    canvas.layers = [Wash("red"), Wash("blue")]
    canvas.update_layers()
    seen = settled(canvas, qtbot)
    assert tuple(seen[10, 10]) == (0, 0, 255)
    canvas.layers[1].visible = False
    canvas.update_layers()
    assert tuple(settled(canvas, qtbot)[10, 10]) == (255, 0, 0)


def test_the_cache_stays_within_its_budget(canvas, tiff, qtbot, monkeypatch):
    monkeypatch.setattr("app.viewer.tiles.default_budget", lambda: 8 * 512 * 512 * 4)
    show(canvas, tiff)
    for place in range(6):
        look(canvas, 300 + 450 * place, 300 + 400 * place)
        settled(canvas, qtbot)
    cache = canvas.source.cache
    assert cache.n_bytes <= cache.budget
    assert cache.peek(TileKey(canvas.source.grid.coarsest, 0, 0)) is not None


def test_without_a_slide_nothing_breaks(canvas):
    for slot in (canvas.fit, canvas.zoom_in, canvas.zoom_out, canvas.update_layers):
        slot()
    canvas.rotate(90)
    canvas.pan_by(3, 4)
    wheel(canvas, 10, 10, angle=120)
    canvas.repaint()
    assert not canvas.is_sharp()


def test_nothing_goes_on_once_the_slide_is_gone(canvas, tiff):
    slide = show(canvas, tiff)
    canvas.zoom_in()
    canvas.set_slide(None)
    slide.close()
    assert [timer for timer in canvas.findChildren(QTimer) if timer.isActive()] == []
