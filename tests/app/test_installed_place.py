"""Mitoscope may be installed under any name: in `Program Files (x86)`, for instance."""

from pathlib import Path

import pytest
from PySide6.QtCore import qInstallMessageHandler
from PySide6.QtWidgets import QCheckBox

from app import theme


@pytest.mark.parametrize(
    "place", ["Program Files (x86)", "Größe & Häufigkeit", "the reader's", "one; two {three}"]
)
def test_the_style_is_understood_wherever_its_pictures_lie(qtbot, qapp, monkeypatch, place):
    monkeypatch.setattr(theme, "files", lambda _package: Path("/opt") / place)
    said = []
    before = qInstallMessageHandler(lambda _kind, _context, text: said.append(text))
    style = qapp.styleSheet()
    try:
        qapp.setStyleSheet(theme.style_sheet(theme.LIGHT))
        box = QCheckBox()
        qtbot.addWidget(box)
        box.ensurePolished()
    finally:
        qapp.setStyleSheet(style)
        qInstallMessageHandler(before)
    assert place in theme.style_sheet(theme.LIGHT)
    assert not [text for text in said if "parse" in text]
