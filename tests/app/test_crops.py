import threading

import numpy as np
import pytest
from PySide6.QtGui import QImage
from slidefiles import damage_tile, make_slide

import app.crops
from app.bridge import GuiBridge
from app.crops import CropLoader, CropLook, CropPlace
from app.viewer.colour import ColourSettings
from core.slides.crops import read_crop
from core.slides.reader import open_slide


@pytest.fixture
def slide(tmp_path):
    with open_slide(make_slide(tmp_path / "a.tif")) as slide:
        yield slide


@pytest.fixture
def loader(qtbot):
    loader = CropLoader(GuiBridge())
    yield loader
    loader.shutdown()


def places(keys):
    return [CropPlace(key, 200.0 + 7 * key, 300.0) for key in keys]


def as_array(image):
    assert image.format() == QImage.Format.Format_RGB32
    flat = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    return flat.reshape(image.height(), image.width(), 4)[..., 2::-1]


def test_a_crop_is_what_the_only_cropper_cuts_and_is_read_elsewhere(
    loader, slide, qtbot, monkeypatch
):
    threads = set()

    def watched(*args):
        threads.add(threading.current_thread().name)
        return read_crop(*args)

    monkeypatch.setattr(app.crops, "read_crop", watched)
    loader.set_look(CropLook(64.0, 128))
    loader.open(slide, 1)
    with qtbot.waitSignal(loader.arrived) as arrived:
        loader.want(places([5]))
    assert arrived.args == [5]
    assert (as_array(loader.crop(5)) == read_crop(slide, 235.0, 300.0, 128, 0.5)).all()
    assert threads == {"crops"}


def test_large_keys_and_hand_placed_ones_arrive(loader, slide, qtbot):
    loader.open(slide, 1)
    for key in (2**40, -7):
        with qtbot.waitSignal(loader.arrived) as arrived:
            loader.want([CropPlace(key, 400.0, 400.0)])
        assert arrived.args == [key]


def test_the_newest_wishes_come_first_and_old_ones_are_dropped(loader, slide, qtbot, monkeypatch):
    hold, read = threading.Event(), []

    def held(slide, x0, *args):
        hold.wait(5)
        read.append(round((x0 - 200) / 7))
        return read_crop(slide, x0, *args)

    monkeypatch.setattr(app.crops, "read_crop", held)
    loader.open(slide, 1)
    loader.want(places(range(1, 40)))
    loader.want(places([50, 51]))
    hold.set()
    qtbot.waitUntil(lambda: loader.crop(51) is not None)
    assert read == [1, 2, 50, 51], "only what was under way before"


def test_crops_of_a_slide_that_is_gone_are_dropped(loader, slide, tmp_path, qtbot, monkeypatch):
    entered, hold = threading.Event(), threading.Event()

    def held(*args):
        entered.set()
        hold.wait(5)
        return read_crop(*args)

    monkeypatch.setattr(app.crops, "read_crop", held)
    loader.open(slide, 1)
    loader.want(places([1, 2, 3]))
    assert entered.wait(5)
    threading.Timer(0.05, hold.set).start()
    loader.let_go()
    assert hold.is_set(), "waits for the read under way"
    with open_slide(make_slide(tmp_path / "b.tif")) as other:
        loader.open(other, 2)
        with qtbot.waitSignal(loader.arrived) as arrived:
            loader.want(places([9]))
        assert arrived.args == [9]
        assert loader.crop(1) is None
        loader.let_go()


def test_damage_is_told_in_place_of_the_crop_and_read_once(tmp_path, loader, qtbot):
    path = make_slide(tmp_path / "a.tif")
    damage_tile(path, 0, "header")
    with open_slide(path) as slide:
        loader.open(slide, 1)
        with qtbot.waitSignal(loader.arrived):
            loader.want([CropPlace(1, 100.0, 100.0)])
        assert loader.crop(1) is None
        assert loader.problem(1).message
        loader.want([CropPlace(1, 100.0, 100.0)])
        assert not loader._wanted
        with qtbot.waitSignal(loader.arrived):
            loader.want([CropPlace(2, 900.0, 900.0)])
        assert loader.crop(2) is not None
        loader.let_go()


def test_the_cache_keeps_within_its_bytes(slide, qtbot):
    loader = CropLoader(GuiBridge(), 5 * 160 * 160 * 4)
    loader.open(slide, 1)
    loader.want(places(range(20)))
    qtbot.waitUntil(lambda: loader.crop(19) is not None)
    assert sum(loader.crop(key) is not None for key in range(20)) == 5
    loader.shutdown()


def test_another_look_drops_what_was_read(loader, slide, qtbot):
    loader.open(slide, 1)
    with qtbot.waitSignal(loader.arrived):
        loader.want(places([1]))
    loader.set_look(CropLook(32.0, 160, ColourSettings(gamma=2.0)))
    assert loader.crop(1) is None
    with qtbot.waitSignal(loader.arrived):
        loader.want(places([1]))
    plain = read_crop(slide, 207.0, 300.0, 160, 0.2)
    assert (as_array(loader.crop(1)) == ColourSettings(gamma=2.0).table()[plain]).all()
