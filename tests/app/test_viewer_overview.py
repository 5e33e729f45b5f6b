from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from slidefiles import make_slide, textured
from svsfiles import make_svs

from app.bridge import GuiBridge, WorkThread
from app.viewer.associated import AssociatedView
from app.viewer.canvas import Canvas
from app.viewer.overview import Overview, ViewedTracker
from core.slides.reader import open_slide
from core.slides.viewedgrid import ViewedGrid


@pytest.fixture(scope="module")
def tiff(tmp_path_factory):
    rgb = np.full((2400, 3200, 3), (220, 170, 200), np.uint8)
    rgb[:1200, :1600] = (90, 60, 130)
    return make_slide(tmp_path_factory.mktemp("slides") / "slide.tif", rgb)


@pytest.fixture
def canvas(qtbot, qapp, tiff):
    made = Canvas(GuiBridge(), threads=1)
    made.resize(400, 300)
    qtbot.addWidget(made)
    made.show()
    slide = open_slide(tiff)
    made.set_slide(SimpleNamespace(slide=slide, slide_id=1, token=1))
    qtbot.waitUntil(made.is_sharp, timeout=10_000)
    yield made
    made.set_slide(None)
    slide.close()


@pytest.fixture
def overview(canvas, qtbot):
    made = Overview(canvas)
    made.resize(322, 242)  # a pixel of border around 320 x 240
    qtbot.addWidget(made)
    made.show()
    return made


def test_it_shows_the_slide_and_where_the_view_is(overview, canvas):
    canvas.set_magnification(40)
    image = overview.grab().toImage()
    assert image.pixelColor(20, 20).getRgb()[:3] == pytest.approx((90, 60, 130), abs=8)
    assert image.pixelColor(300, 220).getRgb()[:3] == pytest.approx((220, 170, 200), abs=8)
    # The view is 400 x 300 level-0 px: 40 x 30 px here, drawn about the middle.
    assert image.pixelColor(141, 121).blue() > image.pixelColor(161, 121).blue()


def test_a_click_goes_there_and_a_drag_follows(overview, canvas):
    canvas.set_magnification(40)
    QTest.mousePress(overview, Qt.MouseButton.LeftButton, pos=QPoint(81, 61))
    assert canvas.transform.centre0 == pytest.approx((800, 600), abs=12)
    QTest.mouseMove(overview, QPoint(241, 181))
    assert canvas.transform.centre0 == pytest.approx((2400, 1800), abs=12)
    assert canvas.magnification() == pytest.approx(40)


def test_what_was_viewed_is_shaded_and_spots_are_marked(overview, canvas):
    plain = overview.grab().toImage()
    grid = ViewedGrid(3200, 2400, 256)
    grid.cells[:, :4] = True
    overview.set_viewed(grid)
    overview.set_spots([(2400, 1200)])
    image = overview.grab().toImage()
    assert image.pixelColor(50, 200) != plain.pixelColor(50, 200)
    assert image.pixelColor(300, 200) == plain.pixelColor(300, 200)
    assert image.pixelColor(235, 121) != plain.pixelColor(235, 121)


def test_a_view_that_rests_at_reading_magnification_counts_as_viewed(canvas, qtbot):
    tracker = ViewedTracker(canvas)
    tracker.clear()
    canvas.go_to(SimpleNamespace(x0=800, y0=600, magnification=40))
    with qtbot.waitSignal(tracker.changed, timeout=10_000):
        pass
    assert tracker.grid.cells[2, 3]
    assert not tracker.grid.cells[8, 10]
    seen = tracker.grid.to_bytes()
    tracker.clear()
    assert not tracker.grid.cells.any()
    tracker.load(seen)
    assert tracker.grid.cells[2, 3]


def test_a_coarse_view_does_not_count(canvas):
    tracker = ViewedTracker(canvas)
    tracker.clear()
    canvas.set_magnification(10)
    assert not tracker._rest.isActive()
    canvas.set_magnification(40)
    assert tracker._rest.isActive()
    canvas.set_magnification(5)
    assert not tracker._rest.isActive()


def test_without_a_slide_it_is_empty(overview, canvas):
    canvas.set_slide(None)
    overview.grab()
    QTest.mouseClick(overview, Qt.MouseButton.LeftButton, pos=QPoint(50, 50))


@pytest.mark.parametrize("label", [True, False])
def test_label_and_macro_are_read_only_when_asked_for(qtbot, qapp, tmp_path, label, monkeypatch):
    path = make_svs(tmp_path / "slide.svs", textured(600, 700), label=label)
    bridge = GuiBridge()
    io = WorkThread("io", bridge)
    with open_slide(path) as slide:
        read, real = [], slide.read_associated
        monkeypatch.setattr(
            slide, "read_associated", lambda name: (read.append(name), real(name))[1]
        )
        assert not read
        dialog = AssociatedView(SimpleNamespace(slide=slide, slide_id=1, token=1), io)
        dialog.show()
        qtbot.waitUntil(lambda: not dialog._pixmap.isNull(), timeout=5000)
        QApplication.processEvents()
        assert read == (["label"] if label else ["thumbnail"])
        colour = dialog._pixmap.toImage().pixelColor(5, 5).getRgb()[:3]
        assert (colour == (250, 240, 10)) == label
        dialog.close()
        io.close()
