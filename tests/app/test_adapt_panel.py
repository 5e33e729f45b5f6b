"""The Adapt panel in the whole desktop: labels in, a comparison out, and the adapter in use."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from blobs import blob_slide
from desktops import LONG_MS, HeldDetector, guard_gui_thread, tiny_models
from own_adapters import OwnClassifier, choose, ready, run_done, write_adapter
from PySide6.QtCore import Qt

from app.adapting.request import (
    AdaptProgress,
    AdaptReport,
    FolderSource,
    MetricRow,
    SlideCells,
    StoreSource,
)
from app.desktop import build
from app.label_counts import LabelCount, SlideLabels
from app.panels.adapt_source import SourceChoice
from app.panels.adapt_texts import outcome, refitted_text
from core.cancel import Cancelled
from core.errors import InputError
from core.settings import Settings


def report_of(request, **changes):
    values = {
        "folder": str(request.out),
        "backbone": request.backbone,
        "mode": request.mode,
        "task": request.task,
        "current": "mitoscope-classifier-1",
        "rows": (
            MetricRow("f1", True, 0.6, 0.68, 0.72, 0.12, 0.03, 0.2, 0.04, 0.01, 0.1),
            MetricRow("brier", False, 0.2, 0.15, 0.1, -0.1, -0.15, -0.05),
        ),
        "bootstrap": "slide",
        "held_out": "slide",
        "slides": (SlideCells("a", 20, 30, 0), SlideCells("b", 10, 40, 1)),
        "cells": 100,
        "positives": 30,
        "folds": 2,
        "count_threshold": 0.4,
        "warnings": ("Only 30 mitoses: the intervals are wide.",),
    }
    return AdaptReport(**(values | changes))


class FakeAdapt:
    """Goes part by part, waits where it is held, and writes an adapter's folder."""

    def __init__(self):
        self.requests, self.free, self.reached = [], threading.Event(), threading.Event()
        self.free.set()
        self.error = None
        self.thread = ""

    def __call__(self, request, token, progress):
        self.requests.append(request)
        self.thread = threading.current_thread().name
        progress(AdaptProgress("reading", 0, 10))
        if self.error is not None:
            raise self.error
        progress(AdaptProgress("comparing", 3, 10, 95.0))
        self.reached.set()
        while not self.free.wait(0.01):
            if token.cancelled:
                raise Cancelled
        write_adapter(request.out.parent, request.out.name)
        return report_of(request)


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "0.tif"
    blob_slide(path, 1200, 900, count=12, margin0=150)
    return path


@pytest.fixture
def adapt():
    made = FakeAdapt()
    yield made
    made.free.set()


@pytest.fixture
def detector():
    made = HeldDetector()
    yield made
    made.let_go()


@pytest.fixture
def desktop(qapp, tmp_path, adapt, detector):
    made = build(
        tmp_path / "s.sqlite",
        Settings(reader="A. Reader", backend="openslide", theme="light"),
        load=tiny_models(detector),
        load_adapter=lambda folder, _device: OwnClassifier(folder),
        adapters=tmp_path / "adapters",
        adapt=adapt,
        log_path=tmp_path / "desktop.log",
    )
    made.window.show()
    yield made
    detector.let_go()
    assert made.stop()
    made.window.deleteLater()


def reviewed(qtbot, desktop, path):
    """A slide with two mitoses and three imposters, and the panel in front."""
    room = desktop.room
    ready(qtbot, desktop, path)
    desktop.window.analysis.start()
    run_done(qtbot, desktop, "darkness")
    keys = room.view.figures.key.tolist()
    room.ask(lambda desk: desk.give(keys[:2], "mitosis"))
    room.ask(lambda desk: desk.give(keys[2:3], "atypical"))
    room.ask(lambda desk: desk.give(keys[3:6], "imposter"))
    qtbot.waitUntil(lambda: (room.view.figures.verdict > 0).sum() == 6, timeout=LONG_MS)
    desktop.window.docks.show("adapt")
    panel = desktop.window.adapt
    panel.renew()
    qtbot.waitUntil(lambda: panel.backbone.count() > 0, timeout=LONG_MS)
    qtbot.waitUntil(lambda: panel.source.slides.count() == 1, timeout=LONG_MS)
    return panel


