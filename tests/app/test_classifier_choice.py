"""Choosing an adapter, and classifying the open slide anew with it, as a reader does."""

import pytest
from blobs import BlobClassifier, BlobSubtype, blob_slide
from desktops import LONG_MS, HeldDetector, guard_gui_thread, tiny_models
from own_adapters import OwnClassifier, choose, ready, run_done, write_adapter
from PySide6.QtCore import Qt

from app.analysing import Models
from app.desktop import build
from core.errors import ModelError
from core.reading.view import MITOSIS
from core.settings import Settings


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "0.tif"
    blob_slide(path, 1200, 900, count=12, margin0=150)
    return path


@pytest.fixture
def adapters(tmp_path):
    folder = tmp_path / "adapters"
    write_adapter(folder, "ours")
    write_adapter(folder, "torn", sha256="0" * 64)
    write_adapter(folder, "subtypes", task="atypical")
    return folder


@pytest.fixture
def make_desktop(qapp, tmp_path, adapters):
    made = []

    def make(settings=None, load=None):
        desktop = build(
            tmp_path / "s.sqlite",
            settings or Settings(reader="A. Reader", backend="openslide", theme="light"),
            load=load or tiny_models(HeldDetector()),
            load_adapter=lambda folder, _device: OwnClassifier(folder),
            adapters=adapters,
            log_path=tmp_path / "desktop.log",
        )
        made.append(desktop)
        desktop.window.show()
        return desktop

    yield make
    for desktop in made:
        assert desktop.stop()
        desktop.window.deleteLater()


def test_a_chosen_adapter_classifies_the_open_slide_anew_and_verdicts_stay(
    qtbot, make_desktop, slide_file, monkeypatch
):
    desktop = make_desktop()
    offences = guard_gui_thread(monkeypatch)
    room, panel = desktop.room, desktop.window.analysis
    ready(qtbot, desktop, slide_file)
    panel.start()
    run_done(qtbot, desktop, "darkness")
    key = int(room.view.figures.key[0])
    room.ask(lambda desk: desk.give([key], "mitosis"))
    qtbot.waitUntil(lambda: room.view.figures.verdict[0] == MITOSIS, timeout=LONG_MS)

    texts = [panel.classifier.box.itemText(row) for row in range(panel.classifier.box.count())]
    assert texts == ["Mitoscope's own", "ours", "torn"]
    assert not panel.classifier.box.model().item(2).isEnabled()
    choose(panel.classifier, "ours")
    assert "F1 0.75 on 3 slides held out, Mitoscope's own 0.60" in panel.classifier.about.text()
    assert "Shown are the scores of darkness." in panel.classifier.offer.text.text()
    before = room.view
    heard = []
    desktop.worker.progressed.connect(lambda news: heard.append(news.progress.phase))
    qtbot.mouseClick(panel.classifier.button, Qt.MouseButton.LeftButton)
    run_done(qtbot, desktop, "ours")

    view = room.view
    assert "scores" in heard
    assert "windows" not in heard
    assert view.run.detection_set_id == before.run.detection_set_id
    assert list(view.figures.key) == list(before.figures.key)
    assert view.figures.verdict[0] == MITOSIS
    assert view.figures.probability[1] == pytest.approx(before.figures.probability[1] / 2)
    assert not panel.classifier.offer.isVisibleTo(panel)
    # An analysis with it is this very run.
    with qtbot.waitSignal(desktop.worker.finished, timeout=LONG_MS):
        panel.start()
    assert not offences, offences[0]
    assert len(desktop.store.runs(view.slide_id)) == 2


def test_a_stopped_classification_leaves_the_run_that_is_whole(qtbot, make_desktop, slide_file):
    desktop = make_desktop()
    panel = desktop.window.analysis
    ready(qtbot, desktop, slide_file)
    panel.start()
    run_done(qtbot, desktop, "darkness")
    choose(panel.classifier, "ours")
    original = OwnClassifier.classify

    def stopping(self, crops, detector_scores):
        desktop.worker._stop.cancel()
        return original(self, crops, detector_scores)

    OwnClassifier.classify = stopping
    try:
        with qtbot.waitSignal(desktop.worker.cancelled, timeout=LONG_MS):
            panel.reclassify()
    finally:
        OwnClassifier.classify = original
    assert desktop.room.view.run.classifier.name == "darkness"
    stopped = desktop.store.runs(desktop.room.opened.slide_id)[-1]
    assert stopped.state == "cancelled"
    panel.reclassify()
    run_done(qtbot, desktop, "ours")
    assert desktop.room.view.run.id == stopped.id


def test_an_adapter_that_is_gone_is_named_and_nothing_else_is_used(
    qtbot, make_desktop, slide_file, tmp_path
):
    gone = tmp_path / "adapters" / "gone"

    def refuse(_folder, _device):
        raise ModelError("The adapter gone cannot be read.")

    settings = Settings(reader="A", backend="openslide", theme="light", adapter=str(gone))
    desktop = make_desktop(settings)
    desktop.worker._engine._load_adapter = refuse
    panel = desktop.window.analysis
    ready(qtbot, desktop, slide_file)
    assert panel.classifier.box.currentText() == "(missing)"
    assert "is not there" in panel.classifier.about.text()
    with qtbot.waitSignal(desktop.worker.failed, timeout=LONG_MS):
        panel.start()
    assert "cannot be read" in panel.trouble_text.text()


def test_atypical_mitoses_are_told_in_an_analysis_of_the_desktop(qtbot, make_desktop, slide_file):
    models = Models(HeldDetector(), BlobClassifier(), "", BlobSubtype())
    desktop = make_desktop(load=lambda _device: models)
    ready(qtbot, desktop, slide_file)
    desktop.window.analysis.start()
    run_done(qtbot, desktop, "darkness")
    view = desktop.room.view
    assert (view.figures.atypical > 0).any()
    assert desktop.window.analysis.models_note.text() == "blobs, darkness, grain"
    assert view.count.tally.atypical == (view.figures.label == 3).sum() > 0
