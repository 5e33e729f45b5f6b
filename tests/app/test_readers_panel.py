"""The readers panel on a real room: who reads, blinded readings, what readers settle."""

import threading

import pytest
from PySide6.QtCore import Qt
from reading_room import LONG_MS, asked

from app.panels.agreement import AgreementDialog
from app.panels.reader_dialog import ReaderDialog
from app.panels.readers import ReadersPanel
from core.errors import StoreError
from core.reading.desk import Desk


@pytest.fixture
def panel(qtbot, room):
    panel = ReadersPanel(room)
    qtbot.addWidget(panel)
    panel.resize(300, 600)
    panel.show()
    return panel


def sit_down(qtbot, room, name, blinded=False):
    room.set_reader(name, blinded)
    qtbot.waitUntil(
        lambda: (room.view.reader.name, room.view.blinded) == (name, blinded), timeout=LONG_MS
    )


def differ(qtbot, room):
    """Ada and Ben differ on two figures and agree on a third."""
    a, b, c = (int(key) for key in room.view.figures.key[:3])
    asked(qtbot, room, lambda desk: desk.give([a, b, c], "mitosis"))
    sit_down(qtbot, room, "Ben")
    asked(qtbot, room, lambda desk: desk.give([a], "imposter"))
    asked(qtbot, room, lambda desk: desk.give([b], "atypical"))
    asked(qtbot, room, lambda desk: desk.give([c], "mitosis"))
    return a, b, c


def rows(shown):
    return [shown.item(n).text() for n in range(shown.count())]


def test_it_says_who_reads_and_how_far_others_are(qtbot, room, panel):
    assert panel.reader.text() == "Ada"
    assert "Nobody else" in panel.others.text()
    differ(qtbot, room)
    qtbot.waitUntil(lambda: panel.others.text() == "Ada: 3 figures", timeout=LONG_MS)
    assert panel.reader.text() == "Ben"


def test_disagreements_are_listed_and_gone_to(qtbot, room, panel):
    b = differ(qtbot, room)[1]
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)
    assert rows(panel.disputed) == [
        "Ada: mitosis  ·  Ben: imposter",
        "Ada: mitosis  ·  Ben: atypical",
    ]
    assert panel.disputed_title.text() == "Disagreements: 2"
    with qtbot.waitSignal(room.go_requested) as went:
        panel.disputed.setCurrentRow(1)
    assert room.selection == (b,)
    figures = room.view.figures
    assert went.args[0].x0 == figures.x0[figures.row(b)]


@pytest.mark.parametrize(
    ("key", "agreed"), [("M", "mitosis"), ("A", "atypical"), ("X", "imposter")]
)
def test_a_key_settles_the_current_one_and_goes_to_the_next(qtbot, room, panel, key, agreed):
    b = differ(qtbot, room)[1]
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)
    panel.disputed.setCurrentRow(0)
    qtbot.keyClick(panel.disputed, key)
    qtbot.waitUntil(lambda: panel.settled.count() == 1, timeout=LONG_MS)
    assert rows(panel.settled) == [f"Agreed: {agreed}\nAda: mitosis  ·  Ben: imposter"]
    assert panel.disputed.current_key == b
    assert room.selection == (b,)
    verdicts = list(room.store.iter_verdicts(room.opened.slide_id))
    assert [v.consensus for v in verdicts].count(True) == 1
    assert len([v for v in verdicts if not v.consensus]) == 6  # the originals stay


def settlements(room):
    """What was settled, in order: figure and verdict."""
    given = room.store.iter_verdicts(room.opened.slide_id)
    points = {
        point.id: (point.x0, point.y0) for point in room.store.iter_points(room.opened.slide_id)
    }
    figures = room.view.figures
    keys = {
        (x0, y0): int(key) for key, x0, y0 in zip(figures.key, figures.x0, figures.y0, strict=True)
    }
    return [(keys[points[v.point_id]], v.value) for v in given if v.consensus]


def test_keys_pressed_fast_settle_one_figure_after_the_other(qtbot, room, panel):
    a, b, _ = differ(qtbot, room)
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)
    panel.disputed.setCurrentRow(0)
    for key in ("M", "X", "A"):  # the last one finds nothing left
        qtbot.keyClick(panel.disputed, key)
    qtbot.waitUntil(lambda: panel.settled.count() == 2, timeout=LONG_MS)
    asked(qtbot, room, lambda desk: desk.refresh())
    assert settlements(room) == [(a, "mitosis"), (b, "imposter")]


def test_a_key_means_the_row_to_which_the_reader_went_meanwhile(qtbot, room, panel):
    a, b, c = differ(qtbot, room)
    asked(qtbot, room, lambda desk: desk.give([c], "imposter"))
    qtbot.waitUntil(lambda: panel.disputed.count() == 3, timeout=LONG_MS)
    panel.disputed.setCurrentRow(0)
    qtbot.keyClick(panel.disputed, "M")
    qtbot.keyClick(panel.disputed, Qt.Key.Key_Down)
    assert room.selection == (b,)
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)
    assert (panel.disputed.current_key, room.selection) == (b, (b,))
    qtbot.keyClick(panel.disputed, "X")
    qtbot.waitUntil(lambda: panel.disputed.count() == 1, timeout=LONG_MS)
    assert settlements(room) == [(a, "mitosis"), (b, "imposter")]