def test_labels_are_counted_adapted_compared_and_only_then_used(
    qtbot, desktop, adapt, slide_file, monkeypatch
):
    offences = guard_gui_thread(monkeypatch)
    panel = reviewed(qtbot, desktop, slide_file)
    assert panel.source.total.text() == "3 mitoses (1 atypical) and 3 imposters of 1 slide"
    assert not panel.start_button.isEnabled()  # without a name
    panel.name.setText("Our lab 1")
    assert panel.start_button.isEnabled()
    adapt.free.clear()
    qtbot.mouseClick(panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "at most 2 min left" in panel.phase.text(), timeout=LONG_MS)
    assert panel.bar.isVisibleTo(panel)
    assert not panel.source.isEnabled()
    assert not panel.result.isVisibleTo(panel)
    with qtbot.waitSignal(desktop.maker.finished, timeout=LONG_MS):
        adapt.free.set()
    request = adapt.requests[0]
    assert adapt.thread == "gpu"
    assert request.source == StoreSource(desktop.store.path, None, "all")
    assert request.out == desktop.shelf.folder / "Our-lab-1"
    result = panel.result
    assert result.good.text.text() == (
        "The new adapter is better than mitoscope-classifier-1 on these labels."
    )
    shown = [result.table.itemAtPosition(1, column).widget().text() for column in range(4)]
    assert shown == ["F1", "0.600", "0.720", "+0.120 (+0.030 to +0.200)"]
    assert "Only 30 mitoses" in result.warnings.text.text()
    assert "0.680" in result.refitted.text()

    qtbot.waitUntil(lambda: len(desktop.shelf.classifiers) == 2, timeout=LONG_MS)
    qtbot.mouseClick(result.use_button, Qt.MouseButton.LeftButton)
    assert desktop.preferences.settings.adapter == str(request.out)
    assert desktop.window.analysis.classifier.box.currentText() == "Our-lab-1"
    assert result.used.text() == "Analyses use it from now on."
    qtbot.mouseClick(result.reclassify_button, Qt.MouseButton.LeftButton)
    run_done(qtbot, desktop, "Our-lab-1")
    assert not offences, offences[0]


def test_a_stopped_adapting_goes_on_when_it_is_asked_for_again(qtbot, desktop, adapt, slide_file):
    panel = reviewed(qtbot, desktop, slide_file)
    panel.name.setText("ours")
    adapt.free.clear()
    panel.start()
    qtbot.waitUntil(adapt.reached.is_set, timeout=LONG_MS)
    qtbot.mouseClick(panel.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: desktop.maker.running is None, timeout=LONG_MS)
    assert panel.start_button.text() == "Go on"
    assert "what is finished is kept" in panel.phase.text()
    panel.mode.setCurrentIndex(1)
    assert panel.start_button.text() == "Adapt"  # another request does not go on
    panel.mode.setCurrentIndex(0)
    adapt.free.set()
    with qtbot.waitSignal(desktop.maker.finished, timeout=LONG_MS):
        panel.start()
    assert adapt.requests[0] == adapt.requests[1]


def test_analyses_and_adaptings_do_not_run_at_once(qtbot, desktop, adapt, detector, slide_file):
    panel = reviewed(qtbot, desktop, slide_file)
    panel.name.setText("ours")
    detector.hold()
    with qtbot.waitSignal(desktop.worker.queue_changed, timeout=LONG_MS):
        desktop.window.analysis.start_slides([desktop.room.opened.slide_id], again=True)
    panel.start()
    assert "An analysis runs or waits." in panel.trouble.text.text()
    assert not adapt.requests
    detector.let_go()
    qtbot.waitUntil(lambda: not desktop.worker.queue, timeout=LONG_MS)

    adapt.free.clear()
    panel.start()
    qtbot.waitUntil(adapt.reached.is_set, timeout=LONG_MS)
    with qtbot.waitSignal(desktop.worker.queue_changed, timeout=LONG_MS):
        desktop.window.analysis.start_slides([desktop.room.opened.slide_id], again=True)
    assert "waits until the adapting is done" in desktop.window.analysis.phase.text()
    with qtbot.waitSignal(desktop.worker.finished, timeout=LONG_MS):
        adapt.free.set()
    assert len(adapt.requests) == 1


def test_what_stands_in_the_way_is_said_plainly(qtbot, desktop, adapt, slide_file):
    panel = reviewed(qtbot, desktop, slide_file)
    panel.name.setText("ours")
    adapt.error = InputError("There are only imposters.", "Give some verdicts of mitoses.")
    with qtbot.waitSignal(desktop.maker.failed, timeout=LONG_MS):
        panel.start()
    assert panel.trouble.text.text() == "There are only imposters. Give some verdicts of mitoses."
    assert not panel.bar.isVisibleTo(panel)


