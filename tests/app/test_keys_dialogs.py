import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtPrintSupport import QPrinter

from app.actions import ACTIONS, Keymap
from app.panels.keys import KeyEditor, KeySheet


@pytest.fixture
def keymap():
    return Keymap()


def test_the_sheet_lists_every_key_and_follows_changes(keymap, qtbot):
    sheet = KeySheet(keymap)
    qtbot.addWidget(sheet)
    text = sheet.text.toPlainText()
    for spec in ACTIONS:
        if spec.keys:
            assert spec.title() in text
    keymap.set_keys("verdict.mitosis", ["F9"])
    assert "F9" in sheet.text.toPlainText()


def test_the_sheet_prints_on_one_page(keymap, qtbot, tmp_path):
    sheet = KeySheet(keymap)
    qtbot.addWidget(sheet)
    printer = QPrinter(QPrinter.PrinterMode.HighResolution)
    printer.setOutputFormat(QPrinter.OutputFormat.PdfFormat)
    printer.setOutputFileName(str(tmp_path / "keys.pdf"))
    sheet.print_on(printer)
    written = (tmp_path / "keys.pdf").read_bytes()
    assert written.startswith(b"%PDF")
    assert written.count(b"/Type /Page\n") == 1


@pytest.fixture
def editor(keymap, qtbot):
    editor = KeyEditor(keymap)
    qtbot.addWidget(editor)
    editor.show()
    editor.choose("verdict.unsure")
    return editor


def test_a_free_key_is_given_at_once(editor, keymap, qtbot):
    qtbot.keyClick(editor.edit, Qt.Key.Key_F8)
    assert editor.use.isEnabled()
    assert not editor.take.isVisible()
    editor.add.click()
    assert keymap.keys("verdict.unsure") == ("Q", "F8")
    editor.edit.setKeySequence(QKeySequence("F7"))
    editor.use.click()
    assert keymap.keys("verdict.unsure") == ("F7",)


def test_escape_leaves_the_field_and_is_no_key(editor, qtbot):
    editor.edit.setFocus()
    qtbot.keyClick(editor.edit, Qt.Key.Key_Escape)
    assert editor.edit.keySequence().isEmpty()
    assert editor.tree.hasFocus()
    assert editor.isVisible()


def test_a_key_in_use_is_named_and_taken_only_when_asked(editor, keymap, qtbot):
    qtbot.keyClick(editor.edit, Qt.Key.Key_X)
    assert "Imposter" in editor.note.text()
    assert not editor.use.isEnabled()
    assert not editor.add.isEnabled()
    assert keymap.keys("verdict.imposter") == ("X",)
    editor.take.click()
    assert keymap.keys("verdict.unsure") == ("X",)
    assert keymap.keys("verdict.imposter") == ()


def test_return_is_a_key_like_others(editor, keymap, qtbot):
    qtbot.keyClick(editor.edit, Qt.Key.Key_Return)
    assert editor.isVisible()
    assert "This field is done" in editor.note.text()


def test_no_key_and_the_defaults(editor, keymap, qtbot):
    editor.none.click()
    assert keymap.keys("verdict.unsure") == ()
    assert not editor.none.isEnabled()
    editor.default.click()
    assert keymap.keys("verdict.unsure") == ("Q",)
    assert not editor.default.isEnabled()
