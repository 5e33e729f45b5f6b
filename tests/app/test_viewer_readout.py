from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColorSpace
from PySide6.QtTest import QTest
from slidefiles import make_slide, textured
from svsfiles import make_svs

from app.bridge import GuiBridge
from app.viewer.canvas import Canvas
from app.viewer.colour import ColourSettings, profile_transform, to_image
from app.viewer.colourpanel import ColourPanel
from app.viewer.readout import ColourLabel, MagnificationBox, PlaceLabel, ScaleBar, round_length
from core.geometry import Mpp
from core.slides.reader import open_slide

RGB = textured(900, 1000)


@pytest.fixture
def open_canvas(qtbot, qapp):
    """Returns a canvas on a slide file."""
    opened = []

    def make(path):
        canvas = Canvas(GuiBridge(), threads=1)
        canvas.resize(400, 300)
        qtbot.addWidget(canvas)
        canvas.show()
        slide = open_slide(path)
        opened.append((canvas, slide))
        canvas.set_slide(SimpleNamespace(slide=slide, slide_id=1, token=1))
        return canvas

    yield make
    for canvas, slide in opened:
        canvas.set_slide(None)
        slide.close()


@given(longest=st.floats(1e-3, 1e6))
def test_bars_have_round_lengths(longest):
    length = round_length(longest)
    assert length <= longest * (1 + 1e-6)
    assert longest < length * 2.5 * (1 + 1e-6)
    assert f"{length:e}"[0] in "125"


@pytest.mark.parametrize(
    ("magnification", "text"), [(40, "20 µm"), (20, "50 µm"), (2.5, "500 µm"), (1.25, "1 mm")]
)
def test_the_scale_bar_says_what_it_measures(open_canvas, tmp_path, magnification, text):
    canvas = open_canvas(make_slide(tmp_path / "a.tif", RGB))
    view = canvas.transform
    view = view.zoomed_at(0, 0, magnification / view.magnification(Mpp(0.25, 0.25)))
    length_px, said = ScaleBar(canvas).measure(view)
    assert said == text
    um = float(said.split()[0]) * (1000 if "mm" in said else 1)
    assert length_px * view.px0_per_px * 0.25 == pytest.approx(um)


def test_without_mpp_everything_is_in_pixels(open_canvas, tmp_path):
    canvas = open_canvas(make_slide(tmp_path / "a.tif", RGB, mpp=None))
    box, place, bar = MagnificationBox(canvas), PlaceLabel(canvas), ScaleBar(canvas)
    canvas.go_to(SimpleNamespace(x0=500, y0=400, magnification=40))
    assert box.currentText() == "100 %"
    assert bar.measure(canvas.transform)[1] == "100 px"
    QTest.mouseMove(canvas, QPoint(200, 150))
    assert place.text() == "x 500  y 400 px"
    box.setEditText("50 %")
    box.lineEdit().editingFinished.emit()
    assert canvas.transform.px0_per_px == pytest.approx(2)
    canvas.set_mpp(Mpp(0.5, 0.5))  # a reader's calibration
    assert box.currentText() == "10×"
    assert bar.measure(canvas.transform)[1].endswith("µm")
    QTest.mouseMove(canvas, QPoint(210, 150))
    assert place.text() == "x 260.0  y 200.0 µm"


@pytest.mark.parametrize("typed", ["20", "20x", " 20,0× ", "≈20"])
def test_a_magnification_can_be_typed(open_canvas, tmp_path, typed):
    canvas = open_canvas(make_slide(tmp_path / "a.tif", RGB))
    box = MagnificationBox(canvas)
    canvas.set_magnification(7)
    assert box.currentText() == "7×"
    box.setEditText(typed)
    box.lineEdit().editingFinished.emit()
    assert canvas.magnification() == pytest.approx(20)
    assert box.currentText() == "20×"


@pytest.mark.parametrize("typed", ["4", "15"])
def test_the_magnification_typed_is_not_made_one_of_those_offered(
    open_canvas, tmp_path, qtbot, typed
):
    canvas = open_canvas(make_slide(tmp_path / "a.tif", RGB))
    canvas.set_magnification(7)
    box = MagnificationBox(canvas)
    qtbot.addWidget(box)
    box.show()
    box.activateWindow()
    box.setFocus()
    qtbot.waitUntil(box.lineEdit().hasFocus)
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), typed)
    assert box.currentText() == typed
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert canvas.magnification() == pytest.approx(float(typed))


