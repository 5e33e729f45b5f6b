"""Export and import in the desktop: dialogs, the io thread, one undo, stale answers."""

import threading
from pathlib import Path

import pytest
from desktops import guard_gui_thread
from PySide6.QtWidgets import QDialog, QFileDialog
from reading_room import LONG_MS, asked, other_slide, small_slide
from shiboken6 import isValid

from app.exchange import desktop
from app.exchange.desktop import Exchange
from app.exchange.dialogs import ExportDialog, ImportDialog
from app.exchange.files import Read
from core.exchange.formats import FORMATS
from core.exchange.gathering import Choice
from core.exchange.marks import Mark, SlideFrame, SlideMarks

OPENED: list[QDialog] = []


@pytest.fixture
def exchange(room):
    yield Exchange(room)
    while OPENED:
        dialog = OPENED.pop()
        if isValid(dialog):  # an accepted one deletes itself
            dialog.deleteLater()


def dialog_of(qtbot, exchange, kind, act):
    """Do something and wait for the dialog that it opens."""
    shown = []

    class Caught(kind):
        def open(self):
            shown.append(self)
            OPENED.append(self)

    name = kind.__name__
    original = getattr(desktop, name)
    setattr(desktop, name, Caught)
    try:
        act()
        qtbot.waitUntil(lambda: bool(shown), timeout=LONG_MS)
    finally:
        setattr(desktop, name, original)
    return shown[0]


def finished(qtbot, exchange, act):
    with qtbot.waitSignal(exchange.finished, timeout=LONG_MS) as blocker:
        act()
    return blocker.args[0]


def test_out_by_the_dialogs_and_in_again(qtbot, room, exchange, tmp_path, monkeypatch):
    offences = guard_gui_thread(monkeypatch)
    out = tmp_path / "marks"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(out), ""))
    dialog = dialog_of(qtbot, exchange, ExportDialog, exchange.ask_export)
    dialog.formats.setCurrentIndex(dialog.formats.findData("qupath"))
    dialog.what.setCurrentIndex(dialog.what.findData("candidates"))
    assert not dialog.whose.isEnabled()
    text = finished(qtbot, exchange, dialog.accept)
    assert "marks.geojson (QuPath GeoJSON): 10 points, 0 regions." in text
    path = Path(f"{out}.geojson")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), "All"))
    dialog = dialog_of(qtbot, exchange, ImportDialog, exchange.ask_import)
    assert dialog.summary.text() == "Points: 8 mitoses, 2 imposters. Regions: 0."
    assert dialog.as_() == "labels"
    text = finished(qtbot, exchange, dialog.accept)
    assert text == "Imported marks.geojson: 10 verdicts of figures."
    assert not offences
    assert room.view.undo_text == "import: 10 figures"
    view = asked(qtbot, room, lambda desk: desk.undo())
    assert not view.figures.verdict.any()


def test_files_are_read_and_written_on_the_io_thread(qtbot, room, exchange, tmp_path, monkeypatch):
    threads = []

    def watched(name):
        original = getattr(desktop, name)

        def work(*args, **kwargs):
            threads.append((name, threading.current_thread().name))
            return original(*args, **kwargs)

        monkeypatch.setattr(desktop, name, work)

    watched("read")
    watched("export")
    path = tmp_path / "a.csv"
    finished(qtbot, exchange, lambda: exchange.write(room.opened, path, FORMATS["csv"], Choice()))
    dialog_of(qtbot, exchange, ImportDialog, lambda: exchange.look_at(path))
    assert threads == [("export", "io"), ("read", "io")]