def test_closing_stops_an_adapting_and_loses_nothing(qtbot, desktop, adapt, slide_file):
    panel = reviewed(qtbot, desktop, slide_file)
    panel.name.setText("ours")
    adapt.free.clear()
    panel.start()
    qtbot.waitUntil(adapt.reached.is_set, timeout=LONG_MS)
    assert desktop.stop()
    assert desktop.maker._token.cancelled


def test_readers_slides_and_folders_are_chosen(qtbot, desktop, slide_file):
    panel = reviewed(qtbot, desktop, slide_file)
    panel.name.setText("ours")
    source = panel.source
    source.readers.setCurrentIndex(source.readers.findText("Only A. Reader"))
    assert source.source.readers == ("A. Reader",)
    source.readers.setCurrentIndex(1)
    assert source.source is None  # nothing was settled
    assert source.total.text() == "Nothing is chosen."
    assert not panel.start_button.isEnabled()
    source.readers.setCurrentIndex(0)
    source.slides.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert panel.request is None
    source.kind.setCurrentIndex(1)
    assert panel.request is None
    source.folder.setText("/data/labelled")
    assert panel.request.source == FolderSource(Path("/data/labelled"), mpp=0.25)
    assert panel.start_button.isEnabled()


def test_the_choice_of_slides_outlives_a_change_of_readers(qtbot, tmp_path):
    source, some, none = SourceChoice(tmp_path), LabelCount(9, 0, 9), LabelCount()
    qtbot.addWidget(source)
    slides = (
        SlideLabels(1, "one", {"Ada": some, "Ben": some}, some, none),
        SlideLabels(2, "two", {"Ben": some}, some, none),
        SlideLabels(3, "three", {"Ada": some}, some, none),
    )
    source.show_slides(slides)
    everything = source.source

    def choose_readers(text):
        source.readers.setCurrentIndex(source.readers.findText(text))

    for readers in ("What readers settled on", "Only Ada"):
        choose_readers(readers)
        choose_readers("All readers, where they agree")
        assert source.source == everything
    source.slides.item(2).setCheckState(Qt.CheckState.Unchecked)
    choose_readers("Only Ada")
    assert source.slides.ticked == (1,)
    choose_readers("Only Ben")
    assert source.slides.ticked == (1, 2)
    source.show_slides((*slides, SlideLabels(4, "four", {"Ben": some}, some, none)))
    assert source.slides.ticked == (1, 2, 4)  # a new one is learnt from
    choose_readers("Only Ada")
    source.slides.item(2).setCheckState(Qt.CheckState.Checked)
    choose_readers("All readers, where they agree")
    assert source.source == everything


def test_a_blinded_reader_is_not_told_what_others_said(qtbot, desktop, slide_file):
    panel = reviewed(qtbot, desktop, slide_file)
    panel.name.setText("ours")
    desktop.room.set_reader("B. Reader", blinded=True)
    qtbot.waitUntil(lambda: desktop.room.view.blinded, timeout=LONG_MS)
    assert not panel.source.isVisibleTo(panel)
    assert not panel.start_button.isEnabled()
    assert "blinded" in panel.blinded.text.text()


def test_what_the_comparison_says_goes_by_its_interval():
    row = MetricRow("f1", True, 0.6, None, 0.72, 0.12, 0.03, 0.2)
    assert outcome(row, "it")[1] == "good"
    fitted = replace(row, refitted=0.7, refitted_low=-0.01, refitted_high=0.05)
    assert "threshold fitted" in outcome(fitted, "it")[0]
    assert outcome(fitted, "it")[1] == "warning"
    assert outcome(row, "it", "cell")[1] == "warning"
    assert "worse" in outcome(replace(row, difference=-0.1, low=-0.2, high=-0.01), "it")[0]
    assert "cannot tell" in outcome(replace(row, low=-0.01), "it")[0]
    less = MetricRow("brier", False, 0.2, None, 0.1, -0.1, -0.15, -0.05)
    assert outcome(less, "it")[1] == "good"
    nothing = outcome(replace(row, shipped=None, difference=None, low=None, high=None), "it")
    assert nothing[1] == "warning"
    assert refitted_text(row, "it") == ""


def test_an_adapter_can_be_chosen_and_left_again(qtbot, desktop, slide_file, tmp_path):
    write_adapter(tmp_path / "adapters", "ours")
    desktop.shelf.renew()
    qtbot.waitUntil(lambda: len(desktop.shelf.classifiers) == 2, timeout=LONG_MS)
    choice = desktop.window.analysis.classifier
    choose(choice, "ours")
    assert desktop.preferences.settings.adapter.endswith("ours")
    choose(choice, "Mitoscope's own")
    assert desktop.preferences.settings.adapter == ""
