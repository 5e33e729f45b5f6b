"""The whole program on a small slide, with tiny models, as a reader uses it."""

import logging
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from blobs import blob_slide
from desktops import LONG_MS, HeldDetector, guard_gui_thread, tiny_models
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox

from app.commands.desktop import only_slides
from app.desktop import _open_some_store, build
from app.engine import desktop_models
from app.panels.reader_dialog import ReaderDialog
from app.panels.sign import SignDialog
from core.errors import DeviceError, ModelError
from core.reading.view import IMPOSTER, MITOSIS, NONE
from core.settings import Settings
from core.store import open_store


@pytest.fixture(scope="module")
def slide_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    for number in range(2):
        blob_slide(folder / f"{number}.tif", 1200, 900, count=12, margin0=150, seed=number)
    return [folder / "0.tif", folder / "1.tif"]


@pytest.fixture
def detector():
    detector = HeldDetector()
    yield detector
    detector.let_go()


@pytest.fixture
def make_desktop(qapp, tmp_path, detector):
    made = []

    def make(load=None, settings=None, **how):
        desktop = build(
            tmp_path / "s.sqlite",
            settings or Settings(reader="A. Reader", backend="openslide", theme="light"),
            load=load or tiny_models(detector),
            log_path=tmp_path / "desktop.log",
            **how,
        )
        made.append(desktop)
        desktop.window.show()
        return desktop

    yield make
    for desktop in made:
        detector.let_go()
        assert desktop.stop()
        desktop.window.deleteLater()


def open_in(qtbot, desktop, path):
    with qtbot.waitSignal(desktop.room.slide_opened, timeout=LONG_MS):
        desktop.open([path])
    qtbot.waitUntil(lambda: desktop.room.tissue is not None, timeout=LONG_MS)
    qtbot.waitUntil(lambda: desktop.room.view.area is not None, timeout=LONG_MS)


def press(desktop, key, modifier=Qt.KeyboardModifier.NoModifier):
    """A key as it comes from the keyboard to whatever has the focus."""
    QTest.keyClick(QApplication.focusWidget() or desktop.window, key, modifier)


def analyse(qtbot, desktop):
    with qtbot.waitSignal(desktop.worker.finished, timeout=LONG_MS):
        press(desktop, Qt.Key.Key_F5)
    qtbot.waitUntil(
        lambda: desktop.room.view.run is not None and desktop.room.view.run.state == "done",
        timeout=LONG_MS,
    )


def verdicts(desktop):
    return [(v.value, v.method) for v in desktop.store.iter_verdicts(desktop.room.opened.slide_id)]


def quiet(qtbot, desktop):
    """Wait until nothing pressed is on its way any more."""
    qtbot.waitUntil(lambda: not desktop.window.reviewer.busy, timeout=LONG_MS)