def test_what_could_not_be_settled_moves_nothing_later(qtbot, room, panel, monkeypatch):
    a, b, c = differ(qtbot, room)
    elsewhere = int(room.view.figures.key[3])
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)
    panel.disputed.setCurrentRow(0)
    hold = threading.Event()

    def refuse(*_args):
        assert hold.wait(60)
        raise StoreError("The disk is full.")

    with monkeypatch.context() as refusing:
        refusing.setattr(Desk, "settle", refuse)
        with qtbot.waitSignal(room.failed, timeout=LONG_MS):
            qtbot.keyClick(panel.disputed, "M")
            qtbot.keyClick(panel.disputed, "X")  # in the belief that the first one went well
            hold.set()
    assert room.selection == (a,)
    room.select((elsewhere,))
    asked(qtbot, room, lambda desk: desk.give([c], "imposter"))
    qtbot.waitUntil(lambda: panel.disputed.count() == 3, timeout=LONG_MS)
    assert room.selection == (elsewhere,)
    assert settlements(room) == []
    qtbot.keyClick(panel.disputed, "M")
    assert room.selection == (a,), "it is looked at first"
    qtbot.keyClick(panel.disputed, "M")
    qtbot.waitUntil(lambda: panel.settled.count() == 1, timeout=LONG_MS)
    assert settlements(room) == [(a, "mitosis")]
    assert room.selection == (b,)


def test_a_button_looks_first_and_settles_then(qtbot, room, panel):
    a, _, _ = differ(qtbot, room)
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)
    panel.buttons["imposter"].click()
    assert room.selection == (a,)
    assert panel.settled.count() == 0
    panel.buttons["imposter"].click()
    qtbot.waitUntil(lambda: panel.settled.count() == 1, timeout=LONG_MS)
    panel.settled.setCurrentRow(0)
    assert room.selection == (a,)
    qtbot.keyClick(panel.settled, "M")  # what is settled is not settled again by a slip
    asked(qtbot, room, lambda desk: desk.undo())
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)


def test_a_blinded_reading_hides_the_others(qtbot, room, panel):
    differ(qtbot, room)
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)
    panel.blinded.click()
    qtbot.waitUntil(lambda: room.view.blinded, timeout=LONG_MS)
    assert panel.disputed.count() == 0
    assert not panel.disputed.isVisible()
    assert panel.others.text() == "Hidden while you read blinded."
    assert "Ada" not in panel.others.text()
    panel.blinded.click()
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)


def test_another_reader_sits_down(qtbot, room, panel):
    qtbot.waitUntil(lambda: panel._names != {}, timeout=LONG_MS)
    panel.switch.click()
    (dialog,) = panel.findChildren(ReaderDialog)
    ok = dialog.buttons.button(dialog.buttons.StandardButton.Ok)
    assert dialog.name.itemText(0) == "Ada"
    assert not ok.isEnabled()
    dialog.name.setEditText("  Cleo ")
    with qtbot.waitSignals([panel.reader_chosen, panel.reader_confirmed], timeout=LONG_MS):
        ok.click()
    qtbot.waitUntil(lambda: room.view.reader.name == "Cleo", timeout=LONG_MS)
    assert panel.reader.text() == "Cleo"


@pytest.mark.parametrize("by_key", [True, False])
@pytest.mark.parametrize(
    ("typed", "known"), [("Ann", "Anna"), ("ben", "Ben"), ("J. Smith", "J. Smithson")]
)
def test_a_name_is_taken_as_it_was_typed(qtbot, typed, known, by_key):
    dialog = ReaderDialog("Who reads?", "", [known])
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.activateWindow()
    dialog.name.setFocus()
    qtbot.waitUntil(dialog.name.lineEdit().hasFocus)
    qtbot.keyClicks(dialog.name.lineEdit(), typed)
    with qtbot.waitSignal(dialog.chosen) as chosen:
        if by_key:
            qtbot.keyClick(dialog.name.lineEdit(), Qt.Key.Key_Return)
        else:
            ok = dialog.buttons.button(dialog.buttons.StandardButton.Ok)
            qtbot.mouseClick(ok, Qt.MouseButton.LeftButton)
    assert chosen.args == [typed]


def test_after_a_pause_the_reader_is_confirmed(qtbot, room, panel):
    panel.confirm_reader()
    (dialog,) = panel.findChildren(ReaderDialog)
    assert dialog.name.currentText() == "Ada"
    with qtbot.waitSignal(panel.reader_confirmed), qtbot.assertNotEmitted(panel.reader_chosen):
        dialog.buttons.button(dialog.buttons.StandardButton.Ok).click()
    assert room.reader_name == "Ada"


def test_a_closed_slide_leaves_no_names_behind(qtbot, room, panel):
    differ(qtbot, room)
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)
    room.close_slide()
    assert panel.disputed.count() == 0
    assert not panel.others.isVisible()


def test_other_keys_are_the_lists(qtbot, room, panel):
    differ(qtbot, room)
    qtbot.waitUntil(lambda: panel.disputed.count() == 2, timeout=LONG_MS)
    panel.disputed.setCurrentRow(0)
    qtbot.keyClick(panel.disputed, Qt.Key.Key_Down)
    assert panel.disputed.currentRow() == 1
    qtbot.keyClick(panel.disputed, "M", Qt.KeyboardModifier.ControlModifier)
    assert panel.disputed.count() == 2


def test_the_agreement_of_readers_is_shown_but_not_while_blinded(qtbot, room, panel):
    differ(qtbot, room)
    qtbot.waitUntil(panel.agreement.isVisible, timeout=LONG_MS)
    panel.agreement.click()
    dialog = panel.findChild(AgreementDialog)
    qtbot.waitUntil(lambda: dialog.table.rowCount() > 0, timeout=LONG_MS)
    cells = [dialog.table.item(0, column).text() for column in range(5)]
    assert cells == ["Ben\nAda", "2, 3", "2", "0", "1"]
    assert "figures are disputed, on 1 slide." in dialog.summary.text()
    dialog.reject()
    sit_down(qtbot, room, "Ben", blinded=True)
    assert not panel.agreement.isVisible()