@pytest.mark.parametrize("typed", ["", "much", "-3", "0"])
def test_nonsense_changes_nothing(open_canvas, tmp_path, typed):
    canvas = open_canvas(make_slide(tmp_path / "a.tif", RGB))
    box = MagnificationBox(canvas)
    canvas.set_magnification(10)
    box.setEditText(typed)
    box.lineEdit().editingFinished.emit()
    assert (canvas.magnification(), box.currentText()) == (pytest.approx(10), "10×")


def test_one_can_be_chosen(open_canvas, tmp_path):
    canvas = open_canvas(make_slide(tmp_path / "a.tif", RGB))
    box = MagnificationBox(canvas)
    box.activated.emit(4)
    assert canvas.magnification() == pytest.approx(40)


def test_the_objective_stands_in_for_mpp(open_canvas, tmp_path):
    canvas = open_canvas(make_svs(tmp_path / "a.svs", RGB, mpp=None, objective=20))
    box = MagnificationBox(canvas)
    canvas.set_magnification(20)
    assert canvas.transform.px0_per_px == pytest.approx(1)
    assert box.currentText() == "≈20×"


def test_the_profile_is_used_shown_and_can_be_turned_off(open_canvas, tmp_path, qtbot):
    profile = QColorSpace(QColorSpace.NamedColorSpace.AdobeRgb).iccProfile().data()
    path = make_svs(tmp_path / "a.svs", np.full_like(RGB, (180, 90, 120)), profile=profile)
    canvas = open_canvas(path)
    label, panel = ColourLabel(canvas), ColourPanel(canvas)
    canvas.zoom(2)

    def colour():
        qtbot.waitUntil(canvas.is_sharp, timeout=5000)
        return canvas.grab().toImage().pixelColor(200, 150).getRgb()[:3]

    managed = to_image(np.full((1, 1, 3), (180, 90, 120), np.uint8))
    managed.applyColorTransform(profile_transform(profile))
    assert colour() == pytest.approx(managed.pixelColor(0, 0).getRgb()[:3], abs=1)
    assert colour() != pytest.approx((180, 90, 120), abs=5)
    assert label.text() == "ICC"
    panel._icc.click()
    assert label.text() == "ICC off"
    assert colour() == pytest.approx((180, 90, 120), abs=1)


def test_changed_colours_are_said(open_canvas, tmp_path):
    canvas = open_canvas(make_slide(tmp_path / "a.tif", RGB))
    label, panel = ColourLabel(canvas), ColourPanel(canvas)
    assert label.isHidden()
    assert not panel._icc.isEnabled()
    panel._gamma.setValue(50)
    assert canvas.colour.changed
    assert "changed" in label.text()
    assert not label.isHidden()
    panel._reset.click()
    assert canvas.colour == ColourSettings()
    assert label.isHidden()


def test_a_profile_that_means_nothing_is_left_out():
    assert profile_transform(None) is None
    assert profile_transform(b"no profile at all") is None
    srgb = QColorSpace(QColorSpace.NamedColorSpace.SRgb).iccProfile().data()
    assert profile_transform(srgb) is None


def test_the_table_of_neutral_colours_is_the_identity():
    np.testing.assert_array_equal(ColourSettings().table(), np.arange(256))
    assert ColourSettings(gamma=2.0).table()[64] > 64
    assert ColourSettings(contrast=2.0).table()[64] < 64
    assert ColourSettings(brightness=-1.0).table().max() == 0


def test_keys_go_back_to_the_slide_after_typing(open_canvas, tmp_path, qtbot):
    canvas = open_canvas(make_slide(tmp_path / "a.tif", RGB))
    box = MagnificationBox(canvas)
    qtbot.addWidget(box)
    box.show()
    box.lineEdit().selectAll()
    QTest.keyClicks(box.lineEdit(), "15")
    QTest.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert canvas.magnification() == pytest.approx(15)