def test_a_slide_is_analysed_stopped_resumed_reviewed_placed_and_signed(
    qtbot, make_desktop, slide_files, detector, monkeypatch
):
    desktop = make_desktop()
    offences = guard_gui_thread(monkeypatch)
    window, room = desktop.window, desktop.room
    window.activateWindow()
    open_in(qtbot, desktop, slide_files[0])
    window.viewing.canvas.setFocus()

    # Analyse, stop, go on; what was found before stays.
    detector.hold()
    press(desktop, Qt.Key.Key_F5)
    qtbot.waitUntil(detector.reached.is_set, timeout=LONG_MS)
    with qtbot.waitSignal(desktop.worker.cancelled, timeout=LONG_MS):
        qtbot.mouseClick(window.analysis.cancel_button, Qt.MouseButton.LeftButton)
        detector.let_go()
    qtbot.waitUntil(lambda: room.view.run is not None, timeout=LONG_MS)
    assert window.analysis.start_button.text() == "Go on"
    analyse(qtbot, desktop)
    figures = room.view.figures
    assert len(figures) >= 12

    # Review by keys, and take one back.
    press(desktop, Qt.Key.Key_Tab)
    quiet(qtbot, desktop)
    first = room.selection[0]
    press(desktop, Qt.Key.Key_M)
    quiet(qtbot, desktop)
    assert verdicts_of(room, first) == MITOSIS
    assert room.selection[0] != first
    press(desktop, Qt.Key.Key_U)
    quiet(qtbot, desktop)
    assert verdicts_of(room, first) == NONE
    for _ in range(40):
        if room.view.count.to_review == 0:
            break
        press(desktop, Qt.Key.Key_Tab)
        quiet(qtbot, desktop)
        press(desktop, Qt.Key.Key_M)
        quiet(qtbot, desktop)
    assert room.view.count.to_review == 0
    press(desktop, Qt.Key.Key_Return)
    quiet(qtbot, desktop)
    in_area = room.view.figures.verdict[room.view.figures.in_area]
    assert (in_area != NONE).all()
    assert (in_area == MITOSIS).sum() == room.view.count.tally.mitoses

    # Place the area, say that all is tumour, sign.
    middle = room.view.area.centre0
    room.ask(
        lambda desk: desk.move_area(
            middle, kind="rectangle", width_um=120.0, height_um=90.0, unlocked=True
        )
    )
    qtbot.waitUntil(lambda: room.view.area.state == "accepted", timeout=LONG_MS)
    window.count.all_tumour.click()
    qtbot.waitUntil(lambda: room.view.all_tissue_is_tumour, timeout=LONG_MS)
    if room.view.blurred_windows0:
        room.ask(lambda desk: desk.acknowledge_blur())
    qtbot.waitUntil(lambda: room.view.count.blockers == (), timeout=LONG_MS)
    qtbot.waitUntil(window.count.sign_button.isEnabled, timeout=LONG_MS)
    press(desktop, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    dialog = window.findChild(SignDialog)
    dialog.name.setText("A. Reader")
    dialog.accept()
    qtbot.waitUntil(lambda: room.view.count.signed is not None, timeout=LONG_MS)
    assert room.view.count.signed.mitoses == room.view.count.tally.mitoses

    slide_id, mitoses = room.opened.slide_id, room.view.count.signed.mitoses
    assert desktop.stop()
    assert offences == []
    with open_store(desktop.store.path) as store:
        signed = [count for count in store.counts(slide_id) if count.state == "signed"]
        assert [count.mitoses for count in signed] == [mitoses]


def verdicts_of(room, key):
    return room.view.figures.verdict[room.view.figures.row(key)]


def test_a_window_fits_its_screen_with_its_frame(make_desktop):
    window, room = make_desktop().window, QApplication.primaryScreen().availableSize()
    assert window.width() <= room.width()
    assert window.height() < room.height()


def test_starting_an_analysis_by_key_shows_how_far_it_is(
    qtbot, make_desktop, detector, slide_files
):
    desktop = make_desktop()
    open_in(qtbot, desktop, slide_files[0])
    assert desktop.window.analysis.visibleRegion().isEmpty()
    press(desktop, Qt.Key.Key_F5)
    qtbot.waitUntil(lambda: not desktop.window.analysis.visibleRegion().isEmpty())
    detector.let_go()
    qtbot.waitUntil(lambda: desktop.room.view.run is not None, timeout=LONG_MS)


def test_the_panels_are_reached_and_walked_without_a_mouse(qtbot, make_desktop, slide_files):
    desktop = make_desktop()
    open_in(qtbot, desktop, slide_files[0])
    window = desktop.window
    qtbot.waitUntil(window.viewing.canvas.hasFocus, timeout=LONG_MS)
    next_figure = window.actions_by_id["nav.next_unreviewed"]
    press(desktop, Qt.Key.Key_F6)
    assert window.gallery.grid.hasFocus()
    assert next_figure.shortcuts()
    press(desktop, Qt.Key.Key_F6)
    first = QApplication.focusWidget()
    assert window.count.isAncestorOf(first)
    assert not next_figure.shortcuts(), "Tab walks through the panel"
    press(desktop, Qt.Key.Key_Tab)
    assert window.count.isAncestorOf(QApplication.focusWidget())
    assert QApplication.focusWidget() is not first
    press(desktop, Qt.Key.Key_F6, Qt.KeyboardModifier.ShiftModifier)
    assert window.gallery.grid.hasFocus()
    press(desktop, Qt.Key.Key_F6, Qt.KeyboardModifier.ShiftModifier)
    assert window.viewing.canvas.hasFocus()
    assert next_figure.shortcuts()


def test_what_was_refused_is_forgotten_once_a_key_goes_well(qtbot, make_desktop, slide_files):
    desktop = make_desktop()
    open_in(qtbot, desktop, slide_files[0])
    desktop.window.show_error(DeviceError("The disk is full."))
    assert desktop.window.viewing.notes.error_text
    with qtbot.waitSignal(desktop.room.view_changed, timeout=LONG_MS):
        desktop.room.ask(lambda desk: desk.place(300.0, 300.0))
    desktop.room.select([int(desktop.room.view.figures.key[0])])
    press(desktop, Qt.Key.Key_X)
    qtbot.waitUntil(lambda: not desktop.window.viewing.notes.error_text, timeout=LONG_MS)


def test_reopening_restores_place_selection_and_verdicts(qtbot, make_desktop, slide_files):
    desktop = make_desktop()
    open_in(qtbot, desktop, slide_files[0])
    analyse(qtbot, desktop)
    room, canvas = desktop.room, desktop.window.viewing.canvas
    key = int(room.view.figures.key[3])
    room.select([key], go=True)
    canvas.set_magnification(20.0)
    room.ask(lambda desk: desk.give([key], "imposter"))
    qtbot.waitUntil(lambda: verdicts_of(room, key) == IMPOSTER, timeout=LONG_MS)
    before = canvas.transform
    assert desktop.stop()
    again = make_desktop()
    open_in(qtbot, again, slide_files[0])
    assert again.room.selection == (key,)
    assert verdicts_of(again.room, key) == IMPOSTER
    assert again.window.viewing.canvas.transform.centre0 == pytest.approx(before.centre0)
    assert again.window.viewing.canvas.magnification() == pytest.approx(20.0)


def test_what_one_reader_saw_is_no_other_readers(qtbot, make_desktop, slide_files):
    desktop = make_desktop()
    open_in(qtbot, desktop, slide_files[0])
    viewing = desktop.window.viewing
    seen = viewing._tracker
    viewing.canvas.set_magnification(40.0)
    qtbot.waitUntil(lambda: seen.grid.cells.any(), timeout=LONG_MS)
    cells = int(seen.grid.cells.sum())
    desktop.room.set_reader("B. Reader", blinded=True)
    qtbot.waitUntil(lambda: desktop.room.view.reader.name == "B. Reader", timeout=LONG_MS)
    assert not seen.grid.cells.any()
    desktop.room.set_reader("A. Reader")
    qtbot.waitUntil(lambda: int(seen.grid.cells.sum()) == cells, timeout=LONG_MS)


def test_closing_the_window_during_a_run_stops_it_and_loses_nothing(
    qtbot, make_desktop, slide_files, detector
):
    desktop = make_desktop()
    open_in(qtbot, desktop, slide_files[0])
    slide_id = desktop.room.opened.slide_id
    detector.hold()
    press(desktop, Qt.Key.Key_F5)
    qtbot.waitUntil(detector.reached.is_set, timeout=LONG_MS)
    threading.Timer(0.2, detector.let_go).start()
    desktop.window.close()
    assert not desktop.window.isVisible()
    with open_store(desktop.store.path) as store:
        assert store.runs(slide_id)[-1].state == "cancelled"


def test_a_run_that_this_window_does_not_compute_is_called_unfinished(
    qtbot, make_desktop, slide_files, detector
):
    first = make_desktop()
    open_in(qtbot, first, slide_files[0])
    detector.hold()
    press(first, Qt.Key.Key_F5)
    qtbot.waitUntil(detector.reached.is_set, timeout=LONG_MS)
    other = make_desktop()
    open_in(qtbot, other, slide_files[0])
    assert "not finished" in other.window.analysis.result.text()
    assert other.window.analysis.start_button.text() == "Go on"
    detector.let_go()
    qtbot.waitUntil(lambda: not first.worker.queue, timeout=LONG_MS)
    assert first.stop()
    assert other.stop()


def test_candidates_appear_while_another_slide_is_analysed_on_their_own_slide_only(
    qtbot, make_desktop, slide_files, detector
):
    desktop = make_desktop()
    open_in(qtbot, desktop, slide_files[0])
    detector.hold()
    press(desktop, Qt.Key.Key_F5)
    qtbot.waitUntil(detector.reached.is_set, timeout=LONG_MS)
    open_in(qtbot, desktop, slide_files[1])
    with qtbot.waitSignal(desktop.worker.finished, timeout=LONG_MS):
        detector.let_go()
    assert len(desktop.room.view.figures) == 0
    assert desktop.room.view.run is None
    open_in(qtbot, desktop, slide_files[0])
    assert len(desktop.room.view.figures) >= 12


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModelError("The weights mitoscope-detector-1 are missing."), "weights"),
        (DeviceError("There is not enough memory to run the model."), "not enough memory"),
    ],
)
def test_missing_weights_or_memory_are_a_plain_message(
    qtbot, make_desktop, slide_files, error, words
):
    def load(_device):
        raise error

    desktop = make_desktop(load=load)
    open_in(qtbot, desktop, slide_files[0])
    with qtbot.waitSignal(desktop.worker.failed, timeout=LONG_MS):
        press(desktop, Qt.Key.Key_F5)
    assert words in desktop.window.analysis.trouble_text.text()
    assert desktop.window.analysis.trouble.isVisibleTo(desktop.window.analysis)
    assert desktop.room.opened is not None


