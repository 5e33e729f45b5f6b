"""Slides that macOS hands to the running program."""

from pathlib import Path

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QFileOpenEvent

from app.desktop import FileOpener


def test_a_file_that_the_system_hands_over_is_opened(qapp):
    opened = []
    filter_ = FileOpener(opened.extend, None)
    assert filter_.eventFilter(qapp, QFileOpenEvent("/slides/größe 1.svs"))
    assert not filter_.eventFilter(qapp, QEvent(QEvent.Type.User))
    assert not filter_.eventFilter(QObject(), QFileOpenEvent(""))
    assert opened == [Path("/slides/größe 1.svs")]
