"""The window of the daily workflow: topics on the left, the page on the right."""

from typing import Any

from PySide6.QtCore import QEvent, QSize, Qt, QUrl, Slot
from PySide6.QtWidgets import QHBoxLayout, QListWidget, QSplitter, QTextBrowser, QWidget

from app.actions import Keymap
from app.help_pages import TOPICS, HelpPages, with_keys
from app.theme import theme_in_use

SIZE = QSize(980, 760)
_LIST_PX = 230


class _Page(QTextBrowser):
    """Shows pages out of memory: files are read on another thread."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: HelpPages | None = None
        self.setOpenLinks(False)
        self.document().setDocumentMargin(18)

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        """See `QTextBrowser`; knows the pages' pictures and nothing else."""
        return None if self.pages is None else self.pages.pictures.get(QUrl(name).fileName())


class HelpWindow(QWidget):
    """Stays beside the main window while the reader works.

    It has no parent: a dialog of the main window, such as the welcome, would block it else.

    Args:
        keymap: whose keys stand in the pages.
    """

    def __init__(self, keymap: Keymap) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_QuitOnClose, False)
        self.setWindowTitle(self.tr("Daily workflow – Mitoscope"))
        self.resize(SIZE)
        self._keymap = keymap
        self.topics = QListWidget()
        self.topics.setSpacing(3)
        self.page = _Page()
        self.page.setPlainText(self.tr("Reading…"))
        splitter = QSplitter()
        splitter.addWidget(self.topics)
        splitter.addWidget(self.page)
        splitter.setSizes([_LIST_PX, SIZE.width() - _LIST_PX])
        splitter.setStretchFactor(1, 1)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 6, 6, 6)
        row.addWidget(splitter)
        self.topics.currentRowChanged.connect(self._show)
        self.page.anchorClicked.connect(self._follow)
        keymap.changed.connect(self._renew)

    def set_pages(self, pages: HelpPages) -> None:
        """Show the pages once they are read."""
        self.page.pages = pages
        self.topics.clear()
        self.topics.addItems([pages.title(topic) for topic in TOPICS])
        self.topics.setCurrentRow(0)

    def show_topic(self, topic: str) -> None:
        """Turn to a page."""
        if topic in TOPICS and self.topics.count():
            self.topics.setCurrentRow(TOPICS.index(topic))

    @Slot(QUrl)
    def _follow(self, link: QUrl) -> None:
        """Links lead to other pages only: the program opens no browser by itself."""
        self.show_topic(link.fileName().removesuffix(".html"))

    @Slot()
    def _renew(self) -> None:
        if self.page.pages is not None:
            self._show(self.topics.currentRow())

    @Slot(int)
    def _show(self, row: int) -> None:
        pages = self.page.pages
        if pages is None or row < 0:
            return
        colours = theme_in_use()
        self.page.document().setDefaultStyleSheet(
            f"h1 {{ font-size: x-large; }} h2 {{ font-size: large; margin-top: 16px; }}"
            f"p, li {{ line-height: 125%; }} .picture {{ line-height: 100%; }}"
            f"a {{ color: {colours.accent}; }}"
            f".key {{ background-color: {colours.raised}; font-weight: 600; }}"
            f".faint {{ color: {colours.faint}; }}"
            f"td, th {{ padding: 3px 14px 3px 0; }}"
        )
        self.page.setHtml(with_keys(pages.html[TOPICS[row]], self._keymap.shown))

    def changeEvent(self, event: QEvent) -> None:
        """See `QWidget`; another theme has other colours."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._renew()