def test_a_slide_file_that_is_gone_is_told_and_can_be_relocated(
    qtbot, make_desktop, slide_files, tmp_path
):
    here, there = tmp_path / "here.tif", tmp_path / "there.tif"
    shutil.copy(slide_files[0], here)
    desktop = make_desktop()
    open_in(qtbot, desktop, here)
    slide_id = desktop.room.opened.slide_id
    here.rename(there)
    with qtbot.waitSignal(desktop.worker.failed, timeout=LONG_MS):
        press(desktop, Qt.Key.Key_F5)
    assert "There is no slide" in desktop.window.analysis.trouble_text.text()
    slides = desktop.window.slides
    with qtbot.waitSignal(slides.listed, timeout=LONG_MS) as listed:
        slides.renew()
    assert [slide.missing for case in listed.args[0] for slide in case.slides] == [True]
    with qtbot.waitSignal(slides.failed, timeout=LONG_MS) as refused:
        slides.relocate(slide_id, slide_files[1])
    assert "another slide" in refused.args[0].message
    with qtbot.waitSignal(slides.listed, timeout=LONG_MS) as listed:
        slides.relocate(slide_id, there)
    assert [slide.missing for case in listed.args[0] for slide in case.slides] == [False]


def test_two_windows_on_one_store_both_give_verdicts(qtbot, make_desktop, slide_files):
    first, second = make_desktop(), make_desktop()
    for desktop in (first, second):
        open_in(qtbot, desktop, slide_files[0])
    for x0, desktop in ((400, first), (600, second)):
        desktop.room.ask(lambda desk, x0=x0: desk.place(x0, 400))
        qtbot.waitUntil(lambda desktop=desktop: len(desktop.room.view.figures) > 0, timeout=LONG_MS)
    second.room.ask(lambda desk: desk.refresh())
    qtbot.waitUntil(lambda: len(second.room.view.figures) == 2, timeout=LONG_MS)
    for desktop in (first, second):
        assert desktop.window.viewing.notes.error_text == ""