def test_a_bad_file_is_said_and_nothing_is_taken_in(qtbot, room, exchange, tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<Annotations><Annotation>")
    with qtbot.waitSignal(exchange.failed, timeout=LONG_MS) as blocker:
        exchange.look_at(path)
    assert "a.xml is not valid XML" in blocker.args[0].message


def test_points_without_a_class_are_offered_as_mitoses(qtbot):
    frame = SlideFrame("s", 100, 100)
    marks = SlideMarks(frame, [Mark(1, 2), Mark(3, 4)], notes=("lines passed over: 1",))
    dialog = ImportDialog("a.csv", Read(FORMATS["csv"], marks), "Ada")
    qtbot.addWidget(dialog)
    assert dialog.summary.text() == "Points: 2 without a known class. Regions: 0."
    assert dialog.as_() == "mitoses"
    empty = ImportDialog("a.csv", Read(FORMATS["csv"], SlideMarks(frame)), "Ada")
    qtbot.addWidget(empty)
    assert not empty.go_on.isEnabled()


def test_a_blinded_reader_exports_only_what_they_said(qtbot, room, exchange):
    asked(qtbot, room, lambda desk: desk.place(1500, 1500))
    room.set_reader("Bob", blinded=True)
    qtbot.waitUntil(lambda: room.view.reader.name == "Bob", timeout=LONG_MS)
    dialog = dialog_of(qtbot, exchange, ExportDialog, exchange.ask_export)
    assert dialog.choice() == Choice("verdicts", None, "Bob")
    assert (dialog.what.count(), dialog.whose.count()) == (1, 1)


def test_other_readers_can_be_chosen(qtbot, room, exchange):
    asked(qtbot, room, lambda desk: desk.place(1500, 1500))
    room.set_reader("Bob")
    qtbot.waitUntil(lambda: room.view.reader.name == "Bob", timeout=LONG_MS)
    dialog = dialog_of(qtbot, exchange, ExportDialog, exchange.ask_export)
    names = [dialog.whose.itemData(row) for row in range(dialog.whose.count())]
    assert names == [None, "Bob", "Ada", "consensus"]
    dialog.formats.setCurrentIndex(dialog.formats.findData("coco"))
    assert "only tried with itself" in dialog.tried.text()


def test_what_was_read_for_another_slide_is_not_taken_in(
    qtbot, room, exchange, tmp_path, tmp_path_factory
):
    path = tmp_path / "a.csv"
    path.write_text("x,y,class\n50,60,mitosis\n")
    dialog = dialog_of(qtbot, exchange, ImportDialog, lambda: exchange.look_at(path))
    other = small_slide(tmp_path_factory.mktemp("other") / "Other.tif")
    before = room.opened.token
    room.open(other)
    qtbot.waitUntil(
        lambda: room.opened is not None and room.opened.token != before, timeout=LONG_MS
    )
    with qtbot.waitSignal(exchange.noted) as blocker:
        dialog.accept()
    assert "Another slide was opened" in blocker.args[0]


def open_other(qtbot, room, folder):
    """Leave the slide for another one."""
    before = room.opened
    room.open(other_slide(folder / "Other.tif"))
    qtbot.waitUntil(
        lambda: room.opened not in (None, before) and room.view is not None, timeout=LONG_MS
    )


@pytest.mark.parametrize("hidden", [False, True])
def test_the_slide_that_was_asked_for_is_exported_though_it_was_left(
    qtbot, room, exchange, tmp_path, monkeypatch, hidden
):
    room.set_hide_names(hidden)
    asked(qtbot, room, lambda desk: desk.place(1500, 1500))
    slide_id, proposed = room.opened.slide_id, []
    dialog = dialog_of(qtbot, exchange, ExportDialog, exchange.ask_export)
    dialog.formats.setCurrentIndex(dialog.formats.findData("csv"))

    def choose(_parent, _title, start, _filters):  # as long as the reader thinks of a name
        open_other(qtbot, room, tmp_path)
        proposed.append(Path(start).name)
        return str(tmp_path / "out.csv"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    text = finished(qtbot, exchange, dialog.accept)
    assert proposed == [f"Slide {slide_id}.csv" if hidden else "Smith.csv"]
    assert "11 points" in text  # the other slide has none
    written = (tmp_path / "out.csv").read_text(encoding="utf-8-sig")
    assert ("Smith" in written) != hidden
    assert "Other" not in written


def test_without_a_slide_nothing_is_asked(qtbot, room, exchange):
    room.close_slide()
    for ask in (exchange.ask_export, exchange.ask_import):
        with qtbot.waitSignal(exchange.noted) as blocker:
            ask()
        assert "Open a slide" in blocker.args[0]
