"""The daily workflow: pages that hold together, the reader's own keys, both themes."""

import re

import pytest
from PySide6.QtCore import QEvent, QUrl
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from app.actions import BY_ID, Keymap
from app.help import HelpWindow
from app.help_pages import TOPICS, help_folder, read_pages, with_keys
from app.theme import DARK, apply_theme
from core.errors import UserError


@pytest.fixture
def help_window(qtbot):
    window = HelpWindow(Keymap())
    qtbot.addWidget(window)
    window.set_pages(read_pages())
    window.show()
    return window


def test_links_keys_and_pictures_of_all_pages_exist():
    pages = read_pages()
    shown = set()
    for topic, html in pages.html.items():
        assert pages.title(topic) != topic
        for key in re.findall(r"\{([a-z0-9_.]+)\}", html):
            assert key in BY_ID, f"{key} on {topic}"
        for link in re.findall(r'href="([^"]+)"', html):
            assert link.removesuffix(".html") in TOPICS, f"{link} on {topic}"
        pictures = re.findall(r'src="([^"]+)"', html)
        assert set(pictures) <= pages.pictures.keys(), topic
        shown |= set(pictures)
    assert shown == pages.pictures.keys()
    assert not any(picture.isNull() for picture in pages.pictures.values())


def test_no_page_leads_out_of_the_program():
    for html in read_pages().html.values():
        assert "http" not in html


def test_pictures_are_modest():
    for path in help_folder().glob("pictures/*.png"):
        assert path.stat().st_size < 250_000, path.name


def test_pages_say_the_keys_of_this_reader(help_window):
    help_window.show_topic("review")
    assert "F9" not in help_window.page.toPlainText()
    help_window._keymap.set_keys("verdict.mitosis", ["F9"])
    assert "F9" in help_window.page.toPlainText()


def test_an_action_without_a_key_goes_by_its_name():
    assert "Undo" in with_keys("<p>{edit.undo}</p>", lambda _id: "")


def test_topics_and_links_turn_the_page(help_window):
    assert help_window.topics.count() == len(TOPICS)
    help_window.page.anchorClicked.emit(QUrl("adapt.html"))
    assert help_window.topics.currentRow() == TOPICS.index("adapt")
    help_window.page.anchorClicked.emit(QUrl("https://example.org/"))
    assert help_window.topics.currentRow() == TOPICS.index("adapt")


def test_pages_follow_the_theme(help_window):
    application = QApplication.instance()
    apply_theme(application, "light")
    try:
        apply_theme(application, "dark")
        QApplication.sendEvent(help_window, QEvent(QEvent.Type.PaletteChange))
        help_window.show_topic("open")
        assert QColor(DARK.accent).name() in help_window.page.toHtml()
    finally:
        apply_theme(application, "light")


def test_it_says_that_updates_are_never_fetched():
    assert "never fetches updates" in read_pages().html["trouble"]


def test_a_missing_page_is_said_plainly(monkeypatch, tmp_path):
    monkeypatch.setattr("app.help_pages.help_folder", lambda: tmp_path)
    with pytest.raises(UserError, match="page of the help"):
        read_pages()