def test_a_slide_without_pixel_size_asks_for_it_and_takes_it(qtbot, make_desktop, tmp_path):
    path = tmp_path / "bare.tif"
    blob_slide(path, 1200, 900, count=12, margin0=150, mpp=None)
    desktop = make_desktop()
    with qtbot.waitSignal(desktop.room.slide_opened, timeout=LONG_MS):
        desktop.open([path])
    qtbot.waitUntil(lambda: desktop.room.view is not None, timeout=LONG_MS)
    note = desktop.window.viewing._pixel_size
    assert not desktop.window.analysis.start_button.isEnabled()
    note.field.setText("250")
    note.set_button.click()
    assert "cannot be right" in note.label.text()
    note.field.setText("0,25")
    note.set_button.click()
    qtbot.waitUntil(lambda: desktop.room.view.area is not None, timeout=LONG_MS)
    assert desktop.window.viewing._pixel_size is None
    assert desktop.window.analysis.start_button.isEnabled()


def test_a_fault_shows_where_the_log_is_and_goes_on(qtbot, make_desktop, caplog):
    desktop = make_desktop()
    with caplog.at_level(logging.CRITICAL):
        desktop.bridge.bug.emit(ZeroDivisionError("a bug"))
        desktop.bridge.bug.emit(ZeroDivisionError("another"))
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError] * 2
    crash = desktop.crash
    assert crash.isVisible()
    crash.go_on.click()
    assert desktop.crash is None
    assert desktop.window.isVisible()
    desktop.bridge.bug.emit(ZeroDivisionError("a third"))
    desktop.crash.quit.click()
    assert not desktop.window.isVisible()


def test_dropped_slides_are_opened_and_listed(qtbot, make_desktop, slide_files):
    desktop = make_desktop()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in slide_files])
    drop = QDropEvent(
        QPointF(10, 10),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    with qtbot.waitSignal(desktop.room.slide_opened, timeout=LONG_MS):
        desktop.window.dropEvent(drop)
    tree = desktop.window.slides.tree
    qtbot.waitUntil(lambda: tree.topLevelItemCount() == 2, timeout=LONG_MS)
    assert {tree.topLevelItem(i).text(0) for i in range(2)} == {"0.tif", "1.tif"}
    assert desktop.preferences.settings.recent[0].endswith("0.tif")


def test_an_alias_takes_the_place_of_the_name_on_screen_and_in_the_log(
    qtbot, make_desktop, slide_files
):
    from app.logs import Aliases

    aliases = Aliases()
    desktop = make_desktop(aliases=aliases)
    open_in(qtbot, desktop, slide_files[0])
    desktop.window.slides.set_alias(desktop.room.opened.slide_id, "Case 7")
    qtbot.waitUntil(lambda: desktop.room.opened.name == "Case 7", timeout=LONG_MS)
    assert desktop.window.windowTitle() == "Case 7 – A. Reader – Mitoscope"
    qtbot.waitUntil(lambda: aliases.hidden("0.tif") == "Case 7", timeout=LONG_MS)
    assert aliases.hidden(f"cannot read {slide_files[0]}") == "cannot read Case 7"


def test_the_research_use_line_is_always_seen(qtbot, make_desktop):
    desktop = make_desktop()
    desktop.window.resize(1024, 640)
    desktop.window.reviewer.noted.emit("a long note " * 20)
    use = desktop.window.status.use
    assert use.isVisible()
    assert use.width() >= use.sizeHint().width()


def test_changed_settings_and_layout_are_kept(qtbot, make_desktop, tmp_path):
    from core.settings import load_settings

    path = tmp_path / "settings.json"
    desktop = make_desktop(settings_path=path)
    desktop.window.docks.docks["slides"].hide()
    desktop.window.readers._reader_answered("B. Reader")
    assert desktop.stop()
    settings, note = load_settings(path)
    assert note == ""
    assert settings.reader == "B. Reader"
    again = make_desktop(settings=settings)
    assert not again.window.docks.docks["slides"].isVisible()
    assert again.room.reader_name == "B. Reader"


def test_after_a_pause_the_first_key_only_asks_who_reads(qtbot, make_desktop, slide_files):
    desktop = make_desktop()
    open_in(qtbot, desktop, slide_files[0])
    window = desktop.window
    window.idle.after_s = -1.0
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_F5)
    dialog = window.findChild(ReaderDialog)
    assert dialog.isVisible()
    assert desktop.worker.queue == ()
    window.idle.after_s = 60.0
    dialog.name.setEditText("B. Reader")
    dialog._accept()
    qtbot.waitUntil(lambda: desktop.room.view.reader.name == "B. Reader", timeout=LONG_MS)
    assert "B. Reader" in window.windowTitle()
    assert desktop.preferences.settings.reader == "B. Reader"


def test_torch_is_not_imported_before_the_first_analysis():
    code = (
        "import sys, app.desktop; "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'timm', 'peft', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
    assert desktop_models.__module__ == "app.engine"


@pytest.mark.parametrize("answer", ["Only look", "Quit"])
def test_a_store_of_a_newer_version_is_told_before_the_window(qapp, tmp_path, monkeypatch, answer):
    path = tmp_path / "newer.sqlite"
    open_store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    asked = []

    def answered(box):
        asked.append(box.text())
        button = next(b for b in box.buttons() if b.text() == answer)
        monkeypatch.setattr(QMessageBox, "clickedButton", lambda _box: button)
        return 0

    monkeypatch.setattr(QMessageBox, "exec", answered)
    with ExitStack() as stack:
        store, note = _open_some_store(path, stack)
        assert "newer" in asked[0]
        if answer == "Quit":
            assert store is None
        else:
            assert note.startswith("Nothing is kept")
            assert store.path != path
            store.close()
            folder = store.path.parent
    if answer != "Quit":
        assert not folder.exists()


def test_arguments_that_are_slides_open_the_desktop_and_others_do_not(tmp_path):
    slide = tmp_path / "no suffix"
    slide.touch()
    assert only_slides([]) == []
    assert only_slides([str(slide), "b.svs"]) == [slide, Path("b.svs")]
    assert only_slides(["analyze", "b.svs"]) is None
    assert only_slides(["analyse"]) is None
    assert only_slides(["--help"]) is None
